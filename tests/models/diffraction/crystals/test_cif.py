"""What comes out of a CIF file: the crystal and its notes, or one sentence why not."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gemmi
import numpy as np
import pytest
from cif_text import SALT, WITH_OCCUPANCY, listed, make_cif
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phasepilot.models.diffraction.crystals.cif import CifEntry, Disorder, read_cif, read_cif_entry
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.errors import CrystalError

Entry = Callable[..., CifEntry]


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """Reads the text as a file."""

    def read(text: str, disorder: Disorder = Disorder.REFUSE) -> CifEntry:
        path = tmp_path / "test.cif"
        path.write_text(text, encoding="utf-8")
        return read_cif_entry(path, disorder=disorder)

    return read


def intensity_below(crystal: Crystal, q_per_angstrom: np.ndarray) -> np.ndarray:
    """Intensity of all lines up to each q, per volume: the same in every setting and cell."""
    sticks = powder_sticks(crystal, float(q_per_angstrom.max()) + 0.01)
    order = np.argsort(sticks.q_per_angstrom)
    total = np.cumsum(sticks.structure_factor_squared[order]) / crystal.volume_cubic_angstrom**2
    n_below = np.searchsorted(sticks.q_per_angstrom[order], q_per_angstrom)
    return np.concatenate([[0.0], total])[n_below]


def test_rock_salt_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "salt.cif"
    path.write_text(make_cif())
    crystal = read_cif(path)
    assert crystal.name == "NaCl"
    assert crystal.space_group_number == 225
    assert crystal.cell == (5.64, 5.64, 5.64, 90.0, 90.0, 90.0)
    assert sorted(crystal.multiplicities) == [4, 4]


# Settings other than the standard one, two origins, and both axes of rhombohedral groups.
OTHER_SETTINGS = [
    *("P 1 21/n 1", "P 1 1 21/b", "P 21/c 1 1", "A 1 2/n 1", "I 1 2/a 1", "B 1 1 2/b", "C -1"),
    *("P b n m", "P m c n", "P 21 n b", "A b m a", "B b c b:2", "P n n n:2", "F d d d:2"),
    *("I 41/a m d:2", "I 41/a:2", "P 4/n m m:2", "R -3 c:R", "R 3:R", "R -3 m:H"),
    *("F d -3 m:2", "F d -3 c:2", "P n -3 n:2", "P a -3"),
]


def anything_in(group: gemmi.SpaceGroup, seed: int) -> tuple[tuple[float, ...], list[np.ndarray]]:
    """A cell of that setting's symmetry, and two positions whose images keep apart."""
    generator = np.random.default_rng(seed)
    rotations = np.array([one.rot for one in group.operations()]) / gemmi.Op.DEN
    basis = np.eye(3) + generator.uniform(-0.12, 0.12, (3, 3))
    metric = np.mean(rotations.transpose(0, 2, 1) @ (basis @ basis.T) @ rotations, axis=0)
    if group.ext == "R":
        metric = np.eye(3) + 0.2
    metric *= (40.0 * len(rotations)) ** (2 / 3) / np.linalg.det(metric) ** (1 / 3)
    lengths = np.sqrt(np.diag(metric))
    cosines = metric[[1, 0, 0], [2, 2, 1]] / (lengths[[1, 0, 0]] * lengths[[2, 2, 1]])
    cell = tuple(float(value) for value in [*lengths, *np.degrees(np.arccos(cosines))])
    positions: list[np.ndarray] = []
    taken: list[tuple[float, ...]] = []
    while len(positions) < 2:
        position = generator.random(3).round(6)
        images = [tuple(one.apply_to_xyz(position.tolist())) for one in group.operations()]
        offsets = np.array(taken + images[1:]).reshape(-1, 3) - position
        offsets -= np.round(offsets)
        squared = np.einsum("ni,ij,nj->n", offsets, metric, offsets)
        if squared.min(initial=np.inf) > 1.0:
            positions.append(position)
            taken += images
    return cell, positions


