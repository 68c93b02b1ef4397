import numpy as np
import pytest
from pybaselines import Baseline

from phasepilot.models.preprocessing.background import background_below
from phasepilot.models.preprocessing.configuration import (
    Background,
    GridConfiguration,
    PenalisedBackground,
    RollingMinimumBackground,
    SnipBackground,
)
from phasepilot.models.preprocessing.snip import snip

GRID = GridConfiguration(n_bins=2048).grid()
LOG_Q = np.log(GRID.q_per_angstrom)
EVERYTHING = np.ones((1, GRID.n_bins), dtype=bool)
METHODS = [
    RollingMinimumBackground(),
    SnipBackground(),
    SnipBackground(filter_order=2, windows="increasing", ends="least_squares"),
    PenalisedBackground(method="arpls", stiffness_log_q=0.0125),
    PenalisedBackground(method="aspls", stiffness_log_q=0.04),
]
NAMES = ["rolling minimum", "SNIP", "SNIP of order 2", "arPLS", "asPLS"]
each_method = pytest.mark.parametrize("method", METHODS, ids=NAMES)


def lines(*centres: float, height: float = 1000.0, fwhm: float = 0.01) -> np.ndarray:
    """Gaussian lines at these q; the width is relative."""
    offset = (LOG_Q - np.log(np.array(centres))[:, None]) / fwhm
    return np.asarray(height * np.exp(-4 * np.log(2) * offset**2).sum(axis=0))


