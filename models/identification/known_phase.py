"""A known crystal as matching sees it: its lines, its lattice and what it is called."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.formula import reduced_formula
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.errors import CrystalError

# Patterns end at q = 6.3 1/angstrom, and lines may move by some percent.
Q_MAX_PER_ANGSTROM = 7.0


@dataclass(frozen=True, slots=True)
class KnownPhase:
    """A crystal that a pattern may show.

    Attributes
    ----------
    name : str
        What the library calls it.
    formula : str
        Reduced formula.
    space_group_number : int
        1 to 230; the axes are those of its standard setting.
    reciprocal : ndarray, shape (3, 3)
        Rows a*, b*, c* without 2 pi, in 1/angstrom; a along x, c* along z.
    q_per_angstrom : ndarray, shape (n_lines,)
    strength : ndarray, shape (n_lines,)
        Sum of |F|^2 over each family of reflections, without thermal motion, on any scale.
    hkl : ndarray of int, shape (n_lines, 3)
    """

    name: str
    formula: str
    space_group_number: int
    reciprocal: FloatArray
    q_per_angstrom: FloatArray
    strength: FloatArray
    hkl: IntArray


def known_phase(crystal: Crystal, name: str) -> KnownPhase:
    """Return the lines of a crystal in its standard setting.

    Raises
    ------
    CrystalError
        If it has no line within reach of any pattern.
    """
    sticks = powder_sticks(crystal, Q_MAX_PER_ANGSTROM, b_square_angstrom=0.0)
    if not (sticks.structure_factor_squared > 0).any():
        raise CrystalError(
            f"{name} must have a line up to q = {Q_MAX_PER_ANGSTROM:g} 1/angstrom, but its first"
            " lies beyond; check that its cell is in angstrom."
        )
    return KnownPhase(
        name=name,
        formula=_formula(crystal),
        space_group_number=crystal.space_group_number,
        reciprocal=crystal.reciprocal,
        q_per_angstrom=sticks.q_per_angstrom,
        strength=sticks.structure_factor_squared,
        hkl=sticks.hkl,
    )


def _formula(crystal: Crystal) -> str:
    amounts: dict[int, float] = {}
    for number, occupancy in zip(crystal.atomic_numbers, crystal.occupancies, strict=True):
        amounts[int(number)] = amounts.get(int(number), 0.0) + float(occupancy)
    return reduced_formula(amounts)


def stored_phase(store: StickStore, number: int, *, name: str, formula: str) -> KnownPhase:
    """Return structure `number` of a stick store, which keeps lines but no formulas."""
    lines = slice(int(store.offsets[number]), int(store.offsets[number + 1]))
    return KnownPhase(
        name=name,
        formula=formula,
        space_group_number=int(store.space_group_number[number]),
        reciprocal=np.array(store.reciprocal[number]),
        q_per_angstrom=store.q_per_angstrom[lines].astype(np.float64),
        strength=store.strength[lines].astype(np.float64),
        hkl=store.hkl[lines].astype(np.int64),
    )
