"""The README's code runs, and its commands and those of the results exist."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from experiment import Emitted, make_beamline
from typer.testing import CliRunner

from phasepilot.agent.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs/results.md").read_text()
SESSION, QUESTION, ARCHIVE, SIMULATION = re.findall(r"```python\n(.*?)```", README, flags=re.S)


def test_the_session_finds_the_transition(
    run_engine: RunEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    beamline = make_beamline()
    emitted = Emitted()
    run_engine.subscribe(emitted)
    names: dict[str, Any] = {
        "RE": run_engine,
        "detector": beamline.detector,
        "cell": beamline.cell,
    }
    exec(SESSION, names)
    low, high = eval(capsys.readouterr().out.splitlines()[-1])
    assert low - 0.05 <= beamline.material.transition_pressure_gpa <= high
    assert emitted.events("agent")[-1]["data"]["agent_action"] == "stop"


def test_the_question_is_a_plan_that_answers(run_engine: RunEngine) -> None:
    names: dict[str, Any] = {}
    exec(QUESTION, names)
    assert callable(names["my_points"])


def test_the_archive_writer_is_made_as_shown(run_engine: RunEngine, tmp_path: Path) -> None:
    def unreachable() -> Any:
        raise ConnectionError("no server")

    names: dict[str, Any] = {"RE": run_engine, "directory": tmp_path, "client": unreachable}
    exec(ARCHIVE, names)
    beamline = make_beamline()
    run_engine(scan(beamline))
    summary = names["writer"].close(timeout_s=30.0)
    assert len(summary.pending) == 1
    assert len(list(tmp_path.glob("*.documents"))) == 1


def scan(beamline: Any) -> Any:
    import bluesky.plans as bp

    return bp.scan([beamline.detector], beamline.cell, 0.3, 0.5, 2)


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"(?:`|    )phasepilot ([a-z]+)\b", README + RESULTS)))
)
def test_every_command_named_exists(command: str) -> None:
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_every_file_named_exists() -> None:
    linked = re.findall(r"\]\((?!http)([^)]+)\)|`([a-z_./-]+\.(?:md|json|yaml|py))`", README)
    for pair in linked:
        assert (ROOT / (pair[0] or pair[1])).exists(), pair
    for page in re.findall(r"\]\((?!http)([^)]+)\)", RESULTS):
        assert (ROOT / "docs" / page).exists(), page
    for script in re.findall(r"(benchmarks/\w+\.py)", RESULTS):
        assert (ROOT / script).exists(), script


def test_the_make_targets_exist() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    targets = set(re.findall(r"^    make (\w+)", README, flags=re.M))
    makefile = (ROOT / "Makefile").read_text()
    assert targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.M) for target in targets)
    assert sys.version_info >= (3, 11)


def test_the_simulation_runs_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    exec(SIMULATION, {})
    assert capsys.readouterr().out == "(32, 8192)\n"
