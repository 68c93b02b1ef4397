"""The search index: everything a search needs of many known structures, in one folder.

::

    DIR/sticks/           lines of every structure, as a `StickStore` (the strongest of each)
    DIR/templates.npy     contrast of coarse root patterns, int8; and first_look.npy, coarser still
    DIR/name.npy, formula.npy, elements.npy, n_atoms.npy
    DIR/about.json        what it was made from

All arrays are memory-mapped, so that opening an index costs milliseconds and searches that look at
few elements read little of it.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import IntArray
from phasepilot.models.diffraction.crystals.structure_table import count_structures
from phasepilot.models.diffraction.stick_store import (
    StickStore,
    build_stick_store,
    open_stick_store,
)
from phasepilot.models.errors import StickStoreError
from phasepilot.models.identification.coarse_templates import (
    B_SQUARE_ANGSTROM,
    COARSE_GRID,
    FIRST_LOOK_BINS,
    coarse_templates,
    first_look,
)
from phasepilot.models.identification.stick_selection import (
    chosen_structures,
    strongest_lines,
    write_stick_store,
)
from phasepilot.models.identification.structure_labels import StructureLabels, read_labels

# Lines beyond the coarse grid serve the refinement of patterns that reach further.
Q_MAX_PER_ANGSTROM = 6.5
MAX_LINES = 200
MAX_ATOMS = 1000
_LABELS = tuple(StructureLabels.__slots__)
_DRAWN = ("templates", "first_look")
_ABOUT = "about.json"
_STICKS = "sticks"
_BLOCK = 1024

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """Known structures, ready to be searched.

    Attributes
    ----------
    sticks : StickStore
        Lines of every structure, at most `MAX_LINES` of it; its `family_hash` tells families apart.
    labels : StructureLabels
    templates : ndarray of int8, shape (n_structures, n_bins)
        Root patterns on `COARSE_GRID`, as `coarse_templates` draws them.
    first_look : ndarray of int8, shape (n_structures, FIRST_LOOK_BINS)
        The same on fewer bins.
    """

    sticks: StickStore
    labels: StructureLabels
    templates: NDArray[np.int8]
    first_look: NDArray[np.int8]

    @property
    def n_structures(self) -> int:
        """Number of structures held."""
        return self.sticks.n_structures

    def sticks_of(self, structures: IntArray | int) -> StickStore:
        """Return the lines of some structures alone, in the order given."""
        return chosen_structures(self.sticks, np.atleast_1d(np.asarray(structures)))


def open_search_index(directory: Path) -> SearchIndex:
    """Return the index of that folder, memory-mapped.

    Raises
    ------
    StickStoreError
        If there is none.
    """
    try:
        # Written last: an index without it is not whole.
        (directory / _ABOUT).read_text()
        labels = [np.load(directory / f"{name}.npy", mmap_mode="r") for name in _LABELS]
        drawn = [np.load(directory / f"{name}.npy", mmap_mode="r") for name in _DRAWN]
    except (OSError, ValueError, EOFError) as error:
        raise StickStoreError(
            f"a search index must be a folder made by `phasepilot library build`, but {directory}"
            f" is not one ({error}); build it, or finish building it."
        ) from error
    sticks = open_stick_store(directory / _STICKS)
    return SearchIndex(sticks, StructureLabels(*labels), *drawn)


def search_index(sticks: StickStore, labels: StructureLabels) -> SearchIndex:
    """Return the index of a few structures, in memory."""
    templates = coarse_templates(sticks, np.arange(sticks.n_structures))
    return SearchIndex(_compact(sticks), labels, templates, first_look(templates))


def build_search_index(
    table: Path,
    directory: Path,
    *,
    n_workers: int = 2,
    progress: Progress = lambda step, done, total: None,
) -> SearchIndex:
    """Return the index of all usable structures of a table; made unless the folder holds it.

    What was computed before an interruption is taken up again.

    Parameters
    ----------
    progress : callable
        Called with the name of the step, and what of it is done and to do.

    Raises
    ------
    CrystalError
        If `table` is not a structure table.
    StickStoreError
        If the folder holds an index of something else, or the table no structure that can be
        simulated.
    """
    about = _about(table)
    # A table that has changed since an interruption begins anew.
    unfinished = directory / f"lines-{about['n_bytes']}"
    if (directory / _ABOUT).exists():
        _check_about(directory, about)
        return open_search_index(directory)
    sticks = build_stick_store(
        table,
        unfinished,
        licences=None,
        q_max_per_angstrom=Q_MAX_PER_ANGSTROM,
        max_atoms=MAX_ATOMS,
        n_workers=n_workers,
        progress=lambda done, total: progress("lines", done, total),
    )
    if not sticks.n_structures:
        raise StickStoreError(
            f"{table} must hold structures to search for, but none of its {about['n_rows']} can be"
            " simulated; check occupancies and sites."
        )
    labels = read_labels(table, sticks.identifier)
    write_search_index(sticks, labels, directory, about=about, progress=progress)
    shutil.rmtree(unfinished)
    return open_search_index(directory)


def write_search_index(
    sticks: StickStore,
    labels: StructureLabels,
    directory: Path,
    *,
    about: Mapping[str, object],
    progress: Progress = lambda step, done, total: None,
) -> None:
    """Write the index of these structures to a folder.

    Parameters
    ----------
    about : mapping
        What the structures are from, for a later build to compare with.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _write_templates(sticks, directory, progress)
    for name in _LABELS:
        np.save(directory / f"{name}.npy", getattr(labels, name))
    write_stick_store(_compact(sticks), directory / _STICKS)
    # Last: where it is, the rest is whole.
    (directory / _ABOUT).write_text(json.dumps(about, indent=1))


def _write_templates(sticks: StickStore, directory: Path, progress: Progress) -> None:
    n = sticks.n_structures
    templates, narrow = (
        np.lib.format.open_memmap(
            directory / f"{name}.npy", mode="w+", dtype=np.int8, shape=(n, n_bins)
        )
        for name, n_bins in zip(_DRAWN, (COARSE_GRID.n_bins, FIRST_LOOK_BINS), strict=True)
    )
    for start in range(0, n, _BLOCK):
        block = slice(start, min(start + _BLOCK, n))
        templates[block] = coarse_templates(sticks, np.arange(block.start, block.stop))
        narrow[block] = first_look(templates[block])
        progress("patterns", block.stop, n)


def _compact(sticks: StickStore) -> StickStore:
    return strongest_lines(
        sticks,
        n_lines=MAX_LINES,
        q_max_per_angstrom=Q_MAX_PER_ANGSTROM,
        b_square_angstrom=B_SQUARE_ANGSTROM,
    )


def _about(table: Path) -> dict[str, object]:
    n_rows = count_structures(table)
    return {"structures": table.name, "n_rows": n_rows, "n_bytes": table.stat().st_size}


def _check_about(directory: Path, about: Mapping[str, object]) -> None:
    stored = json.loads((directory / _ABOUT).read_text())
    if stored != about:
        raise StickStoreError(
            f"{directory} must be empty or hold the index of {about}, but holds that of {stored};"
            " use another folder, or delete that one."
        )
