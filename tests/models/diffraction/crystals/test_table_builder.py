"""Tables of structures made from folders of CIF files."""

from pathlib import Path

import pyarrow.parquet
import pytest
from cif_text import SALT, WITH_OCCUPANCY, listed, make_cif, write_cif

from phasepilot.models.diffraction.crystals.cif import Disorder, read_cif
from phasepilot.models.diffraction.crystals.structure_table import count_structures, read_structures
from phasepilot.models.diffraction.crystals.table_builder import build_structure_table
from phasepilot.models.errors import CrystalError

MAGNESIUM = make_cif(
    cell=(3.209, 3.209, 5.211, 90, 90, 120),
    symmetry=listed("P 63/m m c"),
    atoms="Mg1 Mg 0.3333 0.6667 0.25",
    extra="_chemical_name_mineral Magnesium\n_diffrn_ambient_pressure '1 atm'",
)
# As good as body centred, but for 0.04 angstrom.
DISTORTED = make_cif(
    cell=(4.0, 4.0, 4.0, 90, 90, 90),
    symmetry=listed("P 1"),
    atoms="Cs1 Cs 0 0 0\nCl1 Cl 0.5 0.5 0.49",
)
MIXED = make_cif(
    columns=WITH_OCCUPANCY, atoms="Na1 Na 0 0 0 0.7\nK1 K 0 0 0 0.3\nCl1 Cl .5 .5 .5 1"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files that can be read, one that is disordered and two that are broken."""
    folder = tmp_path / "crystals"
    (folder / "deeper" / "still").mkdir(parents=True)
    write_cif(folder / "salt.cif", make_cif())
    write_cif(folder / "deeper" / "salt.CIF", make_cif())
    write_cif(folder / "deeper" / "still" / "magnesium.cif", MAGNESIUM)
    write_cif(folder / "distorted.cif", DISTORTED)
    write_cif(folder / "mixed.cif", MIXED)
    write_cif(folder / "broken.cif", "data_broken loop_ _atom_site_label")
    write_cif(folder / "empty.cif", "")
    write_cif(folder / "notes.txt", "not a crystal")
    return folder


def rows_of(path: Path) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in pyarrow.parquet.read_table(path).to_pylist()}


def test_every_crystal_is_a_row_that_the_loader_reads(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "structures.parquet"
    result = build_structure_table(folder, out, licence="CC0")
    rows = list(read_structures(out))
    assert result.n_written == count_structures(out) == len(rows) == 4
    assert [row.identifier for row in rows] == [
        *("deeper/salt", "deeper/still/magnesium", "distorted", "salt")
    ]
    assert {row.licence for row in rows} == {"CC0"}
    for row in rows:
        written = rows_of(out)[row.identifier]
        assert row.crystal.space_group_number == written["sg"]
        assert row.crystal.multiplicities.tolist() == written["mult"]
    salt = read_cif(folder / "salt.cif")
    assert rows[-1].crystal.cell == pytest.approx(salt.cell)
    assert rows[-1].crystal.site_atomic_numbers.tolist() == salt.site_atomic_numbers.tolist()


def test_a_row_says_all_that_is_known(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "structures.parquet"
    build_structure_table(folder, out)
    row = rows_of(out)["deeper/still/magnesium"]
    assert row["xyz"] == pytest.approx([1 / 3, 2 / 3, 0.25])
    del row["xyz"]
    assert row == {
        "id": "deeper/still/magnesium",
        "source": "crystals",
        "licence": "unstated",
        "formula": "Mg",
        **{"a": pytest.approx(3.209), "b": pytest.approx(3.209), "c": pytest.approx(5.211)},
        **{"alpha": 90.0, "beta": 90.0, "gamma": 120.0},
        **{"sg": 194, "sg_loose": 194, "sg_declared": 194, "hall": 488},
        **{"z": [12], "occ": [1.0], "mult": [2], "n_conv": 2, "n_prim": 2, "disordered": False},
        **{"mineral": "Magnesium", "pressure": "1 atm", "temperature": None},
        **{"parent": None, "rruff_ids": None},
    }
    salt, distorted = rows_of(out)["salt"], rows_of(out)["distorted"]
    assert (salt["n_conv"], salt["n_prim"]) == (8, 2)
    assert (distorted["sg"], distorted["sg_loose"], distorted["sg_declared"]) == (99, 221, 1)


def test_files_that_give_no_row_are_counted_with_their_sentence(
    folder: Path, tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []
    result = build_structure_table(
        folder, tmp_path / "out.parquet", progress=lambda done, total: steps.append((done, total))
    )
    assert [file.path.name for file in result.skipped] == ["broken.cif", "empty.cif", "mixed.cif"]
    for file, what in zip(
        result.skipped, ("cannot be read as one", "no data block does", "an ordered"), strict=True
    ):
        assert file.reason.startswith(f"{file.path} must ")
        assert what in file.reason
    assert (result.n_written, result.n_disordered, result.n_other_space_group) == (4, 0, 1)
    assert steps == [(done, 7) for done in range(1, 8)]


def test_disordered_crystals_are_kept_as_their_average_if_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    result = build_structure_table(folder, out, disorder=Disorder.AVERAGE)
    assert (result.n_written, result.n_disordered) == (5, 1)
    row = rows_of(out)["mixed"]
    assert row["disordered"]
    # A shared position is one atom of the cell.
    assert (row["n_conv"], row["n_prim"], row["mult"]) == (8, 2, [4, 4, 4])
    assert sorted(zip(row["z"], row["occ"], strict=True)) == [
        (11, pytest.approx(0.7)),
        (17, 1.0),
        (19, pytest.approx(0.3)),
    ]


def test_the_columns_are_those_of_the_table_that_training_uses(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    build_structure_table(folder, out)
    schema = pyarrow.parquet.read_schema(out)
    columns = {name: "".join(str(schema.field(name).type).split()) for name in schema.names}
    text = ("id", "source", "licence", "formula")
    assert columns == {
        **dict.fromkeys(text, "string"),
        **dict.fromkeys(("a", "b", "c", "alpha", "beta", "gamma"), "float"),
        **dict.fromkeys(("sg", "sg_loose", "sg_declared"), "uint8"),
        **{"hall": "int16", "z": "list<element:uint8>", "occ": "list<element:float>"},
        **{"xyz": "list<element:float>", "mult": "list<element:uint16>"},
        **{"n_conv": "int32", "n_prim": "int32", "disordered": "bool"},
        **dict.fromkeys(("mineral", "pressure", "temperature", "parent", "rruff_ids"), "string"),
    }


def test_nothing_is_written_if_no_file_gives_a_structure(tmp_path: Path) -> None:
    write_cif(tmp_path / "bad.cif", make_cif(atoms=SALT.replace("Cl1 Cl", "X1 X")))
    out = tmp_path / "out.parquet"
    out.write_text("what was there before")
    result = build_structure_table(tmp_path, out)
    assert result.n_written == 0
    assert "type X" in result.skipped[0].reason
    assert out.read_text() == "what was there before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.cif", "out.parquet"]


def test_a_folder_without_cif_files_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with pytest.raises(CrystalError, match=r"neither .* nor a folder in it holds a file that ends"):
        build_structure_table(tmp_path, out)
    with pytest.raises(CrystalError, match=r"but .*/none is no folder; give the folder that holds"):
        build_structure_table(tmp_path / "none", out)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(folder: Path) -> None:
    def fail(done: int, total: int) -> None:
        raise AssertionError("a file was read")

    out = folder / "salt.cif" / "out.parquet"
    with pytest.raises(
        CrystalError, match=r"must go to a file that can be written, but .* give an"
    ):
        build_structure_table(folder, out, progress=fail)
