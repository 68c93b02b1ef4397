"""Atoms of a cell in any setting, brought to the standard one."""

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structure_rows import STRUCTURES, write_table

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.crystals.unit_cell import (
    UnitCell,
    amounts,
    lattice_of_cell,
    space_group_number_within,
    standard_crystal,
    unit_cell,
    unit_cell_of,
)
from phasepilot.models.errors import CrystalError

CUBE = 4.0 * np.eye(3)


def make_cell(
    positions: list[tuple[float, float, float]],
    numbers: list[int] | None = None,
    occupancies: list[float] | None = None,
    lattice: np.ndarray = CUBE,
) -> UnitCell:
    n = len(positions)
    return unit_cell(
        "the cell",
        lattice=lattice,
        fractional=np.array(positions, dtype=np.float64),
        atomic_numbers=np.array(numbers or [14] * n),
        occupancies=np.array(occupancies or [1.0] * n, dtype=np.float64),
        labels=[f"atom {index}" for index in range(n)],
    )


def rotated(seed: int) -> np.ndarray:
    """A rotation of space, by a random angle about a random axis."""
    orthogonal, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return orthogonal * np.linalg.det(orthogonal)


@pytest.fixture(scope="module")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> list[Crystal]:
    path = write_table(tmp_path_factory.mktemp("table") / "structures.parquet", STRUCTURES)
    return [row.crystal for row in read_structures(path)]


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), which=st.integers(0, len(STRUCTURES) - 1))
def test_a_crystal_turned_shifted_and_recut_comes_back(
    crystals: list[Crystal], seed: int, which: int
) -> None:
    crystal = crystals[which]
    generator = np.random.default_rng(seed)
    cell = unit_cell_of(crystal)
    order = generator.permutation(len(cell.mixtures))
    # Another choice of the edges of the same cell: b + a, or c + b, for b and c.
    shear = np.eye(3)
    shear[generator.integers(1, 3), generator.integers(0, 1)] = 1
    recut = UnitCell(
        name="recut",
        lattice=shear @ cell.lattice @ rotated(seed).T,
        fractional=((cell.fractional + generator.random(3)) @ np.linalg.inv(shear))[order],
        mixtures=tuple(cell.mixtures[index] for index in order),
    )
    found = standard_crystal(recut)
    assert found.space_group_number == crystal.space_group_number
    assert found.cell == pytest.approx(crystal.cell, rel=1e-4)
    assert found.name == crystal.name
    assert amounts(unit_cell_of(found)) == amounts(cell)


def test_a_supercell_is_reduced_to_the_conventional_cell() -> None:
    grid = [(x, y, z) for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)]
    polonium = standard_crystal(make_cell(grid, [84] * 8, lattice=6.7 * np.eye(3)))
    assert polonium.space_group_number == 221
    assert polonium.atomic_numbers.tolist() == [84]
    assert polonium.cell == (3.35, 3.35, 3.35, 90.0, 90.0, 90.0)


def test_the_standard_cell_is_ideal_and_its_atoms_on_special_positions() -> None:
    lattice = lattice_of_cell((3.2091, 3.2089, 5.211, 90.0, 90.001, 119.999))
    positions = [(0.3334, 0.6666, 0.2501), (0.6667, 0.3333, 0.7499)]
    magnesium = standard_crystal(make_cell(positions, [12, 12], lattice=lattice))
    assert magnesium.space_group_number == 194
    assert magnesium.cell[0] == magnesium.cell[1] == pytest.approx(3.209, abs=2e-4)
    assert magnesium.cell[3:] == (90.0, 90.0, 120.0)
    assert magnesium.site_fractional[0] == pytest.approx([1 / 3, 2 / 3, 0.25], abs=1e-9)


