"""The code and the commands of docs/archives.md run, word for word."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ceria_images import write_ceria_images
from experiment import fresh_run_engine, make_beamline
from ports import free_port
from powder_on_detector import make_geometry
from recorded_documents import RecordedRun, record_run
from tiled_process import READ_SCOPES, WRITE_SCOPES, TiledProcess
from typer.testing import CliRunner

from phasepilot.agent.archive.document_files import read_records
from phasepilot.agent.archive.parquet_results import read_results
from phasepilot.agent.archive.pending_runs import upload_pending
from phasepilot.agent.archive.tiled_client import runs_container
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.cli import app
from phasepilot.plans.compression_scan import compression_scan

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "archives.md").read_text()
CONFIGURATION, WRITE, PARQUET, BROKER = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, flags=re.S)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
REPLAYS = [line for line in COMMANDS if line.startswith("phasepilot replay")]
IN_PROCESSES_OF_THEIR_OWN = ("--databroker", "--workers", "--dask")
PROGRAM = "from phasepilot.agent.cli import main; main()"
UNTIL_THERE_ARE_WORKERS = """
import sys
from phasepilot.agent import replay_cluster
replay_cluster._CONNECT_TIMEOUT_S = 120
with replay_cluster.workers_of(sys.argv[1]):
    pass
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning"),
]


@dataclass(frozen=True)
class Place:
    """A folder with all that the page speaks of, and a served catalog."""

    folder: Path
    key: str
    runs: tuple[RecordedRun, ...]
    words: dict[str, str]

    def arguments(self, command: str) -> list[str]:
        return [self.words.get(word, word) for word in shlex.split(command)[1:]]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "TILED_API_KEY": self.key,
            "TILED_PROFILES": str(self.folder / "profiles"),
            "PYTHONPATH": str(ROOT / "tests"),
            "COLUMNS": "300",
        }

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *self.arguments(command)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("page")
    runs = tuple(record_run(folder / "documents", seed=seed, sample="KCl") for seed in (0, 1))
    write_patterns(folder)
    write_ceria_images(folder / "images", make_geometry())
    write_profile(folder / "profiles", runs[0].log)
    with TiledProcess(folder / "served") as server:
        key = server.api_key([*WRITE_SCOPES, "create:apikeys", "revoke:apikeys"])
        with server.client(key) as client:
            raw = runs_container(client, "raw")
            words = {"CATALOG": raw.uri, "RUN": runs[0].uid[:8], "RUN2": runs[1].uid}
            for result in upload_pending(folder / "documents", raw):
                assert result.is_uploaded, result.sentence
        yield Place(folder, key, runs, words)


def write_patterns(folder: Path) -> None:
    run = record_run(folder / "other", seed=2)
    beamline = make_beamline()
    settings = beamline.detector.read_configuration()
    angles = np.array(settings["detector_two_theta_deg"]["value"])
    events = run.emitted.events("primary")[:3]
    frames = [np.array(event["data"]["detector_intensity"]) for event in events]
    (folder / "patterns").mkdir()
    for number, counts in enumerate(frames):
        np.savetxt(folder / "patterns" / f"kcl_{number}.xy", np.column_stack([angles, counts]))
    with h5py.File(folder / "stack.nxs", "w") as file:
        data = file.create_group("entry")
        file.attrs["default"] = "entry"
        data.attrs["signal"], data.attrs["axes"] = "counts", ["frame", "tth"]
        data["counts"], data["tth"] = np.array(frames), angles
        data["tth"].attrs["units"] = "deg"


def write_profile(folder: Path, documents: Path) -> None:
    folder.mkdir()
    (folder / "old.yml").write_text(
        "old_beamline:\n  direct:\n    trees:\n      - path: /\n"
        "        tree: mongo_era_tree:filled_tree\n"
        f"        args: {{documents: {documents}}}\n"
    )


def test_every_command_of_the_page_is_run_by_a_test() -> None:
    known = ("phasepilot replay", "phasepilot upload", "phasepilot watch", "tiled ")
    assert all(line.startswith(known) for line in COMMANDS)
    assert len(REPLAYS) > 8


