import math

import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.training.zone_axes import AXES, N_AXES_OF_MODEL, UNSEEN_AXES

UNIT = np.array(AXES) / np.linalg.norm(AXES, axis=1, keepdims=True)


def equivalents(axis, space_group_number):
    rotations = standard_setting(space_group_number).laue_rotations
    images = {tuple(int(i) for i in rotation @ np.array(axis)) for rotation in rotations}
    return images | {tuple(-i for i in image) for image in images}


def test_the_axes_are_as_the_paper_says():
    assert len(set(AXES)) == max(N_AXES_OF_MODEL.values()) == 20
    for axis in AXES:
        assert min(axis) >= 0
        assert max(axis) <= 3
        assert math.gcd(*axis) == 1
    assert not set(AXES) & set(UNSEEN_AXES)


def test_their_angles_are_those_that_the_paper_states():
    angles = np.degrees(np.arccos(np.clip(UNIT @ UNIT.T, -1, 1)))
    between = angles[np.triu_indices(20, 1)].mean()
    np.fill_diagonal(angles, np.inf)
    assert angles.min(axis=1).mean() == pytest.approx(13.03, abs=0.005)
    assert between == pytest.approx(44.32, abs=0.005)


# Cubic, hexagonal, trigonal, tetragonal: the highest symmetry of each system.
@pytest.mark.parametrize("space_group_number", [221, 191, 162, 123])
def test_no_seen_axis_is_equivalent_to_131(space_group_number):
    assert not set(AXES) & equivalents((1, 3, 1), space_group_number)


def test_other_unseen_axes_have_equivalents_in_cubic_crystals():
    for axis in UNSEEN_AXES[1:]:
        assert set(AXES) & equivalents(axis, 221)
