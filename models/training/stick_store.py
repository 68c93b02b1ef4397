"""Stick lists of a whole structure table, computed once and memory-mapped afterwards."""

import json
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from phasepilot.models.arrays import BoolArray, Float32Array, IntArray
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.diffraction.structure_table import count_structures, read_structures
from phasepilot.models.errors import CrystalError, TrainingError

# Lines beyond the strongest few hundred are below the noise of any pattern trained on.
MAX_LINES = 300
_ROWS_PER_TASK = 4000
_ARRAYS = ("q_per_angstrom", "strength", "offsets", "space_group_number", "family_hash")


@dataclass(frozen=True, slots=True)
class StickStore:
    """Stick lists of many structures, one behind the other.

    Attributes
    ----------
    q_per_angstrom, strength : ndarray, shape (n_lines_in_all,)
        Structure k owns lines ``offsets[k]:offsets[k + 1]``; `strength` is the sum of |F|^2, the
        strongest line of each structure 1.
    offsets : ndarray, shape (n_structures + 1,)
    space_group_number, family_hash : ndarray, shape (n_structures,)
    """

    q_per_angstrom: Float32Array
    strength: Float32Array
    offsets: IntArray
    space_group_number: IntArray
    family_hash: IntArray

    @property
    def n_structures(self) -> int:
        """Number of structures held."""
        return int(self.space_group_number.size)

    @property
    def is_held_out(self) -> BoolArray:
        """Which structures belong to a family that is never trained on (a tenth of families)."""
        return np.asarray(self.family_hash % 10 == 0)


def open_stick_store(directory: Path) -> StickStore:
    """Return the store of that directory, memory-mapped.

    Raises
    ------
    TrainingError
        If there is none.
    """
    try:
        arrays = [np.load(directory / f"{name}.npy", mmap_mode="r") for name in _ARRAYS]
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(
            f"a stick store must hold {', '.join(_ARRAYS)}, but {directory} does not ({error});"
            " delete the folder and run the training again to rebuild it."
        ) from error
    return StickStore(*arrays)


def build_stick_store(
    structures: Path,
    directory: Path,
    *,
    licences: tuple[str, ...],
    q_max_per_angstrom: float,
    max_atoms: int,
    max_rows: int | None = None,
    n_workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StickStore:
    """Return the stick lists of all usable structures; computed unless the directory holds them.

    `progress` is called with rows done and rows in all.

    Raises
    ------
    CrystalError
        If `structures` is not a table.
    TrainingError
        If the directory holds lists that were computed from something else.
    """
    about = {
        "structures": structures.name,
        "licences": list(licences),
        "max_atoms": max_atoms,
        "max_rows": max_rows,
        "q_max_per_angstrom": q_max_per_angstrom,
    }
    if directory.exists():
        _check_about(directory, about)
        return open_stick_store(directory)
    n_rows = min(count_structures(structures), max_rows or 2**62)
    starts = range(0, n_rows, _ROWS_PER_TASK)
    parts: dict[int, list[Float32Array | IntArray]] = {}
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        futures = {
            pool.submit(
                _sticks_of_rows,
                structures,
                start,
                min(start + _ROWS_PER_TASK, n_rows),
                licences,
                q_max_per_angstrom,
                max_atoms,
            ): start
            for start in starts
        }
        for n_done, future in enumerate(as_completed(futures), start=1):
            parts[futures[future]] = future.result()
            progress(min(n_done * _ROWS_PER_TASK, n_rows), n_rows)
    _write_store(directory, [parts[start] for start in starts], about)
    return open_stick_store(directory)


def _write_store(
    directory: Path, parts: list[list[Float32Array | IntArray]], about: dict[str, object]
) -> None:
    q, strength, n_lines, numbers, families = (
        np.concatenate([part[column] for part in parts]) for column in range(5)
    )
    offsets = np.concatenate(([0], np.cumsum(n_lines))).astype(np.int64)
    directory.mkdir(parents=True)
    for name, array in zip(_ARRAYS, (q, strength, offsets, numbers, families), strict=True):
        np.save(directory / f"{name}.npy", array)
    (directory / "about.json").write_text(json.dumps(about, indent=1))


def _check_about(directory: Path, about: dict[str, object]) -> None:
    # Lists of other rows would be trained on under a card that states these licences.
    try:
        stored = json.loads((directory / "about.json").read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"a stick store must say in about.json what it was built from, but {directory} does"
            f" not ({error}); delete the folder and run the training again to rebuild it."
        ) from error
    changed = [name for name, value in about.items() if stored.get(name, value) != value]
    if changed:
        raise TrainingError(
            f"the stick store {directory} must be built from this configuration, but differs in"
            f" {', '.join(changed)}; use another work_directory, or delete that folder."
        )


def _sticks_of_rows(
    structures: Path,
    start: int,
    stop: int,
    licences: tuple[str, ...],
    q_max_per_angstrom: float,
    max_atoms: int,
) -> list[Float32Array | IntArray]:
    rows = list(_usable_sticks(structures, start, stop, licences, q_max_per_angstrom, max_atoms))
    empty = np.zeros(0, dtype=np.float32)
    return [
        np.concatenate([row[0] for row in rows] or [empty]),
        np.concatenate([row[1] for row in rows] or [empty]),
        np.array([row[0].size for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.int64),
        np.array([row[3] for row in rows], dtype=np.int64),
    ]


def _usable_sticks(
    structures: Path,
    start: int,
    stop: int,
    licences: tuple[str, ...],
    q_max_per_angstrom: float,
    max_atoms: int,
) -> Iterator[tuple[Float32Array, Float32Array, int, int]]:
    for row in read_structures(structures, start=start, stop=stop, max_atoms=max_atoms):
        if row.licence not in licences:
            continue
        try:
            sticks = powder_sticks(row.crystal, q_max_per_angstrom)
        except CrystalError:
            continue
        q, strength = sticks.q_per_angstrom, sticks.structure_factor_squared
        # The powder line is about |F|^2 / q^2 high; what is 1e-4 of the strongest is never seen.
        height = strength / q**2
        kept = np.argsort(height)[::-1][:MAX_LINES]
        kept = np.sort(kept[height[kept] > 1e-4 * height.max(initial=0.0)])
        if kept.size:
            yield (
                q[kept].astype(np.float32),
                (strength[kept] / strength[kept].max()).astype(np.float32),
                row.crystal.space_group_number,
                zlib.crc32(row.family.encode()),
            )
