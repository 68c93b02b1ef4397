"""Crystals from CIF files: read in any setting, returned in the standard one, never guessed.

Of several data blocks the first that lists atoms is read. The listed operations win over a Hall
symbol, that over a name, that over a number. The space group is then found anew from the atoms
(spglib, within 0.01 angstrom), and what is found wins over what the file declares: the crystal
comes back in the standard setting of that group. Where the two differ, a note says so; relaxed and
refined structures often have more symmetry than they were described with.

What is broken, incomplete or disordered raises a `CrystalError` of one sentence. Hydrogen that the
formula has but the list lacks is let pass with a note: X-rays hardly see it.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from phasepilot.models.diffraction.crystals.cif_sites import (
    Site,
    expanded,
    lists_atoms,
    stated_sites,
)
from phasepilot.models.diffraction.crystals.cif_symmetry import (
    StatedSymmetry,
    first_value,
    stated_symmetry,
)
from phasepilot.models.diffraction.crystals.crystal import Cell, Crystal
from phasepilot.models.diffraction.crystals.formula import formula_amounts, reduced_formula
from phasepilot.models.diffraction.crystals.unit_cell import (
    UnitCell,
    amounts,
    lattice_of_cell,
    standard_crystal,
    unit_cell,
)
from phasepilot.models.errors import CrystalError

# Refined compositions and idealised formulas differ by some percent; more is another compound.
_COMPOSITION_DIFFERENCE = 0.1
# The longest edges of protein crystals are a tenth of this.
_LONGEST_ANGSTROM = 1e4
_CELL_TAGS = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_MUST_NOT_CONTRADICT = (
    "_cell_length",
    "_cell_angle",
    "_symmetry_",
    "_space_group_",
    "_chemical_formula_sum",
)
_HYDROGEN = 1


class Disorder(StrEnum):
    """What to do with atoms that are there in some cells only.

    REFUSE raises; AVERAGE keeps every atom with its stated occupancy, which is what the Bragg
    lines of a disordered crystal show, if no place in space is occupied more than once.
    """

    REFUSE = "refuse"
    AVERAGE = "average"


@dataclass(frozen=True)
class CifEntry:
    """What a CIF file says of one crystal.

    Attributes
    ----------
    crystal : Crystal
        In the standard setting of the space group that was found, named by its formula.
    block_name : str
        The data block that it is from.
    declared_space_group_number : int
        Of the operations that the file lists or names; 0 if they are of no setting in
        International Tables.
    is_disordered : bool
        Whether any occupancy is below 1.
    mineral, pressure, temperature : str
        As the file writes them; empty if it does not.
    notes : tuple of str
        What the file's author or user should know, one sentence each.
    """

    crystal: Crystal
    block_name: str
    declared_space_group_number: int
    is_disordered: bool
    mineral: str
    pressure: str
    temperature: str
    notes: tuple[str, ...]


def read_cif(path: Path, *, disorder: Disorder = Disorder.REFUSE) -> Crystal:
    """Return the crystal of a CIF file in the standard setting of its space group.

    Raises
    ------
    CrystalError
        If the file is broken, incomplete or (unless asked to keep the average) disordered.
    """
    return read_cif_entry(path, disorder=disorder).crystal


def read_cif_entry(path: Path, *, disorder: Disorder = Disorder.REFUSE) -> CifEntry:
    """Return the crystal of a CIF file with what else the file says of it.

    Raises
    ------
    CrystalError
        As `read_cif`.
    """
    source = str(path)
    blocks = [block for block in _document(path, source) if lists_atoms(block)]
    if not blocks:
        raise CrystalError(
            f"{source} must list atoms with fractional coordinates, but no data block does;"
            " give the CIF file of a crystal structure."
        )
    block = blocks[0]
    _refuse_contradictions(block, source)
    cell = _stated_cell(block, source)
    symmetry = stated_symmetry(block, source, cell)
    formula = formula_amounts(first_value(block, ["_chemical_formula_sum"]))
    sites = stated_sites(block, source, formula)
    if disorder is Disorder.REFUSE:
        _refuse_disorder(sites, source)
    atoms = _unit_cell(sites, symmetry, cell, source)
    hydrogen_note = _checked_composition(atoms, block, source)
    crystal = standard_crystal(atoms)
    notes = (*_symmetry_notes(crystal, symmetry), hydrogen_note, _block_note(blocks))
    return CifEntry(
        crystal=crystal,
        block_name=str(block.name),
        declared_space_group_number=symmetry.space_group_number,
        is_disordered=any(site.occupancy < 1 for site in sites),
        mineral=first_value(block, ["_chemical_name_mineral"]),
        pressure=first_value(block, ["_diffrn_ambient_pressure", "_cell_measurement_pressure"]),
        temperature=first_value(
            block, ["_diffrn_ambient_temperature", "_cell_measurement_temperature"]
        ),
        notes=tuple(note for note in notes if note),
    )


def _document(path: Path, source: str) -> gemmi.cif.Document:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CrystalError(
            f"{source} must be a file that can be read, but it cannot ({error.strerror});"
            " check the path."
        ) from error
    try:
        # Level 0 lets repeated tags pass, of which downloads from mineral databases are full.
        return gemmi.cif.read_string(_decoded(content), 0)
    except (ValueError, RuntimeError) as error:
        where = str(error).splitlines()[0].replace("string:", "line ", 1)
        raise CrystalError(
            f"{source} must be a CIF file, but cannot be read as one ({where});"
            " correct the file, or fetch it again if it is cut off."
        ) from error


def _decoded(content: bytes) -> str:
    """Return the text; names in old files are Latin-1, and all else is ASCII in either code."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _refuse_contradictions(block: gemmi.cif.Block, source: str) -> None:
    values: dict[str, str] = {}
    for item in block:
        pair: Any = item.pair
        tag, value = pair or ("", "")
        text = gemmi.cif.as_string(value).strip()
        if not text or not tag.lower().startswith(_MUST_NOT_CONTRADICT):
            continue
        if values.setdefault(tag.lower(), text) != text:
            raise CrystalError(
                f"{source} must state {tag} once, but states both {values[tag.lower()]!r} and"
                f" {text!r}; take out the wrong one."
            )


