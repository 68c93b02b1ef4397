"""What an agent that comes late reads of runs in progress."""

from pathlib import Path

import pytest
from experiment import configuration
from patience import PATIENCE_S, wait_until
from steered_run import SteeredRun, assert_same_to_the_bit
from tiled_process import WRITE_SCOPES, TiledProcess

from phasepilot.agent.archive.document_log import DocumentLog
from phasepilot.agent.archive.tiled_client import runs_container
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.document_feed import DocumentFeed
from phasepilot.agent.sockets.run_archives import LogArchive, RunArchive, TiledArchive
from phasepilot.agent.sockets.wire import NumberingSerializer
from phasepilot.models.networks.registry import PhaseModel

# Of the documents of the run: the agent comes after these.
N_BEFORE = 15


def late_agent(archive: RunArchive, run: SteeredRun, model: PhaseModel) -> PhaseAgent:
    """An agent that hears the run from its middle on and reads the rest."""
    agent = PhaseAgent(configuration(), model=model)
    feed, serializer = DocumentFeed(agent, archive), NumberingSerializer(n_sent=N_BEFORE)
    for name, doc in run.emitted.documents[N_BEFORE:]:
        feed.take(b" ".join([b"", name.encode(), serializer(dict(doc))]))
    assert agent.wait()
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
    steered_run: SteeredRun, tiled_process: TiledProcess, tmp_path: Path, model: PhaseModel
) -> None:
    # Not the embedded server: reading there what is being written may end it.
    run, key = steered_run, tiled_process.api_key(WRITE_SCOPES)
    with tiled_process.client(key) as client:
        place = runs_container(client, "caught_up")
        writer = ArchiveWriter(tmp_path, place, batch_size=1)
        for name, doc in run.emitted.documents[: N_BEFORE + 1]:
            writer(name, dict(doc))
        archive = TiledArchive(place)
        wait_until(lambda: n_uploaded(archive, run.uid) == N_BEFORE + 1, look_every_s=0.2)
        assert archive.open_runs() == (run.uid,)
        agent = late_agent(archive, run, model)
        writer.close(timeout_s=PATIENCE_S)
    assert_same_to_the_bit(agent.report(run.uid).advice, run.live.advice)


def n_uploaded(archive: RunArchive, run_uid: str) -> int:
    """How many documents the archive holds; none while it cannot be read, being written."""
    try:
        return len(list(archive.documents(run_uid)))
    except Exception:
        return 0


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