def check_setting(entry: Entry, group: gemmi.SpaceGroup, symmetry: str) -> None:
    """Written in this setting, a crystal comes back in the standard one and diffracts alike."""
    cell, positions = anything_in(group, seed=3)
    atoms = list(zip(("Ni", "Si"), positions, strict=True))
    lines = [f"{atom}1 {atom} {' '.join(f'{one:.6f}' for one in place)}" for atom, place in atoms]
    found = entry(make_cif(cell=cell, symmetry=symmetry, atoms="\n".join(lines)))
    all_atoms = [
        (atom, tuple(one.apply_to_xyz(place.tolist())))
        for atom, place in atoms
        for one in group.operations()
    ]
    as_written = crystal_from_sites("all atoms", "P 1", cell, all_atoms)
    assert found.crystal.space_group_number == found.declared_space_group_number == group.number
    assert found.crystal.hall_number == standard_setting(group.number).hall_number
    assert found.notes == ()
    limits = np.linspace(0.5, 2.0, 40)
    written = intensity_below(as_written, limits)
    # Both use phases in single precision, and lines that are absent are so to rounding only.
    np.testing.assert_allclose(
        intensity_below(found.crystal, limits), written, rtol=1e-3, atol=1e-6 * written[-1]
    )


@pytest.mark.parametrize("symbol", OTHER_SETTINGS)
def test_the_symbol_of_another_setting_is_enough(entry: Entry, symbol: str) -> None:
    check_setting(entry, gemmi.SpaceGroup(symbol), f"_space_group_name_H-M_alt '{symbol}'")


@pytest.mark.slow
def test_operations_of_every_setting_give_the_crystal_in_the_standard_one(entry: Entry) -> None:
    for group in gemmi.spacegroup_table():
        check_setting(entry, group, listed(group.xhm()))


@pytest.mark.parametrize(
    "symmetry",
    [
        listed("F m -3 m"),
        listed("F m -3 m").replace(
            "_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz"
        ),
        listed("F m -3 m").replace("/2", "/2.0").replace("1/2.0", "0.5"),
        "_symmetry_space_group_name_Hall '-F 4 2 3'",
        "_space_group_name_Hall '-F 4 2 3'",
        "_symmetry_space_group_name_H-M Fm-3m",
        "_space_group_IT_number 225",
        "_symmetry_Int_Tables_number 225\n_symmetry_space_group_name_H-M ?",
    ],
)
def test_symmetry_may_be_stated_in_any_form(entry: Entry, symmetry: str) -> None:
    found = entry(make_cif(symmetry=symmetry))
    assert found.crystal.space_group_number == found.declared_space_group_number == 225
    assert found.crystal.atomic_numbers.size == 8


def test_listed_operations_win_over_the_name_and_a_note_says_so(entry: Entry) -> None:
    atoms = "Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5"
    symmetry = f"_symmetry_space_group_name_H-M 'F m -3 m'\n{listed('P m -3 m')}"
    found = entry(make_cif(symmetry=symmetry, atoms=atoms))
    assert found.crystal.space_group_number == 221
    assert found.notes == ("names space group 225, but lists operations of 221",)


def test_the_space_group_of_the_atoms_wins_over_the_declared_one(entry: Entry) -> None:
    everywhere = [(x, y, z) for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)]
    atoms = "\n".join(
        f"{'Cl' if sum(site) % 1 else 'Na'}{number} {'Cl' if sum(site) % 1 else 'Na'}"
        f" {' '.join(map(str, site))}"
        for number, site in enumerate(everywhere)
    )
    found = entry(make_cif(symmetry=listed("P 1"), atoms=atoms))
    assert found.crystal.space_group_number == 225
    assert found.declared_space_group_number == 1
    assert found.notes == ("declares space group 1, but its atoms have that of 225",)


def test_uncertainties_ions_isotopes_and_old_encodings_are_read(entry: Entry, tmp_path: Path):
    cell = ("5.6402(2)", "5.6402(2)", "5.6402(2)", "90.", "9.0E1", "90.0(1)")
    atoms = "Li1 Li1+ 0.0000(3) 0 .0\nD1 D 0.5(0) 0.5 5.0E-1"
    text = make_cif(cell=cell, atoms=atoms, extra="_chemical_name_mineral 'Grünling'")
    path = tmp_path / "latin.cif"
    path.write_bytes(text.encode("latin-1"))
    found = read_cif_entry(path)
    assert found.crystal.name == "LiH"
    assert found.crystal.cell[0] == 5.6402
    assert found.mineral == "Grünling"
    assert entry(text).mineral == "Grünling"


def test_what_else_a_file_says_is_kept_as_text(entry: Entry) -> None:
    extra = (
        "_chemical_name_mineral Halite\n_diffrn_ambient_pressure 2.5e6\n"
        "_cell_measurement_temperature 295(2)\n_diffrn_ambient_temperature ?"
    )
    found = entry(make_cif(extra=extra))
    assert (found.mineral, found.pressure, found.temperature) == ("Halite", "2.5e6", "295(2)")
    assert found.block_name == "test"
    bare = entry(make_cif())
    assert (bare.mineral, bare.pressure, bare.temperature) == ("", "", "")


