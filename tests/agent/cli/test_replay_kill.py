"""`phasepilot replay` over many runs: killed, started again, and what it prints."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from recorded_documents import record_run
from typer.testing import Result

from phasepilot.agent.archive.derived_runs import TiledAnalyses
from phasepilot.agent.archive.parquet_results import read_header
from phasepilot.agent.archive.tiled_client import find_node
from phasepilot.agent.archive.tiled_server import EmbeddedTiledServer

PhasePilot = Callable[..., Result]
# Dies when it would give the results of a third run their name, as by `kill -9`.
KILLED = """
import os, signal, sys
names = []
def die_at_the_third(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith(".parquet"):
        names.append(arguments[1])
        if len(names) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die_at_the_third)
from phasepilot.agent.cli import main
main()
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs, of two samples."""
    directory: Path = tmp_path_factory.mktemp("logs")
    for seed in range(6):
        record_run(directory, seed=seed, sample="KCl" if seed % 2 else "NaCl")
    return directory


@pytest.mark.slow
def test_what_a_kill_interrupts_is_gone_on_with_by_the_same_command(
    logs: Path, tmp_path: Path, tiled_server: EmbeddedTiledServer, container, phasepilot
) -> None:
    results = tmp_path / "results"
    arguments = ["replay", "--documents", logs, "--results", results]
    arguments += ["--tiled", container.uri, "--api-key", tiled_server.api_key]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)], stdout=subprocess.DEVNULL, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    finished = {path: path.stat().st_mtime_ns for path in results.glob("*.parquet")}
    assert len(finished) == 2

    again = phasepilot(*arguments)
    assert again.exit_code == 0, again.output
    assert "of 6 runs were judged before and are left as they are" in again.stdout
    files = sorted(results.iterdir())
    assert [file.suffix for file in files] == [".parquet"] * 6
    for path, changed_ns in finished.items():
        assert path.stat().st_mtime_ns == changed_ns
    stored = find_node(container, "agent")
    assert sorted(stored) == sorted(read_header(file).analysis_uid for file in files)
    analyses = TiledAnalyses(container.uri, tiled_server.api_key)
    assert all(analyses.is_stored(uid) for uid in stored)

    third = phasepilot(*arguments)
    assert third.exit_code == 0
    assert "6 of 6 runs were judged before" in third.stdout


def test_runs_are_chosen_by_what_their_start_documents_say(
    logs: Path, phasepilot: PhasePilot
) -> None:
    some = phasepilot("replay", "--documents", logs, "--where", "start.sample=KCl")
    assert some.exit_code == 0, some.output
    assert some.stdout.count("the same to the last bit") == 3
    none = phasepilot("replay", "--documents", logs, "--since", "2099-01-01")
    assert none.exit_code == 0
    assert "nothing in the archive fits" in none.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name one of --tiled, --databroker, --documents and --patterns"),
        (("--tiled", "http://127.0.0.1:9"), "say which by their uids, --since or --where"),
        (("abc", "--since", "1d", "--tiled", "x"), "but both were given"),
        (("--documents", "/nowhere"), "/nowhere cannot be read"),
        (("--patterns", "/nowhere"), "/nowhere must be a file or a folder"),
        (("--where", "sample", "--tiled", "x"), "KEY=VALUE"),
        (("--since", "noon", "--tiled", "x"), "a time must be a date"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_sentence(
    phasepilot: PhasePilot, arguments: tuple[str, ...], sentence: str
) -> None:
    result = phasepilot("replay", *arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_on_dask_the_other_options_must_fit(logs: Path, phasepilot: PhasePilot) -> None:
    for options in (("--speed", "recorded"), ("--dask", "tcp://127.0.0.1:9")):
        result = phasepilot("replay", "--documents", logs, "--workers", "1", *options)
        assert result.exit_code == 1
        assert "leave the other options out" in result.stderr


@pytest.mark.slow
def test_workers_judge_the_runs(logs: Path, tmp_path: Path, phasepilot: PhasePilot) -> None:
    program = "from phasepilot.agent.cli import main; main()"
    arguments = ["replay", "--documents", logs, "--workers", "2", "--results", tmp_path]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same to the last bit") == 6
    assert len(list(tmp_path.glob("*.parquet"))) == 6
