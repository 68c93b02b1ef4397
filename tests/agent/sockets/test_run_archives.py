"""What an agent that comes late reads of runs in progress."""

import contextlib
import time
from pathlib import Path

import pytest
from experiment import configuration
from steered_run import SteeredRun, assert_same_to_the_bit
from tiled.client.container import Container

from phasepilot.agent.archive.document_log import DocumentLog
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.document_feed import DocumentFeed
from phasepilot.agent.sockets.run_archives import LogArchive, RunArchive, TiledArchive
from phasepilot.agent.sockets.wire import NumberingSerializer
from phasepilot.models.networks.registry import PhaseModel

# Of the documents of the run: the agent comes after these.
N_BEFORE = 15
PATIENCE_S = 30.0


def late_agent(archive: RunArchive, run: SteeredRun, model: PhaseModel) -> PhaseAgent:
    """An agent that hears the run from its middle on and reads the rest."""
    agent = PhaseAgent(configuration(), model=model)
    feed, serializer = DocumentFeed(agent, archive), NumberingSerializer(n_sent=N_BEFORE)
    for name, doc in run.emitted.documents[N_BEFORE:]:
        feed.take(b" ".join([b"", name.encode(), serializer(dict(doc))]))
    assert agent.wait(60.0)
    assert feed.n_lost == N_BEFORE
    return agent


@pytest.fixture(params=["steered_run", "paused_run"])
def run(request: pytest.FixtureRequest) -> SteeredRun:
    found: SteeredRun = request.getfixturevalue(request.param)
    return found


def test_a_run_is_caught_up_from_its_log(
    run: SteeredRun, tmp_path: Path, model: PhaseModel
) -> None:
    log = DocumentLog(tmp_path)
    for name, doc in run.emitted.documents[: N_BEFORE + 1]:
        log(name, dict(doc))
    agent = late_agent(LogArchive(tmp_path), run, model)
    log.close()
    assert_same_to_the_bit(agent.report(run.uid).advice, run.live.advice)


def test_a_run_is_caught_up_from_tiled(
    steered_run: SteeredRun, container: Container, tmp_path: Path, model: PhaseModel
) -> None:
    run = steered_run
    writer = ArchiveWriter(tmp_path, container, batch_size=1)
    for name, doc in run.emitted.documents[: N_BEFORE + 1]:
        writer(name, dict(doc))
    archive = TiledArchive(container)
    until_uploaded(archive, run.uid, N_BEFORE + 1)
    assert archive.open_runs() == (run.uid,)
    agent = late_agent(archive, run, model)
    writer.close(timeout_s=10.0)
    assert_same_to_the_bit(agent.report(run.uid).advice, run.live.advice)


def until_uploaded(archive: RunArchive, run_uid: str, n_documents: int) -> None:
    """Wait until the archive holds what was written."""
    until, found = time.monotonic() + PATIENCE_S, 0
    while found < n_documents and time.monotonic() < until:
        time.sleep(0.2)
        with contextlib.suppress(Exception):  # it is being written
            found = len(list(archive.documents(run_uid)))
    assert found == n_documents


def test_runs_that_have_ended_or_broken_off_are_not_in_progress(
    steered_run: SteeredRun, tmp_path: Path
) -> None:
    log = DocumentLog(tmp_path)
    for name, doc in steered_run.emitted.documents:
        log(name, dict(doc))
    start = dict(steered_run.emitted.documents[0][1])
    log("start", {**start, "uid": "in-progress"})
    broken = DocumentLog(tmp_path)
    broken("start", {**start, "uid": "broken-off"})
    broken.close()
    assert LogArchive(tmp_path).open_runs() == ("in-progress",)
    log.close()