@pytest.mark.parametrize(
    "command", [line for line in REPLAYS if not any(o in line for o in IN_PROCESSES_OF_THEIR_OWN)]
)
def test_a_replay_of_the_page(place: Place, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    done = CliRunner().invoke(app, place.arguments(command), env=place.environment)
    assert done.exit_code == 0, done.output
    assert "frames judged" in done.stdout or "were judged before" in done.stdout
    if "--patterns" not in command:
        assert "differs" not in done.stdout


@pytest.mark.parametrize("option", ["--databroker", "--workers"])
def test_a_replay_of_the_page_in_processes_of_its_own(place: Place, option: str) -> None:
    if option == "--databroker":
        pytest.importorskip("databroker", reason="needs the extra databroker")
    (command,) = [line for line in REPLAYS if option in line]
    told, complaints = (running := place.start(command)).communicate(timeout=600)
    assert running.returncode == 0, told + complaints
    assert "the same to the last bit" in told


def test_the_replay_of_the_page_on_a_scheduler(place: Place, tmp_path: Path) -> None:
    port = free_port()
    python = [sys.executable, "-m", "dask"]
    address = f"tcp://127.0.0.1:{port}"
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        ["worker", address, "--nworkers", "1", "--nthreads", "1", "--no-dashboard"],
    ]
    running = [subprocess.Popen([*python, *arguments], **quiet) for arguments in commands]
    try:
        subprocess.run([sys.executable, "-c", UNTIL_THERE_ARE_WORKERS, address], check=True)
        (command,) = [line for line in REPLAYS if "--dask" in line]
        place.words["SCHEDULER"] = address
        told, complaints = (replay := place.start(command)).communicate(timeout=600)
        assert replay.returncode == 0, told + complaints
        assert told.count("the same to the last bit") == 2
    finally:
        for process in running:
            process.terminate()
            process.wait(60)


def test_the_results_of_the_page_are_read_as_shown(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    (command,) = [line for line in REPLAYS if "RUN2 --tiled" in line]
    done = CliRunner().invoke(app, place.arguments(command), env=place.environment)
    assert done.exit_code == 0, done.output
    for run in place.runs:
        assert len(read_results(place.folder / "results" / f"{run.uid}.parquet")) > 0
    names: dict[str, Any] = {}
    exec(PARQUET, names)
    assert names["unit"] == "GPa"
    assert names["frames"].num_rows >= sum(len(run.advice) for run in place.runs)


def test_runs_are_uploaded_as_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    (command,) = [line for line in COMMANDS if line.startswith("phasepilot upload")]
    (place.folder / "documents" / f"{place.runs[0].uid}.uploaded").unlink()
    done = CliRunner().invoke(app, place.arguments(command), env=place.environment)
    assert done.exit_code == 0, done.output
    assert "was in Tiled already" in done.stdout.replace("\n", " ")


def test_a_live_run_is_watched_as_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    exec(CONFIGURATION, {})
    (command,) = [line for line in COMMANDS if line.startswith("phasepilot watch")]
    watching = place.start(command)
    try:
        told, complaints = measure_until_ended(place, watching)
    finally:
        watching.kill()
    assert watching.returncode == 0, told + complaints
    assert "success" in told
    assert "cubic" in told


def measure_until_ended(place: Place, watching: subprocess.Popen[str]) -> tuple[str, str]:
    """Measure short runs until the watch has seen one, for it takes a while to start."""
    from phasepilot.agent.archive.tiled_client import connected

    deadline = time.monotonic() + 300
    with connected(place.words["CATALOG"], api_key=place.key) as client:
        writer = ArchiveWriter(place.folder / "live", client, batch_size=1)
        while watching.poll() is None and time.monotonic() < deadline:
            with fresh_run_engine() as run_engine:
                run_engine.subscribe(writer)
                beamline = make_beamline()
                plan = compression_scan([beamline.detector], beamline.cell, 0.5, 0.9, step=0.2)
                run_engine(plan)
            time.sleep(1)
        writer.close(timeout_s=60)
    return watching.communicate(timeout=60)


def test_the_writer_is_used_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    beamline = make_beamline()
    with fresh_run_engine() as run_engine:
        plan = compression_scan([beamline.detector], beamline.cell, 0.5, 0.9, step=0.2)
        names: dict[str, Any] = {"RE": run_engine, "plan": plan}
        exec(WRITE, names)
    assert (len(names["summary"].uploaded), names["summary"].pending) == (1, ())
    (log,) = (tmp_path / "documents").glob("*.documents")
    assert len(list(read_records(log))) == 6


def test_databroker_is_read_from_python_as_shown(place: Place) -> None:
    pytest.importorskip("databroker", reason="needs the extra databroker")
    program = f"""
from pathlib import Path
import databroker
from phasepilot.agent.archive.document_files import read_records
db, uid = databroker.temp(), {place.runs[0].uid!r}
for name, doc in read_records(Path({str(place.runs[0].log)!r})):
    db.insert(name, doc)
{BROKER}
print(len(result.advice), result.differences)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == [f"{len(place.runs[0].advice)} ()"], done.stderr


def test_the_servers_of_the_page_are_the_examples_that_the_other_tests_start() -> None:
    served = [line for line in COMMANDS if line.startswith("tiled serve config")]
    for line, example in zip(served, ("tiled_catalog.yml", "tiled_postgresql.yml"), strict=True):
        assert line == f"tiled serve config examples/{example} --host 127.0.0.1 --port 8010"
        assert (ROOT / "examples" / example).exists()
    made = "tiled admin initialize-database postgresql+asyncpg://$POSTGRES/people"
    assert made in COMMANDS
    assert set(READ_SCOPES) < set(WRITE_SCOPES)
    for scope in WRITE_SCOPES:
        assert f"`{scope}`" in PAGE
