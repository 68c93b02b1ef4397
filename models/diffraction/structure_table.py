"""Crystals from a table of structures in Parquet, one row a structure.

The table holds asymmetric units: columns ``id formula licence a b c alpha beta gamma sg hall z occ
xyz mult``, with `hall` the spglib Hall number of the stored setting.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystal import Crystal, distinct_images
from phasepilot.models.errors import CrystalError

_COLUMNS = [
    *("id", "formula", "licence", "a", "b", "c", "alpha", "beta", "gamma"),
    *("sg", "hall", "z", "occ", "xyz", "mult", "n_conv"),
]
_N_HALL_NUMBERS = 530


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: a crystal and what a training run needs to know of it.

    Attributes
    ----------
    family : str
        Space group, anonymous formula and multiplicities of the occupied sites. Structures of one
        family diffract alike, so training and validation are split by it.
    """

    identifier: str
    licence: str
    family: str
    crystal: Crystal


def read_structures(
    path: Path, *, start: int = 0, stop: int | None = None, max_atoms: int = 200
) -> Iterator[TableRow]:
    """Yield the rows from `start` to `stop` that can be simulated; others are passed over.

    Rows are passed over when they have more than `max_atoms` atoms in the conventional cell or an
    occupancy above 1.

    Raises
    ------
    CrystalError
        If the file is not such a table.
    """
    # Reading costs a second and pyarrow is only needed for training.
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=_COLUMNS)
    except (OSError, ValueError) as error:
        raise _not_a_table(path, error) from error
    for row in table.slice(start, None if stop is None else stop - start).to_pylist():
        if row["n_conv"] <= max_atoms and max(row["occ"]) <= 1.0:
            yield _table_row(row)


def count_structures(path: Path) -> int:
    """Return the number of rows of the table.

    Raises
    ------
    CrystalError
        If the file is not such a table.
    """
    import pyarrow.parquet

    try:
        return int(pyarrow.parquet.read_metadata(path).num_rows)
    except (OSError, ValueError) as error:
        raise _not_a_table(path, error) from error


def _not_a_table(path: Path, error: Exception) -> CrystalError:
    return CrystalError(
        f"structures must be a Parquet table with the columns {', '.join(_COLUMNS)}, but"
        f" {path} could not be read as one ({error}); give the path of structures.parquet."
    )


def _table_row(row: dict[str, Any]) -> TableRow:
    rotations, translations = _operations(int(row["hall"]))
    sites = np.array(row["xyz"], dtype=np.float64).reshape(-1, 3)
    positions, numbers, weights = [], [], []
    for site, number, occupancy, multiplicity in zip(
        sites, row["z"], row["occ"], row["mult"], strict=True
    ):
        distinct, counts = distinct_images(rotations @ site + translations)
        positions.append(distinct)
        numbers.append(np.full(len(distinct), number, dtype=np.int64))
        # Sums to the multiplicity even where rounding has split an image in two.
        weights.append(occupancy * multiplicity * counts / len(rotations))
    cell = tuple(float(row[key]) for key in ("a", "b", "c", "alpha", "beta", "gamma"))
    crystal = Crystal(
        row["formula"],
        int(row["sg"]),
        cell,  # type: ignore[arg-type]
        np.concatenate(numbers),
        np.concatenate(positions),
        np.concatenate(weights),
    )
    return TableRow(row["id"], row["licence"] or "", _family(row), crystal)


def _family(row: dict[str, Any]) -> str:
    amounts: dict[int, float] = {}
    for number, occupancy, multiplicity in zip(row["z"], row["occ"], row["mult"], strict=True):
        amounts[number] = amounts.get(number, 0.0) + occupancy * multiplicity
    counts = sorted(round(amount) for amount in amounts.values())
    divisor = int(np.gcd.reduce(counts)) or 1
    anonymous = "-".join(str(count // divisor) for count in counts)
    return f"{row['sg']}|{anonymous}|{'-'.join(map(str, sorted(row['mult'])))}"


@cache
def _operations(hall_number: int) -> tuple[FloatArray, FloatArray]:
    import spglib

    with warnings.catch_warnings():
        # spglib 2.8 warns at every call that it will tell errors in another way.
        warnings.simplefilter("ignore", DeprecationWarning)
        is_known = 1 <= hall_number <= _N_HALL_NUMBERS
        operations = spglib.get_symmetry_from_database(hall_number) if is_known else None
    if operations is None:
        raise CrystalError(
            f"hall must be a spglib Hall number from 1 to {_N_HALL_NUMBERS}, but is {hall_number};"
            " give the table with the Hall numbers of spglib."
        )
    return operations["rotations"].astype(np.float64), operations["translations"]
