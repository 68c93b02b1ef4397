"""Points that share the highest intensity are told from those that do so by chance."""

import numpy as np
import pytest

from phasepilot.models.uncertainty.saturation import (
    FALSE_SATURATION_RATE,
    n_cut_off,
    runs_of_true,
)

Q = np.linspace(1.0, 5.0, 4000)


def expected_counts(background: float, height: float, *, n_lines: int = 12) -> np.ndarray:
    centres = np.linspace(1.2, 4.8, n_lines)
    lines = np.exp(-0.5 * ((Q - centres[:, None]) / 0.012) ** 2).sum(axis=0)
    return background + height * lines


@pytest.mark.parametrize("background", [0.0, 0.3, 4.0, 60.0, 2000.0])
@pytest.mark.parametrize("height", [30.0, 1000.0])
def test_lines_cut_off_near_the_background_are_found(background: float, height: float) -> None:
    counts = np.random.default_rng(0).poisson(expected_counts(background, height)).astype(float)
    limit = max(1.0, np.floor(np.median(counts) + 0.03 * height))
    cut = np.minimum(counts, limit)
    assert n_cut_off(cut, limit) == (counts >= limit).sum()
    assert n_cut_off(counts, counts.max()) == 0


@pytest.mark.parametrize("scale", [1 / 750, 0.37])
def test_scaled_intensities_are_judged_by_their_counts(scale: float) -> None:
    counts = np.random.default_rng(1).poisson(expected_counts(20.0, 1000.0)).astype(float)
    cut = np.minimum(counts, 400.0)
    assert n_cut_off(scale * cut, 400.0) == (counts >= 400).sum()
    assert n_cut_off(scale * counts, counts.max()) == 0


@pytest.mark.parametrize("mean", [0.05, 1.0, 30.0, 1000.0])
def test_noise_is_taken_for_a_cut_no_more_often_than_stated(mean: float) -> None:
    rng = np.random.default_rng(2)
    broad = mean * (1 + np.exp(-0.5 * ((Q - 3.0) / 0.2) ** 2))
    frames = rng.poisson(broad, size=(2000, Q.size)).astype(float)
    n_alarms = sum(n_cut_off(frame, frame.max()) > 0 for frame in frames)
    # Three binomial deviations above.
    assert n_alarms <= 2000 * FALSE_SATURATION_RATE + 3 * np.sqrt(2000 * FALSE_SATURATION_RATE)


def test_rounded_means_of_many_frames_are_not_cut_off() -> None:
    rng = np.random.default_rng(3)
    broad = 500 * np.exp(-0.5 * ((Q - 3.0) / 0.2) ** 2) + 20
    for _ in range(100):
        mean = np.rint(rng.normal(broad, np.sqrt(broad / 200)))
        assert n_cut_off(mean, mean.max()) == 0


def test_cut_off_lines_stay_so_when_interpolated() -> None:
    counts = np.random.default_rng(4).poisson(expected_counts(20.0, 1000.0)).astype(float)
    finer = np.linspace(1.001, 4.999, 7000)
    assert n_cut_off(np.interp(finer, Q, np.minimum(counts, 300.0)), 300.0) > 100
    whole = np.interp(finer, Q, counts)
    assert n_cut_off(whole, whole.max()) == 0


def test_hot_pixels_that_overflow_are_no_line() -> None:
    counts = np.random.default_rng(5).poisson(expected_counts(20.0, 1000.0)).astype(float)
    counts[[100, 900, 2500, 3300]] = 65_535
    assert n_cut_off(counts, 65_535) == 0


def test_runs_start_and_stop_where_values_change() -> None:
    starts, stops = runs_of_true(np.array([True, False, True, True, False, True]))
    assert starts.tolist() == [0, 2, 5]
    assert stops.tolist() == [1, 4, 6]
