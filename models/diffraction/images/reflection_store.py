"""Reflections of many crystals in all directions, computed once and memory-mapped afterwards.

Spot patterns for training are drawn from these lists: any zone axis or orientation, any detector.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.array_folder import ABOUT, check_about, open_arrays
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.structure_table import (
    TableRow,
    read_structures,
    structures_per_space_group,
)
from phasepilot.models.diffraction.images.spot_pattern import lattice_box, structure_factor_squared
from phasepilot.models.diffraction.reflections import DEFAULT_B_SQUARE_ANGSTROM
from phasepilot.models.diffraction.stick_store import check_standard_axes
from phasepilot.models.errors import CrystalError, StickStoreError

# 1/d, in 1/angstrom: a little more than Cu K-alpha reaches at 2 theta = 150 degree.
REACH_PER_ANGSTROM = 1.26
# The strongest that are kept of a crystal. More are only in cells above 1000 cubic angstrom.
MOST_REFLECTIONS = 4096
# hkl are held as 8-bit integers; longer edges than this many angstrom would not fit.
_LONGEST_EDGE = 127 / REACH_PER_ANGSTROM
_ROWS_PER_PART = 500
_KIND = "a reflection store"
_ARRAYS = (
    *("offsets", "hkl", "intensity", "reciprocal"),
    *("space_group_number", "family_hash", "row", "identifier"),
)


@dataclass(frozen=True, slots=True)
class Reflections:
    """Reflections of one crystal; of h k l and -h -k -l, which Friedel's law makes equal, one.

    Attributes
    ----------
    hkl : ndarray of int8, shape (n, 3)
    intensity : ndarray, shape (n,)
        |F|^2 of the conventional cell with the Debye-Waller factor, in electrons squared; above 0.
    reciprocal : ndarray, shape (3, 3)
        Rows a*, b*, c* without 2 pi, in 1/angstrom.
    """

    hkl: NDArray[np.int8]
    intensity: Float32Array
    reciprocal: FloatArray


@dataclass(frozen=True, slots=True)
class ReflectionStore:
    """Reflections of many crystals, one behind the other.

    Attributes
    ----------
    offsets : ndarray, shape (n_structures + 1,)
        Structure k owns reflections ``offsets[k]:offsets[k + 1]``.
    hkl, intensity : ndarray, shapes (n_in_all, 3), (n_in_all,)
        As `Reflections`.
    reciprocal : ndarray, shape (n_structures, 3, 3)
    space_group_number, family_hash : ndarray, shape (n_structures,)
        Hash of the prototype family, as in the stick lists of powder patterns.
    row : ndarray, shape (n_structures,)
        Number of the row of the structure table.
    identifier : ndarray of str, shape (n_structures,)
    """

    offsets: IntArray
    hkl: NDArray[np.int8]
    intensity: Float32Array
    reciprocal: FloatArray
    space_group_number: IntArray
    family_hash: IntArray
    row: IntArray
    identifier: NDArray[np.str_]

    @property
    def n_structures(self) -> int:
        """Number of structures held."""
        return int(self.space_group_number.size)

    @property
    def is_held_out(self) -> BoolArray:
        """Which structures belong to a family that is never trained on (a tenth of families)."""
        return np.asarray(self.family_hash % 10 == 0)

    def reflections(self, number: int) -> Reflections:
        """Return those of one structure."""
        own = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return Reflections(self.hkl[own], self.intensity[own], self.reciprocal[number])


def crystal_reflections(
    crystal: Crystal, *, b_square_angstrom: float = DEFAULT_B_SQUARE_ANGSTROM
) -> Reflections:
    """Return the reflections of a crystal up to 1/d = 1.26 1/angstrom, the strongest 4096.

    Raises
    ------
    CrystalError
        If an edge of the cell is longer than 100 angstrom, or there is no reflection.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> gold = crystal_from_sites("Au", "F m -3 m", (4.07,) * 3 + (90.0,) * 3, [("Au", (0, 0, 0))])
    >>> crystal_reflections(gold).hkl.shape
    (68, 3)
    """
    if not np.linalg.norm(crystal.direct, axis=1).max() < _LONGEST_EDGE:
        raise CrystalError(
            f"{crystal.name} must have cell edges below {_LONGEST_EDGE:.0f} angstrom, but has"
            f" {crystal.cell[:3]}; leave it out."
        )
    h, k, l = lattice_box(crystal, REACH_PER_ANGSTROM)  # noqa: E741
    h = h[h >= 0]
    hkl = np.stack(np.meshgrid(h, k, l, indexing="ij"), axis=-1).reshape(-1, 3)
    # The half of the sphere whose first index that is not 0 is positive: the box lists h, then k,
    # then l from below, so that it starts right behind 0 0 0.
    hkl = hkl[k.size * l.size // 2 + 1 :]
    length = np.linalg.norm(hkl @ crystal.reciprocal, axis=1)
    is_inside = length <= REACH_PER_ANGSTROM
    hkl, length = hkl[is_inside], length[is_inside]
    intensity = structure_factor_squared(crystal, hkl, length, b_square_angstrom)
    strongest = np.argsort(intensity)[::-1][:MOST_REFLECTIONS]
    kept = np.sort(strongest[intensity[strongest] > 0])
    if not kept.size:
        raise CrystalError(
            f"{crystal.name} must have a reflection up to 1/d = {REACH_PER_ANGSTROM:g} 1/angstrom,"
            " but has none; leave it out."
        )
    return Reflections(
        hkl[kept].astype(np.int8), intensity[kept].astype(np.float32), crystal.reciprocal
    )


def reflection_store(crystals: Iterable[Crystal]) -> ReflectionStore:
    """Return the reflections of these crystals, in memory; they are of no table: their row is -1.

    Raises
    ------
    CrystalError
        As `crystal_reflections`.
    """
    return _joined(
        [_entry(crystal_reflections(one), one, one.name, one.name, -1) for one in crystals]
    )


def open_reflection_store(directory: Path) -> ReflectionStore:
    """Return the store of that directory, memory-mapped.

    Raises
    ------
    StickStoreError
        If there is none.
    """
    return ReflectionStore(*open_arrays(directory, _ARRAYS, kind=_KIND))


def build_reflection_store(
    structures: Path,
    directory: Path,
    *,
    licences: tuple[str, ...],
    max_atoms: int = 300,
    max_per_space_group: int = 250,
    seed: int = 0,
    n_workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ReflectionStore:
    """Return the reflections of rows drawn from a table; computed unless the directory holds them.

    Rows are usable as for powder patterns: of these licences, not larger than `max_atoms` and in
    the standard setting. Of each space group as many as `max_per_space_group` are drawn at random;
    structures of held-out families are among them.

    Raises
    ------
    CrystalError
        If `structures` is not a table.
    StickStoreError
        If it has no usable row, or the directory holds reflections of another choice of rows.
    """
    about: dict[str, object] = {
        "structures": structures.name,
        "licences": list(licences),
        "max_atoms": max_atoms,
        "max_per_space_group": max_per_space_group,
        "seed": seed,
    }
    if (directory / ABOUT).exists():
        check_about(directory, about, kind=_KIND)
        return open_reflection_store(directory)
    rows = structures_per_space_group(
        structures,
        licences=licences,
        max_atoms=max_atoms,
        n_most=max_per_space_group,
        rng=np.random.default_rng(seed),
    )
    if not rows.size:
        raise StickStoreError(
            f"a structure table must have usable rows, but {structures} has none of these licences;"
            " build it from a folder that holds CIF files."
        )
    parts: dict[int, ReflectionStore] = {}
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        starts = range(0, rows.size, _ROWS_PER_PART)
        futures = {
            pool.submit(_store_of_rows, structures, rows[start : start + _ROWS_PER_PART]): start
            for start in starts
        }
        for n_done, future in enumerate(as_completed(futures), start=1):
            parts[futures[future]] = future.result()
            progress(min(n_done * _ROWS_PER_PART, rows.size), rows.size)
    directory.mkdir(parents=True, exist_ok=True)
    store = _joined([parts[start] for start in starts])
    for name in _ARRAYS:
        np.save(directory / f"{name}.npy", getattr(store, name))
    # Last, since it says that the store is whole.
    (directory / ABOUT).write_text(json.dumps(about, indent=1))
    return open_reflection_store(directory)


def _store_of_rows(structures: Path, rows: IntArray) -> ReflectionStore:
    first, last = int(rows[0]), int(rows[-1])
    table = read_structures(
        structures, start=first, stop=last + 1, max_atoms=10**6, chosen=set(rows.tolist())
    )
    return _joined(list(_entries(table)))


def _entries(table: Iterable[TableRow]) -> Iterator[ReflectionStore]:
    for row in table:
        try:
            check_standard_axes(row.crystal)
            found = crystal_reflections(row.crystal)
        except CrystalError:
            continue
        yield _entry(found, row.crystal, row.family, row.identifier, row.number)


def _entry(
    found: Reflections, crystal: Crystal, family: str, identifier: str, row: int
) -> ReflectionStore:
    """Return a store of one structure."""
    return ReflectionStore(
        offsets=np.array([0, found.intensity.size]),
        hkl=found.hkl,
        intensity=found.intensity,
        reciprocal=found.reciprocal[None],
        space_group_number=np.array([crystal.space_group_number]),
        family_hash=np.array([zlib.crc32(family.encode())]),
        row=np.array([row]),
        identifier=np.array([identifier]),
    )


def _joined(stores: list[ReflectionStore]) -> ReflectionStore:
    columns = {
        name: np.concatenate([getattr(store, name) for store in stores])
        for name in _ARRAYS
        if name != "offsets"
    }
    n_reflections = np.concatenate([np.diff(store.offsets) for store in stores])
    return ReflectionStore(offsets=np.concatenate(([0], np.cumsum(n_reflections))), **columns)
