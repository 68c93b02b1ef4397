import gemmi
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.models.diffraction.crystals.crystal import crystal as make_crystal
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.errors import CrystalError

CUBE = (4.0,) * 3 + (90.0,) * 3
TETRAGONAL = (4.0, 4.0, 6.0, 90.0, 90.0, 90.0)
HEXAGONAL = (4.0, 4.0, 6.0, 90.0, 90.0, 120.0)
TRICLINIC = (5.0, 6.0, 7.0, 80.0, 95.0, 105.0)


def make_triclinic():
    return crystal_from_sites("triclinic", "P -1", TRICLINIC, [("Si", (0.1, 0.2, 0.3))])


@pytest.mark.parametrize(
    ("space_group", "position", "n_atoms"),
    [
        ("F m -3 m", (0.0, 0.0, 0.0), 4),
        ("F d -3 m:2", (0.125, 0.125, 0.125), 8),
        ("I 41/a m d:1", (0.0, 0.0, 0.0), 4),
        ("P 63/m m c", (1 / 3, 2 / 3, 0.25), 2),
        ("P 63/m m c", (0.3333, 0.6667, 0.25), 2),
        ("F m -3 m", (0.11, 0.13, 0.17), 192),
    ],
)
def test_a_site_fills_its_orbit(space_group, position, n_atoms):
    cell = HEXAGONAL if "63" in space_group else TETRAGONAL if "a m d" in space_group else CUBE
    crystal = crystal_from_sites("one site", space_group, cell, [("Si", position)])
    assert len(crystal.atomic_numbers) == n_atoms
    assert crystal.occupancies == pytest.approx(np.ones(n_atoms))


def test_reciprocal_axes_are_dual_to_the_cell():
    crystal = make_triclinic()
    direct = np.array(gemmi.UnitCell(*TRICLINIC).orth.mat.tolist())
    assert crystal.reciprocal @ direct == pytest.approx(np.eye(3), abs=1e-12)


def test_volume_is_that_of_the_triple_product():
    crystal = make_triclinic()
    triple_product = 1 / abs(np.linalg.det(crystal.reciprocal))
    assert crystal.volume_cubic_angstrom == pytest.approx(triple_product)


@given(volume_ratio=st.floats(0.3, 1.5))
def test_scaling_changes_the_volume_by_the_ratio_and_no_angle(volume_ratio):
    crystal = make_triclinic()
    scaled = crystal.scaled_to_volume_ratio(volume_ratio)
    assert scaled.volume_cubic_angstrom == pytest.approx(
        volume_ratio * crystal.volume_cubic_angstrom
    )
    assert scaled.cell[3:] == crystal.cell[3:]


def test_a_volume_ratio_that_is_not_positive_is_refused():
    with pytest.raises(CrystalError, match="volume_ratio must be positive"):
        make_triclinic().scaled_to_volume_ratio(0.0)


def test_an_unknown_space_group_is_refused_by_name():
    with pytest.raises(CrystalError, match="'Fm3q'"):
        crystal_from_sites("none", "Fm3q", TRICLINIC, [("Si", (0.0, 0.0, 0.0))])


def test_positions_on_both_sides_of_the_cell_edge_are_one_atom():
    crystal = crystal_from_sites("Po", "P m -3 m", CUBE, [("Po", (0.9999, 0.0001, 1.0))])
    assert crystal.fractional % 1.0 == pytest.approx(np.zeros((1, 3)), abs=1e-12)


def test_a_rounded_third_is_moved_onto_its_special_position():
    crystal = crystal_from_sites("Mg", "P 63/m m c", HEXAGONAL, [("Mg", (0.3333, 0.6667, 0.25))])
    assert crystal.site_fractional[0] == pytest.approx([1 / 3, 2 / 3, 0.25], abs=1e-12)
    assert crystal.multiplicities.tolist() == [2]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cell": (4.0, 4.0, np.nan, 90.0, 90.0, 90.0)}, "three positive lengths.*nan"),
        ({"cell": (4.0, 4.0, 0.0, 90.0, 90.0, 90.0)}, "three positive lengths"),
        ({"cell": (4.0, 4.0, 4.0, 150.0, 150.0, 150.0)}, "span none"),
        ({"cell": (4.0, 4.0, 4.1, 90.0, 90.0, 90.0)}, "P m -3 m allows"),
        ({"hall_number": 531}, "from 1 to 530, but is 531"),
        ({"atomic_numbers": np.array([118])}, "atomic number 118"),
        ({"fractional": np.array([[0.0, np.nan, 0.0]])}, "finite positions"),
        ({"fractional": np.zeros((2, 3))}, "1 atoms, 2 positions"),
        ({"occupancies": np.array([1.5])}, "occupancies above 0.*1.5"),
        ({"occupancies": np.array([0.0])}, "occupancies above 0"),
    ],
)
def test_an_impossible_structure_is_refused_with_its_value(changes, sentence):
    possible = {
        "hall_number": 517,
        "cell": CUBE,
        "atomic_numbers": np.array([84]),
        "fractional": np.zeros((1, 3)),
    }
    with pytest.raises(CrystalError, match=sentence):
        make_crystal("Po", **{**possible, **changes})
