"""CIF files of crystals, for other programs and for libraries of phases."""

import re

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.formula import reduced_formula
from phasepilot.models.diffraction.crystals.unit_cell import amounts, unit_cell_of

_CELL_TAGS = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_OPERATION_DENOMINATOR = gemmi.Op.DEN


def cif_text(crystal: Crystal, block_name: str, *, licence: str = "") -> str:
    """Return a CIF file of one data block.

    All operations of the space group are listed, so that readers need not know the setting.

    Parameters
    ----------
    block_name : str
        What the data block is called; blanks, and what is not ASCII, become underscores.
    licence : str
        Terms of use, kept as a comment on top; left out if empty.

    Raises
    ------
    CrystalError
        If atoms lie on top of each other: nobody could read such a file.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> iron = crystal_from_sites("Fe", "I m -3 m", (2.87,) * 3 + (90.0,) * 3, [("Fe", (0, 0, 0))])
    >>> cif_text(iron, "iron").splitlines()[0]
    'data_iron'
    """
    document = gemmi.cif.Document()
    block = document.add_new_block(re.sub(r"[^!-~]+", "_", block_name))
    group = crystal.setting.gemmi
    formula = reduced_formula(amounts(unit_cell_of(crystal)))
    block.set_pair("_chemical_formula_sum", gemmi.cif.quote(_spaced(formula)))
    for tag, value in zip(_CELL_TAGS, crystal.cell, strict=True):
        block.set_pair(f"_cell_{tag}", f"{value:.6f}")
    block.set_pair("_cell_volume", f"{crystal.volume_cubic_angstrom:.4f}")
    block.set_pair("_space_group_IT_number", str(crystal.space_group_number))
    block.set_pair("_space_group_name_H-M_alt", gemmi.cif.quote(group.xhm()))
    block.set_pair("_space_group_name_Hall", gemmi.cif.quote(group.hall))
    operations = block.init_loop("_space_group_symop_", ["operation_xyz"])
    for rotation, translation in zip(
        crystal.setting.rotations, crystal.setting.translations, strict=True
    ):
        operations.add_row([gemmi.cif.quote(_triplet(rotation, translation))])
    _add_atoms(block, crystal)
    text = document.as_string()
    return f"# Terms of use: {' '.join(licence.split())}\n{text}" if licence else text


def _add_atoms(block: gemmi.cif.Block, crystal: Crystal) -> None:
    atoms = block.init_loop(
        "_atom_site_",
        ["label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy"],
    )
    columns = (crystal.site_atomic_numbers, crystal.site_fractional, crystal.site_occupancies)
    for count, (number, position, occupancy) in enumerate(zip(*columns, strict=True), start=1):
        symbol = gemmi.Element(int(number)).name
        # Eight digits: a third must be told from what lies near it.
        coordinates = [f"{value:.8f}" for value in position]
        atoms.add_row([f"{symbol}{count}", symbol, *coordinates, f"{occupancy:g}"])


def _triplet(rotation: FloatArray, translation: FloatArray) -> str:
    """Return an operation as in ``-x,y+1/2,z``."""
    operation = gemmi.Op("x,y,z")
    operation.rot = np.rint(rotation * _OPERATION_DENOMINATOR).astype(int).tolist()
    operation.tran = np.rint(translation * _OPERATION_DENOMINATOR).astype(int).tolist()
    return operation.wrap().triplet()


def _spaced(formula: str) -> str:
    """Return a formula with a blank before each element, as CIF wants it."""
    return "".join(f" {sign}" if sign.isupper() else sign for sign in formula).strip()
