"""Runs in databroker catalogs: of the Mongo era, and those that TiledWriter fills."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky.utils import RunEngineInterrupted
from experiment import Emitted, PausesOnce, configuration, fresh_run_engine, make_beamline
from recorded_documents import short_scan
from steered_run import SteeredRun, assert_same_to_the_bit

from phasepilot.agent.archive.databroker_runs import broker_documents, runs_of_catalog
from phasepilot.agent.archive.run_query import RunQuery, condition
from phasepilot.agent.errors import ArchiveError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import replay

databroker = pytest.importorskip("databroker", reason="needs the extra databroker")

pytestmark = [
    # databroker 2.0.2 and the test client of starlette use what their libraries call outdated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def broker() -> Iterator[Any]:
    """`databroker.temp()`: the Mongo era without a Mongo."""
    made = databroker.temp()
    yield made
    made.v2.context.http_client.close()


@pytest.fixture(scope="module")
def paused(broker: Any) -> tuple[str, Any]:
    """A run in it that was paused, and what the agent said live."""
    beamline, agent = make_beamline(), PhaseAgent(configuration())
    with fresh_run_engine() as run_engine:
        pause = PausesOnce(run_engine, 4)
        emitted = Emitted()
        for callback in (agent, broker.insert, emitted, pause):
            run_engine.subscribe(callback)
        with pytest.raises(RunEngineInterrupted):
            run_engine(short_scan(beamline, agent, sample="KCl"))
        (uid,) = run_engine.resume()
    numbers = [doc["seq_num"] for doc in emitted.events("primary")]
    assert len(numbers) > len(set(numbers))
    return uid, agent.report(uid).advice


def test_a_paused_run_of_the_mongo_era_gives_the_same_advice_to_the_bit(broker, paused) -> None:
    uid, advice = paused
    result = replay(broker_documents(broker.v2[uid]))
    assert result.differences == ()
    assert_same_to_the_bit(result.advice, advice)


def test_runs_of_the_mongo_era_are_found(broker, paused) -> None:
    uid, advice = paused
    catalog = broker.v2
    (found,) = runs_of_catalog(catalog, RunQuery(conditions=(condition("start.sample=KCl"),)))
    assert (found.uid, found.n_events) == (uid, 2 * len(advice))
    assert runs_of_catalog(catalog, RunQuery(conditions=(condition("sample=NaCl"),))) == []
    assert runs_of_catalog(catalog, RunQuery(uids=(uid[:8],)))[0].uid == uid
    assert [run.uid for run in runs_of_catalog(catalog, RunQuery(since_s=1e9))] == [uid]
    assert runs_of_catalog(catalog, RunQuery(since_s=4e9)) == []
    for unknown in ("zzzzzzzz", "z"):
        with pytest.raises(ArchiveError, match=f"must hold one run '{unknown}'"):
            runs_of_catalog(catalog, RunQuery(uids=(unknown,)))


def test_a_catalog_that_tiled_writer_filled_is_read_from_its_columns(
    paused_run: SteeredRun,
) -> None:
    uid = paused_run.uid
    (found,) = runs_of_catalog(paused_run.container, RunQuery(uids=(uid[:8],)))
    assert found.uid == uid
    result = replay(broker_documents(paused_run.container[uid]))
    assert result.differences == ()
    assert_same_to_the_bit(result.advice, paused_run.live.advice)


@pytest.mark.slow
def test_the_command_tells_of_a_catalog_that_is_not_there(tmp_path: Path) -> None:
    # That one which is there is read, is seen in tests/test_archives_page.py.
    program = "from phasepilot.agent.cli import main; main()"
    arguments = ["replay", "--databroker", "new_beamline", "--since", "1d"]
    unknown = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "TILED_PROFILES": str(tmp_path), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert unknown.returncode == 1
    assert "error: no databroker catalog 'new_beamline'" in unknown.stderr
