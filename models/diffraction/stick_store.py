"""Stick lists of many structures, computed once and memory-mapped afterwards."""

import json
import shutil
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
from phasepilot.models.diffraction.crystals.structure_table import count_structures, read_structures
from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.diffraction.reflections import Sticks, powder_sticks
from phasepilot.models.errors import CrystalError, StickStoreError

# What is kept of a structure: lines of at least this height against its highest, with 1 / q^2 for
# the Lorentz factor, and no more than so many. In 200 random structures of a table of inorganic
# crystals that leaves out 0.04 % of the intensity up to q = 7 in the median, and more than 1.1 % in
# one of ten: large cells of low symmetry, whose weak lines run into each other.
LOWEST_HEIGHT = 3e-4
MAX_LINES = 1000
_ROWS_PER_PART = 4000
_KIND = "a stick store"
_ARRAYS = (
    *("q_per_angstrom", "strength", "hkl", "multiplicity"),
    *("offsets", "space_group_number", "reciprocal", "family_hash", "identifier"),
)


@dataclass(frozen=True, slots=True)
class StickStore:
    """Stick lists of many structures, one behind the other.

    Attributes
    ----------
    q_per_angstrom, strength : ndarray, shape (n_lines_in_all,)
        Structure k owns lines ``offsets[k]:offsets[k + 1]``, sorted by q. `strength` is the sum of
        |F|^2 over the family and over the square of the cell's volume, without thermal motion:
        lines of phases in a mixture compare by it times their volume fractions.
    hkl : ndarray of int, shape (n_lines_in_all, 3)
    multiplicity : ndarray of int, shape (n_lines_in_all,)
    offsets : ndarray, shape (n_structures + 1,)
    space_group_number, family_hash : ndarray, shape (n_structures,)
    reciprocal : ndarray, shape (n_structures, 3, 3)
        Rows a*, b*, c* without 2 pi, in 1/angstrom.
    identifier : ndarray of str, shape (n_structures,)
        Of the row of the table; the crystal's name for crystals that come from none.
    """

    q_per_angstrom: Float32Array
    strength: Float32Array
    hkl: NDArray[np.int16]
    multiplicity: NDArray[np.int16]
    offsets: IntArray
    space_group_number: IntArray
    reciprocal: FloatArray
    family_hash: IntArray
    identifier: NDArray[np.str_]

    @property
    def n_structures(self) -> int:
        """Number of structures held."""
        return int(self.space_group_number.size)

    @property
    def is_held_out(self) -> BoolArray:
        """Which structures belong to a family that is never trained on (a tenth of families)."""
        return np.asarray(self.family_hash % 10 == 0)


def stick_store(crystals: Iterable[Crystal], q_max_per_angstrom: float) -> StickStore:
    """Return the stick lists of these crystals, in memory.

    Raises
    ------
    CrystalError
        If a crystal has no line up to q_max.
    """
    return _joined([_entry(one, q_max_per_angstrom, one.name, one.name) for one in crystals])


def open_stick_store(directory: Path) -> StickStore:
    """Return the store of that directory, memory-mapped.

    Raises
    ------
    StickStoreError
        If there is none.
    """
    return StickStore(*open_arrays(directory, _ARRAYS, kind=_KIND))