def counted(expected: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(expected)[None].astype(np.float64)


@each_method
def test_finds_the_background_below_lines(method: Background) -> None:
    background = 50 + 200 * np.exp(-(LOG_Q - LOG_Q[0]) / 1.5)
    intensity = counted(background + lines(1.2, 2.0, 2.3, 3.1, 3.3, 5.0))
    found = background_below(intensity, EVERYTHING, method, GRID)[0]
    # Every method lies a little below the mean of the noise, which is 7 to 16 counts.
    assert np.abs(found - background).max() < 25
    assert -15 < (found - background).mean() < 3


@each_method
def test_a_level_pattern_is_all_background(method: Background) -> None:
    level = np.full((1, GRID.n_bins), 40.0)
    np.testing.assert_allclose(background_below(level, EVERYTHING, method, GRID), 40.0, rtol=1e-6)


@each_method
def test_the_exposure_does_not_change_the_share(method: Background) -> None:
    intensity = counted(20 + lines(1.2, 2.0, 3.1))
    short, long = (
        background_below(scale * intensity, EVERYTHING, method, GRID) / scale
        for scale in (1.0, 1024.0)
    )
    np.testing.assert_allclose(long, short, rtol=1e-6)


@each_method
def test_a_gap_does_not_pull_the_background_down(method: Background) -> None:
    is_measured = EVERYTHING.copy()
    is_measured[:, :200] = is_measured[:, 700:760] = is_measured[:, 1900:] = False
    intensity = np.where(is_measured, counted(400 + lines(1.2, 2.0, 3.1)), 0.0)
    found = background_below(intensity, is_measured, method, GRID)
    assert found.min() > 340
    assert np.isfinite(found).all()


@each_method
def test_keeps_single_precision(method: Background) -> None:
    intensity = counted(300 + lines(1.2, 2.0, 3.1))
    double = background_below(intensity, EVERYTHING, method, GRID)
    single = background_below(intensity.astype(np.float32), EVERYTHING, method, GRID)
    assert single.dtype == np.float32
    # The penalised methods stop at a tolerance of 1e-3.
    assert np.abs(single - double).max() < 1.0


def test_snip_without_averaging_is_snip_of_the_bins() -> None:
    intensity = counted(300 + lines(1.2, 2.0, 3.1))
    method = SnipBackground(half_window_log_q=0.05, node_step_log_q=GRID.bin_width)
    expected = snip(intensity, round(0.05 / GRID.bin_width), filter_order=4)
    np.testing.assert_array_equal(background_below(intensity, EVERYTHING, method, GRID), expected)


@pytest.mark.parametrize("name", ["arpls", "aspls"])
def test_penalised_methods_are_those_of_pybaselines(name: str) -> None:
    intensity = counted(300 + lines(1.2, 2.0, 3.1))
    method = PenalisedBackground.model_validate(
        {
            "method": name,
            "stiffness_log_q": 20 * GRID.bin_width,
            "node_step_log_q": GRID.bin_width,
        }
    )
    expected = getattr(Baseline(), name)(intensity[0], lam=20.0**4)[0]
    found = background_below(intensity, EVERYTHING, method, GRID)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("n_bins", [2048, 2043])
@pytest.mark.parametrize("n_step", [2, 7, 16])
def test_a_slope_is_followed_between_the_means(n_bins: int, n_step: int) -> None:
    grid = GridConfiguration(n_bins=n_bins).grid()
    slope = np.linspace(1000.0, 100.0, n_bins)[None]
    method = SnipBackground(node_step_log_q=n_step * grid.bin_width)
    found = background_below(slope, np.ones(slope.shape, dtype=bool), method, grid)
    # The outer half step has no second mean to lean on, and the last mean may be of fewer bins.
    inner = slice(n_step, -2 * n_step)
    np.testing.assert_allclose(found[:, inner], slope[:, inner], rtol=1e-9)
    assert np.abs(found - slope).max() < n_step * 900 / n_bins


@pytest.mark.parametrize("n_step", [2, 7, 16])
def test_straight_lines_join_the_means(n_step: int) -> None:
    # Nothing rises above a chord of a valley, so its means are the background themselves.
    bins = np.arange(GRID.n_bins)
    valley = ((bins - 900.0) ** 2 / 1000)[None]
    step = n_step * GRID.bin_width
    method = SnipBackground(half_window_log_q=2 * step, node_step_log_q=step)
    found = background_below(valley, EVERYTHING, method, GRID)[0]
    n_whole = GRID.n_bins // n_step
    means = valley[0, : n_whole * n_step].reshape(n_whole, n_step).mean(axis=1)
    middles = np.arange(n_whole) * n_step + (n_step - 1) / 2
    # The straight continuation of the ends is felt by the next few means.
    inner = slice(4 * n_step, (n_whole - 4) * n_step)
    np.testing.assert_allclose(found[inner], np.interp(bins, middles, means)[inner], rtol=1e-9)


def test_only_measured_bins_enter_the_means() -> None:
    is_measured = EVERYTHING.copy()
    is_measured[0, ::3] = False
    intensity = np.where(is_measured, 70.0, 0.0)
    found = background_below(intensity, is_measured, SnipBackground(), GRID)
    np.testing.assert_allclose(found, 70.0)


@pytest.mark.parametrize(
    ("fwhm_of_half_window", "order", "kept"),
    [(0.4, 4, 0.99), (1.0, 4, 0.47), (0.4, 2, 1.0), (1.0, 2, 0.98)],
)
def test_lines_keep_the_height_that_the_configuration_promises(
    fwhm_of_half_window: float, order: int, kept: float
) -> None:
    method = SnipBackground.model_validate({"filter_order": order})
    intensity = 10 + lines(1.5, fwhm=fwhm_of_half_window * method.half_window_log_q)[None]
    above = intensity - background_below(intensity, EVERYTHING, method, GRID)
    assert above.max() / 1000 == pytest.approx(kept, abs=0.02)


def test_the_default_follows_an_amorphous_hump_that_the_rolling_minimum_cuts() -> None:
    two_theta = 2 * np.degrees(np.arcsin(np.minimum(GRID.q_per_angstrom * 1.5406 / 12.566, 1)))
    hump = 50 + 400 * np.exp(-(((two_theta - 28) / 8) ** 2))
    errors = {}
    for name, method in (("snip", SnipBackground()), ("minimum", RollingMinimumBackground())):
        rows = np.concatenate([counted(hump + lines(1.2, 2.0, 3.1), seed) for seed in range(8)])
        found = background_below(rows, np.repeat(EVERYTHING, 8, axis=0), method, GRID)
        errors[name] = np.abs(found - hump).mean(axis=1)
    assert errors["snip"].max() < 0.3 * errors["minimum"].min()
