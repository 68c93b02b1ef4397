"""`phasepilot demo --experiment scan` as a user runs it."""

import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from phasepilot.agent.cli import app


@pytest.mark.slow
def test_the_scan_names_the_mixture_sooner_than_a_full_scan(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["demo", "--experiment", "scan", "--out", str(tmp_path), "--seed", "1"]
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"found .*anatase \+ rutile", done.output)
    saved = re.search(r"([\d.]+) times as fast", done.output)
    assert saved is not None
    assert float(saved[1]) > 1.5
    with Image.open(tmp_path / "scan.png") as picture:
        assert picture.size == (1600, 1000)
    assert len(list((tmp_path / "library").glob("*.cif"))) == 6


@pytest.mark.slow
def test_an_experiment_that_there_is_not_is_met_with_those_there_are() -> None:
    done = CliRunner().invoke(app, ["demo", "--experiment", "scna"])
    assert done.exit_code == 2
    assert "screening" in done.output