def build_stick_store(
    structures: Path,
    directory: Path,
    *,
    licences: tuple[str, ...] | None,
    q_max_per_angstrom: float,
    max_atoms: int,
    max_rows: int | None = None,
    n_workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StickStore:
    """Return the stick lists of all usable structures; computed unless the directory holds them.

    What was computed before an interruption is taken up again.

    Parameters
    ----------
    licences : tuple of str or None
        Rows with another licence are left out; None takes all.
    progress : callable
        Called with rows done and rows in all.

    Raises
    ------
    CrystalError
        If `structures` is not a table.
    StickStoreError
        If the directory holds lists that were computed from something else.
    """
    about: dict[str, object] = {
        "structures": structures.name,
        "licences": None if licences is None else list(licences),
        "max_atoms": max_atoms,
        "max_rows": max_rows,
        "q_max_per_angstrom": q_max_per_angstrom,
    }
    if directory.exists():
        check_about(directory, about, kind=_KIND)
    if (directory / f"{_ARRAYS[-1]}.npy").exists():
        return open_stick_store(directory)
    n_rows = min(count_structures(structures), max_rows or 2**62)
    if not n_rows:
        raise StickStoreError(
            f"a structure table must have rows, but {structures} has none; build it from a folder"
            " that holds CIF files."
        )
    parts = directory / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    (directory / ABOUT).write_text(json.dumps(about, indent=1))
    starts = range(0, n_rows, _ROWS_PER_PART)
    missing = [start for start in starts if not _part(parts, start).exists()]
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        futures = [
            pool.submit(
                _write_part,
                _part(parts, start),
                structures,
                (start, min(start + _ROWS_PER_PART, n_rows)),
                licences,
                q_max_per_angstrom,
                max_atoms,
            )
            for start in missing
        ]
        n_done = len(starts) - len(missing)
        progress(min(n_done * _ROWS_PER_PART, n_rows), n_rows)
        for n_new, future in enumerate(as_completed(futures), start=n_done + 1):
            future.result()
            progress(min(n_new * _ROWS_PER_PART, n_rows), n_rows)
    _join_parts(directory, [_part(parts, start) for start in starts])
    return open_stick_store(directory)


def _part(parts: Path, start: int) -> Path:
    return parts / f"{start}.npz"


def _join_parts(directory: Path, parts: list[Path]) -> None:
    """Write one array after the other, so that memory holds one of them at a time."""
    for name in _ARRAYS:
        pieces = []
        for part in parts:
            with np.load(part) as content:
                pieces.append(content[name])
        if name == "offsets":
            n_lines = np.concatenate([np.diff(piece) for piece in pieces])
            pieces = [np.concatenate(([0], np.cumsum(n_lines)))]
        np.save(directory / f"{name}.npy", np.concatenate(pieces))
    shutil.rmtree(parts[0].parent)


def _write_part(
    part: Path,
    structures: Path,
    rows: tuple[int, int],
    licences: tuple[str, ...] | None,
    q_max_per_angstrom: float,
    max_atoms: int,
) -> None:
    entries = list(_usable_entries(structures, rows, licences, q_max_per_angstrom, max_atoms))
    store = _joined(entries)
    unfinished = part.with_suffix(".tmp.npz")
    np.savez(unfinished, **{name: getattr(store, name) for name in _ARRAYS})
    unfinished.rename(part)


def _usable_entries(
    structures: Path,
    rows: tuple[int, int],
    licences: tuple[str, ...] | None,
    q_max_per_angstrom: float,
    max_atoms: int,
) -> Iterator[StickStore]:
    start, stop = rows
    table = read_structures(structures, start=start, stop=stop, max_atoms=max_atoms)
    for row in table:
        if licences is None or row.licence in licences:
            try:
                yield _entry(row.crystal, q_max_per_angstrom, row.family, row.identifier)
            except CrystalError:
                continue


def _entry(crystal: Crystal, q_max_per_angstrom: float, family: str, identifier: str) -> StickStore:
    """Return a store of one structure."""
    check_standard_axes(crystal)
    sticks = _visible(powder_sticks(crystal, q_max_per_angstrom, b_square_angstrom=0.0))
    if not sticks.q_per_angstrom.size:
        raise CrystalError(
            f"{crystal.name} must have a line up to q = {q_max_per_angstrom:g} 1/angstrom, but its"
            " first lies beyond; extend the range."
        )
    return StickStore(
        q_per_angstrom=sticks.q_per_angstrom.astype(np.float32),
        strength=(sticks.structure_factor_squared / crystal.volume_cubic_angstrom**2).astype(
            np.float32
        ),
        hkl=sticks.hkl.astype(np.int16),
        multiplicity=sticks.multiplicity.astype(np.int16),
        offsets=np.array([0, sticks.q_per_angstrom.size]),
        space_group_number=np.array([crystal.space_group_number]),
        reciprocal=crystal.reciprocal[None],
        family_hash=np.array([zlib.crc32(family.encode())]),
        identifier=np.array([identifier]),
    )


def check_standard_axes(crystal: Crystal) -> None:
    """Raise CrystalError if the crystal's axes are not the standard ones of its space group."""
    # Strain and texture go by the standard axes of the space group; another origin does not matter.
    standard = standard_setting(crystal.space_group_number)
    if not np.array_equal(crystal.setting.laue_rotations, standard.laue_rotations):
        raise CrystalError(
            f"{crystal.name} must be in the standard setting {standard.symbol}, but is in"
            f" {crystal.setting.symbol}; convert it with unit_cell.standard_crystal first."
        )


def _visible(sticks: Sticks) -> Sticks:
    """Return the lines that can be seen, at most `MAX_LINES`."""
    height = sticks.structure_factor_squared / sticks.q_per_angstrom**2
    strongest = np.argsort(height)[::-1][:MAX_LINES]
    return sticks.chosen(
        np.sort(strongest[height[strongest] > LOWEST_HEIGHT * height.max(initial=0.0)])
    )


def _joined(stores: list[StickStore]) -> StickStore:
    if not stores:
        stores = [_EMPTY]
    columns = {
        name: np.concatenate([getattr(store, name) for store in stores])
        for name in _ARRAYS
        if name != "offsets"
    }
    n_lines = np.concatenate([np.diff(store.offsets) for store in stores])
    return StickStore(offsets=np.concatenate(([0], np.cumsum(n_lines))), **columns)


_EMPTY = StickStore(
    q_per_angstrom=np.zeros(0, dtype=np.float32),
    strength=np.zeros(0, dtype=np.float32),
    hkl=np.zeros((0, 3), dtype=np.int16),
    multiplicity=np.zeros(0, dtype=np.int16),
    offsets=np.zeros(1, dtype=np.int64),
    space_group_number=np.zeros(0, dtype=np.int64),
    reciprocal=np.zeros((0, 3, 3)),
    family_hash=np.zeros(0, dtype=np.int64),
    identifier=np.zeros(0, dtype=np.str_),
)
