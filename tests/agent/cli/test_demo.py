"""`phasepilot demo` as a user runs it, in processes of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import Result

# A shell that starts jobs in the background has them ignore Ctrl-C; a user's does not.
WITH_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from phasepilot.agent.cli import main
main()
"""
LONGEST_S = 240.0
TRUE_ONSET_GPA = 2.1


@dataclass(frozen=True, slots=True)
class FinishedDemo:
    """A demo that has ended: its folder, what it printed and its status."""

    directory: Path
    text: str
    status: int
    replayed: str = ""

    @property
    def run_uid(self) -> str:
        found = re.search(r"run ([0-9a-f-]{36}) is in Tiled", self.text)
        assert found is not None, self.text
        return found[1]


def start_demo(directory: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WITH_CTRL_C, "demo", "--out", directory, "--seed", "1", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "300"},
    )


def stopped_demo(process: "subprocess.Popen[str]", directory: Path) -> FinishedDemo:
    """Wait until the demo serves, replay its run as it says, and press Ctrl-C."""
    lines = []
    while not lines or "Ctrl-C ends it" not in lines[-1]:
        line = process.stdout.readline()
        assert line, "".join(lines)
        lines.append(line)
    (advised,) = [line.split()[2:] for line in lines if line.startswith("try: phasepilot replay")]
    command = Path(sys.executable).with_name("phasepilot")
    replayed = subprocess.run(
        [command, *advised],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
        env={**os.environ, "COLUMNS": "300"},
    )
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=LONGEST_S)
    return FinishedDemo(
        directory,
        "".join(lines) + rest,
        process.returncode,
        replayed.stdout + replayed.stderr,
    )


@pytest.fixture(scope="module")
def demos(
    phasepilot: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, FinishedDemo]]:
    """A steered demo that serves until Ctrl-C, and meanwhile a plain one in this process."""
    steered, plain = (tmp_path_factory.mktemp(name) for name in ("steered", "plain"))
    with start_demo(steered, "--keep-serving") as serving:
        try:
            result = phasepilot("demo", "--out", plain, "--seed", 1, "--no-steer")
            yield {
                "steered": stopped_demo(serving, steered),
                "plain": FinishedDemo(plain, result.output, result.exit_code),
            }
        finally:
            serving.kill()


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["steered", "plain"])
def test_the_transition_is_found_told_and_drawn(demos: dict[str, FinishedDemo], kind: str) -> None:
    demo = demos[kind]
    assert demo.status == 0, demo.text
    found = re.search(r"transition found \(onset\) +│ ([\d.]+) GPa \(between", demo.text)
    assert found is not None, demo.text
    # A plain scan knows the onset to its step, 0.15 GPa; lines are seen at a few percent.
    assert float(found[1]) == pytest.approx(TRUE_ONSET_GPA, abs=0.25)
    assert f"true onset                  │ {TRUE_ONSET_GPA:.3f} GPa" in demo.text
    page = (demo.directory / "report.html").read_text()
    assert demo.run_uid in page
    assert (demo.directory / "report.png").read_bytes().startswith(b"\x89PNG")


def test_the_scan_is_steered_unless_told_otherwise(demos: dict[str, FinishedDemo]) -> None:
    assert "steered by the agent" in demos["steered"].text
    assert "plain, the agent only watched" in demos["plain"].text
    # 24 equal steps take 25 frames.
    assert re.search(r"frames taken +│ 25 ", demos["plain"].text)
    assert re.search(r" stop: the new phase has been", demos["steered"].text)


def test_the_run_replays_as_the_demo_says(demos: dict[str, FinishedDemo]) -> None:
    assert "the same to the last bit" in demos["steered"].replayed


def test_ctrl_c_ends_the_serving_cleanly(demos: dict[str, FinishedDemo]) -> None:
    demo = demos["steered"]
    assert demo.status == 0
    assert demo.text.rstrip().endswith("stopped")
    assert "Traceback" not in demo.text


@pytest.mark.parametrize(("kind", "n_runs"), [("steered", 1), ("plain", 2)])
def test_the_run_and_if_plain_its_analysis_stay_in_the_catalog(
    demos: dict[str, FinishedDemo], kind: str, n_runs: int
) -> None:
    demo = demos[kind]
    catalog = demo.directory / "catalog" / "data"
    assert (catalog / demo.run_uid / "primary" / "detector_intensity").is_dir()
    uploaded = [path.stem for path in (demo.directory / "documents").glob("*.uploaded")]
    assert len(uploaded) == n_runs
    assert {path.name for path in catalog.iterdir()} >= set(uploaded)


def test_an_unknown_material_is_answered_with_the_choices(
    phasepilot: Callable[..., Result], tmp_path: Path
) -> None:
    result = phasepilot("demo", "--material", "KC1", "--out", tmp_path / "demo")
    assert result.exit_code == 2
    told = " ".join(result.stderr.replace("│", " ").split())
    assert "Fe" in told
    assert "KCl" in told
    assert "Si" in told
    assert not (tmp_path / "demo").exists()