def test_each_mixture_is_a_species_of_its_own() -> None:
    halves = [(0, 0, 0), (0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)]
    same = make_cell(halves, [26, 28, 28, 26], [0.5, 0.5, 0.5, 0.5])
    other = make_cell(halves, [26, 28, 28, 26], [0.5, 0.5, 0.6, 0.4])
    assert standard_crystal(same).space_group_number == 229
    ordered = standard_crystal(other)
    assert ordered.space_group_number == 221
    assert sorted(zip(ordered.site_atomic_numbers, ordered.site_occupancies, strict=True)) == [
        (26, 0.4),
        (26, 0.5),
        (28, 0.5),
        (28, 0.6),
    ]


def test_repeated_elements_on_a_position_add_up_to_no_more_than_one() -> None:
    cell = make_cell([(0, 0, 0)] * 4, [26, 26, 26, 28], [0.334, 0.334, 0.334, 0.005])
    assert cell.mixtures == (((26, 1.0), (28, 0.005)),)


def test_a_looser_tolerance_finds_more_symmetry() -> None:
    cell = make_cell([(0, 0, 0), (0.5, 0.5, 0.49)], [55, 17])
    assert space_group_number_within(cell, 0.01) == 99
    assert space_group_number_within(cell, 0.1) == 221


@pytest.mark.parametrize(
    ("other", "distance"), [((0.1, 0, 0), 0.4), ((0.95, 0.02, 0.98), 0.23), ((0, 0, 0), 0.0)]
)
def test_atoms_nearer_than_a_bond_are_refused_across_faces_too(
    other: tuple[float, float, float], distance: float
) -> None:
    message = rf"the cell must keep .* atom 0 and atom 1 are {distance:.2f} angstrom apart"
    with pytest.raises(CrystalError, match=message):
        make_cell([(0, 0, 0), other])
    assert len(make_cell([(0, 0, 0), other], occupancies=[0.5, 0.5]).mixtures) == 1 + (distance > 0)


@given(st.lists(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3), min_size=2, max_size=6))
def test_close_atoms_in_a_skewed_cell_are_those_that_gemmi_finds(
    positions: list[tuple[float, float, float]],
) -> None:
    edges = (2.1, 2.6, 3.1, 61.0, 75.0, 64.0)
    reference = gemmi.UnitCell(*edges)
    fractional = [gemmi.Fractional(*position) for position in positions]
    nearest = min(
        reference.find_nearest_image(
            reference.orthogonalize(one), reference.orthogonalize(other), gemmi.Asu.Any
        ).dist()
        for index, one in enumerate(fractional)
        for other in fractional[:index]
    )
    if 0.499 < nearest < 0.501:
        return
    try:
        make_cell(positions, lattice=lattice_of_cell(edges))
        is_crowded = False
    except CrystalError:
        is_crowded = True
    assert is_crowded == (nearest < 0.5)


def test_a_cell_in_nanometre_is_refused() -> None:
    with pytest.raises(CrystalError, match=r"1 angstrom thick, but it is 0\.4 .* in angstrom"):
        make_cell([(0, 0, 0)], lattice=0.4 * np.eye(3))


def test_atoms_that_spglib_finds_no_symmetry_in_are_refused() -> None:
    halves = [(0.0, 0.0, 0.0), (0.0, 0.0, 0.002)]
    overlapping = UnitCell("the cell", CUBE, np.array(halves), (((14, 0.5),),) * 2)
    with pytest.raises(CrystalError, match=r"the cell must have atoms that make a crystal, but"):
        standard_crystal(overlapping)
    assert space_group_number_within(overlapping, 0.01) == 0


def test_elements_that_share_a_site_of_a_crystal_are_one_position() -> None:
    brass = crystal_from_sites("brass", "F m -3 m", (3.7,) * 3 + (90.0,) * 3, [("Cu", (0, 0, 0))])
    shared = Crystal(
        "brass",
        brass.hall_number,
        brass.cell,
        np.array([29, 30]),
        np.zeros((2, 3)),
        np.array([0.7, 0.3]),
    )
    assert unit_cell_of(shared).mixtures == (((29, 0.7), (30, 0.3)),) * 4
    assert standard_crystal(unit_cell_of(shared)).name == "Cu2.333Zn"
