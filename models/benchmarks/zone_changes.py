"""Crystals as the zone-axis benchmark changes them: stretched, with other elements, with vacancies.

What is changed atom by atom has no symmetry left but the identity; its cell stays as it was.
"""

from pathlib import Path

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.errors import CrystalError

# Of the periodic table as far as form factors are tabulated.
_HEAVIEST = 98
_NO_SYMMETRY = 1  # Hall number of P 1
_POSITION_TOLERANCE = 1e-3
# Where the atoms of the lattices are that atoms are taken away towards.
BODY_CENTRED = np.array([(0, 0, 0), (0.5, 0.5, 0.5)])
FACE_CENTRED = np.array([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])


def crystals_of_rows(table: Path, store: ReflectionStore, numbers: IntArray) -> dict[int, Crystal]:
    """Return the crystals of these structures of the store, by their number in it.

    Raises
    ------
    CrystalError
        If a row of the table is not the structure that the store holds.
    """
    number_of_row = dict(zip(store.row[numbers].tolist(), numbers.tolist(), strict=True))
    rows = read_structures(
        table,
        start=min(number_of_row, default=0),
        stop=max(number_of_row, default=-1) + 1,
        max_atoms=10**6,
        chosen=number_of_row,
    )
    found = {}
    for row in rows:
        number = number_of_row[row.number]
        if row.identifier != store.identifier[number]:
            raise CrystalError(
                f"row {row.number} of {table} must be {store.identifier[number]}, but is"
                f" {row.identifier}; the reflections were computed from another table."
            )
        found[number] = row.crystal
    return found


def stretched(unchanged: Crystal, strain: float) -> Crystal:
    """Return the crystal with edges longer by this part of themselves."""
    return unchanged.scaled_to_volume_ratio((1 + strain) ** 3)


def substituted(unchanged: Crystal, share: float, rng: Generator) -> Crystal:
    """Return the crystal with this share of its atoms replaced by random elements."""
    numbers = unchanged.atomic_numbers.copy()
    places = rng.choice(numbers.size, round(share * numbers.size), replace=False)
    numbers[places] = rng.integers(1, _HEAVIEST + 1, places.size)
    return _without_symmetry(unchanged, np.ones(numbers.size, dtype=bool), numbers)


def depleted(unchanged: Crystal, lattice: FloatArray, share: float, rng: Generator) -> Crystal:
    """Return the crystal without this share of the atoms that are not on the lattice's points."""
    is_kept = _is_on(lattice, unchanged)
    others = np.flatnonzero(~is_kept)
    n_left = others.size - round(share * others.size)
    is_kept[rng.permutation(others)[:n_left]] = True
    return _without_symmetry(unchanged, is_kept, unchanged.atomic_numbers)


def can_be_depleted(unchanged: Crystal, lattice: FloatArray) -> bool:
    """Return whether it is cubic with one element on the lattice's points and atoms elsewhere.

    As in the paper it must have at least six atoms for b.c.c. and eight for f.c.c.; crystals that
    have the centring already are no candidates.
    """
    number = unchanged.space_group_number
    centring = unchanged.setting.gemmi.hm[0]
    is_there = centring == ("I" if len(lattice) == len(BODY_CENTRED) else "F")
    n_least = 6 if len(lattice) == len(BODY_CENTRED) else 8
    if number < 195 or is_there or unchanged.atomic_numbers.size < n_least:
        return False
    is_on = _is_on(lattice, unchanged)
    elements = np.unique(unchanged.atomic_numbers[is_on])
    is_full = bool((unchanged.occupancies == 1).all())
    return is_full and int(is_on.sum()) == len(lattice) and elements.size == 1


def _is_on(lattice: FloatArray, unchanged: Crystal) -> BoolArray:
    """Return which atoms are on the points of the lattice, shape (n_atoms,)."""
    offsets = unchanged.fractional[:, None, :] - lattice
    offsets -= np.round(offsets)
    return np.asarray(np.any(np.abs(offsets).max(axis=2) < _POSITION_TOLERANCE, axis=1))


def _without_symmetry(unchanged: Crystal, is_kept: BoolArray, numbers: IntArray) -> Crystal:
    return crystal(
        unchanged.name,
        hall_number=_NO_SYMMETRY,
        cell=unchanged.cell,
        atomic_numbers=numbers[is_kept],
        fractional=unchanged.fractional[is_kept],
        occupancies=unchanged.occupancies[is_kept],
    )
