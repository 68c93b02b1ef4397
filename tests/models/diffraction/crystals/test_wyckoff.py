import json
import random
from importlib.util import find_spec

import numpy as np
import pytest
import spglib
import wyckoff_source

from phasepilot.models.diffraction.crystals.crystal import crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.symmetry import N_SPACE_GROUPS, standard_setting
from phasepilot.models.diffraction.crystals.unit_cell import lattice_of_cell
from phasepilot.models.diffraction.crystals.wyckoff import (
    LETTERS,
    first_lettering,
    wyckoff_letters,
    wyckoff_positions,
)
from phasepilot.models.errors import CrystalError

ALL_GROUPS = range(1, N_SPACE_GROUPS + 1)
CELLS = {
    "triclinic": (7.0, 8.3, 9.1, 80.0, 85.0, 95.0),
    "monoclinic": (7.0, 8.3, 9.1, 90.0, 105.0, 90.0),
    "orthorhombic": (7.0, 8.3, 9.1, 90.0, 90.0, 90.0),
    "tetragonal": (7.0, 7.0, 9.1, 90.0, 90.0, 90.0),
    "trigonal": (7.0, 7.0, 9.1, 90.0, 90.0, 120.0),
    "hexagonal": (7.0, 7.0, 9.1, 90.0, 90.0, 120.0),
    "cubic": (7.0, 7.0, 7.0, 90.0, 90.0, 90.0),
}
# Not near any special value, nor is any sum or difference of theirs.
GENERIC = np.array([[0.1234, 0.3217, 0.7131], [0.4123, 0.0917, 0.2131], [0.0719, 0.2903, 0.8347]])
needs_pyxtal = pytest.mark.skipif(find_spec("pyxtal") is None, reason="pyxtal is not installed")
# spglib warns of its own error handling at every call.
quiet_spglib = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")


def make_crystal(space_group_number, points):
    group = standard_setting(space_group_number)
    return crystal(
        group.symbol,
        hall_number=group.hall_number,
        cell=CELLS[group.crystal_system],
        atomic_numbers=np.arange(1, len(points) + 1),
        fractional=np.array(points),
    )


def make_rocksalt(first, second):
    sites = [("Na", first), ("Cl", second)]
    return crystal_from_sites("NaCl", "F m -3 m", (5.64,) * 3 + (90.0,) * 3, sites)


def letters_found_by_spglib(space_group_number, index):
    """Letters of one position, by spglib and by us for the point that spglib moved it to."""
    positions = wyckoff_positions(space_group_number)
    group = standard_setting(space_group_number)
    # Two general positions hold other atoms, so that the group is not exceeded.
    orbits = [
        positions[place].orbit(point) for place, point in zip((index, -1, -1), GENERIC, strict=True)
    ]
    dataset = spglib.get_symmetry_dataset(
        (
            lattice_of_cell(CELLS[group.crystal_system]),
            np.concatenate(orbits),
            np.repeat([1, 2, 3], [len(orbit) for orbit in orbits]),
        ),
        symprec=1e-5,
        hall_number=group.hall_number,
    )
    moved = dataset.transformation_matrix @ orbits[0][0] + dataset.origin_shift
    ours = wyckoff_letters(make_crystal(space_group_number, [moved]))
    assert len(set(dataset.equivalent_atoms[: len(orbits[0])])) == 1
    return dataset.wyckoffs[0], ours[0]


@needs_pyxtal
def test_the_table_holds_the_positions_of_pyxtal_in_our_settings():
    table = json.loads(wyckoff_source.WYCKOFF_TABLE.read_text())
    held = {int(number): entry["positions"] for number, entry in table.items()}
    assert held == wyckoff_source.positions_of_pyxtal()


def test_there_are_1731_positions_and_the_last_is_the_general_one():
    positions = [wyckoff_positions(number) for number in ALL_GROUPS]
    assert sum(len(of_group) for of_group in positions) == 1731
    n_operations = [len(standard_setting(number).rotations) for number in ALL_GROUPS]
    assert [of_group[-1].multiplicity for of_group in positions] == n_operations
    assert {of_group[-1].degrees_of_freedom for of_group in positions} == {3}


