"""Shapley values of parts of a pattern."""

import numpy as np
import pytest

from phasepilot.models.explanation.shapley import shapley_values


def answer(rows: np.ndarray) -> np.ndarray:
    return rows[:, :5].sum(axis=1) * rows[:, 5:].sum(axis=1)


def test_values_add_up_to_what_the_pattern_has_above_its_background() -> None:
    rng = np.random.default_rng(0)
    pattern, background = rng.random(20), rng.random((1, 20))
    values = shapley_values(answer, pattern, background, n_parts=7, n_orders=3, rng=rng)
    above = answer(pattern[None])[0] - answer(background)[0]
    assert values.sum() == pytest.approx(above)


def test_a_part_that_the_answer_does_not_see_adds_nothing() -> None:
    rng = np.random.default_rng(0)
    pattern, background = rng.random(20), np.zeros((1, 20))
    values = shapley_values(
        lambda rows: rows[:, :10].sum(axis=1) ** 2,
        pattern,
        background,
        n_parts=4,
        n_orders=5,
        rng=rng,
    )
    assert np.all(values[2:] == 0)
    assert np.all(values[:2] > 0)
