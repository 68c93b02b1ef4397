import numpy as np
import pytest

from phasepilot.models.arrays import FloatArray
from phasepilot.models.estimation.cubic_indexing import (
    MAX_LOG_ODDS,
    cubic_log_odds,
    index_as_cubic,
    log_odds,
)
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.preparation import PreparedPattern

GRID = LogQGrid(0.35, 6.3, 4096)
# h^2 + k^2 + l^2 of what rock salt, silicon and tungsten show, from textbooks.
ROCK_SALT = (3, 4, 8, 11, 12, 16, 19, 20, 24)
SILICON = (3, 8, 11, 16, 19, 24)
TUNGSTEN = (2, 4, 6, 8, 10, 12, 14, 16)
PRIMITIVE = (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12)


def pattern_of(
    q_per_angstrom: FloatArray,
    *,
    height: FloatArray | None = None,
    counts: float = 0.0,
    rng: np.random.Generator | None = None,
) -> PreparedPattern:
    """Gaussian lines, 4 bins wide, on a background of 1 %; Poisson counts if asked."""
    log_q = np.log(GRID.q_per_angstrom)[:, None]
    height = np.ones(len(q_per_angstrom)) if height is None else height
    sigma = 4 * GRID.bin_width / 2.355
    signal = np.exp(-0.5 * ((log_q - np.log(q_per_angstrom)) / sigma) ** 2) @ height
    is_measured = np.ones(GRID.n_bins, dtype=bool)
    if rng is None:
        return PreparedPattern(GRID, signal + 0.01, signal, is_measured)
    intensity = rng.poisson((signal + 0.01) * counts).astype(np.float64)
    return PreparedPattern(GRID, intensity, np.maximum(intensity - 0.01 * counts, 0.0), is_measured)


def cubic_lines(a_angstrom: float, numbers: tuple[int, ...]) -> FloatArray:
    q = 2 * np.pi / a_angstrom * np.sqrt(np.array(numbers))
    return np.asarray(q[(q > GRID.q_min_per_angstrom) & (q < GRID.q_max_per_angstrom)])


def tetragonal_lines(a_angstrom: float, c_angstrom: float) -> FloatArray:
    h, k, l = np.meshgrid(*[np.arange(4)] * 3, indexing="ij")  # noqa: E741
    q = 2 * np.pi * np.sqrt((h**2 + k**2) / a_angstrom**2 + l**2 / c_angstrom**2)
    return np.unique(q[(q > GRID.q_min_per_angstrom) & (q < 4.5)].round(6))


@pytest.mark.parametrize(
    ("numbers", "a_angstrom", "centring"),
    [
        (ROCK_SALT, 5.6402, "F"),
        (SILICON, 5.4309, "D"),
        (TUNGSTEN, 3.1652, "I"),
        (PRIMITIVE, 4.123, "P"),
    ],
)
def test_textbook_crystals_are_indexed_with_their_edge_and_centring(
    numbers: tuple[int, ...], a_angstrom: float, centring: str
) -> None:
    found = index_as_cubic(pattern_of(cubic_lines(a_angstrom, numbers)))
    assert found.centring == centring
    assert found.a_angstrom == pytest.approx(a_angstrom, rel=2e-4)
    assert found.n_indexed == found.n_lines == found.n_distinct
    assert found.intensity_share == pytest.approx(1.0)
    assert found.figure_of_merit > 100


@pytest.mark.parametrize("scale", [0.8, 0.93, 1.0, 1.2, 1.7])
def test_stretching_a_cubic_lattice_keeps_it_cubic(scale: float) -> None:
    found = index_as_cubic(pattern_of(cubic_lines(5.6402 * scale, ROCK_SALT)))
    assert found.a_angstrom == pytest.approx(5.6402 * scale, rel=2e-4)
    assert log_odds(found) > 2


