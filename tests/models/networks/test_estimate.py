import dataclasses

import numpy as np
import pytest

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.extinction_classes import EXTINCTION_CLASSES
from phasepilot.models.networks.estimate import PhaseEstimate, Verdict


def make_estimate(groups: FloatArray) -> PhaseEstimate:
    return PhaseEstimate(
        space_group_probabilities=groups,
        crystal_system_set=("cubic",),
        space_group_set=(225,),
        set_level=0.9,
        entropy_bits=0.5,
        epistemic_bits=0.1,
        novelty=0.0,
        verdict=Verdict(True, "Nothing unusual."),
    )


def test_top_space_groups_come_with_the_most_probable_first() -> None:
    groups = np.full(230, 0.1 / 227)
    groups[[224, 226, 61]] = 0.5, 0.3, 0.1
    estimate = make_estimate(groups)
    top = estimate.top_space_groups(3)
    assert [number for number, _ in top] == [225, 227, 62]
    assert top[0] == (estimate.space_group_number, 0.5)
    assert estimate.crystal_system == "cubic"


def test_the_group_may_lie_outside_a_system_that_is_spread_over_many() -> None:
    groups = np.zeros(230)
    groups[194:] = 0.6 / 36
    groups[61] = 0.4
    estimate = make_estimate(groups)
    assert estimate.crystal_system == "cubic"
    assert estimate.space_group_number == 62


def test_groups_that_a_pattern_cannot_tell_apart_name_their_extinction_class() -> None:
    # P n m a and P n a 21 lack the same reflections; each alone is less probable than F m -3 m.
    groups = np.zeros(230)
    groups[[32, 61, 224]] = 0.3, 0.3, 0.4
    estimate = make_estimate(groups)
    assert estimate.space_group_number == 225
    (pnma,) = [one for one in EXTINCTION_CLASSES if 62 in one.space_group_numbers]
    assert pnma.space_group_numbers == (33, 62)
    assert estimate.extinction_class == pnma.symbol == "P n - a"
    assert estimate.extinction_class_probabilities.max() == pytest.approx(0.6)


def test_systems_come_in_the_order_of_their_names() -> None:
    groups = np.zeros(230)
    groups[[0, 229]] = 0.25, 0.75
    np.testing.assert_array_equal(
        make_estimate(groups).crystal_system_probabilities, [0.25, 0, 0, 0, 0, 0, 0.75]
    )


def test_no_phases_are_known_without_a_library() -> None:
    assert make_estimate(np.full(230, 1 / 230)).phases == ()


def test_an_estimate_is_not_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_estimate(np.full(230, 1 / 230)).novelty = 0.5  # type: ignore[misc]
