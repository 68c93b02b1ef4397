"""Crystals from a table of structures in Parquet, one row a structure.

The table holds asymmetric units: columns ``id formula licence a b c alpha beta gamma sg hall z occ
xyz mult``, with `hall` the spglib Hall number of the stored setting.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phasepilot.models.diffraction.crystal import Crystal, crystal
from phasepilot.models.errors import CrystalError

_COLUMNS = [
    *("id", "formula", "licence", "a", "b", "c", "alpha", "beta", "gamma"),
    *("sg", "hall", "z", "occ", "xyz", "mult", "n_conv"),
]


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
    a, b, c, alpha, beta, gamma = (
        float(row[key]) for key in ("a", "b", "c", "alpha", "beta", "gamma")
    )
    structure = crystal(
        row["formula"],
        hall_number=int(row["hall"]),
        cell=(a, b, c, alpha, beta, gamma),
        atomic_numbers=np.array(row["z"]),
        fractional=np.array(row["xyz"], dtype=np.float64),
        occupancies=np.array(row["occ"], dtype=np.float64),
    )
    return TableRow(row["id"], row["licence"] or "", _family(row), structure)


def _family(row: dict[str, Any]) -> str:
    amounts: dict[int, float] = {}
    for number, occupancy, multiplicity in zip(row["z"], row["occ"], row["mult"], strict=True):
        amounts[number] = amounts.get(number, 0.0) + occupancy * multiplicity
    counts = sorted(round(amount) for amount in amounts.values())
    divisor = int(np.gcd.reduce(counts)) or 1
    anonymous = "-".join(str(count // divisor) for count in counts)
    return f"{row['sg']}|{anonymous}|{'-'.join(map(str, sorted(row['mult'])))}"

