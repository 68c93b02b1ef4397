"""Crystals emptied atom by atom down to sites that stay: from a structure to a bare lattice."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from phasepilot.models.arrays import BoolArray
from phasepilot.models.diffraction.crystals.crystal import SITE_TOLERANCE, Crystal
from phasepilot.models.diffraction.crystals.formula import reduced_formula
from phasepilot.models.diffraction.crystals.substitution import cell_amounts
from phasepilot.models.diffraction.crystals.supercell import supercell
from phasepilot.models.errors import CrystalError

Positions = Sequence[tuple[float, float, float]]
BODY_CENTRED: Positions = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
FACE_CENTRED: Positions = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5))
# Of the atoms that do not stay; those of the Auto Diffraction Pipeline.
DEPLETION_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


def depletion_path(
    crystal: Crystal,
    kept: Positions,
    rng: np.random.Generator,
    *,
    levels: Sequence[float] = DEPLETION_LEVELS,
) -> Iterator[Crystal]:
    """Yield the crystal with more and more of its atoms removed at random, in P1.

    What is gone at one level is gone at the next. Nothing relaxes: the cell and the atoms that are
    left stay where they are. A cubic cell with one element on `FACE_CENTRED` or `BODY_CENTRED`
    ends as an ideal f.c.c. or b.c.c. lattice.

    Parameters
    ----------
    kept : sequence of (x, y, z)
        Positions of the conventional cell, in fractions, whose atoms stay.
    levels : sequence of float
        Fractions of the other atoms to be gone, rising from 0 to at most 1.

    Raises
    ------
    CrystalError
        If no position is kept, or one holds no atom, or the levels do not rise within 0 and 1.

    References
    ----------
    J. Appl. Cryst. (2026), doi:10.1107/S1600576726000099, section 3.6.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> sites = [("Ca", (0.0, 0.0, 0.0)), ("F", (0.25, 0.25, 0.25))]
    >>> fluorite = crystal_from_sites("CaF2", "F m -3 m", (5.46,) * 3 + (90.0,) * 3, sites)
    >>> path = depletion_path(fluorite, FACE_CENTRED, np.random.default_rng(0))
    >>> [step.name for step in path]
    ['CaF2', 'Ca2F3', 'CaF', 'Ca2F', 'Ca']
    """
    if not levels or min(levels) < 0 or max(levels) > 1 or list(levels) != sorted(levels):
        raise CrystalError(
            f"levels must rise within 0 and 1, but are {tuple(levels)}; give fractions of the atoms"
            " that do not stay."
        )
    if not kept:
        raise CrystalError(
            f"some positions must keep their atoms, but none are named for {crystal.name}; give"
            " FACE_CENTRED, BODY_CENTRED or positions of your own."
        )
    full = supercell(crystal)
    leaving = rng.permutation(np.flatnonzero(~_is_on(full, kept)))
    for level in levels:
        is_left = np.ones(full.site_atomic_numbers.size, dtype=bool)
        is_left[leaving[: round(level * leaving.size)]] = False
        yield _restricted(full, is_left)


def _is_on(crystal: Crystal, positions: Positions) -> BoolArray:
    """Return which sites are on one of the positions."""
    offsets = crystal.site_fractional[:, None] - np.array(positions, dtype=np.float64)
    offsets -= np.round(offsets)
    is_there = np.asarray((np.abs(offsets) < SITE_TOLERANCE).all(axis=2))
    empty = np.flatnonzero(~is_there.any(axis=0))
    if empty.size:
        raise CrystalError(
            f"positions to be kept must hold an atom, but {crystal.name} has none at"
            f" {tuple(positions[empty[0]])}; choose a crystal with atoms there or another origin."
        )
    return np.asarray(is_there.any(axis=1))


def _restricted(crystal: Crystal, is_left: BoolArray) -> Crystal:
    """Return the crystal with only these of its sites."""
    rest = replace(
        crystal,
        site_atomic_numbers=crystal.site_atomic_numbers[is_left],
        site_fractional=crystal.site_fractional[is_left],
        site_occupancies=crystal.site_occupancies[is_left],
    )
    return replace(rest, name=reduced_formula(cell_amounts(rest)))
