"""Patterns simulated of structures whose families no network of ours is trained on."""

import tempfile
import zlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.structure_table import (
    TableRow,
    count_structures,
    read_structures,
)
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import Settings
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import StickStore, open_stick_store, stick_store
from phasepilot.models.errors import CrystalError
from phasepilot.models.pattern import Pattern

_TABLE = "structures.parquet"
_Q_MAX_PER_ANGSTROM = 7.0
# A tenth of families is held out, and popular families are few: about one structure of twenty.
_ROWS_PER_STRUCTURE = 40
# Patterns drawn at once: their arrays stay in the processor's cache.
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Structures that no network saw.

    Attributes
    ----------
    store : StickStore
    chosen : ndarray of int, shape (n_structures,)
        Their numbers in the store.
    """

    store: StickStore
    chosen: IntArray

    @property
    def space_group_index(self) -> IntArray:
        """Space group number less 1, shape (n_structures,)."""
        return np.asarray(self.store.space_group_number[self.chosen] - 1)


def held_out_structures(
    structures: Path | None, n_structures: int, rng: Generator, *, space_groups: range
) -> HeldOut:
    """Return random structures of held-out families, none of them twice.

    Parameters
    ----------
    structures : Path or None
        Structure table; or folder that holds a file structures.parquet; or folder of stick lists
        as `phasepilot structures sticks` makes it, which is faster.
    space_groups : range
        Numbers of the space groups to take from.

    Raises
    ------
    CrystalError
        If there is no table, or it holds fewer held-out structures.
    """
    if structures is not None and (structures / "offsets.npy").exists():
        store = open_stick_store(structures)
        is_wanted = store.is_held_out & np.isin(store.space_group_number, list(space_groups))
        candidates = rng.permutation(np.flatnonzero(is_wanted))
    else:
        crystals = _held_out_crystals(structure_table(structures), n_structures, rng, space_groups)
        store = stick_store(crystals, _Q_MAX_PER_ANGSTROM)
        candidates = np.arange(store.n_structures)
    if candidates.size < n_structures:
        raise CrystalError(
            f"{n_structures} structures of held-out families are needed, but {structures} gave"
            f" {candidates.size}; give a larger table with --structures, or fewer --seeds."
        )
    return HeldOut(store, candidates[:n_structures])


def simulated_patterns(
    held_out: HeldOut, settings: Settings, rng: Generator, *, second: IntArray | None = None
) -> list[Pattern]:
    """Return one simulated measurement of each structure, as an instrument would give it.

    Parameters
    ----------
    settings : Settings
        Of n_structures patterns, on an axis in 2-theta.
    second : ndarray of int, shape (n_structures,), optional
        Number in the store of the second phase of each sample, of which the settings say how much;
        without it samples are pure.

    Raises
    ------
    PatternError
        If a pattern shows no line.
    """
    simulator = PatternSimulator(held_out.store, NumpyBackend(rng))
    chosen = held_out.chosen
    patterns: list[Pattern] = []
    for start in range(0, chosen.size, _BLOCK):
        rows = slice(start, start + _BLOCK)
        others = None if second is None else second[rows]
        measured = simulator.simulate(chosen[rows], _part_of(settings, rows), others)
        patterns += [measured.pattern(k) for k in range(len(measured.is_measured))]
    return patterns


def _part_of(settings: Settings, rows: slice) -> Settings:
    return Settings(
        settings.recipe,
        settings.axis_start[rows],
        settings.axis_stop[rows],
        {name: values[rows] for name, values in settings.columns.items()},
        settings.seed + (rows.start or 0),
    )


def structure_table(structures: Path | None) -> Path:
    """Return the table itself, or the one in a folder.

    Raises
    ------
    CrystalError
        If there is none, or more than one.
    """
    if structures is None:
        raise CrystalError(
            "this benchmark needs a structure table, but none is given; name it with --structures,"
            " or set PHASEPILOT_DATA."
        )
    if not structures.is_dir():
        return structures
    found = sorted(structures.rglob(_TABLE))
    if len(found) != 1:
        raise CrystalError(
            f"{structures} must hold one file {_TABLE}, but holds {len(found)}; give the path of"
            " the table with --structures."
        )
    return found[0]


def _held_out_crystals(
    table: Path, n_crystals: int, rng: Generator, space_groups: range
) -> list[Crystal]:
    """Return at most so many crystals of held-out families."""
    with tempfile.TemporaryDirectory() as folder:
        # To tell a family takes milliseconds a row: of a whole table, minutes.
        part = Path(folder) / _TABLE
        write_random_rows(table, part, n_crystals * _ROWS_PER_STRUCTURE, rng, space_groups)
        rows = (row for row in read_structures(part) if is_held_out(row))
        return [row.crystal for row in islice(rows, n_crystals)]


def is_held_out(row: TableRow) -> bool:
    """Say whether the row's family is held out, as `StickStore.is_held_out` does."""
    return is_held_out_family(row.family)


def is_held_out_family(family: str) -> bool:
    """Say whether no network of ours is trained on structures of this family."""
    return zlib.crc32(family.encode()) % 10 == 0


def write_random_rows(
    table: Path, part: Path, n_rows: int, rng: Generator, space_groups: range
) -> None:
    """Write some rows of the table to another."""
    count_structures(table)  # says what is wrong with a file that is no table
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(table, filters=[("sg", "in", list(space_groups))])
    chosen = rng.permutation(rows.num_rows)[:n_rows]
    pyarrow.parquet.write_table(rows.take(chosen), part)
