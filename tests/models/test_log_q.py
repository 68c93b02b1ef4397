import numpy as np
import pytest

from phasepilot.models.errors import PatternError
from phasepilot.models.log_q import LogQGrid, to_log_q
from phasepilot.models.pattern import Pattern

GRID = LogQGrid(0.5, 6.0, 2048)


def gaussian_line(q: np.ndarray, centre: float, fwhm: float) -> np.ndarray:
    return np.exp(-4 * np.log(2) * ((q - centre) / fwhm) ** 2)


@pytest.mark.parametrize("n_points", [400, 4000, 40_000])
def test_a_line_keeps_its_area_on_fine_and_coarse_axes(n_points: int) -> None:
    q = np.linspace(0.5, 6.0, n_points)
    pattern = Pattern.from_q(q, 100 * gaussian_line(q, 2.0, 0.08))
    binned = to_log_q(pattern, GRID)
    area = np.sum(binned.intensity * np.diff(np.exp(GRID.log_edges)))
    assert area == pytest.approx(100 * 0.08 * np.sqrt(np.pi / (4 * np.log(2))), rel=2e-3)


def test_a_strain_moves_all_lines_by_the_same_number_of_bins() -> None:
    q = np.linspace(0.4, 6.5, 50_000)
    lines = (1.0, 2.0, 3.5, 5.0)
    factor = np.exp(40 * GRID.bin_width)
    before = to_log_q(Pattern.from_q(q, sum(gaussian_line(q, c, 0.01 * c) for c in lines)), GRID)
    after = to_log_q(
        Pattern.from_q(q, sum(gaussian_line(q, c * factor, 0.01 * c * factor) for c in lines)),
        GRID,
    )
    assert np.abs(after.intensity[40:] - before.intensity[:-40]).max() < 1e-3


def test_bins_outside_the_range_and_in_gaps_are_unmeasured() -> None:
    q = np.concatenate([np.linspace(1.0, 2.0, 500), np.linspace(2.5, 4.0, 750)])
    binned = to_log_q(Pattern.from_q(q, np.ones_like(q)), GRID)
    centres = GRID.q_per_angstrom
    assert not binned.is_measured[(centres < 0.99) | (centres > 4.01)].any()
    assert not binned.is_measured[(centres > 2.01) & (centres < 2.49)].any()
    assert binned.is_measured[(centres > 1.01) & (centres < 1.99)].all()


def test_says_so_when_the_pattern_misses_the_grid() -> None:
    q = np.linspace(10.0, 20.0, 100)
    with pytest.raises(PatternError, match=r"must overlap q = 0\.5 to 6"):
        to_log_q(Pattern.from_q(q, np.ones_like(q)), GRID)


def test_says_so_when_the_pattern_covers_no_whole_bin() -> None:
    q = 2.0 * np.exp(np.linspace(0.0, 0.9 * GRID.bin_width, 20))
    with pytest.raises(PatternError, match=r"must cover a bin of the grid"):
        to_log_q(Pattern.from_q(q, np.ones_like(q)), GRID)


def test_even_steps_of_two_theta_are_no_gaps() -> None:
    pattern = Pattern.from_two_theta(
        np.linspace(2.5, 30.0, 2751), np.ones(2751), wavelength_angstrom=0.41328
    )
    binned = to_log_q(pattern, GRID)
    q = GRID.q_per_angstrom
    assert binned.is_measured[q > 0.7].all()


def test_a_coarse_scan_with_a_fine_window_has_no_gaps() -> None:
    grid = LogQGrid(q_min_per_angstrom=1.0, q_max_per_angstrom=4.0, n_bins=512)
    coarse = np.arange(1.0, 4.01, 0.02)
    fine = np.arange(2.0, 2.3, 0.001)
    axis = np.unique(np.concatenate((coarse, fine)).round(6))
    grown = to_log_q(Pattern.from_q(axis, np.ones(axis.size)), grid)
    plain = to_log_q(Pattern.from_q(coarse, np.ones(coarse.size)), grid)
    # Next to the window a coarse step looks wide; nowhere else.
    assert (plain.is_measured & ~grown.is_measured).sum() <= 12
    assert plain.is_measured.sum() > 500
