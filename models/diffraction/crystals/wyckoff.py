"""Wyckoff positions of the 230 space groups in their standard settings.

The table `wyckoff.json` holds one representative of each position, the letters being those of
International Tables A; the rest follows from the operations of the group.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.symmetry import Setting, standard_setting
from phasepilot.models.errors import CrystalError

# Pmmm has 27 positions; the last is alpha in International Tables A and A in spglib and here.
LETTERS = "abcdefghijklmnopqrstuvwxyzA"
# Of a cell edge. Sites of a `Crystal` are on their special positions to rounding.
_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class WyckoffPosition:
    """A set of points with the same site symmetry: p -> M p + t for every p, and their images.

    Attributes
    ----------
    letter : str
    matrices : ndarray, shape (multiplicity, 3, 3)
        M of each atom of the orbit in the conventional cell, the representative first. Columns of
        parameters that do not count are 0.
    translations : ndarray, shape (multiplicity, 3)
        t of each.
    normals : ndarray of int, shape (3 - degrees_of_freedom, 3)
        A point x lies on the representative, or a lattice translation away from it, exactly where
        ``normals @ (x - translations[0])`` are all whole numbers.
    """

    letter: str
    matrices: FloatArray
    translations: FloatArray
    normals: IntArray

    @property
    def multiplicity(self) -> int:
        """Atoms in the conventional cell."""
        return len(self.matrices)

    @property
    def degrees_of_freedom(self) -> int:
        """Coordinates that are free: 0 for a fixed point, 3 for the general position."""
        return 3 - len(self.normals)

    def orbit(self, parameters: FloatArray) -> FloatArray:
        """Return all atoms for parameters x, y, z, shape (..., 3): (..., multiplicity, 3).

        Examples
        --------
        >>> diamond = wyckoff_positions(227)[0]
        >>> diamond.orbit(np.zeros(3))[:2]
        array([[0.  , 0.  , 0.  ],
               [0.25, 0.25, 0.25]])
        """
        return np.asarray(parameters @ self.matrices.transpose(0, 2, 1) + self.translations)


@cache
def wyckoff_positions(space_group_number: int) -> tuple[WyckoffPosition, ...]:
    """Return the Wyckoff positions of a space group, a first and the general position last.

    Raises
    ------
    CrystalError
        If the number is not from 1 to 230.

    References
    ----------
    International Tables for Crystallography A, chapter 2.3; copied from PyXtal (Fredericks et al.,
    Comput. Phys. Commun. 261, 107810 (2021), doi:10.1016/j.cpc.2020.107810) and moved to origin
    choice 1.

    Examples
    --------
    >>> [f"{p.multiplicity}{p.letter}" for p in wyckoff_positions(225)[:4]]
    ['4a', '4b', '8c', '24d']
    """
    group = standard_setting(space_group_number)
    return positions_of(group, _table()[str(space_group_number)]["positions"])


def positions_of(group: Setting, representatives: Sequence[str]) -> tuple[WyckoffPosition, ...]:
    """Return the positions that these triplets, such as ``x,2*x,1/4``, stand for in a setting."""
    return tuple(
        _position(letter, gemmi.Op(triplet), group)
        for letter, triplet in zip(LETTERS, representatives, strict=False)
    )


def wyckoff_letters(crystal: Crystal) -> tuple[str, ...]:
    """Return the letter of the Wyckoff position that each site of the crystal is on.

    Raises
    ------
    CrystalError
        If the crystal is not in the standard setting of its space group.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> sites = [("Ca", (0.0, 0.0, 0.0)), ("F", (0.25, 0.25, 0.25))]
    >>> wyckoff_letters(crystal_from_sites("CaF2", "F m -3 m", (5.46,) * 3 + (90.0,) * 3, sites))
    ('a', 'c')
    """
    standard = standard_setting(crystal.space_group_number)
    if crystal.hall_number != standard.hall_number:
        raise CrystalError(
            f"Wyckoff letters are known in the setting {standard.symbol}, but {crystal.name} is in"
            f" {crystal.setting.symbol}; transform it to the standard setting first."
        )
    *special, general = wyckoff_positions(crystal.space_group_number)
    images = np.einsum("nij,sj->sni", standard.rotations, crystal.site_fractional)
    images += standard.translations
    letters = np.full(crystal.site_atomic_numbers.size, general.letter)
    # The most special position comes first in the table, and has the last word here.
    for position in reversed(special):
        letters[_distances(position, images) < _TOLERANCE] = position.letter
    return tuple(letters.tolist())


def first_lettering(space_group_number: int, letters: Iterable[str]) -> tuple[str, ...]:
    """Return the sorted letters of the same arrangement, with origin and axes chosen anew.

    One structure type may be described with different letters, e.g. fluorite with Ca on a or on b;
    of all that the affine normaliser of the space group allows, this gives the first in the
    alphabet. Structures of one type have it in common.

    Raises
    ------
    CrystalError
        If a letter is not one of the space group's.

    Examples
    --------
    >>> first_lettering(225, ["b", "c"])
    ('a', 'c')
    """
    given = tuple(letters)
    known = [position.letter for position in wyckoff_positions(space_group_number)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise CrystalError(
            f"Wyckoff letters of space group {space_group_number} must be of {''.join(known)}, but"
            f" {unknown[0]!r} is given; check the letter and the space group."
        )
    indices = [known.index(letter) for letter in given]
    ranks = min(
        sorted(names[index] for index in indices) for names in _letterings(space_group_number)
    )
    return tuple(known[rank] for rank in ranks)


def _distances(position: WyckoffPosition, images: FloatArray) -> FloatArray:
    """Return how far the nearest image of each site is off the representative, (n_sites,)."""
    heights = (images - position.translations[0]) @ position.normals.T
    return np.asarray(np.abs(heights - np.round(heights)).max(axis=2).min(axis=1))


@cache
def _letterings(space_group_number: int) -> tuple[tuple[int, ...], ...]:
    """Return the group of permutations that the relabellings of the table generate."""
    entry = _table()[str(space_group_number)]
    steps = [[LETTERS.index(letter) for letter in word] for word in entry["relabellings"]]
    identity = tuple(range(len(entry["positions"])))
    found, fresh = {identity}, [identity]
    while fresh:
        names = fresh.pop()
        for step in steps:
            further = tuple(step[name] for name in names)
            if further not in found:
                found.add(further)
                fresh.append(further)
    return tuple(found)


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    text = files("phasepilot.models.diffraction.crystals").joinpath("wyckoff.json").read_text()
    table: dict[str, dict[str, list[str]]] = json.loads(text)
    return table


def _position(letter: str, representative: gemmi.Op, group: Setting) -> WyckoffPosition:
    matrix = np.array(representative.rot, dtype=np.float64) / gemmi.Op.DEN
    translation = np.array(representative.tran, dtype=np.float64) / gemmi.Op.DEN
    matrices = group.rotations @ matrix
    translations = (group.rotations @ translation + group.translations) % 1.0
    # Operations that leave the representative in place give the same map again.
    maps = np.concatenate([matrices.reshape(-1, 9), translations], axis=1)
    maps = np.round(gemmi.Op.DEN * maps).astype(np.int64)
    maps[:, 9:] %= gemmi.Op.DEN
    first = np.sort(np.unique(maps, axis=0, return_index=True)[1])
    translations = maps[first, 9:] / gemmi.Op.DEN
    # The first operation is the identity, so that the first map is the representative.
    return WyckoffPosition(letter, matrices[first], translations, _normals(matrix))


def _normals(matrix: FloatArray) -> IntArray:
    """Return whole numbers n with n M = 0 whose multiples and sums are all there are.

    That is what makes "n (x - t) is whole" mean the subspace and its lattice translations, no more.
    """
    rank = int(np.linalg.matrix_rank(matrix))
    whole = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    shortest_first = whole[np.argsort((whole**2).sum(axis=1), kind="stable")][1:]
    flat = shortest_first[(shortest_first @ matrix == 0).all(axis=1)]
    if rank != 1:
        return np.eye(3, dtype=np.int64) if rank == 0 else flat[: 3 - rank]
    return next(
        np.array(pair)
        for pair in itertools.combinations(flat, 2)
        if np.gcd.reduce(np.cross(*pair)) == 1
    )
