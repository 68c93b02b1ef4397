"""Replays on Dask: a scheduler and workers in processes of their own."""

import os

import pytest
from ports import free_port
from recorded_documents import record_run
from steered_run import assert_same_to_the_bit

from phasepilot.agent import replay_cluster
from phasepilot.agent.archive.document_files import DocumentFiles
from phasepilot.agent.archive.run_query import RunQuery
from phasepilot.agent.errors import ReplayError
from phasepilot.agent.replay_cluster import judge_runs, local_workers, workers_of

pytest.importorskip("distributed", reason="needs the extra replay")
pytestmark = [
    pytest.mark.slow,
    # Left by distributed's own sockets and event loops when a cluster ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("logs")
    recorded = {run.uid: run for run in (record_run(directory, seed=seed) for seed in range(4))}
    return directory, recorded


def test_workers_say_the_same_to_the_bit_and_load_the_network_once_each(runs) -> None:
    directory, recorded = runs
    source = DocumentFiles(directory)
    uids = [found.uid for found in source.find(RunQuery())]
    with local_workers(2) as client:
        outcomes = list(judge_runs(client, source, [*uids, *uids, "not-there"], None))
    assert sorted(outcome.run_uid for outcome in outcomes) == sorted([*uids, *uids, "not-there"])
    for outcome in outcomes:
        if outcome.run_uid == "not-there":
            assert "no run 'not-there'" in outcome.failure
            continue
        assert outcome.failure == ""
        assert outcome.result.differences == ()
        assert_same_to_the_bit(outcome.result.advice, recorded[outcome.run_uid].advice)
    processes = {outcome.process_id for outcome in outcomes}
    assert os.getpid() not in processes
    assert len(processes) == 2
    assert {outcome.n_models_loaded for outcome in outcomes if outcome.result} == {1}


def test_an_address_where_nobody_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_cluster, "_CONNECT_TIMEOUT_S", 0.5)
    with (
        pytest.raises(ReplayError, match="a Dask scheduler must answer at"),
        workers_of(f"tcp://127.0.0.1:{free_port()}"),
    ):
        pass
