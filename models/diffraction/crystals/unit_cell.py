"""All atoms of a cell in any setting, and the crystal in the standard setting that they make."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gemmi
import numpy as np
from scipy.spatial import cKDTree

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import SITE_TOLERANCE, Cell, Crystal, crystal
from phasepilot.models.diffraction.crystals.formula import reduced_formula
from phasepilot.models.diffraction.crystals.symmetry import Setting, standard_setting
from phasepilot.models.errors import CrystalError

# Atoms that a symmetry operation takes this close to another of their kind count as repeated by
# it; spglib's symprec, in angstrom. Relaxed and refined structures are good to a few thousandths.
SYMMETRY_TOLERANCE_ANGSTROM = 0.01
# No two atoms are nearer than the bond of H2, 0.74 angstrom; positions nearer than this are
# alternatives for one atom.
TOO_CLOSE_ANGSTROM = 0.5
# Three thirds written as 0.334 make 1.002.
_FULL = 1.01

# What occupies a position: atomic numbers, rising, each with its occupancy.
Mixture = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class UnitCell:
    """A cell with every atom in it.

    Attributes
    ----------
    name : str
        What errors call it.
    lattice : ndarray, shape (3, 3)
        Rows a, b, c in angstrom.
    fractional : ndarray, shape (n_positions, 3)
    mixtures : tuple of Mixture, length n_positions
    """

    name: str
    lattice: FloatArray
    fractional: FloatArray
    mixtures: tuple[Mixture, ...]


def lattice_of_cell(cell: Cell) -> FloatArray:
    """Return rows a, b, c in angstrom, shape (3, 3)."""
    return np.asarray(gemmi.UnitCell(*cell).orth.mat.tolist(), dtype=np.float64).T


def unit_cell(
    name: str,
    *,
    lattice: FloatArray,
    fractional: FloatArray,
    atomic_numbers: IntArray,
    occupancies: FloatArray,
    labels: Sequence[str],
) -> UnitCell:
    """Return the cell of these atoms, with those that share a position made one mixture.

    Parameters
    ----------
    fractional, atomic_numbers, occupancies, labels
        One entry an atom; elements that share a position have one each.

    Raises
    ------
    CrystalError
        If atoms are nearer than any bond and there at the same time, by their occupancies, or the
        cell is thinner than an atom.
    """
    spacings = _spacings(lattice)
    if not spacings.min() > 2 * TOO_CLOSE_ANGSTROM:
        raise CrystalError(
            f"{name} must have a cell at least {2 * TOO_CLOSE_ANGSTROM:g} angstrom thick, but it"
            f" is {spacings.min():.3g} angstrom between two faces; give lengths in angstrom."
        )
    pairs, distances = _close_pairs(fractional, lattice, TOO_CLOSE_ANGSTROM)
    total = occupancies.copy()
    np.add.at(total, pairs[:, 0], occupancies[pairs[:, 1]])
    np.add.at(total, pairs[:, 1], occupancies[pairs[:, 0]])
    for (one, other), distance in zip(pairs, distances, strict=True):
        if max(total[one], total[other]) > _FULL:
            raise CrystalError(
                f"{name} must keep its atoms at least {TOO_CLOSE_ANGSTROM} angstrom apart, but"
                f" {labels[one]} and {labels[other]} are {distance:.2f} angstrom apart with"
                f" occupancies that add up to {max(total[one], total[other]):.3g}; take out"
                " alternatives and repeated atoms, or correct the symmetry."
            )
    first = np.arange(len(fractional))
    for one, other in pairs[distances < SYMMETRY_TOLERANCE_ANGSTROM]:
        first[other] = min(first[other], first[one])
    places, starts = np.unique(np.sort(first), return_index=True)
    sharing = np.split(np.argsort(first, kind="stable"), starts[1:])
    return UnitCell(
        name=name,
        lattice=lattice,
        fractional=fractional[places],
        mixtures=tuple(_mixture(atomic_numbers[of], occupancies[of]) for of in sharing),
    )


def unit_cell_of(crystal: Crystal) -> UnitCell:
    """Return the conventional cell of a crystal; elements that share a site become one mixture.

    Raises
    ------
    CrystalError
        As `unit_cell`.
    """
    numbers = crystal.atomic_numbers
    return unit_cell(
        crystal.name,
        lattice=crystal.direct,
        fractional=crystal.fractional,
        atomic_numbers=numbers,
        occupancies=crystal.occupancies,
        labels=[gemmi.Element(int(number)).name for number in numbers],
    )


def amounts(cell: UnitCell) -> dict[int, float]:
    """Return how many atoms of each atomic number are in the cell."""
    in_cell: dict[int, float] = {}
    for one in cell.mixtures:
        for number, occupancy in one:
            in_cell[number] = in_cell.get(number, 0.0) + occupancy
    return in_cell


def _mixture(atomic_numbers: IntArray, occupancies: FloatArray) -> Mixture:
    of_element: dict[int, float] = {}
    for number, occupancy in zip(atomic_numbers.tolist(), occupancies.tolist(), strict=True):
        of_element[number] = of_element.get(number, 0.0) + occupancy
    # Two thirds written as 0.67 and one as 0.34 make a whole one.
    return tuple((number, min(amount, 1.0)) for number, amount in sorted(of_element.items()))


def _close_pairs(
    fractional: FloatArray, lattice: FloatArray, distance_angstrom: float
) -> tuple[IntArray, FloatArray]:
    """Return the pairs of atoms nearer than the distance, across cell edges too, and how near.

    Shapes (n_pairs, 2), the smaller index first and the pairs sorted, and (n_pairs,). The distance
    must be shorter than half of any spacing of the lattice.
    """
    # Along a* two atoms are at most as far apart as in space, so that this box loses no pair.
    spacings = _spacings(lattice)
    heights = (fractional % 1.0) % 1.0 * spacings
    tree = cKDTree(heights, boxsize=spacings)
    pairs = tree.query_pairs(distance_angstrom, p=np.inf, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].astype(np.int64).reshape(-1, 2)
    offsets = fractional[pairs[:, 0]] - fractional[pairs[:, 1]]
    distances = np.linalg.norm((offsets - np.round(offsets)) @ lattice, axis=1)
    near = distances < distance_angstrom
    return pairs[near], distances[near]


def _spacings(lattice: FloatArray) -> FloatArray:
    """Return the distance between opposite faces of the cell, shape (3,)."""
    return np.asarray(1 / np.linalg.norm(np.linalg.inv(lattice), axis=0))


def space_group_number_within(cell: UnitCell, tolerance_angstrom: float) -> int:
    """Return the number of the space group that spglib finds at this tolerance, 0 if none."""
    dataset = _symmetry_dataset(cell, tolerance_angstrom)
    return 0 if dataset is None else int(dataset.number)


def standard_crystal(cell: UnitCell) -> Crystal:
    """Return the same crystal in the standard setting of the space group that spglib finds.

    The cell is idealised (angles of 90 and 120 degree and equal edges are exact), atoms sit exactly
    on their special positions, and the crystal is named by its formula. A position that several
    elements share counts as a species of its own, and becomes a site for each of them.

    Raises
    ------
    CrystalError
        If no symmetry can be found, or as `crystal`.

    Examples
    --------
    >>> body_centred = np.array([[-1.0, 1, 1], [1, -1, 1], [1, 1, -1]]) * 2.866 / 2
    >>> primitive = UnitCell("iron", body_centred, np.zeros((1, 3)), (((26, 1.0),),))
    >>> iron = standard_crystal(primitive)
    >>> iron.name, iron.space_group_number, iron.atomic_numbers.size, round(iron.cell[0], 3)
    ('Fe', 229, 2, 2.866)
    """
    dataset = _symmetry_dataset(cell, SYMMETRY_TOLERANCE_ANGSTROM)
    if dataset is None:
        raise CrystalError(
            f"{cell.name} must have atoms that make a crystal, but spglib finds no symmetry, not"
            f" even that of the lattice, in its {len(cell.fractional)} atoms; check for atoms that"
            " overlap and for a needle-like or flat cell."
        )
    setting = standard_setting(int(dataset.number))
    types = np.asarray(dataset.std_types)
    positions = np.asarray(dataset.std_positions, dtype=np.float64)
    first = _one_of_each_orbit(positions, types, setting)
    species = sorted(set(cell.mixtures))
    sites = [(place, *scatterer) for place in first for scatterer in species[types[place]]]
    places, numbers, occupancies = (list(column) for column in zip(*sites, strict=True))
    standard = crystal(
        reduced_formula(amounts(cell)),
        hall_number=setting.hall_number,
        cell=_cell_of_lattice(dataset.std_lattice),
        atomic_numbers=np.array(numbers),
        fractional=positions[places],
        occupancies=np.array(occupancies),
    )
    _check_atoms_kept(cell.name, standard, n_expected=sum(len(species[kind]) for kind in types))
    return standard


def _symmetry_dataset(cell: UnitCell, tolerance_angstrom: float) -> Any:
    """Return spglib's dataset, None if it finds no symmetry."""
    # Only crystals that come from elsewhere need it; most of the program starts without.
    import spglib
    from spglib.error import SpglibError

    species = {one: kind for kind, one in enumerate(sorted(set(cell.mixtures)))}
    types = [species[one] for one in cell.mixtures]
    with warnings.catch_warnings():
        # Until its version 3, spglib warns that it returns None where it will raise.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return spglib.get_symmetry_dataset(
                (cell.lattice.tolist(), cell.fractional.tolist(), types),
                symprec=tolerance_angstrom,
            )
        except SpglibError:
            return None