@pytest.mark.parametrize(
    ("space_group_number", "symbols"),
    [
        # International Tables A, chapter 2.3.
        (1, "1a"),
        (14, "2a 2b 2c 2d 4e"),
        (62, "4a 4b 4c 8d"),
        (136, "2a 2b 4c 4d 4e 4f 4g 8h 8i 8j 16k"),
        (166, "3a 3b 6c 9d 9e 18f 18g 18h 36i"),
        (194, "2a 2b 2c 2d 4e 4f 6g 6h 12i 12j 12k 24l"),
        (225, "4a 4b 8c 24d 24e 32f 48g 48h 48i 96j 96k 192l"),
        (227, "8a 8b 16c 16d 32e 48f 96g 96h 192i"),
        (230, "16a 16b 24c 24d 32e 48f 48g 96h"),
    ],
)
def test_multiplicities_and_letters_are_those_of_the_international_tables(
    space_group_number, symbols
):
    positions = wyckoff_positions(space_group_number)
    assert " ".join(f"{p.multiplicity}{p.letter}" for p in positions) == symbols


@pytest.mark.parametrize(
    ("symbol", "letter", "point"),
    [
        # Origin choice 1 in International Tables A.
        ("P n n n:1", "f", (0.75, 0.75, 0.75)),
        ("C c c a:1", "d", (0.0, 0.25, 0.25)),
        ("P 42/n n m:1", "e", (0.25, 0.25, 0.25)),
        ("I 41/a m d:1", "a", (0.0, 0.0, 0.0)),
        ("I 41/a m d:1", "c", (0.0, 0.25, 0.125)),
        ("P n -3:1", "b", (0.25, 0.25, 0.25)),
        ("F d -3 m:1", "c", (0.125, 0.125, 0.125)),
        ("F d -3 m:1", "f", (0.2, 0.0, 0.0)),
    ],
)
def test_letters_count_from_origin_choice_1(symbol, letter, point):
    cell = CELLS["cubic"]
    assert wyckoff_letters(crystal_from_sites("one atom", symbol, cell, [("Si", point)])) == (
        letter,
    )


def test_orbits_are_whole_and_hold_no_atom_twice():
    for number in ALL_GROUPS:
        group = standard_setting(number)
        for position in wyckoff_positions(number):
            orbit = position.orbit(GENERIC[0])
            offsets = orbit[:, None] - orbit
            distances = np.abs(offsets - np.round(offsets)).max(axis=2)
            assert (distances + np.eye(len(orbit)) > 1e-3).all(), (number, position.letter)
            images = group.rotations @ orbit[0] + group.translations
            offsets = images[:, None] - orbit
            nearest = np.abs(offsets - np.round(offsets)).max(axis=2).min(axis=1)
            assert (nearest < 1e-9).all(), (number, position.letter)


def test_every_atom_of_every_orbit_is_given_its_letter():
    generator = random.Random(0)
    for number in ALL_GROUPS:
        orbits = [position.orbit(GENERIC[0]) for position in wyckoff_positions(number)]
        points = [generator.choice(orbit) for orbit in orbits]
        found = "".join(wyckoff_letters(make_crystal(number, points)))
        assert found == LETTERS[: len(orbits)], number


@quiet_spglib
@pytest.mark.parametrize(
    "space_group_number", [2, 14, 15, 47, 68, 88, 134, 138, 141, 152, 166, 201]
)
def test_spglib_gives_the_same_letters(space_group_number):
    for index in range(len(wyckoff_positions(space_group_number))):
        theirs, ours = letters_found_by_spglib(space_group_number, index)
        assert theirs == ours


@pytest.mark.slow
@pytest.mark.timeout(1200)
@quiet_spglib
def test_spglib_gives_the_same_letters_in_every_space_group():
    differing = [
        (number, LETTERS[index])
        for number in ALL_GROUPS
        for index in range(len(wyckoff_positions(number)))
        if len(set(letters_found_by_spglib(number, index))) > 1
    ]
    assert differing == []


