"""The symmetry operations that a CIF data block states, in whatever form and setting."""

from collections.abc import Sequence
from dataclasses import dataclass

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.crystal import Cell
from phasepilot.models.diffraction.crystals.unit_cell import lattice_of_cell
from phasepilot.models.errors import CrystalError

_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_HALL_SYMBOL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_SYMBOL = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M")
_NUMBER = ("_space_group_IT_number", "_symmetry_Int_Tables_number")
# Relative, of squared lengths: edges that an operation makes equal may differ by half of it.
_METRIC_TOLERANCE = 0.01


@dataclass(frozen=True)
class StatedSymmetry:
    """What a data block says about symmetry.

    Attributes
    ----------
    rotations : ndarray, shape (n_operations, 3, 3)
        Matrices W of x' = W x + w in fractions of the cell; centring translations included.
    translations : ndarray, shape (n_operations, 3)
    space_group_number : int
        Of the operations; 0 if they are of no setting in the tables.
    named_number : int
        Of the name or number beside the operations; 0 if there is none that can be read.
    """

    rotations: FloatArray
    translations: FloatArray
    space_group_number: int
    named_number: int


def stated_symmetry(block: gemmi.cif.Block, source: str, cell: Cell) -> StatedSymmetry:
    """Return the operations of a block: the listed ones, else of the Hall symbol, name or number.

    Raises
    ------
    CrystalError
        If none is stated, they are no group, leave the setting open, or do not fit the cell.
    """
    named = _named_group(block, cell)
    listed = [gemmi.cif.as_string(text) for tag in _OPERATIONS for text in block.find_values(tag)]
    hall_symbol = first_value(block, _HALL_SYMBOL)
    if listed:
        operations = _listed_operations(listed, source)
    elif hall_symbol:
        operations = _hall_operations(hall_symbol, source)
    else:
        operations = _operations_of_name(block, named, source)
    found = gemmi.find_spacegroup_by_ops(operations)
    rotations = np.array([one.rot for one in operations], dtype=np.float64) / gemmi.Op.DEN
    translations = np.array([one.tran for one in operations], dtype=np.float64) / gemmi.Op.DEN
    _check_fit(rotations, cell, source)
    return StatedSymmetry(
        rotations=rotations,
        translations=translations,
        space_group_number=0 if found is None else int(found.number),
        named_number=0 if named is None else int(named.number),
    )


def first_value(block: gemmi.cif.Block, tags: Sequence[str]) -> str:
    """Return the first value that is stated under one of the tags, empty if there is none."""
    for tag in tags:
        for value in block.find_values(tag):
            if not gemmi.cif.is_null(value):
                return " ".join(gemmi.cif.as_string(value).split())
    return ""


def _named_group(block: gemmi.cif.Block, cell: Cell) -> gemmi.SpaceGroup | None:
    """Return the group of the block's symbol or, without one, of its number."""
    symbol, number = first_value(block, _SYMBOL), first_value(block, _NUMBER)
    if symbol:
        # The angles tell hexagonal from rhombohedral axes.
        return gemmi.find_spacegroup_by_name(symbol.replace("_", ""), cell[3], cell[5])
    if number.isdecimal() and 1 <= int(number) <= 230:
        return gemmi.find_spacegroup_by_name(
            gemmi.find_spacegroup_by_number(int(number)).hm, cell[3], cell[5]
        )
    return None


def _listed_operations(texts: list[str], source: str) -> gemmi.GroupOps:
    try:
        operations = [gemmi.Op(text).wrap() for text in texts]
        group = gemmi.GroupOps(operations)
        group.add_missing_elements()
    except (RuntimeError, ValueError) as error:
        raise CrystalError(
            f"{source} must list symmetry operations such as '-x, y+1/2, -z', but they cannot be"
            f" read ({error}); correct the list."
        ) from error
    n_listed, n_closed = len({one.triplet() for one in operations}), len(group)
    if n_listed != n_closed:
        raise CrystalError(
            f"{source} must list every symmetry operation of its space group, but of the"
            f" {n_listed} it lists all products make {n_closed}; complete or correct the list."
        )
    return group


def _hall_operations(symbol: str, source: str) -> gemmi.GroupOps:
    try:
        return gemmi.symops_from_hall(symbol)
    except (RuntimeError, ValueError) as error:
        raise CrystalError(
            f"{source} must have a Hall symbol that can be read, but has {symbol!r} ({error});"
            " correct it, or list the symmetry operations."
        ) from error


def _operations_of_name(
    block: gemmi.cif.Block, named: gemmi.SpaceGroup | None, source: str
) -> gemmi.GroupOps:
    symbol, number = first_value(block, _SYMBOL), first_value(block, _NUMBER)
    stated = symbol or number
    if not stated:
        raise CrystalError(
            f"{source} must state its symmetry, but has neither operations nor a space group;"
            " list them as _space_group_symop_operation_xyz."
        )
    if named is None:
        raise CrystalError(
            f"{source} must name a space group of International Tables, but names {stated!r};"
            " correct it, or list the symmetry operations."
        )
    if named.ext in ("1", "2") and ":" not in symbol:
        raise CrystalError(
            f"{source} must say which of two origins it means, but states only {stated!r};"
            " append ':1' or ':2' to the name, or list the symmetry operations."
        )
    return named.operations()


def _check_fit(rotations: FloatArray, cell: Cell, source: str) -> None:
    lattice = lattice_of_cell(cell)
    metric = lattice @ lattice.T
    turned = rotations.transpose(0, 2, 1) @ metric @ rotations
    lengths = np.sqrt(np.diag(metric))
    if (np.abs(turned - metric) > _METRIC_TOLERANCE * np.outer(lengths, lengths)).any():
        raise CrystalError(
            f"{source} must have a cell that its symmetry operations leave as it is, but has"
            f" {cell}; check whether they are given for other axes."
        )
