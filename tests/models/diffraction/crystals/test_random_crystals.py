import itertools

import gemmi
import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.element_statistics import atomic_volumes
from phasepilot.models.diffraction.crystals.formula import formula_amounts
from phasepilot.models.diffraction.crystals.random_composition import MOST_ATOMS, MOST_ORBITS
from phasepilot.models.diffraction.crystals.random_crystals import random_crystal, random_crystals
from phasepilot.models.diffraction.crystals.strain import cell_pattern
from phasepilot.models.diffraction.crystals.symmetry import N_SPACE_GROUPS, standard_setting
from phasepilot.models.diffraction.crystals.unit_cell import space_group_number_within, unit_cell_of
from phasepilot.models.diffraction.crystals.wyckoff import wyckoff_letters
from phasepilot.models.errors import CrystalError

ALL_GROUPS = np.arange(1, N_SPACE_GROUPS + 1)
# The nearest image of an atom is less than two cells away in the cells that are drawn.
NEIGHBOURS = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)))


@pytest.fixture(scope="module")
def crystals():
    return random_crystals(np.repeat(ALL_GROUPS, 3), np.random.default_rng(0))


def not_as_wanted(crystals, space_group_numbers, tolerance_angstrom):
    found = [space_group_number_within(unit_cell_of(c), tolerance_angstrom) for c in crystals]
    pairs = zip(space_group_numbers, found, strict=True)
    return [(int(wanted), number) for wanted, number in pairs if number != wanted]


def closest_approach(crystal):
    """Least distance of two atoms, as a part of the sum of their radii."""
    radii = np.array([gemmi.Element(int(z)).covalent_r for z in crystal.atomic_numbers])
    offsets = crystal.fractional[:, None, None] - crystal.fractional[:, None] + NEIGHBOURS
    distances = np.linalg.norm(offsets @ crystal.direct, axis=-1)
    distances[distances < 1e-6] = np.inf
    return (distances / (radii[:, None, None] + radii[:, None])).min()


def test_each_crystal_has_exactly_the_space_group_asked_for():
    drawn = random_crystals(ALL_GROUPS, np.random.default_rng(1))
    assert not_as_wanted(drawn, ALL_GROUPS, 1e-2) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_space_groups_are_exact_in_thousands_of_crystals():
    wanted = np.repeat(ALL_GROUPS, 12)
    drawn = random_crystals(wanted, np.random.default_rng(2))
    for tolerance_angstrom in (1e-4, 1e-2):
        assert not_as_wanted(drawn, wanted, tolerance_angstrom) == []


def test_crystals_are_in_the_standard_setting(crystals):
    expected = [standard_setting(int(number)).hall_number for number in np.repeat(ALL_GROUPS, 3)]
    assert [crystal.hall_number for crystal in crystals] == expected


def test_crystals_come_in_the_order_asked_for():
    numbers = [225, 1, 62, 225, 1]
    drawn = random_crystals(numbers, np.random.default_rng(3))
    assert [crystal.space_group_number for crystal in drawn] == numbers


def test_no_crystals_asked_for_are_none():
    assert random_crystals([], np.random.default_rng(0)) == []


def test_cells_follow_their_crystal_system_exactly(crystals):
    for crystal in crystals:
        entries = cell_pattern(crystal.setting)
        values = dict(zip(entries, crystal.cell, strict=True))
        expected = tuple(e if isinstance(e, float) else values[e] for e in entries)
        assert crystal.cell == expected


def test_edges_differ_by_a_factor_of_three_at_most(crystals):
    ratios = [max(crystal.cell[:3]) / min(crystal.cell[:3]) for crystal in crystals]
    assert max(ratios) < 3.0


def test_atoms_keep_their_distance(crystals):
    small = [crystal for crystal in crystals if crystal.atomic_numbers.size <= 40]
    assert {crystal.crystal_system for crystal in small} == {
        *("triclinic", "monoclinic", "orthorhombic", "tetragonal"),
        *("trigonal", "hexagonal", "cubic"),
    }
    assert min(closest_approach(crystal) for crystal in small) > 0.7 - 1e-9


def test_orbits_elements_and_atoms_are_few(crystals):
    n_orbits = [crystal.site_atomic_numbers.size for crystal in crystals]
    n_elements = [np.unique(crystal.site_atomic_numbers).size for crystal in crystals]
    assert set(n_orbits) == set(range(1, MOST_ORBITS + 1))
    assert set(n_elements) == {1, 2, 3, 4, 5, 6}
    assert max(crystal.multiplicities.sum() for crystal in crystals) <= MOST_ATOMS


def test_fixed_points_are_occupied_once(crystals):
    fixed = {225: "abcd", 221: "abcd", 229: "abcd", 2: "abcdefgh"}
    for number, letters in fixed.items():
        for crystal in random_crystals([number] * 20, np.random.default_rng(number)):
            occupied = [letter for letter in wyckoff_letters(crystal) if letter in letters]
            assert len(occupied) == len(set(occupied))


def test_volumes_scatter_about_those_of_known_crystals(crystals):
    logarithms = [
        np.log(crystal.volume_cubic_angstrom / atomic_volumes(crystal.atomic_numbers).sum())
        for crystal in crystals
    ]
    # Cells drawn too small for their atoms are drawn again, which lifts the mean above 0.
    assert np.mean(logarithms) == pytest.approx(0.1, abs=0.05)
    assert np.std(logarithms) == pytest.approx(0.25, abs=0.03)


def test_oxygen_is_the_commonest_element(crystals):
    held = np.concatenate([np.unique(crystal.site_atomic_numbers) for crystal in crystals])
    assert np.bincount(held).argmax() == 8


def test_the_name_is_the_formula(crystals):
    for crystal in crystals:
        numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
        amounts = formula_amounts(crystal.name)
        assert sorted(amounts) == numbers.tolist()
        assert counts / counts[0] == pytest.approx(
            [amounts[number] / amounts[numbers[0]] for number in numbers]
        )


def test_equal_seeds_give_equal_crystals():
    one, other = (random_crystal(14, np.random.default_rng(7)) for _ in range(2))
    assert one.cell == other.cell
    assert (one.site_fractional == other.site_fractional).all()
    assert random_crystal(14, np.random.default_rng(8)).cell != one.cell


def test_a_space_group_that_does_not_exist_is_refused():
    with pytest.raises(CrystalError, match="space_group_number must be from 1 to 230"):
        random_crystals([225, 0], np.random.default_rng(0))
