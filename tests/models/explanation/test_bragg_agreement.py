import numpy as np
import pytest

from phasepilot.models.errors import PatternError
from phasepilot.models.explanation.bragg_agreement import bragg_agreement
from phasepilot.models.log_q import LogQGrid

GRID = LogQGrid(1.0, np.e, 1000)
CENTRES = (np.arange(1000) + 0.5) / 1000
EVERYWHERE = np.ones(1000, dtype=bool)
LINES = np.array([0.1005, 0.2305, 0.5005, 0.7705])
# 2 bins to either side.
HALF_WIDTH = 0.0022


def peaks_at(lines: np.ndarray) -> np.ndarray:
    return np.exp(-(((CENTRES[:, None] - lines) / 0.0005) ** 2)).sum(axis=1)


def agreement_of(of_bins: np.ndarray, is_measured: np.ndarray = EVERYWHERE, lines=LINES):
    return bragg_agreement(
        of_bins, lines, grid=GRID, is_measured=is_measured, half_width_log_q=HALF_WIDTH
    )


def test_attribution_on_the_lines_agrees_in_full_and_is_no_chance() -> None:
    agreement = agreement_of(peaks_at(LINES))
    assert agreement.share == pytest.approx(1)
    assert agreement.chance == pytest.approx(4 * 5 / 1000)
    assert agreement.p_value == 1 / 1000


def test_attribution_spread_evenly_agrees_as_by_chance() -> None:
    agreement = agreement_of(np.ones(1000))
    assert agreement.share == pytest.approx(agreement.chance)
    assert agreement.p_value == 1


def test_attribution_beside_the_lines_agrees_less_than_by_chance() -> None:
    agreement = agreement_of(peaks_at(LINES + 0.05))
    assert agreement.share == pytest.approx(0, abs=1e-9)
    assert agreement.p_value == 1


def test_what_speaks_against_does_not_count() -> None:
    against = -3 * peaks_at(LINES + 0.05)
    assert agreement_of(peaks_at(LINES) + against).share == pytest.approx(1)


def test_the_chance_is_what_random_shifts_of_the_lines_give() -> None:
    rng = np.random.default_rng(0)
    of_bins = rng.gamma(0.1, size=1000)
    agreement = agreement_of(of_bins)
    shares = [
        agreement_of(np.roll(of_bins, int(shift))).share for shift in rng.integers(1000, size=2000)
    ]
    assert np.mean(shares) == pytest.approx(agreement.chance, rel=0.05)
    assert np.mean(np.array(shares) >= agreement.share) == pytest.approx(
        agreement.p_value, abs=0.03
    )


def test_only_measured_bins_count() -> None:
    is_measured = CENTRES < 0.4
    agreement = agreement_of(peaks_at(LINES) + (CENTRES > 0.6), is_measured)
    assert agreement.share == pytest.approx(1)
    assert agreement.chance == pytest.approx(2 * 5 / 400)


def test_lines_beyond_the_grid_and_lines_that_overlap_count_once() -> None:
    lines = np.concatenate([LINES, LINES, [-0.2, 1.3]])
    assert agreement_of(peaks_at(LINES), lines=lines) == agreement_of(peaks_at(LINES))


def test_nothing_can_agree_without_lines_or_attribution() -> None:
    with pytest.raises(PatternError, match="sums to 4000 and 0 of 1000 bins are near a line"):
        agreement_of(4 * np.ones(1000), lines=np.array([2.0]))
    with pytest.raises(PatternError, match="sums to 0 and 20 of 1000 bins"):
        agreement_of(-np.ones(1000))
