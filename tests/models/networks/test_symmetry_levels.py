"""Coarser levels are exact sums of the probabilities of the 230 space groups."""

import gemmi
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.models.diffraction.crystals.extinction_classes import EXTINCTION_CLASSES
from phasepilot.models.networks.symmetry_levels import (
    BRAVAIS_LATTICES,
    BRAVAIS_OF_SPACE_GROUP,
    EXTINCTION_OF_SPACE_GROUP,
    SYSTEM_OF_SPACE_GROUP,
    bravais_probabilities,
    crystal_system_probabilities,
    extinction_probabilities,
    membership,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

# Space groups of each Bravais lattice, International Tables A, table 2.1.1.2; mS holds mC.
N_OF_BRAVAIS = {
    **{"aP": 2, "mP": 8, "mS": 5, "oP": 30, "oS": 15, "oF": 5, "oI": 9, "tP": 49, "tI": 19},
    **{"hR": 7, "hP": 45, "cP": 15, "cF": 11, "cI": 10},
}
LEVELS = {
    "crystal system": (crystal_system_probabilities, SYSTEM_OF_SPACE_GROUP, 7),
    "Bravais lattice": (bravais_probabilities, BRAVAIS_OF_SPACE_GROUP, 14),
    "extinction class": (extinction_probabilities, EXTINCTION_OF_SPACE_GROUP, 97),
}
each_level = pytest.mark.parametrize("level", LEVELS)


def drawn(seed: int, *shape: int) -> np.ndarray:
    """Probabilities as uneven as a network's."""
    return np.random.default_rng(seed).dirichlet(np.full(230, 0.05), shape)


@each_level
@given(st.integers(0, 2**32 - 1))
def test_each_class_gets_the_sum_of_its_space_groups(level: str, seed: int) -> None:
    summed, class_of_group, n_classes = LEVELS[level]
    groups = drawn(seed)
    expected = np.bincount(class_of_group, groups, minlength=n_classes)
    np.testing.assert_allclose(summed(groups), expected, rtol=1e-12, atol=1e-15)
    assert summed(groups).sum() == pytest.approx(1, abs=1e-12)


@each_level
def test_batches_are_summed_pattern_by_pattern(level: str) -> None:
    summed, _, n_classes = LEVELS[level]
    groups = drawn(0, 3, 4)
    together = summed(groups)
    assert together.shape == (3, 4, n_classes)
    np.testing.assert_allclose(together[2, 1], summed(groups[2, 1]), rtol=1e-12)


def test_crystal_systems_are_gemmis() -> None:
    names = [CRYSTAL_SYSTEMS[k] for k in SYSTEM_OF_SPACE_GROUP]
    assert names == [
        gemmi.find_spacegroup_by_number(number).crystal_system_str() for number in range(1, 231)
    ]


def test_bravais_lattices_have_as_many_groups_as_the_international_tables_say() -> None:
    counts = np.bincount(BRAVAIS_OF_SPACE_GROUP, minlength=14).tolist()
    assert dict(zip(BRAVAIS_LATTICES, counts, strict=True)) == N_OF_BRAVAIS


@pytest.mark.parametrize(
    ("number", "lattice"),
    [(2, "aP"), (15, "mS"), (38, "oS"), (62, "oP"), (70, "oF"), (141, "tI"), (166, "hR")],
)
def test_a_group_has_the_lattice_of_its_symbol(number: int, lattice: str) -> None:
    assert BRAVAIS_LATTICES[BRAVAIS_OF_SPACE_GROUP[number - 1]] == lattice


def test_levels_never_contradict_each_other() -> None:
    """Groups of one extinction class share family and lattice, those of a lattice the family."""
    family = np.where(SYSTEM_OF_SPACE_GROUP == 5, 4, SYSTEM_OF_SPACE_GROUP)
    for finer, coarser in (
        (EXTINCTION_OF_SPACE_GROUP, BRAVAIS_OF_SPACE_GROUP),
        (BRAVAIS_OF_SPACE_GROUP, family),
    ):
        for one in np.unique(finer):
            assert np.unique(coarser[finer == one]).size == 1


def test_extinction_classes_are_those_that_are_named() -> None:
    for index, known in enumerate(EXTINCTION_CLASSES):
        members = np.flatnonzero(np.equal(EXTINCTION_OF_SPACE_GROUP, index)) + 1
        assert tuple(members.tolist()) == known.space_group_numbers


@each_level
def test_membership_puts_every_group_into_one_class(level: str) -> None:
    _, class_of_group, n_classes = LEVELS[level]
    matrix = membership(class_of_group)
    assert matrix.shape == (230, n_classes)
    assert (matrix.sum(axis=1) == 1).all()
    assert (matrix.sum(axis=0) > 0).all()
