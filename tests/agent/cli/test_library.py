"""`phasepilot library build`: an index of a table or of a folder of CIFs."""

from pathlib import Path

import pytest
import typer
from cif_text import make_cif, write_cif
from structure_rows import NACL, SI, write_table
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.library import library
from phasepilot.models.identification.search_index import open_search_index
from phasepilot.models.networks.registry import DEFAULT_MODEL, card_path

app = typer.Typer()
app.add_typer(library, name="library")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 300)


def build(*arguments: object) -> Result:
    command = ["library", "build", *map(str, arguments), "--workers", "1"]
    return CliRunner().invoke(app, command)


def test_a_table_becomes_an_index(tmp_path: Path) -> None:
    table = write_table(tmp_path / "structures.parquet", (NACL, SI))
    result = build(table, "--out", tmp_path / "known")
    assert result.exit_code == 0
    assert f"wrote {tmp_path / 'known'}: 2 structures" in result.stdout
    index = open_search_index(tmp_path / "known")
    assert index.labels.formula.tolist() == ["NaCl", "Si"]


def test_a_folder_of_cifs_becomes_an_index_and_broken_ones_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "cifs"
    (folder / "salts").mkdir(parents=True)
    extra = "_chemical_name_mineral Halite"
    write_cif(folder / "salts" / "rock.cif", make_cif(extra=extra))
    write_cif(folder / "broken.cif", "not a crystal")
    result = build(folder, "--out", tmp_path / "known")
    assert result.exit_code == 0
    assert "1 structures" in result.stdout
    (sentence,) = result.stderr.splitlines()
    assert sentence.startswith(f"error: {folder / 'broken.cif'} must be a CIF file, but")
    index = open_search_index(tmp_path / "known")
    assert index.labels.name.tolist() == ["Halite"]
    assert index.sticks.identifier.tolist() == ["salts/rock"]


def test_the_status_is_one_if_no_file_gives_a_structure(tmp_path: Path) -> None:
    write_cif(tmp_path / "broken.cif", "not a crystal")
    result = build(tmp_path, "--out", tmp_path / "known")
    assert result.exit_code == 1
    assert "none of the 1 files" in result.stderr
    assert not (tmp_path / "known" / "about.json").exists()


def test_what_is_neither_table_nor_folder_is_one_sentence(tmp_path: Path) -> None:
    result = build(tmp_path / "none.parquet", "--out", tmp_path / "known")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: structures must be a Parquet table")
    assert len(result.stderr.splitlines()) == 1


def calibrate(card: Path, library: Path, *options: object) -> Result:
    command = ["library", "calibrate", str(card), "--library", str(library)]
    return CliRunner().invoke(app, [*command, *map(str, options)])


def test_a_calibration_needs_structures_of_families_that_are_held_out(tmp_path: Path) -> None:
    table = write_table(tmp_path / "structures.parquet", (NACL,))
    assert build(table, "--out", tmp_path / "known").exit_code == 0
    result = calibrate(card_path(DEFAULT_MODEL), tmp_path / "known")
    assert result.exit_code == 1
    assert "none of the 1 in the index is one; use the index of a whole table" in result.stderr


def test_a_calibration_needs_a_table_that_says_where_structures_are_from(tmp_path: Path) -> None:
    table = write_table(tmp_path / "structures.parquet", (NACL,))
    assert build(table, "--out", tmp_path / "known").exit_code == 0
    options = ("--structures", table)
    result = calibrate(card_path(DEFAULT_MODEL), tmp_path / "known", *options)
    assert result.exit_code == 1
    assert "with the columns id, source, mineral, but" in result.stderr


def test_a_calibration_of_an_unknown_recipe_or_of_no_card_is_one_sentence(tmp_path: Path) -> None:
    table = write_table(tmp_path / "structures.parquet", (NACL, SI))
    assert build(table, "--out", tmp_path / "known").exit_code == 0
    card = card_path(DEFAULT_MODEL)
    result = calibrate(card, tmp_path / "known", "--recipe", "careful-labratory")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "careful-laboratory" in result.stderr
    result = calibrate(tmp_path / "none.json", tmp_path / "known")
    assert result.exit_code == 1
    assert "a model card must be a JSON file, but" in result.stderr
    result = calibrate(card, tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "a search index must be a folder made by `phasepilot library build`" in result.stderr