def test_the_first_block_with_atoms_is_read(entry: Entry) -> None:
    other = make_cif(atoms="K1 K 0 0 0\nCl1 Cl 0.5 0.5 0.5").replace("data_test", "data_other")
    found = entry("data_global\n_publ_section_title 'two salts'\n" + make_cif() + other)
    assert found.crystal.name == "NaCl"
    assert found.notes == ("has 2 blocks with atoms, of which test was read",)


def test_rounded_coordinates_are_put_on_their_special_position(entry: Entry) -> None:
    cell = (3.209, 3.209, 5.211, 90, 90, 120)
    magnesium = make_cif(cell=cell, symmetry=listed("P 63/m m c"), atoms="Mg1 Mg 0.333 0.667 0.25")
    found = entry(magnesium)
    assert found.crystal.space_group_number == 194
    assert found.crystal.atomic_numbers.size == 2
    assert found.crystal.site_fractional[0] == pytest.approx([1 / 3, 2 / 3, 0.25], abs=1e-9)


def test_hydrogen_that_is_not_listed_is_noted(entry: Entry) -> None:
    ice_without_hydrogen = make_cif(
        cell=(4.49, 4.49, 7.32, 90, 90, 120),
        symmetry=listed("P 63/m m c"),
        atoms="O1 O 0.33333 0.66667 0.0629",
        extra="_chemical_formula_sum 'H2 O'\n_cell_formula_units_Z 4",
    )
    assert entry(ice_without_hydrogen).notes == ("lists 2 hydrogen fewer than H2 O",)


@pytest.mark.parametrize(
    "extra",
    [
        "_chemical_formula_sum 'Cl Na'\n_cell_formula_units_Z 4",
        "_chemical_formula_sum 'Na4 Cl4'\n_cell_formula_units_Z 4",
        "_chemical_formula_sum 'Na0.98 Cl'\n_cell_formula_units_Z ?",
        "_chemical_formula_sum 'Na1 Cl1'\n_chemical_formula_sum ''",
        "_chemical_formula_sum '(Na,K)Cl'",
    ],
)
def test_a_formula_that_fits_or_cannot_be_read_is_no_obstacle(entry: Entry, extra: str) -> None:
    assert entry(make_cif(extra=extra)).crystal.name == "NaCl"


DISORDERED = [
    ("Na1 Na 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 0.9", r"atom Cl1 has occupancy 0\.9"),
    ("Na1 Na 0 0 0 0.7\nK1 K 0 0 0 0.3\nCl1 Cl .5 .5 .5 1", r"atom Na1 has occupancy 0\.7"),
    ("Na1 Na 0 0 0 1\nCl1 Cl 0.5 0.5 0.47 0.1667", r"atom Cl1 has occupancy 0\.1667"),
]


@pytest.mark.parametrize(("atoms", "reason"), DISORDERED)
def test_a_disordered_crystal_is_refused(entry: Entry, atoms: str, reason: str) -> None:
    with pytest.raises(CrystalError, match=f"must be an ordered crystal, but {reason}; choose one"):
        entry(make_cif(columns=WITH_OCCUPANCY, atoms=atoms))


@pytest.mark.parametrize(
    ("atoms", "amounts", "name"),
    [
        (DISORDERED[0][0], {11: 4.0, 17: 3.6}, "NaCl0.9"),
        (DISORDERED[1][0], {11: 2.8, 19: 1.2, 17: 4.0}, "K0.3Na0.7Cl"),
        (DISORDERED[2][0], {11: 4.0, 17: 4.0}, "NaCl"),
    ],
)
def test_the_average_of_a_disordered_crystal_is_kept_if_asked_for(
    entry: Entry, atoms: str, amounts: dict[int, float], name: str
) -> None:
    found = entry(make_cif(columns=WITH_OCCUPANCY, atoms=atoms), Disorder.AVERAGE)
    crystal = found.crystal
    in_cell = np.bincount(crystal.atomic_numbers, weights=crystal.occupancies)
    assert {number: in_cell[number] for number in amounts} == pytest.approx(amounts, rel=1e-3)
    assert in_cell.sum() == pytest.approx(sum(amounts.values()), rel=1e-3)
    assert found.is_disordered
    assert crystal.space_group_number == 225
    assert crystal.name == name