def test_letters_are_only_known_in_the_standard_setting():
    silicon = crystal_from_sites(
        "Si", "F d -3 m:2", (5.43,) * 3 + (90.0,) * 3, [("Si", (0.125,) * 3)]
    )
    with pytest.raises(CrystalError, match=r"in the setting F d -3 m:1, but Si is in F d -3 m:2"):
        wyckoff_letters(silicon)


def test_letterings_of_one_structure_type_have_the_first_in_common():
    fluorites = [("a", "c"), ("b", "c")]
    assert {first_lettering(225, letters) for letters in fluorites} == {("a", "c")}
    # Two atoms on any two of the eight inversion centres of P-1 are one arrangement.
    pairs = [(one, other) for one in "abcdefgh" for other in "abcdefgh" if one != other]
    assert {first_lettering(2, pair) for pair in pairs} == {("a", "b")}


def test_different_structure_types_have_different_letterings():
    rock_salt, zinc_blende_like = first_lettering(225, "ab"), first_lettering(225, "ac")
    assert rock_salt != zinc_blende_like
    assert first_lettering(62, "ccc") != first_lettering(62, "ccd")


@pytest.mark.parametrize(
    ("space_group_number", "axes", "origin"),
    [
        (225, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.5, 0.5, 0.5)),
        (227, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.5, 0.5, 0.5)),
        (47, ((0, 1, 0), (0, 0, 1), (1, 0, 0)), (0.0, 0.5, 0.0)),
        (16, ((0, 1, 0), (1, 0, 0), (0, 0, -1)), (0.5, 0.0, 0.5)),
        (10, ((1, 0, 1), (0, 1, 0), (0, 0, 1)), (0.5, 0.0, 0.0)),
        (12, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.0, 0.5, 0.5)),
        (123, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.5, 0.5, 0.5)),
        (187, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (1 / 3, 2 / 3, 0.5)),
    ],
)
def test_another_origin_or_other_axes_leave_the_first_lettering(space_group_number, axes, origin):
    positions = wyckoff_positions(space_group_number)
    for one in range(len(positions)):
        for other in range(one, len(positions)):
            points = [positions[place].orbit(GENERIC[0])[0] for place in (one, other)]
            moved = np.array(points) @ np.array(axes).T + origin
            before, after = (
                first_lettering(
                    space_group_number, wyckoff_letters(make_crystal(space_group_number, at))
                )
                for at in (points, moved)
            )
            assert before == after


def test_relabelled_positions_have_the_same_multiplicity_and_freedom():
    table = json.loads(wyckoff_source.WYCKOFF_TABLE.read_text())
    for number in ALL_GROUPS:
        kinds = {
            p.letter: (p.multiplicity, p.degrees_of_freedom) for p in wyckoff_positions(number)
        }
        for word in table[str(number)]["relabellings"]:
            assert [kinds[letter] for letter in word] == list(kinds.values())


@pytest.mark.parametrize("space_group_number", [12, 155, 201])
def test_the_relabellings_are_those_of_the_normaliser(space_group_number):
    entry = json.loads(wyckoff_source.WYCKOFF_TABLE.read_text())[str(space_group_number)]
    computed = wyckoff_source.relabellings(space_group_number, entry["positions"])
    assert computed == entry["relabellings"]


def test_the_relabellings_of_every_thirtieth_space_group_are_those_of_the_normaliser():
    table = json.loads(wyckoff_source.WYCKOFF_TABLE.read_text())
    # All take minutes, P1 alone half of one; the script that writes the table computes them.
    for number, entry in list(table.items())[30::30]:
        computed = wyckoff_source.relabellings(int(number), entry["positions"])
        assert computed == entry["relabellings"]


def test_a_letter_that_the_group_lacks_is_refused():
    with pytest.raises(CrystalError, match="of space group 14 must be of abcde, but 'f' is given"):
        first_lettering(14, ["a", "f"])


def test_a_space_group_that_does_not_exist_is_refused():
    with pytest.raises(CrystalError, match="space_group_number must be from 1 to 230"):
        wyckoff_positions(231)
