"""`phasepilot identify`: compounds named as a table, as JSON and as a picture."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from cif_text import make_cif, write_cif
from PIL import Image
from search_library import make_crystals, make_pattern
from structure_rows import write_table
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.identify import identify
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.identification.search_index import write_search_index
from phasepilot.models.identification.structure_labels import read_labels
from phasepilot.models.pattern import Pattern, two_theta_from_q

Identify = Callable[..., Result]
BEAM = ("--wavelength", 1.5406)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of textbook structures and a pattern of rutile."""
    folder = tmp_path_factory.mktemp("identify")
    crystals = make_crystals(folder)
    table = write_table(folder / "structures.parquet")
    labels = read_labels(table, np.array([f"test-{formula}" for formula in crystals]))
    sticks = stick_store(crystals.values(), 6.5)
    write_search_index(sticks, labels, folder / "known", about={})
    _write_patterns(folder, crystals["TiO2"])
    return folder


def _write_patterns(folder: Path, crystal: Crystal) -> None:
    pattern: Pattern = make_pattern(crystal, strain=0.006)
    two_theta = two_theta_from_q(pattern.q_per_angstrom, 1.5406)
    for name, axis in (("rutile.xy", two_theta), ("rutile_q.xy", pattern.q_per_angstrom)):
        np.savetxt(folder / name, np.column_stack([axis, pattern.intensity]), fmt="%.5f")


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Identify:
    """Runs `phasepilot identify ARGUMENTS` in this process, in that folder."""
    monkeypatch.setattr(console, "width", 300)
    monkeypatch.chdir(folder)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(identify)

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [*map(str, arguments), "--library", "known"])

    return invoke


def compounds(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.stderr
    (line,) = result.stdout.splitlines()
    found: list[dict[str, object]] = json.loads(line)["compounds"]
    return found


def test_the_compound_heads_the_table(run: Identify) -> None:
    result = run("rutile.xy", *BEAM)
    assert result.exit_code == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if line.startswith("│")]
    cells = [cell.strip() for cell in rows[0].strip("│").split("│")]
    assert cells[:4] == ["1", "test-TiO2", "TiO2", "136 P 42/m n m"]
    assert float(cells[4].rstrip("%")) > 90
    assert 0.9 < float(cells[5]) <= 1
    assert float(cells[6].rstrip("%")) == pytest.approx(0.6, abs=0.1)
    assert len(rows) == 10


def test_a_json_line_holds_what_the_table_says(run: Identify) -> None:
    best = compounds(run("rutile.xy", *BEAM, "--json", "--top", 2))[0]
    assert best["strain"] == pytest.approx(0.006, abs=1e-3)
    assert 0.9 < best.pop("score") <= 1  # type: ignore[operator]
    assert 0.9 < best.pop("probability") <= 1  # type: ignore[operator]
    del best["strain"]
    assert best == {
        "rank": 1,
        "name": "test-TiO2",
        "identifier": "TiO2",
        "formula": "TiO2",
        "space_group_number": 136,
        "space_group_symbol": "P 42/m n m",
    }


def test_only_compounds_of_the_elements_are_named(run: Identify) -> None:
    found = compounds(run("rutile.xy", *BEAM, "--json", "--elements", "Zr,Si,O"))
    assert {one["formula"] for one in found} == {"ZrO2", "SiO2", "Si"}


def test_a_pattern_on_a_q_axis_needs_no_wavelength(run: Identify) -> None:
    found = compounds(run("rutile_q.xy", "--axis", "q", "--json", "--out", "q.png"))
    assert found[0]["formula"] == "TiO2"
    assert Path("q.png").exists()


def test_the_picture_is_drawn_and_not_replaced_unasked(run: Identify) -> None:
    result = run("rutile.xy", *BEAM, "--out", "rutile.png")
    assert result.exit_code == 0, result.stderr
    assert "wrote rutile.png" in result.stdout
    with Image.open("rutile.png") as picture:
        assert picture.size[0] == 1600
    again = run("rutile.xy", *BEAM, "--out", "rutile.png")
    assert again.exit_code == 1
    assert "rutile.png exists already; choose another --out, or add --force" in again.stderr
    assert run("rutile.xy", *BEAM, "--out", "rutile.png", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("rutile.xy",), "wavelength"),
        (("rutile.xy", *BEAM, "--elements", "Xx"), "elements must be symbols such as"),
        (("rutile.xy", *BEAM, "--elements", "He"), "known must hold structures of the elements"),
        (("rutile.xy", *BEAM, "--out", "rutile.pdf"), "the picture must be a .png file"),
        (("rutile.xy", *BEAM, "--out", "none/x.png"), "the picture must go where files can"),
        (("none.xy", *BEAM), "none.xy must be a text file with a powder pattern"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    run: Identify, arguments: tuple[object, ...], sentence: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def run_with(library: Path, folder: Path) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(identify)
    arguments = [folder / "rutile.xy", *BEAM, "--json", "--library", library]
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_folder_that_is_no_library_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    result = run_with(tmp_path, folder)
    assert result.exit_code == 1
    assert "a library must hold a CIF file that can be read, but none of the 0" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_of_cif_files_is_a_library_even_with_a_broken_one(
    folder: Path, tmp_path: Path
) -> None:
    write_cif(tmp_path / "halite.cif", make_cif())
    write_cif(tmp_path / "broken.cif", "not a crystal")
    rutile = make_cif(
        cell=(4.594, 4.594, 2.959, 90, 90, 90),
        symmetry="_symmetry_space_group_name_H-M 'P 42/m n m'",
        atoms="Ti1 Ti 0 0 0\nO1 O 0.3053 0.3053 0",
    )
    write_cif(tmp_path / "rutile.cif", rutile)
    result = run_with(tmp_path, folder)
    found = compounds(result)
    assert [one["name"] for one in found] == ["rutile", "halite"]
    (sentence,) = result.stderr.splitlines()
    assert f"{tmp_path / 'broken.cif'} must be a CIF file, but" in sentence