@pytest.mark.parametrize(
    ("a_angstrom", "c_angstrom"), [(4.594, 2.959), (4.0, 4.12), (4.0, 4.03), (5.0, 6.1)]
)
def test_a_tetragonal_lattice_does_not_pass_for_cubic(a_angstrom: float, c_angstrom: float) -> None:
    # A large cubic cell can come close to all lines of some: that must stay near even odds.
    assert cubic_log_odds(pattern_of(tetragonal_lines(a_angstrom, c_angstrom))) < 0.5


def test_a_lattice_one_percent_from_cubic_is_told_from_the_cubic_one() -> None:
    nearly = cubic_log_odds(pattern_of(tetragonal_lines(4.0, 4.03)))
    exactly = cubic_log_odds(pattern_of(tetragonal_lines(4.0, 4.0)))
    assert nearly < -2 < 2 < exactly


def test_a_small_zero_shift_is_found_and_does_not_matter() -> None:
    shifted = cubic_lines(5.6402, ROCK_SALT) + 0.004
    found = index_as_cubic(pattern_of(shifted))
    assert found.a_angstrom == pytest.approx(5.6402, rel=5e-4)
    assert log_odds(found) > 2


def test_a_stray_line_costs_some_evidence_but_not_the_edge() -> None:
    pure = cubic_lines(5.6402, ROCK_SALT)
    height = np.append(np.ones(pure.size), 0.2)
    found = index_as_cubic(pattern_of(np.append(pure, 2.47), height=height))
    assert found.a_angstrom == pytest.approx(5.6402, rel=2e-4)
    assert found.n_indexed == found.n_lines - 1
    assert found.evidence < index_as_cubic(pattern_of(pure)).evidence


def test_the_shadow_of_copper_alpha_2_is_no_line() -> None:
    pure = cubic_lines(5.6402, ROCK_SALT)
    height = np.append(np.ones(pure.size), np.full(pure.size, 0.5))
    both = pattern_of(np.append(pure, pure * 1.54439 / 1.54059), height=height)
    assert index_as_cubic(both).n_lines == pure.size


@pytest.mark.parametrize("n_lines", [0, 1, 2])
def test_fewer_than_three_lines_say_nothing(n_lines: int) -> None:
    pattern = pattern_of(cubic_lines(5.6402, ROCK_SALT)[:n_lines])
    found = index_as_cubic(pattern)
    assert found.n_lines == n_lines
    assert np.isnan(found.a_angstrom)
    assert cubic_log_odds(pattern) == 0.0


def test_noise_without_lines_says_nothing() -> None:
    rng = np.random.default_rng(0)
    odds = [cubic_log_odds(pattern_of(np.zeros(0), counts=5e4, rng=rng)) for _ in range(20)]
    assert np.abs(odds).max() == 0.0


def test_counting_noise_leaves_the_edge_as_it_is() -> None:
    rng = np.random.default_rng(1)
    lines = cubic_lines(5.6402, ROCK_SALT)
    for _ in range(10):
        found = index_as_cubic(pattern_of(lines, counts=300.0, rng=rng))
        assert found.a_angstrom == pytest.approx(5.6402, rel=1e-3)


def test_random_lines_do_not_speak_for_cubic() -> None:
    rng = np.random.default_rng(2)
    odds = [
        cubic_log_odds(pattern_of(np.exp(rng.uniform(np.log(1.0), np.log(5.0), 15))))
        for _ in range(30)
    ]
    assert np.median(odds) < -2
    assert max(odds) < 1


def test_lines_outside_of_what_was_measured_do_not_exist() -> None:
    pattern = pattern_of(cubic_lines(5.6402, ROCK_SALT))
    is_measured = GRID.q_per_angstrom < 2.5
    signal = pattern.signal * is_measured
    part = PreparedPattern(GRID, pattern.intensity * is_measured, signal, is_measured)
    assert index_as_cubic(part).n_lines == 2


def test_the_same_pattern_gives_the_same_capped_answer() -> None:
    pattern = pattern_of(cubic_lines(8.5, PRIMITIVE))
    odds = cubic_log_odds(pattern)
    assert odds == cubic_log_odds(pattern)
    assert -MAX_LOG_ODDS <= odds <= MAX_LOG_ODDS
