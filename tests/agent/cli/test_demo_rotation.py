"""`phasepilot demo --experiment rotation` as a user runs it."""

import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from phasepilot.agent.cli import app


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_crystal_is_named_sooner_than_in_equal_steps(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["demo", "--experiment", "rotation", "--out", str(tmp_path), "--seed", "1"]
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"found .*corundum", done.output)
    saved = re.search(r"([\d.]+) times as fast", done.output)
    assert saved is not None
    assert float(saved[1]) > 1.5
    with Image.open(tmp_path / "rotation.png") as picture:
        assert picture.size == (1600, 1150)
    # The pressed crystal, whose phases are both cubic.
    low, high = map(float, re.search(r"between ([\d.]+) and ([\d.]+)", done.output).groups())
    assert 2.0 < low < high < 2.4
    assert (tmp_path / "pressed" / "report.png").exists()
    assert "refine" in done.output
