"""What to call each structure of a table, and which elements it is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import BoolArray, IntArray
from phasepilot.models.diffraction.crystals.formula import reduced_formula
from phasepilot.models.errors import CrystalError

# Element Z is bit (Z - 1) % 64 of word (Z - 1) // 64.
_BITS = 64
_WORDS = 2
_COLUMNS = ["id", "z", "occ", "mult", "n_conv"]
_NAME_COLUMN = "mineral"


@dataclass(frozen=True, slots=True)
class StructureLabels:
    """Names and compositions of many structures.

    Attributes
    ----------
    name : ndarray of str, shape (n_structures,)
        Of the mineral, if the table knows one; else the identifier.
    formula : ndarray of str, shape (n_structures,)
        Reduced, in the order of the IUPAC.
    elements : ndarray of uint64, shape (n_structures, 2)
        The elements of each, as `element_bits` gives them.
    n_atoms : ndarray of int, shape (n_structures,)
        Atoms of the conventional cell.
    """

    name: NDArray[np.str_]
    formula: NDArray[np.str_]
    elements: NDArray[np.uint64]
    n_atoms: IntArray


def read_labels(table: Path, identifiers: NDArray[np.str_]) -> StructureLabels:
    """Return the labels of the rows with these identifiers, in their order.

    Raises
    ------
    CrystalError
        If a row is missing, or two have the same identifier.
    """
    rows = _rows_by_identifier(table)
    missing = [one for one in identifiers.tolist() if one not in rows]
    if missing:
        raise CrystalError(
            f"{table} must hold every structure whose lines were computed, but {missing[0]!r} and"
            f" {len(missing) - 1} others are missing; compute the lines from this table again."
        )
    return StructureLabels(*_columns([rows[one] for one in identifiers.tolist()]))


def element_bits(atomic_numbers: Iterable[int]) -> NDArray[np.uint64]:
    """Return a set of elements as 128 bits, shape (2,).

    Examples
    --------
    >>> element_bits([1, 2, 65]).tolist()
    [3, 1]
    """
    words = [0] * _WORDS
    for number in atomic_numbers:
        word, bit = divmod(number - 1, _BITS)
        words[word] |= 1 << bit
    return np.array(words, dtype=np.uint64)


def consists_of(elements: NDArray[np.uint64], allowed: Iterable[int]) -> BoolArray:
    """Return which structures hold no other element than these.

    Examples
    --------
    >>> titania, calcite = element_bits([22, 8]), element_bits([20, 6, 8])
    >>> consists_of(np.stack([titania, calcite]), allowed=[22, 8, 20])
    array([ True, False])
    """
    return np.asarray(~(elements & ~element_bits(allowed)).any(axis=1))


def _rows_by_identifier(table: Path) -> dict[str, dict[str, Any]]:
    # Importing costs a second, and pyarrow is only needed to build an index.
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(table) as file:
        has_names = _NAME_COLUMN in file.schema_arrow.names
        columns = [*_COLUMNS, _NAME_COLUMN] if has_names else _COLUMNS
        rows: dict[str, dict[str, Any]] = {}
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                if rows.setdefault(row["id"], row) is not row:
                    raise CrystalError(
                        f"{table} must call every structure differently, but two rows have the id"
                        f" {row['id']!r}; rename one."
                    )
    return rows


def _columns(
    rows: list[dict[str, Any]],
) -> tuple[NDArray[np.str_], NDArray[np.str_], NDArray[np.uint64], IntArray]:
    amounts = [_amounts(row) for row in rows]
    return (
        np.array([row.get(_NAME_COLUMN) or row["id"] for row in rows]),
        np.array([reduced_formula(one) for one in amounts]),
        np.array([element_bits(one) for one in amounts]).reshape(-1, _WORDS),
        np.array([row["n_conv"] for row in rows], dtype=np.int64),
    )


def _amounts(row: dict[str, Any]) -> dict[int, float]:
    amounts: dict[int, float] = {}
    for number, occupancy, multiplicity in zip(row["z"], row["occ"], row["mult"], strict=True):
        amounts[number] = amounts.get(number, 0.0) + occupancy * multiplicity
    return {number: amount for number, amount in amounts.items() if amount > 0}