def test_a_disorder_group_is_refused_and_its_average_kept(entry: Entry) -> None:
    columns = WITH_OCCUPANCY + " disorder_group"
    text = make_cif(columns=columns, atoms="Na1 Na 0 0 0 1 .\nCl1 Cl 0.5 0.5 0.5 1 2")
    with pytest.raises(CrystalError, match=r"but atom Cl1 has disorder group 2; choose one"):
        entry(text)
    assert entry(text, Disorder.AVERAGE).crystal.name == "NaCl"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "not a CIF file",
            r"must be a CIF file, but cannot be read as one \(line 1.*fetch it again",
        ),
        (make_cif()[:-30], r"must be a CIF file, but cannot be read as one \(line"),
        ("", r"must list atoms with fractional coordinates, but no data block does; give"),
        ("data_a\n_cell_length_a 5\n", r"but no data block does; give the CIF file of a crystal"),
        (make_cif(cell=("?", 5, 5, 90, 90, 90)), r"its cell is \(missing, 5, 5, 90, 90, 90\)"),
        (make_cif(cell=("nan", 5, 5, 90, 90, 90)), r"its cell is \(nan, 5, 5, 90, 90, 90\)"),
        (make_cif(cell=("1e300", 5, 5, 90, 90, 90)), r"its cell is \(1e300, 5, 5, 90, 90, 90\)"),
        (make_cif(cell=(0, 5, 5, 90, 90, 90)), r"that has a volume, but its cell is \(0, 5"),
        (make_cif(cell=(5, 5, 5, 120, 120, 120)), r"that has a volume, but its cell is \(5, 5"),
        (make_cif(cell=(5, 5, 5, 90, 90, 270)), r"that has a volume, but its cell is .* 270"),
        (make_cif(cell=(0.564,) * 3 + (90,) * 3), r"is 0\.564 angstrom between two faces; give"),
        (
            make_cif(extra="_cell_length_a 6"),
            r"must state _cell_length_a once, but states both '6'",
        ),
        (
            make_cif(atoms="Na1 Na 0 0 ?"),
            r"three fractional coordinates, but has '\?' for atom Na1",
        ),
        (make_cif(atoms=SALT + "\nNa2 Na 0 0.5 0.5"), r"Na1 and Na2 are 0\.00 angstrom apart"),
        (make_cif(atoms="C1 C 0.02 0 0"), r"C1 and C1 are 0\.16 angstrom apart with occupancies"),
        (make_cif(extra="_chemical_formula_sum 'Na Cl O3'"), r"formula is Na Cl O3 .* make NaCl;"),
        (make_cif(extra="_chemical_formula_sum 'Na'"), r"formula is Na and the atoms make NaCl;"),
        (make_cif(extra="_chemical_formula_sum 'H2'"), r"formula is H2 and the atoms make NaCl;"),
        (
            make_cif(atoms="H1 H 0 0 0\nCl1 Cl .5 .5 .5", extra="_chemical_formula_sum 'Cl'"),
            r"the formula is Cl and the atoms make HCl; complete the list",
        ),
        (
            make_cif(
                symmetry=listed("P 1"),
                extra="_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 4",
            ),
            r"must hold Z = 4 formula units in its cell, but .* make 1; complete the operations",
        ),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_sentence(
    entry: Entry, text: str, message: str
) -> None:
    with pytest.raises(CrystalError, match=message) as caught:
        entry(text)
    assert "test.cif must " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_site_that_is_filled_more_than_once_is_refused_even_as_an_average(entry: Entry) -> None:
    text = make_cif(columns=WITH_OCCUPANCY, atoms="Na1 Na 0 0 0 0.7\nK1 K 0 0 0.01 0.4")
    with pytest.raises(CrystalError, match=r"Na1 and K1 are 0\.0. angstrom apart .* add up to"):
        entry(text, Disorder.AVERAGE)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CrystalError, match=r"none\.cif must be a file that can be read, but it"):
        read_cif(tmp_path / "none.cif")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, 10_000),
    wrong=st.sampled_from(["?", "'", "\n;\n", " loop_ ", "1e400", "-", "\x00", "é", "_cell_", ""]),
    length=st.integers(0, 40),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    entry: Entry, place: int, wrong: str, length: int
) -> None:
    text = make_cif(symmetry=listed("F -4 3 m"), extra="_chemical_formula_sum 'Na Cl'")
    start = place % len(text)
    with suppress(CrystalError):
        entry(text[:start] + wrong + text[start + length :], Disorder.AVERAGE)
