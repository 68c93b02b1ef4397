"""Which structures of a table somebody means: by name, formula, elements, space group or phases."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phasepilot.models.diffraction.crystals.stated_formula import (
    stated_amounts,
    stated_reduced_formula,
)
from phasepilot.models.diffraction.crystals.structure_table import (
    TableRow,
    count_structures,
    read_structures,
)
from phasepilot.models.errors import CrystalError

_COLUMNS = ["id", "formula", "sg"]
# Whoever selects a structure means it, however large its cell is.
_MAX_ATOMS = 100_000


@dataclass(frozen=True, slots=True)
class PhaseName:
    """A compound, and its space group if it is known.

    Attributes
    ----------
    formula : str
        Reduced, as `stated_reduced_formula` gives it.
    space_group_number : int or None
        None stands for all structures of the compound.
    """

    formula: str
    space_group_number: int | None

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers."""
        return frozenset(stated_amounts(self.formula))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a structure must be; every condition that is given must hold.

    Attributes
    ----------
    identifiers : frozenset of str
        Those of the table's rows; empty for any.
    formulas : frozenset of str
        Reduced formulas; empty for any.
    elements : frozenset of int
        Atomic numbers that a structure may consist of; empty for any.
    space_group_numbers : frozenset of int
        Empty for any.
    phases : frozenset of PhaseName
        Of which a structure must be one; empty for any.
    n_distractors : int
        How many structures are taken for each of `phases` that are not among these, but of the
        same elements, the first in the table.
    """

    identifiers: frozenset[str] = frozenset()
    formulas: frozenset[str] = frozenset()
    elements: frozenset[int] = frozenset()
    space_group_numbers: frozenset[int] = frozenset()
    phases: frozenset[PhaseName] = frozenset()
    n_distractors: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    row: int
    identifier: str
    formula: str
    elements: frozenset[int]
    space_group_number: int

    def is_phase(self, phases: frozenset[PhaseName]) -> bool:
        return (
            PhaseName(self.formula, self.space_group_number) in phases
            or PhaseName(self.formula, None) in phases
        )


def select_rows(table: Path, wanted: Wanted) -> list[int]:
    """Return the numbers of the rows that are wanted, in the order of the table.

    Raises
    ------
    CrystalError
        If the file is not a structure table, or an identifier is not in it.
    """
    count_structures(table)  # Says what is wrong with a file that is no table.
    entries = _entries(table)
    missing = sorted(wanted.identifiers - {entry.identifier for entry in entries})
    if missing:
        raise CrystalError(
            f"every identifier must be in {table}, but {missing[0]!r} is not"
            f" ({len(missing)} of {len(wanted.identifiers)} are missing); check how the table"
            " writes them."
        )
    fitting = [entry for entry in entries if _fits(entry, wanted)]
    if not wanted.phases:
        return [entry.row for entry in fitting]
    rows = {entry.row for entry in fitting if entry.is_phase(wanted.phases)}
    return sorted(rows | _distractors(fitting, wanted))


def read_selected(table: Path, rows: Iterable[int]) -> Iterator[TableRow]:
    """Yield the structures of these rows, those that cannot be simulated passed over.

    Raises
    ------
    CrystalError
        As `read_structures`.
    """
    import pyarrow.parquet

    chosen = pyarrow.parquet.read_table(table).take(np.fromiter(rows, dtype=np.int64))
    with tempfile.TemporaryDirectory() as folder:
        # Rows lie scattered over a table that is read in large pieces.
        part = Path(folder) / "selected.parquet"
        pyarrow.parquet.write_table(chosen, part)
        yield from read_structures(part, max_atoms=_MAX_ATOMS)


def _entries(table: Path) -> list[_Entry]:
    import pyarrow.parquet

    columns = pyarrow.parquet.read_table(table, columns=_COLUMNS).to_pydict()
    formulas = dict.fromkeys(columns["formula"])
    read = {text: stated_reduced_formula(text) for text in formulas}
    elements = {text: frozenset(stated_amounts(text)) for text in formulas}
    return [
        _Entry(row, identifier, read[text], elements[text], number)
        for row, (identifier, text, number) in enumerate(
            zip(*(columns[name] for name in _COLUMNS), strict=True)
        )
    ]


def _fits(entry: _Entry, wanted: Wanted) -> bool:
    return (
        (not wanted.identifiers or entry.identifier in wanted.identifiers)
        and (not wanted.formulas or entry.formula in wanted.formulas)
        and (not wanted.elements or (bool(entry.elements) and entry.elements <= wanted.elements))
        and (
            not wanted.space_group_numbers or entry.space_group_number in wanted.space_group_numbers
        )
    )


def _distractors(entries: list[_Entry], wanted: Wanted) -> set[int]:
    rows: set[int] = set()
    by_elements: dict[frozenset[int], list[_Entry]] = {}
    for entry in entries:
        if not entry.is_phase(wanted.phases):
            by_elements.setdefault(entry.elements, []).append(entry)
    for elements in sorted({phase.elements for phase in wanted.phases}, key=sorted):
        others = by_elements.get(elements, [])
        rows.update(entry.row for entry in others[: wanted.n_distractors])
    return rows