def _one_of_each_orbit(positions: FloatArray, types: IntArray, setting: Setting) -> list[int]:
    """Return the index of the first atom of each orbit of the space group."""
    first: list[int] = []
    is_left: BoolArray = np.ones(len(positions), dtype=bool)
    for place in range(len(positions)):
        if not is_left[place]:
            continue
        first.append(place)
        alike = np.flatnonzero(is_left & (types == types[place]))
        images = setting.rotations @ positions[place] + setting.translations
        offsets = images[:, None, :] - positions[alike][None, :, :]
        offsets -= np.round(offsets)
        is_left[alike[(np.abs(offsets) < SITE_TOLERANCE).all(axis=2).any(axis=0)]] = False
    return first


def _cell_of_lattice(lattice: FloatArray) -> Cell:
    lengths = np.linalg.norm(lattice, axis=1)
    cosines = (lattice[[1, 2, 0]] * lattice[[2, 0, 1]]).sum(axis=1)
    cosines /= lengths[[1, 2, 0]] * lengths[[2, 0, 1]]
    # spglib's ideal lattice is exact to rounding errors, which a cell need not show.
    values = np.round([*lengths, *np.degrees(np.arccos(cosines))], 9).tolist()
    return values[0], values[1], values[2], values[3], values[4], values[5]


def _check_atoms_kept(name: str, standard: Crystal, *, n_expected: int) -> None:
    n_atoms = int(standard.multiplicities.sum())
    if n_atoms != n_expected:
        raise CrystalError(
            f"{name} must have atoms that its space group {standard.space_group_number} repeats"
            f" exactly, but in its cell it makes {n_atoms} of {n_expected} atoms; move atoms that"
            " all but lie on a symmetry element onto it."
        )
