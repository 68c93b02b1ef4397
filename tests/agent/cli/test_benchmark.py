"""`phasepilot benchmark`: what it lists, refuses, prints and writes."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from benchmark_cases import Librarian, write_rruff
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.benchmark import benchmark, report
from phasepilot.agent.cli.console import console
from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.report.benchmark_figure import draw_chart
from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, Chart, Curve
from phasepilot.models.benchmarks.measured_files import read_rruff
from phasepilot.models.benchmarks.registry import BENCHMARKS

PNG = b"\x89PNG"


def run(*arguments: object, data: str = "") -> Result:
    app = typer.Typer()
    app.command()(benchmark)
    variables = {"PHASEPILOT_DATA": data, "COLUMNS": "300"}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=variables)


def test_the_list_says_what_each_measures() -> None:
    result = run("--list")
    assert result.exit_code == 0
    words = " ".join(result.stdout.replace("│", " ").split())
    for name in BENCHMARKS:
        assert name in words


def test_a_benchmark_must_be_named() -> None:
    result = run()
    assert result.exit_code == 1
    assert result.stderr.startswith("error: a benchmark must be named, but none is; see")


def test_an_unknown_name_is_one_sentence_with_a_near_miss() -> None:
    result = run("calibrations")
    assert result.exit_code == 1
    assert "Did you mean 'calibration'?" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_results_for_a_missing_folder_are_refused_before_anything_runs(tmp_path: Path) -> None:
    result = run("rruff908", "--results", tmp_path / "none" / "run.json")
    assert result.exit_code == 1
    assert f"{tmp_path / 'none'} does not; make it first" in result.stderr


@pytest.fixture
def options(tmp_path: Path) -> BenchmarkOptions:
    path = write_rruff(tmp_path / "minerals.npz")
    patterns = read_rruff(path).patterns
    librarian = Librarian(patterns[::4], [225, 62, 14])
    return BenchmarkOptions(estimators={"all": librarian}, data=path, n_seeds=2)


def test_what_is_printed_is_named_as_what_is_written(
    options: BenchmarkOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, picture = tmp_path / "run.json", tmp_path / "run.png"
    width, console.width = console.width, 250
    try:
        report(BENCHMARKS["rruff908"], options, results=results, picture=picture)
    finally:
        console.width = width
    printed = capsys.readouterr().out
    numbers = json.loads(results.read_text())
    assert numbers["space_group_accuracy"] == 1.0
    endings = ("_low", "_high", "_spread")
    for name in numbers:
        if not name.endswith(endings):
            assert f" {name} " in printed
    assert "NPCNN 0.74" in printed
    items = (tmp_path / "run.items.jsonl").read_text().splitlines()
    assert all("answer_space_group_number" in json.loads(item) for item in items)
    assert picture.read_bytes().startswith(PNG)


def test_a_picture_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    curve = Curve("all", np.array([0.0, 1.0]), np.array([1.0, 0.5]))
    with pytest.raises(ConfigurationError, match=r"run.text cannot .*path that ends in .png"):
        draw_chart(Chart("x", "y", (curve,)), "a test", tmp_path / "run.text")
