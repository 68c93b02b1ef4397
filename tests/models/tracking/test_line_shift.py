import numpy as np
import pytest

from phasepilot.models.tracking.line_shift import SeenLines, measure_shift, moved

BINS = np.arange(600.0)


EVERYWHERE = np.ones(BINS.size, dtype=bool)


def lines(shift: float) -> np.ndarray:
    return sum(np.exp(-(((BINS - c - shift) / 3.0) ** 2)) for c in (150.0, 290.0, 420.0))


def seen(intensity: np.ndarray, is_seen: np.ndarray = EVERYWHERE) -> SeenLines:
    return SeenLines(intensity * is_seen, is_seen)


@pytest.mark.parametrize("shift", [0.0, 0.3, -0.3, 2.5, -7.8, 20.1, -33.4])
def test_moves_lines_by_fractions_of_a_bin(shift: float) -> None:
    assert np.abs(moved(lines(0.0), shift) - lines(shift)).max() < 1e-3


@pytest.mark.parametrize("shift", [0.0, 0.25, -4.4, 11.7])
def test_finds_the_shift_of_clean_lines_to_a_hundredth_of_a_bin(shift: float) -> None:
    found = measure_shift(seen(lines(shift)), seen(lines(0.0)), expected_bins=0.0, reach_bins=15)
    assert found.bins == pytest.approx(shift, abs=0.01)


def test_states_an_uncertainty_that_the_scatter_bears_out() -> None:
    rng = np.random.default_rng(0)
    found = [
        measure_shift(
            seen(rng.poisson(200 * lines(1.3) + 0.01).astype(float)),
            seen(200 * lines(0.0)),
            expected_bins=1.0,
            reach_bins=5,
        )
        for _ in range(200)
    ]
    scatter = np.std([shift.bins for shift in found])
    stated = np.median([shift.uncertainty_bins for shift in found])
    # The scatter of 200 draws is itself known to 5 %.
    assert 0.8 < stated / scatter < 1.25


def test_looks_no_further_than_it_is_told() -> None:
    found = measure_shift(seen(lines(30.0)), seen(lines(0.0)), expected_bins=0.0, reach_bins=5)
    assert abs(found.bins) <= 8


@pytest.mark.parametrize("shift", [-9.0, -4.4, 3.3, 8.0])
def test_a_strong_line_at_the_edge_of_what_is_seen_holds_nothing_back(shift: float) -> None:
    is_seen = np.abs(BINS - 290.0 + 4.0) > 12.0
    strong = [100.0 * np.exp(-(((BINS - 290.0 - 9.0 - one) / 3.0) ** 2)) for one in (shift, 0.0)]
    signal, reference = lines(shift) + strong[0], lines(0.0) + strong[1]
    found = measure_shift(
        seen(signal, is_seen), seen(reference, is_seen), expected_bins=0.0, reach_bins=15
    )
    assert found.bins == pytest.approx(shift, abs=0.05)
