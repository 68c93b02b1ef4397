"""A served Tiled that stands still, dies and comes back while runs are measured."""

from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plans as bp
from ophyd.sim import SynAxis, SynSignal
from patience import PATIENCE_S, wait_until
from tiled_process import WRITE_SCOPES, TiledProcess

from phasepilot.agent.archive.pending_runs import pending_logs
from phasepilot.agent.archive.tiled_client import runs_container
from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
from phasepilot.agent.archive.tiled_upload import ArchiveWriter

pytestmark = pytest.mark.slow
N_EVENTS = 30


class Disturbance:
    """A subscriber that does something at an event, once."""

    def __init__(self, at: int, act) -> None:
        self._at, self._act = at, act

    def __call__(self, name, doc) -> None:
        if name == "event" and doc["seq_num"] == self._at and self._act is not None:
            act, self._act = self._act, None
            act()


@pytest.fixture
def detector(motor: SynAxis) -> SynSignal:
    return SynSignal(func=lambda: np.full(2000, motor.position), name="detector")


def measure(run_engine, detector, motor, n_runs):
    return tuple(
        uid
        for number in range(n_runs)
        for uid in run_engine(
            bp.scan([detector], motor, number, number + N_EVENTS - 1, N_EVENTS), number=number
        )
    )


def assert_all_there(place, uids, directory: Path) -> None:
    assert list(place) == list(uids), "runs got into Tiled in another order"
    for number, uid in enumerate(uids):
        events = [doc for name, doc in archived_documents(find_run(place, uid)) if name == "event"]
        positions = [event["data"]["motor"] for event in events]
        assert positions == [number + row for row in range(N_EVENTS)]
        assert [event["data"]["detector"][0] for event in events] == positions
    assert pending_logs(directory) == []


@pytest.mark.usefixtures("patient_for_a_second")
# A scan that waited for the server would never end in the first case: nothing is answered before.
@pytest.mark.parametrize("timeout_s", [1e6, 3.0], ids=["waited_for", "given_up"])
def test_a_server_that_stands_still_holds_up_no_scan_and_gets_every_row_once(
    tiled_process: TiledProcess, run_engine: RunEngine, detector, motor, tmp_path, timeout_s: float
) -> None:
    with tiled_process.client(tiled_process.api_key(WRITE_SCOPES)) as client:
        place = runs_container(client, f"stands_still_{timeout_s:g}")
        client.context.http_client.timeout = timeout_s
        writer = ArchiveWriter(tmp_path, place, batch_size=1)
        run_engine.subscribe(writer)
        run_engine.subscribe(Disturbance(10, tiled_process.suspend))
        try:
            uids = measure(run_engine, detector, motor, 2)
            assert len(pending_logs(tmp_path)) == 2
            if timeout_s < PATIENCE_S:
                wait_until(lambda: writer.problems)
        finally:
            client.context.http_client.timeout = PATIENCE_S
            tiled_process.go_on()
        wait_until(lambda: not pending_logs(tmp_path))
        summary = writer.close(timeout_s=PATIENCE_S)
        assert (summary.uploaded, summary.problems) == (uids, ())
        assert_all_there(place, uids, tmp_path)


@pytest.mark.usefixtures("patient_for_a_second")
def test_a_server_that_dies_and_comes_back_gets_what_it_missed_in_order(
    tiled_process: TiledProcess, run_engine: RunEngine, detector, motor, tmp_path: Path
) -> None:
    with tiled_process.client(tiled_process.api_key(WRITE_SCOPES)) as client:
        place = runs_container(client, "dies")
        writer = ArchiveWriter(tmp_path, place, batch_size=1)
        run_engine.subscribe(writer)
        run_engine.subscribe(Disturbance(10, tiled_process.kill))
        uids = measure(run_engine, detector, motor, 3)
        assert len(pending_logs(tmp_path)) == 3
        tiled_process.start()
        wait_until(lambda: not pending_logs(tmp_path))
        summary = writer.close(timeout_s=PATIENCE_S)
        assert (summary.uploaded, summary.problems) == (uids, ())
        assert_all_there(place, uids, tmp_path)
