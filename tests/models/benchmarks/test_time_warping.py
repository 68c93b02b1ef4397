"""Dynamic time warping against its definition."""

from functools import cache

import numpy as np
import pytest

from phasepilot.models.benchmarks.time_warping import warped_distances


def by_definition(first: np.ndarray, second: np.ndarray, reach: int) -> float:
    @cache
    def least(i: int, j: int) -> float:
        if abs(i - j) > reach or i < 0 or j < 0:
            return 0.0 if i == j == -1 else float("inf")
        before = min(least(i - 1, j), least(i, j - 1), least(i - 1, j - 1))
        return before + float(first[i] - second[j]) ** 2

    return (least(first.size - 1, second.size - 1) / first.size) ** 0.5


@pytest.mark.parametrize("reach", [0, 1, 3, 40])
def test_distances_are_those_of_the_definition(reach: int) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((3, 25)), rng.random((4, 25))
    found = warped_distances(first, second, reach)
    expected = [[by_definition(a, b, reach) for b in second] for a in first]
    np.testing.assert_allclose(found, expected)


def test_a_shifted_pattern_is_the_same_within_reach() -> None:
    line = np.exp(-(((np.arange(200) - 100) / 4.0) ** 2))[None]
    assert warped_distances(line, np.roll(line, 8), 10)[0, 0] < 1e-6
    assert warped_distances(line, np.roll(line, 30), 10)[0, 0] > 0.1
