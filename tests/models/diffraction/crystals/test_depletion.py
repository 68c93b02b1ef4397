from itertools import pairwise

import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.crystals.depletion import (
    BODY_CENTRED,
    FACE_CENTRED,
    depletion_path,
)
from phasepilot.models.diffraction.crystals.unit_cell import space_group_number_within, unit_cell_of
from phasepilot.models.errors import CrystalError

CUBE = (90.0, 90.0, 90.0)


def make_spinel():
    sites = [("Mg", (0.0, 0.0, 0.0)), ("Al", (0.625, 0.625, 0.625)), ("O", (0.387, 0.387, 0.387))]
    return crystal_from_sites("MgAl2O4", "F d -3 m:1", (8.08, 8.08, 8.08, *CUBE), sites)


def make_skutterudite():
    # Filled: Ce on the corners and in the middle of the cell.
    sites = [("Ce", (0.0, 0.0, 0.0)), ("Fe", (0.25, 0.25, 0.25)), ("P", (0.0, 0.354, 0.151))]
    return crystal_from_sites("CeFe4P12", "I m -3", (7.79, 7.79, 7.79, *CUBE), sites)


def make_path(crystal, kept, seed=0, **options):
    return list(depletion_path(crystal, kept, np.random.default_rng(seed), **options))


def places_of(crystal):
    return {tuple(np.round(point, 6) % 1) for point in crystal.site_fractional.tolist()}


def space_group_of(crystal):
    return space_group_number_within(unit_cell_of(crystal), 1e-3)


@pytest.mark.parametrize(
    ("make_crystal", "kept", "space_group_number", "n_kept"),
    [(make_spinel, FACE_CENTRED, 225, 4), (make_skutterudite, BODY_CENTRED, 229, 2)],
    ids=["to face-centred", "to body-centred"],
)
def test_a_path_leads_from_the_crystal_to_the_bare_lattice(
    make_crystal, kept, space_group_number, n_kept
):
    crystal = make_crystal()
    path = make_path(crystal, kept)
    assert space_group_of(path[0]) == crystal.space_group_number
    assert path[0].name == crystal.name
    assert space_group_of(path[-1]) == space_group_number
    assert path[-1].site_atomic_numbers.size == n_kept


def test_symmetry_is_lost_on_the_way():
    between = make_path(make_spinel(), FACE_CENTRED)[1:-1]
    assert all(space_group_of(crystal) < 195 for crystal in between)


def test_quarters_of_the_other_atoms_go_by_default():
    counts = [step.site_atomic_numbers.size for step in make_path(make_spinel(), FACE_CENTRED)]
    assert counts == [56, 43, 30, 17, 4]


def test_what_is_gone_stays_gone():
    path = make_path(make_spinel(), FACE_CENTRED)
    for fuller, emptier in pairwise(path):
        assert places_of(emptier) < places_of(fuller)


def test_nothing_moves_and_the_cell_stays():
    path = make_path(make_spinel(), FACE_CENTRED)
    assert all(step.cell == make_spinel().cell for step in path)
    assert all(set(FACE_CENTRED) <= places_of(step) for step in path)


def test_different_seeds_remove_different_atoms():
    one, other = (make_path(make_spinel(), FACE_CENTRED, seed)[2] for seed in (0, 1))
    assert places_of(one) != places_of(other)


def test_levels_can_be_chosen():
    path = make_path(make_spinel(), FACE_CENTRED, levels=[0.0, 0.5])
    assert [step.site_atomic_numbers.size for step in path] == [56, 30]


def test_a_position_without_an_atom_is_refused():
    with pytest.raises(CrystalError, match=r"MgAl2O4 has none at \(0.5, 0.5, 0.5\)"):
        make_path(make_spinel(), BODY_CENTRED)


@pytest.mark.parametrize("levels", [[], [0.5, 0.25], [0.0, 1.5], [-0.1, 1.0]])
def test_levels_that_do_not_rise_within_0_and_1_are_refused(levels):
    with pytest.raises(CrystalError, match="levels must rise within 0 and 1"):
        make_path(make_spinel(), FACE_CENTRED, levels=levels)


def test_some_atoms_must_stay():
    with pytest.raises(CrystalError, match="some positions must keep their atoms"):
        make_path(make_spinel(), [])
