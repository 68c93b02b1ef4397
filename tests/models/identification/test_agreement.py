import numpy as np
import pytest
from library_samples import make_known, make_pattern

from phasepilot.models.identification.agreement import agreement, strength_ratio
from phasepilot.models.identification.root_pattern import root_pattern


@pytest.fixture(name="pattern", scope="module")
def measured_pattern():
    return root_pattern(make_pattern([(make_known("salt"), 0.5), (make_known("rutile"), 0.5)]))


def test_a_pattern_explains_itself_in_full(pattern):
    found = agreement(pattern, pattern.signal[None] / 7)
    assert found.value == pytest.approx(1.0, abs=1e-6)
    assert found.scales == pytest.approx([7.0])


def test_parts_of_a_pattern_get_the_scales_that_add_up_to_it(pattern):
    low = np.where(np.arange(pattern.grid.n_bins) < 1100, pattern.signal, 0.0)
    parts = np.stack([low / 3, (pattern.signal - low) / 5])
    assert agreement(pattern, parts).scales == pytest.approx([3.0, 5.0], rel=1e-3)


def test_no_phase_is_subtracted(pattern):
    parts = np.stack([pattern.signal, np.roll(pattern.signal, 60)])
    found = agreement(pattern, parts)
    assert (found.scales >= 0).all()
    assert found.scales[1] < 0.02


def test_a_wrong_strength_costs_less_than_a_wrong_place(pattern):
    bins = np.arange(pattern.grid.n_bins)
    stronger = pattern.signal * np.where(bins < 1100, 2.0, 1.0)
    elsewhere = np.where(bins < 1100, np.roll(pattern.signal, 60), pattern.signal)
    wrong_strength = agreement(pattern, stronger[None])
    wrong_place = agreement(pattern, elsewhere[None])
    assert wrong_strength.value > wrong_place.value + 0.2
    assert wrong_strength.unexplained < 0.01


def test_nothing_explains_nothing(pattern):
    found = agreement(pattern, np.zeros((1, pattern.grid.n_bins)))
    assert (found.value, found.unexplained) == pytest.approx((0.0, 1.0), abs=0.01)


def test_strengths_are_free_within_limits_only(pattern):
    ratio = strength_ratio(pattern, pattern.signal * 100, 4.0)
    assert ratio.min() == 0.25
