"""`phasepilot structures export`: a folder of CIF files out of a table."""

import json
from pathlib import Path

import pytest
from structure_rows import STRUCTURES, make_row, write_table
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.structures import structures
from phasepilot.models.diffraction.crystals.cif import read_cif

CROWDED = make_row(
    "Li", (1, 1), (5.0, 5.0, 5.0, 90.0, 90.0, 90.0), [(3, (0, 0, 0), 1), (3, (0.05, 0, 0), 1)]
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.parquet", (*STRUCTURES, CROWDED))


def export(table: Path, *arguments: object) -> Result:
    out = table.parent / "cifs"
    return CliRunner().invoke(
        structures, ["export", str(table), "--out", str(out), *map(str, arguments)]
    )


def written(table: Path) -> list[str]:
    return sorted(path.name for path in (table.parent / "cifs").glob("*.cif"))


def test_every_structure_that_fits_becomes_a_file_that_can_be_read(table: Path) -> None:
    result = export(table, "--elements", "Na,K,Cl", "--space-group", 225)
    assert result.exit_code == 0, result.output
    assert "wrote 2 CIF files" in result.stdout
    assert written(table) == ["test-KCl.cif", "test-NaCl.cif"]
    salt = read_cif(table.parent / "cifs" / "test-NaCl.cif")
    assert (salt.name, salt.space_group_number) == ("NaCl", 225)


def test_phases_are_taken_from_a_list_of_samples(table: Path) -> None:
    samples = table.parent / "samples.json"
    phases = [{"formula": "O2 Ti", "space_group": 136}, {"mineral": "unknown"}]
    # NaN is how Python writes what is not known.
    samples.write_text(json.dumps([{"phases": phases, "wavelength": float("nan")}]))
    assert export(table, "--phases-of", samples).exit_code == 0
    assert written(table) == ["test-TiO2.cif"]


def test_no_more_is_written_than_the_limit(table: Path) -> None:
    assert export(table, "--limit", 3).exit_code == 0
    assert len(written(table)) == 3


def test_what_cannot_be_read_again_is_passed_over_and_counted(table: Path) -> None:
    result = export(table, "--elements", "Li,Si")
    assert result.exit_code == 0
    assert written(table) == ["test-Si.cif"]
    assert "passed over, as they cannot be simulated: 1" in result.stdout


def test_the_status_is_one_if_nothing_fits(table: Path) -> None:
    result = export(table, "--formula", "TiO2", "--space-group", 225)
    assert result.exit_code == 1
    assert "meets all conditions" in result.stderr
    assert not written(table)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--formula", "tio2"), "a formula must be written as in CaTiO3 or Ca(OH)2, but is 'tio2'"),
        (("--elements", "Xx"), "elements must be symbols such as 'Ca,Ti,O', but are 'Xx'"),
        (("--id", "mp-1"), "every identifier must be in"),
        (("--distractors", 2), "distractors are chosen for a list of phases, but none was given"),
        (("--phases-of", "none.json"), "phases must be read from a JSON list of samples"),
    ],
)
def test_a_condition_that_cannot_be_is_one_sentence(
    table: Path, arguments: tuple[object, ...], sentence: str
) -> None:
    result = export(table, *arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_list_without_any_formula_is_refused(table: Path) -> None:
    samples = table.parent / "samples.json"
    samples.write_text(json.dumps([{"phases": [{"mineral": "quartz"}]}]))
    result = export(table, "--phases-of", samples)
    assert result.exit_code == 1
    assert "must name phases by their formulas, but none can be read" in result.stderr
