"""Structures of a table chosen by what they are."""

from pathlib import Path

import pytest
from structure_rows import STRUCTURES, make_row, tetragonal, write_table

from phasepilot.models.diffraction.crystals.structure_selection import (
    PhaseName,
    Wanted,
    read_selected,
    select_rows,
)
from phasepilot.models.errors import CrystalError

ANATASE = make_row(
    "TiO2",
    (141, 426),
    tetragonal(3.785, 9.514),
    [(22, (0.0, 0.0, 0.0), 4), (8, (0.0, 0.0, 0.208), 8)],
    id="anatase",
)
NAMES = [row["id"] for row in (*STRUCTURES, ANATASE)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.parquet", (*STRUCTURES, ANATASE))


def chosen(table: Path, **conditions: object) -> list[str]:
    return [NAMES[row] for row in select_rows(table, Wanted(**conditions))]


def test_without_conditions_everything_is_chosen(table: Path) -> None:
    assert chosen(table) == NAMES


def test_elements_allow_all_that_holds_no_other(table: Path) -> None:
    assert chosen(table, elements=frozenset([14, 8, 30])) == ["test-Si", "test-SiO2"]


def test_all_conditions_must_hold(table: Path) -> None:
    assert chosen(table, formulas=frozenset(["TiO2"])) == ["test-TiO2", "anatase"]
    both = chosen(table, formulas=frozenset(["TiO2"]), space_group_numbers=frozenset([141, 225]))
    assert both == ["anatase"]


def test_a_phase_is_meant_with_its_space_group_if_it_has_one(table: Path) -> None:
    assert chosen(table, phases=frozenset([PhaseName("TiO2", 136)])) == ["test-TiO2"]
    assert chosen(table, phases=frozenset([PhaseName("TiO2", None)])) == ["test-TiO2", "anatase"]


def test_distractors_are_other_structures_of_the_same_elements(table: Path) -> None:
    rutile = frozenset([PhaseName("TiO2", 136), PhaseName("NaCl", 225)])
    names = chosen(table, phases=rutile, n_distractors=3)
    assert names == ["test-NaCl", "test-TiO2", "anatase"]


def test_selected_rows_come_as_crystals_in_their_order(table: Path) -> None:
    rows = list(read_selected(table, [2, len(NAMES) - 1]))
    assert [row.identifier for row in rows] == ["test-Si", "anatase"]
    assert rows[1].crystal.space_group_number == 141


def test_an_identifier_that_is_not_there_is_named(table: Path) -> None:
    with pytest.raises(CrystalError, match=r"every identifier must be in .* but 'mp-1' is not"):
        chosen(table, identifiers=frozenset(["anatase", "mp-1"]))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_text("no table")
    with pytest.raises(CrystalError, match="structures must be a Parquet table"):
        select_rows(path, Wanted())
