"""Symmetry that a CIF states badly, or not at all."""

import gemmi
import numpy as np
import pytest
from cif_text import CUBE, listed, make_cif

from phasepilot.models.diffraction.crystals.cif_symmetry import StatedSymmetry, stated_symmetry
from phasepilot.models.errors import CrystalError

HEXAGONAL = (5.0, 5.0, 13.0, 90.0, 90.0, 120.0)
RHOMBOHEDRAL = (5.4, 5.4, 5.4, 55.0, 55.0, 55.0)


def symmetry_of(text: str, cell: tuple[float, ...] = CUBE) -> StatedSymmetry:
    block = gemmi.cif.read_string(make_cif(symmetry=text)).sole_block()
    return stated_symmetry(block, "test.cif", cell)


@pytest.mark.parametrize(("cell", "n_operations"), [(HEXAGONAL, 36), (RHOMBOHEDRAL, 12)])
@pytest.mark.parametrize(
    "text", ["_symmetry_space_group_name_H-M 'R -3 c'", "_space_group_IT_number 167"]
)
def test_the_angles_tell_hexagonal_from_rhombohedral_axes(
    text: str, cell: tuple[float, ...], n_operations: int
) -> None:
    symmetry = symmetry_of(text, cell)
    assert symmetry.space_group_number == symmetry.named_number == 167
    assert symmetry.rotations.shape == (n_operations, 3, 3)
    assert symmetry.translations.shape == (n_operations, 3)


@pytest.mark.parametrize("name", ["P2_1/c", "P 21/c", "P21/c", "P 1 21/c 1"])
def test_names_are_read_as_people_write_them(name: str) -> None:
    symmetry = symmetry_of(f"_symmetry_space_group_name_H-M '{name}'", (5, 6, 7, 90, 100, 90))
    assert symmetry.named_number == 14


def test_operations_in_decimals_and_any_order_are_the_same_group() -> None:
    spelled = "loop_\n_symmetry_equiv_pos_as_xyz\n'-X, 0.5+Y, -Z'\n'x, y, z'"
    symmetry = symmetry_of(spelled, (5, 6, 7, 90, 100, 90))
    assert symmetry.space_group_number == 4
    assert symmetry.named_number == 0
    order = np.argsort(symmetry.translations[:, 1])
    np.testing.assert_array_equal(symmetry.translations[order], [[0, 0, 0], [0, 0.5, 0]])
    np.testing.assert_array_equal(symmetry.rotations[order[1]], np.diag([-1, 1, -1]))


def test_operations_of_no_tabled_setting_are_used_without_a_number() -> None:
    # A body centred on an A and a B face is a primitive cell four times too large.
    quartered = "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nx+1/4,y,z\nx+1/2,y,z\nx+3/4,y,z"
    symmetry = symmetry_of(quartered)
    assert symmetry.space_group_number == 0
    assert len(symmetry.rotations) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must state its symmetry, but has neither operations nor a space group; list"),
        ("_symmetry_space_group_name_H-M ?", r"must state its symmetry, but has neither"),
        ("_symmetry_space_group_name_H-M 'P 7'", r"names 'P 7'; correct it, or list"),
        ("_space_group_IT_number 231", r"names '231'; correct it, or list"),
        ("_space_group_IT_number 227", r"which of two origins .* states only '227'; append"),
        (
            "_symmetry_space_group_name_H-M 'I 41/a m d'",
            r"which of two origins it means, but states only 'I 41/a m d'; append ':1' or ':2'",
        ),
        (
            "_space_group_name_Hall 'P 5'",
            r"Hall symbol that can be read, but has 'P 5' \(.*\); cor",
        ),
        ("_space_group_symop_operation_xyz x,y", r"such as '-x, y\+1/2, -z', but .*; correct the"),
        (
            "loop_\n_space_group_symop_operation_xyz\nx,y,z\n-y,x,z",
            r"every symmetry operation .* of the 2 it lists all products make 4; complete",
        ),
        (listed("P 6 m m"), r"a cell that its symmetry operations leave as it is, but has \(5\.64"),
    ],
)
def test_symmetry_that_cannot_be_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(CrystalError, match=message) as caught:
        symmetry_of(text)
    assert str(caught.value).startswith("test.cif must ")