def _stated_cell(block: gemmi.cif.Block, source: str) -> Cell:
    texts = [first_value(block, [f"_cell_{tag}"]) for tag in _CELL_TAGS]
    a, b, c, alpha, beta, gamma = values = [float(gemmi.cif.as_number(text)) for text in texts]
    cell = (a, b, c, alpha, beta, gamma)
    # NaN, of what is no number, compares false.
    is_possible = all(0 < value < _LONGEST_ANGSTROM for value in values) and max(values[3:]) < 180
    cosines = np.cos(np.radians(values[3:])) if is_possible else np.ones(3)
    # Of the parallelepiped with edges of 1.
    square_of_volume = 1 + 2 * cosines.prod() - (cosines**2).sum()
    if square_of_volume < 1e-6:
        raise CrystalError(
            f"{source} must state a cell of three lengths and three angles that has a volume, but"
            f" its cell is ({', '.join(text or 'missing' for text in texts)});"
            " complete or correct _cell_length_a to _cell_angle_gamma."
        )
    return cell


def _refuse_disorder(sites: tuple[Site, ...], source: str) -> None:
    for site in sites:
        what = f"occupancy {site.occupancy:g}" if site.occupancy < 1 else ""
        if site.disorder_group:
            what = f"disorder group {site.disorder_group}"
        if what:
            raise CrystalError(
                f"{source} must be an ordered crystal, but atom {site.label} has {what};"
                " choose one of the alternatives, or keep the average of them."
            )


def _unit_cell(
    sites: tuple[Site, ...], symmetry: StatedSymmetry, cell: Cell, source: str
) -> UnitCell:
    lattice = lattice_of_cell(cell)
    fractional, of_site = expanded(sites, symmetry.rotations, symmetry.translations, lattice)
    return unit_cell(
        source,
        lattice=lattice,
        fractional=fractional,
        atomic_numbers=np.array([site.atomic_number for site in sites])[of_site],
        occupancies=np.array([site.occupancy for site in sites])[of_site],
        labels=[sites[index].label for index in of_site],
    )


def _checked_composition(cell: UnitCell, block: gemmi.cif.Block, source: str) -> str:
    """Return a note on hydrogen if atoms and formula agree in all else, and raise if not."""
    formula = first_value(block, ["_chemical_formula_sum"])
    stated, listed = formula_amounts(formula), amounts(cell)
    heavy = (set(stated) | set(listed)) - {_HYDROGEN}
    if not stated or not heavy:
        return ""
    n_stated = sum(stated.get(number, 0.0) for number in heavy)
    n_listed = sum(listed.get(number, 0.0) for number in heavy)
    # Formula units of the heavy atoms; none if atoms or formula have no heavy ones at all.
    n_units = n_listed / n_stated if n_stated else 0.0
    excess = {
        number: listed.get(number, 0.0) / (n_units or np.nan) - stated.get(number, 0.0)
        for number in heavy | {_HYDROGEN}
    }
    lacking = max(-excess[_HYDROGEN], 0.0)
    excess[_HYDROGEN] = max(excess[_HYDROGEN], 0.0)
    # NaN, of no formula unit, compares false.
    if not sum(map(abs, excess.values())) <= _COMPOSITION_DIFFERENCE * n_stated:
        raise CrystalError(
            f"{source} must list the atoms of its formula, but the formula is {formula} and the"
            f" atoms make {reduced_formula(listed)}; complete the list, or correct the formula."
        )
    _check_number_of_units(n_units, stated, block, source)
    return f"lists {lacking:.3g} hydrogen fewer than {formula}" if lacking > 0.5 else ""


def _check_number_of_units(
    n_units: float, stated: dict[int, float], block: gemmi.cif.Block, source: str
) -> None:
    """Raise if the cell holds another number of formula units than the file says it does."""
    expected = gemmi.cif.as_number(first_value(block, ["_cell_formula_units_Z"]))
    # Some programs state the content of the cell as the formula, and Z of the reduced formula.
    divisor = np.gcd.reduce([max(round(amount), 1) for amount in stated.values()])
    if not expected > 0:
        return
    ratios = np.array([n_units, n_units * divisor]) / expected
    if (abs(ratios - 1) > _COMPOSITION_DIFFERENCE).all():
        raise CrystalError(
            f"{source} must hold Z = {expected:g} formula units in its cell, but its atoms and"
            f" symmetry operations make {n_units:.3g}; complete the operations, or correct Z."
        )


def _symmetry_notes(crystal: Crystal, symmetry: StatedSymmetry) -> tuple[str, str]:
    found = crystal.space_group_number
    of_list, named = symmetry.space_group_number, symmetry.named_number
    other_name = f"names space group {named}, but lists operations of {of_list or 'no setting'}"
    other_found = f"declares space group {of_list}, but its atoms have that of {found}"
    return (
        other_name if named and named != of_list else "",
        other_found if of_list and of_list != found else "",
    )


def _block_note(blocks: list[gemmi.cif.Block]) -> str:
    if len(blocks) == 1:
        return ""
    return f"has {len(blocks)} blocks with atoms, of which {blocks[0].name} was read"
