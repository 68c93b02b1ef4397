"""Smaller stick stores out of larger ones: some structures, or the strongest lines of each."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from phasepilot.models.arrays import BoolArray, IntArray
from phasepilot.models.diffraction.powder.intensity_factors import debye_waller
from phasepilot.models.diffraction.stick_store import StickStore

# Structures whose lines are ranked at a time; their arrays fit a processor's cache.
_BLOCK = 256


def chosen_structures(store: StickStore, structures: IntArray) -> StickStore:
    """Return the lines of some structures alone, in the order given."""
    lines, offsets = lines_of(store, structures)
    return StickStore(
        q_per_angstrom=np.asarray(store.q_per_angstrom[lines]),
        strength=np.asarray(store.strength[lines]),
        hkl=np.asarray(store.hkl[lines]),
        multiplicity=np.asarray(store.multiplicity[lines]),
        offsets=offsets,
        space_group_number=np.asarray(store.space_group_number[structures]),
        reciprocal=np.asarray(store.reciprocal[structures]),
        family_hash=np.asarray(store.family_hash[structures]),
        identifier=np.asarray(store.identifier[structures]),
    )


def write_stick_store(store: StickStore, directory: Path) -> None:
    """Write a store to a folder, as `open_stick_store` reads it."""
    directory.mkdir(parents=True, exist_ok=True)
    for column in fields(store):
        np.save(directory / f"{column.name}.npy", getattr(store, column.name))


def lines_of(store: StickStore, structures: IntArray) -> tuple[IntArray, IntArray]:
    """Return the numbers of all lines of some structures, and where each structure's begin.

    Returns
    -------
    ndarray of int, shape (n_lines,)
    ndarray of int, shape (n_structures + 1,)
    """
    first = np.asarray(store.offsets[structures])
    n_lines = np.asarray(store.offsets[structures + 1]) - first
    offsets = np.concatenate(([0], np.cumsum(n_lines)))
    lines = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], n_lines)
    return lines, offsets


def strongest_lines(
    store: StickStore, *, n_lines: int, q_max_per_angstrom: float, b_square_angstrom: float
) -> StickStore:
    """Return the same structures with their strongest lines only, at most so many of each.

    Strength is height in a pattern: |F|^2 with thermal motion over q^2, the Lorentz factor at small
    angles.
    """
    blocks = (
        np.arange(start, min(start + _BLOCK, store.n_structures))
        for start in range(0, store.n_structures, _BLOCK)
    )
    kept = [
        _are_strongest(store, block, n_lines, q_max_per_angstrom, b_square_angstrom)
        for block in blocks
    ]
    is_kept = np.concatenate([np.zeros(0, dtype=bool), *kept])
    n_kept_before = np.concatenate(([0], np.cumsum(is_kept)))
    return replace(
        store,
        q_per_angstrom=store.q_per_angstrom[is_kept],
        strength=store.strength[is_kept],
        hkl=store.hkl[is_kept],
        multiplicity=store.multiplicity[is_kept],
        offsets=n_kept_before[store.offsets],
    )


def _are_strongest(
    store: StickStore, block: IntArray, n_lines: int, q_max: float, b_square: float
) -> BoolArray:
    """Return which lines of a block of consecutive structures are kept."""
    span = slice(int(store.offsets[block[0]]), int(store.offsets[block[-1] + 1]))
    n_of_each = np.diff(store.offsets[block[0] : block[-1] + 2])
    owner = np.repeat(np.arange(block.size), n_of_each)
    q = np.asarray(store.q_per_angstrom[span], dtype=np.float64)
    height = store.strength[span] * debye_waller(q, b_square) / q**2
    height = np.where(q <= q_max, height, -1.0)
    order = np.lexsort((-height, owner))
    first = np.cumsum(n_of_each) - n_of_each
    is_kept = np.zeros(q.size, dtype=bool)
    is_kept[order] = np.arange(q.size) - first[owner] < n_lines
    return is_kept & (height > 0)
