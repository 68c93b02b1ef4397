import numpy as np
import pytest

from phasepilot.models.benchmarks.zone_changes import (
    BODY_CENTRED,
    FACE_CENTRED,
    can_be_depleted,
    depleted,
    stretched,
    substituted,
)
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.crystals.unit_cell import (
    space_group_number_within,
    unit_cell_of,
)
from phasepilot.models.diffraction.images.reflection_store import crystal_reflections

CUBE = (90.0,) * 3
# The structures of Cr3Si and pyrite; O'Keeffe & Hyde, Crystal Structures (1996).
CR3SI = crystal_from_sites(
    "Cr3Si", "P m -3 n", (4.556,) * 3 + CUBE, [("Si", (0, 0, 0)), ("Cr", (0.25, 0, 0.5))]
)
PYRITE = crystal_from_sites(
    "FeS2", "P a -3", (5.416,) * 3 + CUBE, [("Fe", (0, 0, 0)), ("S", (0.385,) * 3)]
)
SALT = crystal_from_sites(
    "NaCl", "F m -3 m", (5.64,) * 3 + CUBE, [("Na", (0, 0, 0)), ("Cl", (0.5,) * 3)]
)


def space_group_found(crystal):
    return space_group_number_within(unit_cell_of(crystal), 1e-3)


CASES = pytest.mark.parametrize(
    ("crystal", "lattice", "at_the_end"),
    [(CR3SI, BODY_CENTRED, 229), (PYRITE, FACE_CENTRED, 225)],
)


@CASES
def test_nothing_taken_away_leaves_the_space_group(crystal, lattice, at_the_end):
    left = depleted(crystal, lattice, 0.0, np.random.default_rng(0))
    assert space_group_found(left) == crystal.space_group_number


@CASES
def test_with_all_others_gone_the_lattice_is_left(crystal, lattice, at_the_end):
    left = depleted(crystal, lattice, 1.0, np.random.default_rng(0))
    assert space_group_found(left) == at_the_end
    assert left.atomic_numbers.size == len(lattice)


@CASES
def test_with_half_of_the_others_gone_the_symmetry_is_lower(crystal, lattice, at_the_end):
    left = depleted(crystal, lattice, 0.5, np.random.default_rng(0))
    n_others = crystal.atomic_numbers.size - len(lattice)
    assert left.atomic_numbers.size == len(lattice) + n_others // 2
    assert space_group_found(left) < 195


def test_only_lattices_with_one_element_on_their_points_can_be_depleted():
    assert can_be_depleted(CR3SI, BODY_CENTRED)
    assert can_be_depleted(PYRITE, FACE_CENTRED)
    assert not can_be_depleted(PYRITE, BODY_CENTRED)
    # Salt is face centred already.
    assert not can_be_depleted(SALT, FACE_CENTRED)


def test_a_stretched_crystal_has_longer_edges_and_the_same_symmetry():
    longer = stretched(PYRITE, 0.1)
    assert longer.cell[:3] == pytest.approx([1.1 * 5.416] * 3)
    assert longer.space_group_number == 205


def test_substitution_replaces_that_share_and_moves_nothing():
    other = substituted(PYRITE, 0.25, np.random.default_rng(1))
    assert (other.atomic_numbers != PYRITE.atomic_numbers).sum() == 3
    np.testing.assert_allclose(other.fractional, PYRITE.fractional, atol=1e-6)


def test_without_substitution_the_reflections_are_the_same():
    same = substituted(PYRITE, 0.0, np.random.default_rng(1))
    np.testing.assert_allclose(
        crystal_reflections(same).intensity, crystal_reflections(PYRITE).intensity, rtol=1e-4
    )
