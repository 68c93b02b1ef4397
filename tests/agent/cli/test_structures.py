"""`phasepilot structures build`: a table from a folder, and a sentence for each file left out."""

from pathlib import Path

import pytest
from cif_text import WITH_OCCUPANCY, make_cif, write_cif
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.structures import structures
from phasepilot.models.diffraction.crystals.structure_table import read_structures

MIXED = make_cif(columns=WITH_OCCUPANCY, atoms="Na1 Na 0 0 0 0.7\nCl1 Cl 0.5 0.5 0.5 1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_cif(tmp_path / "salt.cif", make_cif())
    write_cif(tmp_path / "mixed.cif", MIXED)
    write_cif(tmp_path / "broken.cif", "not a crystal")
    return tmp_path


def build(*arguments: object) -> Result:
    return CliRunner().invoke(structures, ["build", *map(str, arguments)])


def test_good_files_are_written_and_the_others_named(folder: Path) -> None:
    out = folder / "table.parquet"
    result = build(folder, "--out", out, "--licence", "CC0")
    assert result.exit_code == 0
    (row,) = read_structures(out)
    assert (row.crystal.name, row.licence) == ("NaCl", "CC0")
    broken, mixed = result.stderr.splitlines()
    assert broken.startswith(f"error: {folder / 'broken.cif'} must be a CIF file, but")
    assert mixed.startswith(f"error: {folder / 'mixed.cif'} must be an ordered crystal, but")
    summary = " ".join(result.stdout.split())
    assert "1 structures of 3 files" in summary
    assert "skipped: 2" in summary


def test_disordered_crystals_are_kept_on_request(folder: Path) -> None:
    out = folder / "table.parquet"
    result = build(folder, "--out", out, "--keep-disordered")
    assert result.exit_code == 0
    assert sorted(row.crystal.name for row in read_structures(out)) == ["Na0.7Cl", "NaCl"]
    assert "disordered: 1" in " ".join(result.stdout.split())


def test_the_status_is_one_if_nothing_was_written(folder: Path) -> None:
    (folder / "salt.cif").unlink()
    result = build(folder, "--out", folder / "table.parquet")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 3
    assert "none of the 2 files gave a structure" in result.stderr
    assert not (folder / "table.parquet").exists()


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    result = build(tmp_path / "none")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: structures must come from a folder of CIF files, but")
    assert len(result.stderr.splitlines()) == 1


def test_help_names_the_command() -> None:
    result = CliRunner().invoke(structures, ["--help"])
    assert result.exit_code == 0
    assert "build" in result.stdout
