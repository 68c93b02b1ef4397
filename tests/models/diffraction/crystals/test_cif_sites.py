"""Atoms as CIF files list them: elements by type or by label, positions made complete."""

import gemmi
import numpy as np
import pytest
from cif_text import make_cif

from phasepilot.models.diffraction.crystals.cif_sites import (
    Site,
    expanded,
    lists_atoms,
    stated_sites,
)
from phasepilot.models.errors import CrystalError


def sites_of(atoms: str, columns: str, formula: dict[int, float] | None = None):
    block = gemmi.cif.read_string(make_cif(atoms=atoms, columns=columns)).sole_block()
    return stated_sites(block, "test.cif", formula or {})


@pytest.mark.parametrize(
    ("type_symbol", "atomic_number"),
    [
        *(("Fe", 26), ("Fe3+", 26), ("Fe+2", 26), ("FE", 26), ("O2-", 8), ("O-2", 8), ("O", 8)),
        *(("H", 1), ("D", 1), ("T", 1), ("Cf", 98)),
    ],
)
def test_a_type_names_its_element(type_symbol: str, atomic_number: int) -> None:
    (site,) = sites_of(f"X1 {type_symbol} 0 0 0", "label type_symbol fract_x fract_y fract_z")
    assert site.atomic_number == atomic_number


@pytest.mark.parametrize(
    ("label", "formula", "atomic_number"),
    [
        *(("Ca1", {}, 20), ("O", {}, 8), ("O-H1", {}, 8), ("D2", {}, 1), ("AL1", {}, 13)),
        *(("CA1", {20: 1.0, 8: 1.0}, 20), ("CA1", {6: 1.0, 8: 1.0}, 6)),
        *(("OW1", {8: 1.0, 1: 2.0}, 8), ("Oh", {8: 1.0, 1: 2.0}, 8), ("HO2", {67: 1.0}, 67)),
    ],
)
def test_a_label_names_the_element_where_no_type_does(
    label: str, formula: dict[int, float], atomic_number: int
) -> None:
    (site,) = sites_of(f"{label} 0 0 0", "label fract_x fract_y fract_z", formula)
    assert site.atomic_number == atomic_number
    assert site.label == label


@pytest.mark.parametrize(
    ("label", "formula"),
    [
        *(("CA1", {}), ("CA1", {6: 1.0, 20: 1.0}), ("OW1", {}), ("T1", {}), ("M1", {})),
        *(("Wat1", {74: 1.0}), ("Q1", {14: 1.0}), ("1", {}), ("OW1", {14: 1.0})),
    ],
)
def test_a_label_that_leaves_the_element_open_is_refused(
    label: str, formula: dict[int, float]
) -> None:
    with pytest.raises(CrystalError, match=f"but atom {label} is of type unstated; add a column"):
        sites_of(f"{label} 0 0 0", "label fract_x fract_y fract_z", formula)


@pytest.mark.parametrize("type_symbol", ["X", "Va", "Es", "OH", "Cval"])
def test_a_type_that_is_no_element_is_refused(type_symbol: str) -> None:
    with pytest.raises(CrystalError, match=f"but atom A1 is of type {type_symbol}; add a column"):
        sites_of(f"A1 {type_symbol} 0 0 0", "label type_symbol fract_x fract_y fract_z")


@pytest.mark.parametrize(("stated", "occupancy"), [("0.25(1)", 0.25), (".", 1.0), ("1.000", 1.0)])
def test_occupancies_are_read_and_default_to_one(stated: str, occupancy: float) -> None:
    columns = "label fract_x fract_y fract_z occupancy"
    (site,) = sites_of(f"Fe 0.1(2) -0.25 1.5 {stated}", columns)
    assert site == Site("Fe", 26, (0.1, -0.25, 1.5), occupancy, "")


@pytest.mark.parametrize("stated", ["?", "0", "1.2", "-0.5", "full"])
def test_an_occupancy_that_is_unknown_or_impossible_is_refused(stated: str) -> None:
    with pytest.raises(CrystalError, match=rf"above 0 and at most 1, but has '{stated[0]}.* Fe;"):
        sites_of(f"Fe 0 0 0 {stated}", "label fract_x fract_y fract_z occupancy")


@pytest.mark.parametrize("value", ["?", ".", "x", "nan", "1,5"])
def test_a_coordinate_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(
        CrystalError, match=r"three fractional coordinates, but has '.+' for atom Fe"
    ):
        sites_of(f"Fe 0 {value} 0", "label fract_x fract_y fract_z")


@pytest.mark.parametrize("columns", ["label fract_x fract_y", "label Cartn_x Cartn_y Cartn_z"])
def test_a_block_without_three_fractional_coordinates_lists_no_atoms(columns: str) -> None:
    values = " 0" * (len(columns.split()) - 1)
    text = make_cif(atoms=f"Fe{values}", columns=columns)
    assert not lists_atoms(gemmi.cif.read_string(text).sole_block())
    assert lists_atoms(gemmi.cif.read_string(make_cif()).sole_block())


def test_images_nearer_than_a_tenth_of_an_angstrom_are_one_atom_on_the_mirror() -> None:
    mirror = np.array([np.eye(3), np.diag([1.0, 1.0, -1.0])])
    near = Site("Fe", 26, (0.1, 0.2, 0.004), 1.0, "")
    far = Site("Fe", 26, (0.1, 0.2, 0.106), 1.0, "")
    fractional, of_site = expanded((near, far), mirror, np.zeros((2, 3)), 10 * np.eye(3))
    assert of_site.tolist() == [0, 1, 1]
    np.testing.assert_allclose(
        fractional, [[0.1, 0.2, 0.0], [0.1, 0.2, 0.106], [0.1, 0.2, 0.894]], atol=1e-12
    )
