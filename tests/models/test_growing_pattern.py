import numpy as np
import pytest

from phasepilot.models.errors import PatternError
from phasepilot.models.growing_pattern import evenly_exposed, merged_points
from phasepilot.models.pattern import Pattern


def test_a_second_pass_adds_counts_and_time_where_it_went() -> None:
    coarse = np.arange(10.0, 20.0, 0.5)
    fine = np.arange(12.0, 14.0, 0.25) + 2e-4  # readbacks are never the same twice
    points = merged_points(
        np.concatenate((coarse, fine)),
        np.concatenate((np.full(20, 5.0), np.full(8, 50.0))),
        np.concatenate((np.full(20, 0.1), np.full(8, 1.0))),
        merge_within=1e-3,
    )
    assert points.axis.size == 24
    assert points.counts.sum() == 20 * 5 + 8 * 50
    assert points.exposure_s[np.searchsorted(points.axis, 11.99)] == pytest.approx(1.1)
    assert points.exposure_s[0] == 0.1
    assert (np.diff(points.axis) > 1e-3).all()


def test_rates_stay_where_times_differ() -> None:
    axis = np.arange(10.0, 30.0)
    exposure_s = np.where(axis < 20, 1.0, 4.0)
    pattern = Pattern.from_two_theta(axis, 7.0 * exposure_s, wavelength_angstrom=1.0)
    assert np.ptp(evenly_exposed(pattern, exposure_s).intensity) == 0.0


def test_even_exposures_leave_the_counts_alone() -> None:
    axis = np.arange(10.0, 30.0)
    pattern = Pattern.from_two_theta(axis, axis, wavelength_angstrom=1.0)
    assert evenly_exposed(pattern, np.full(20, 0.3)) is pattern


@pytest.mark.parametrize(
    ("exposure_s", "message"),
    [(np.ones(2), "angle, counts and a counting time each"), (np.zeros(3), "above 0 s")],
)
def test_says_what_is_wrong_with_the_points(exposure_s: np.ndarray, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        merged_points(np.arange(3.0), np.ones(3), exposure_s, merge_within=0.0)
