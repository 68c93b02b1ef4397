"""The atoms that a CIF data block lists, and all atoms of the cell that symmetry makes of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystals.formula import atomic_number
from phasepilot.models.errors import CrystalError

# Coordinates printed to three digits put images of an atom on a symmetry element this far apart at
# most, in angstrom; refined split positions are farther apart.
SAME_ATOM_ANGSTROM = 0.1
_HEAVIEST = 98
_LETTERS = re.compile(r"[A-Za-z]*")
# gemmi reads columns after a question mark only if they are there.
_COLUMNS = ["fract_x", "fract_y", "fract_z"]
_COLUMNS += ["?label", "?type_symbol", "?occupancy", "?disorder_group"]
_LABEL, _TYPE, _OCCUPANCY, _GROUP = 3, 4, 5, 6


@dataclass(frozen=True, slots=True)
class Site:
    """One line of the list of atoms.

    Attributes
    ----------
    label : str
    atomic_number : int
    fractional : tuple of float
    occupancy : float
        Above 0 and at most 1.
    disorder_group : str
        Empty for what is not part of a disordered group.
    """

    label: str
    atomic_number: int
    fractional: tuple[float, float, float]
    occupancy: float
    disorder_group: str


def lists_atoms(block: gemmi.cif.Block) -> bool:
    """Return whether the block has a list of atoms with fractional coordinates."""
    return len(block.find("_atom_site_", _COLUMNS)) > 0


def stated_sites(
    block: gemmi.cif.Block, source: str, formula: Mapping[int, float]
) -> tuple[Site, ...]:
    """Return the atoms that the block lists.

    Parameters
    ----------
    formula : mapping
        Amounts by atomic number; it tells CA for calcium from CA for carbon where the block gives
        labels alone. Empty if none is known.

    Raises
    ------
    CrystalError
        If an element, a coordinate or an occupancy cannot be read or is not known.
    """
    return tuple(_site(row, source, formula) for row in block.find("_atom_site_", _COLUMNS))


def expanded(
    sites: tuple[Site, ...], rotations: FloatArray, translations: FloatArray, lattice: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Return all atoms of the cell and which site each belongs to.

    Images of a site nearer to it than `SAME_ATOM_ANGSTROM` are the same atom, put at their mean:
    onto the symmetry element. Shapes (n_atoms, 3) and (n_atoms,).
    """
    fractional, of_site = [], []
    for index, site in enumerate(sites):
        position = np.array(site.fractional)
        shifts = rotations @ position + translations - position
        shifts -= np.round(shifts)
        is_same = np.linalg.norm(shifts @ lattice, axis=1) < SAME_ATOM_ANGSTROM
        position = position + shifts[is_same].mean(axis=0)
        images = (rotations @ position + translations) % 1.0
        apart = images[:, None, :] - images[None, :, :]
        apart -= np.round(apart)
        is_repeat = np.linalg.norm(apart @ lattice, axis=2) < SAME_ATOM_ANGSTROM
        distinct = images[~np.tril(is_repeat, -1).any(axis=1)]
        fractional.append(distinct)
        of_site.append(np.full(len(distinct), index))
    return np.concatenate(fractional), np.concatenate(of_site)


def _site(row: gemmi.cif.Table.Row, source: str, formula: Mapping[int, float]) -> Site:
    label = _text(row, _LABEL)
    x, y, z = (_coordinate(row[column], label, source) for column in range(3))
    group = _text(row, _GROUP)
    return Site(
        label=label,
        atomic_number=_element(label, _text(row, _TYPE), source, formula),
        fractional=(x, y, z),
        occupancy=_occupancy(row, label, source),
        disorder_group="" if group == "0" else group,
    )


def _text(row: gemmi.cif.Table.Row, column: int) -> str:
    if not row.has(column) or gemmi.cif.is_null(row[column]):
        return ""
    return str(gemmi.cif.as_string(row[column])).strip()


def _coordinate(text: str, label: str, source: str) -> float:
    value = gemmi.cif.as_number(text)
    if not np.isfinite(value):
        raise CrystalError(
            f"{source} must give every atom three fractional coordinates, but has {text!r} for"
            f" atom {label or '(unnamed)'}; complete it, or take the atom out."
        )
    return float(value)


def _occupancy(row: gemmi.cif.Table.Row, label: str, source: str) -> float:
    # The dictionary's default is 1; '.' asks for it, '?' says that nobody knows.
    if not row.has(_OCCUPANCY) or row[_OCCUPANCY] == ".":
        return 1.0
    value = float(gemmi.cif.as_number(row[_OCCUPANCY]))
    if not 0 < value <= 1:
        raise CrystalError(
            f"{source} must have occupancies above 0 and at most 1, but has {row[_OCCUPANCY]!r} for"
            f" atom {label}; correct it, or take the atom out."
        )
    return value


def _element(label: str, type_symbol: str, source: str, formula: Mapping[int, float]) -> int:
    number = _element_of_type(type_symbol) if type_symbol else _element_of_label(label, formula)
    if not 1 <= number <= _HEAVIEST:
        raise CrystalError(
            f"{source} must name an element from hydrogen to californium for each atom, but atom"
            f" {label or '(unnamed)'} is of type {type_symbol or 'unstated'}; add a column"
            " _atom_site_type_symbol with the element."
        )
    return number


def _element_of_type(type_symbol: str) -> int:
    """Return the element of a type such as Fe3+, FE or D."""
    return atomic_number(_letters(type_symbol).capitalize())


def _element_of_label(label: str, formula: Mapping[int, float]) -> int:
    """Return the element that a label such as Ca1, CA1 or OW2 begins with, 0 if that is open."""
    letters = _letters(label)
    # T is a tetrahedral site in most labels, and hardly ever tritium.
    if len(letters) > 2 or letters == "T":
        return 0
    if atomic_number(letters) and letters == letters.capitalize():
        return atomic_number(letters)
    whole, first = atomic_number(letters.capitalize()), atomic_number(letters[:1].upper())
    if not formula:
        return whole if letters.isupper() and not first else 0
    candidates = {whole, first} & set(formula)
    return candidates.pop() if len(candidates) == 1 else 0


def _letters(text: str) -> str:
    match = _LETTERS.match(text)
    return match.group() if match else ""
