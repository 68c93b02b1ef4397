import os
from pathlib import Path

import numpy as np
import pytest
from structure_rows import BADDELEYITE, N_ATOMS, NACL, QUARTZ, SI, STRUCTURES, write_table

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.crystals.structure_table import count_structures, read_structures
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.errors import CrystalError

N_ROWS_OF_THE_REAL_TABLE = 200


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "structures.parquet")


def test_rows_are_expanded_to_all_atoms_of_the_cell(table: Path) -> None:
    rows = list(read_structures(table))
    n_atoms = {row.crystal.name: row.crystal.occupancies.sum() for row in rows}
    assert n_atoms == pytest.approx(N_ATOMS)
    assert count_structures(table) == len(rows) == len(STRUCTURES)
    for row in rows:
        assert len(row.crystal.fractional) == len(row.crystal.atomic_numbers)
        assert ((row.crystal.fractional >= 0) & (row.crystal.fractional < 1)).all()


def test_an_expanded_row_diffracts_like_the_crystal_written_by_its_symbol(table: Path) -> None:
    row = next(read_structures(table))
    sites = [("Na", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))]
    crystal = crystal_from_sites("NaCl", "F m -3 m", (5.64,) * 3 + (90.0,) * 3, sites)
    of_table, of_symbol = (powder_sticks(one, 6.0) for one in (row.crystal, crystal))
    # The table keeps cells in single precision.
    np.testing.assert_allclose(of_table.q_per_angstrom, of_symbol.q_per_angstrom, rtol=1e-6)
    is_allowed = of_symbol.structure_factor_squared > 1.0
    np.testing.assert_allclose(
        of_table.structure_factor_squared[is_allowed],
        of_symbol.structure_factor_squared[is_allowed],
        rtol=1e-3,
    )


def test_a_special_position_rounded_in_the_table_still_weighs_its_multiplicity(
    tmp_path: Path,
) -> None:
    # 0.3333 for 1/3 puts the three images of silicon slightly apart.
    (row,) = read_structures(write_table(tmp_path / "quartz.parquet", (QUARTZ,)))
    is_silicon = row.crystal.atomic_numbers == 14
    assert row.crystal.occupancies[is_silicon].sum() == pytest.approx(3)


def test_large_rows_and_occupancies_above_one_are_passed_over(tmp_path: Path) -> None:
    crowded = {**SI, "id": "crowded", "occ": [1.2]}
    half = {**SI, "id": "half", "occ": [0.5]}
    path = write_table(tmp_path / "structures.parquet", (NACL, crowded, half, BADDELEYITE))
    identifiers = [row.identifier for row in read_structures(path, max_atoms=10)]
    assert identifiers == ["test-NaCl", "half"]
    (row,) = read_structures(path, start=2, stop=3)
    assert row.crystal.occupancies.sum() == pytest.approx(4)


def test_start_and_stop_count_rows_of_the_table(table: Path) -> None:
    names = [row.crystal.name for row in read_structures(table)]
    assert [row.crystal.name for row in read_structures(table, start=2, stop=5)] == names[2:5]
    assert [row.crystal.name for row in read_structures(table, start=len(names) - 1)] == names[-1:]


@pytest.mark.parametrize("rows_a_group", [1, 3, 5, 100])
def test_rows_are_counted_across_the_groups_of_the_file(table: Path, rows_a_group: int) -> None:
    import pyarrow.parquet

    whole = pyarrow.parquet.read_table(table)
    pyarrow.parquet.write_table(whole, table, row_group_size=rows_a_group)
    names = whole["formula"].to_pylist()
    for start, stop in ((0, None), (0, 4), (2, 3), (3, 9), (5, 5), (7, 1000), (1000, None)):
        rows = read_structures(table, start=start, stop=stop)
        assert [row.crystal.name for row in rows] == names[start:stop]


def test_rows_that_have_lost_atoms_are_passed_over(tmp_path: Path) -> None:
    # Says eight silicon atoms on a position that the space group repeats sixteen times.
    moved = {**SI, "id": "moved", "xyz": [0.125, 0.125, 0.125]}
    path = write_table(tmp_path / "structures.parquet", (NACL, moved, BADDELEYITE))
    assert [row.identifier for row in read_structures(path)] == ["test-NaCl", "test-ZrO2"]
    assert count_structures(path) == 3


def test_structures_of_one_type_are_one_family(table: Path) -> None:
    families = {row.crystal.name: row.family for row in read_structures(table)}
    assert families["NaCl"] == families["KCl"] == "225|1-1|ab"
    assert families["Fe"] == families["W"] == "229|1|a"
    assert families["Si"] == families["Ge"]
    assert len(set(families.values())) == len(families) - 3


ASK = [count_structures, lambda path: list(read_structures(path))]


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("content", [None, b"", b"id,formula\n1,NaCl\n"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, ask, content) -> None:
    path = tmp_path / "structures.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CrystalError, match=r"structures must be a Parquet table .* could not be"):
        ask(path)


@pytest.mark.parametrize("ask", ASK)
def test_a_table_without_a_column_is_refused(tmp_path: Path, ask) -> None:
    import pyarrow.parquet

    path = write_table(tmp_path / "structures.parquet")
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).drop_columns(["hall"]), path)
    with pytest.raises(CrystalError, match=r"could not be read as one \(it lacks hall\); give"):
        ask(path)


def test_a_hall_number_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "structures.parquet", ({**NACL, "hall": 531},))
    with pytest.raises(CrystalError, match=r"from 1 to 530, but is 531"):
        list(read_structures(path))


@pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ,
    reason="PHASEPILOT_DATA does not name the folder with structures/structures.parquet",
)
def test_the_real_table_expands_to_the_atoms_it_states() -> None:
    import pyarrow.parquet

    path = Path(os.environ["PHASEPILOT_DATA"]) / "structures" / "structures.parquet"
    rows = list(read_structures(path, stop=N_ROWS_OF_THE_REAL_TABLE, max_atoms=10_000))
    columns = ["n_conv", "id", "occ", "mult"]
    stated = pyarrow.parquet.read_table(path, columns=columns).slice(0, N_ROWS_OF_THE_REAL_TABLE)
    by_identifier = {row["id"]: row for row in stated.to_pylist()}
    assert len(rows) == N_ROWS_OF_THE_REAL_TABLE
    for row in rows:
        there = by_identifier[row.identifier]
        if there["occ"] == [1.0] * len(there["occ"]):
            assert row.crystal.occupancies.sum() == pytest.approx(there["n_conv"])
        assert powder_sticks(row.crystal, 2.0).structure_factor_squared.min(initial=0.0) >= 0
