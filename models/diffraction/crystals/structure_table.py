"""Crystals from a table of structures in Parquet, one row a structure.

The table holds asymmetric units in the standard setting of their space group
(`phasepilot.models.diffraction.crystals.symmetry`). These columns are read; a table may have more:

==================  ===============================================================================
id, licence         text; what to call the row, and on which terms it may be used (or null)
formula             text, reduced
a b c, alpha beta   cell of the setting, in angstrom and degree
gamma
sg, hall            space group, 1 to 230, and Hall number of the setting, 1 to 530
z, occ, xyz, mult   lists with an entry a site (three for xyz): atomic number, occupancy, fractional
                    coordinates, and how many atoms of the cell the site stands for
n_conv              atoms of the conventional cell; elements that share a position count once
==================  ===============================================================================

`phasepilot.models.diffraction.crystals.table_builder` makes such a table from CIF files.
"""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal
from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.diffraction.crystals.wyckoff import first_lettering, wyckoff_letters
from phasepilot.models.errors import CrystalError

_CELL = ("a", "b", "c", "alpha", "beta", "gamma")
_COLUMNS = ["id", "licence", "formula", *_CELL, "sg", "hall", "z", "occ", "xyz", "mult", "n_conv"]
# Rows turned into Python objects at a time; whole tables would fill the memory.
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: a crystal and what a training run needs to know of it.

    Attributes
    ----------
    number : int
        Which row of the table it is; the first is 0.
    identifier : str
    licence : str
        Empty if the row states none.
    family : str
        Space group, anonymous formula and Wyckoff letters of the occupied sites, described the same
        way whatever origin and axes were chosen. Structures of one family diffract alike, so
        training and validation are split by it.
    crystal : Crystal
    """

    number: int
    identifier: str
    licence: str
    family: str
    crystal: Crystal


def read_structures(
    path: Path,
    *,
    start: int = 0,
    stop: int | None = None,
    max_atoms: int = 200,
    chosen: Container[int] | None = None,
) -> Iterator[TableRow]:
    """Yield the rows from `start` to `stop` that can be simulated; others are passed over.

    With `chosen`, only rows of these numbers. Rows are passed over when they have more than
    `max_atoms` atoms in the conventional cell, an occupancy above 1, or sites that the space group
    does not repeat as often as the row says: those have lost atoms.

    Raises
    ------
    CrystalError
        If the file is not such a table, or a row holds what no crystal has.
    """
    for number, row in enumerate(_rows(path, start, stop), start):
        if chosen is not None and number not in chosen:
            continue
        if row["n_conv"] > max_atoms or max(row["occ"]) > 1.0:
            continue
        entry = _table_row(number, row)
        if entry.crystal.multiplicities.tolist() == row["mult"]:
            yield entry


def structures_per_space_group(
    path: Path, *, licences: tuple[str, ...], max_atoms: int, n_most: int, rng: Generator
) -> IntArray:
    """Return the numbers of rows drawn at random, at most `n_most` of each space group, sorted.

    Raises
    ------
    CrystalError
        If the file is not such a table.
    """
    with _opened(path) as file:
        columns = file.read(["sg", "licence", "n_conv"]).to_pydict()
    is_usable = np.isin(np.array(columns["licence"], dtype=np.str_), licences)
    is_usable &= np.array(columns["n_conv"]) <= max_atoms
    numbers = rng.permutation(np.flatnonzero(is_usable))
    group = np.array(columns["sg"])[numbers]
    drawn = [numbers[group == number][:n_most] for number in range(1, 231)]
    return np.sort(np.concatenate(drawn))


def count_structures(path: Path) -> int:
    """Return the number of rows of the table, those included that are passed over.

    Raises
    ------
    CrystalError
        If the file is not such a table.
    """
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def _rows(path: Path, start: int, stop: int | None) -> Iterator[dict[str, Any]]:
    """Yield rows start to stop, reading only the row groups that hold them."""
    with _opened(path) as file:
        last = file.metadata.num_rows if stop is None else min(stop, file.metadata.num_rows)
        first = 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            if first < last and end > start:
                table = file.read_row_group(group, columns=_COLUMNS)
                wanted = table.slice(max(start - first, 0), min(last, end) - max(start, first))
                for batch in wanted.to_batches(max_chunksize=_BATCH):
                    yield from batch.to_pylist()
            first = end


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open the table; what goes wrong there and in the block is the file's fault."""
    # Importing costs a second and pyarrow is only needed for training.
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            lacking = [name for name in _COLUMNS if name not in file.schema_arrow.names]
            if lacking:
                raise _not_a_table(path, f"it lacks {', '.join(lacking)}")
            yield file
    except (OSError, pyarrow.ArrowException) as error:
        raise _not_a_table(path, str(error)) from error


def _not_a_table(path: Path, why: str) -> CrystalError:
    return CrystalError(
        f"structures must be a Parquet table with the columns {', '.join(_COLUMNS)}, but"
        f" {path} could not be read as one ({why}); give the path of structures.parquet."
    )


def _table_row(number: int, row: dict[str, Any]) -> TableRow:
    a, b, c, alpha, beta, gamma = (float(row[name]) for name in _CELL)
    structure = crystal(
        row["formula"],
        hall_number=int(row["hall"]),
        cell=(a, b, c, alpha, beta, gamma),
        atomic_numbers=np.array(row["z"]),
        fractional=np.array(row["xyz"], dtype=np.float64),
        occupancies=np.array(row["occ"], dtype=np.float64),
    )
    return TableRow(number, row["id"], row["licence"] or "", _family(row, structure), structure)


def _family(row: dict[str, Any], structure: Crystal) -> str:
    amounts: dict[int, float] = {}
    for number, occupancy, multiplicity in zip(row["z"], row["occ"], row["mult"], strict=True):
        amounts[number] = amounts.get(number, 0.0) + occupancy * multiplicity
    counts = sorted(round(amount) for amount in amounts.values())
    divisor = int(np.gcd.reduce(counts)) or 1
    anonymous = "-".join(str(count // divisor) for count in counts)
    return f"{row['sg']}|{anonymous}|{_arrangement(structure)}"


def _arrangement(structure: Crystal) -> str:
    standard = standard_setting(structure.space_group_number)
    if structure.setting.hall_number != standard.hall_number:
        # Letters are tabulated for one origin; multiplicities do not depend on it.
        return "-".join(map(str, sorted(structure.multiplicities.tolist())))
    letters = wyckoff_letters(structure)
    return "".join(first_lettering(structure.space_group_number, letters))
