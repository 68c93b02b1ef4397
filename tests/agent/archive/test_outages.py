"""A served Tiled that stands still, dies and comes back while runs are measured."""

import time
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plans as bp
from ophyd.sim import SynAxis, SynSignal
from tiled_process import WRITE_SCOPES, TiledProcess

from phasepilot.agent.archive.pending_runs import pending_logs
from phasepilot.agent.archive.tiled_client import runs_container
from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
from phasepilot.agent.archive.tiled_upload import ArchiveWriter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
N_EVENTS = 30
SERVER_TIMEOUT_S = 3.0


class Disturbance:
    """A subscriber that does something at an event, and notes how long the events took."""

    def __init__(self, at: int, act) -> None:
        self._at, self._act = at, act
        self.times: list[float] = []

    def __call__(self, name, doc) -> None:
        if name == "event":
            self.times.append(time.perf_counter())
            if doc["seq_num"] == self._at and self._act is not None:
                act, self._act = self._act, None
                act()
                self.times[-1] = time.perf_counter()


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


def wait_for(writer: ArchiveWriter, n_left: int, directory: Path, timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while len(pending_logs(directory)) > n_left:
        assert time.monotonic() < deadline, writer.problems
        time.sleep(0.1)


@pytest.mark.usefixtures("patient_for_a_second")
def test_a_server_that_stands_still_slows_no_scan_and_gets_every_row_once(
    tiled_process: TiledProcess, run_engine: RunEngine, detector, motor, tmp_path: Path
) -> None:
    key = tiled_process.api_key(WRITE_SCOPES)
    with tiled_process.client(key, timeout_s=SERVER_TIMEOUT_S) as client:
        stand_still(tiled_process, run_engine, detector, motor, client, tmp_path)


def stand_still(tiled_process, run_engine, detector, motor, client, tmp_path) -> None:
    place = runs_container(client, "stands_still")
    writer = ArchiveWriter(tmp_path, place, batch_size=1)
    disturbed = Disturbance(10, tiled_process.suspend)
    run_engine.subscribe(writer)
    run_engine.subscribe(disturbed)
    try:
        uids = measure(run_engine, detector, motor, 2)
        deadline = time.monotonic() + 300
        while not writer.problems:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(pending_logs(tmp_path)) == 2
    finally:
        tiled_process.go_on()
    wait_for(writer, 0, tmp_path)
    summary = writer.close(timeout_s=60)
    # A scan that waited for the server would have waited for one time-out at least.
    assert max(np.diff(disturbed.times)) < SERVER_TIMEOUT_S
    assert (summary.uploaded, summary.problems) == (uids, ())
    assert_all_there(place, uids, tmp_path)


@pytest.mark.usefixtures("patient_for_a_second")
def test_a_server_that_dies_and_comes_back_gets_what_it_missed_in_order(
    tiled_process: TiledProcess, run_engine: RunEngine, detector, motor, tmp_path: Path
) -> None:
    key = tiled_process.api_key(WRITE_SCOPES)
    with tiled_process.client(key, timeout_s=2.0) as client:
        die_and_come_back(tiled_process, run_engine, detector, motor, client, tmp_path)


def die_and_come_back(tiled_process, run_engine, detector, motor, client, tmp_path) -> None:
    place = runs_container(client, "dies")
    writer = ArchiveWriter(tmp_path, place, batch_size=1)
    disturbed = Disturbance(10, tiled_process.kill)
    run_engine.subscribe(writer)
    run_engine.subscribe(disturbed)
    uids = measure(run_engine, detector, motor, 3)
    assert len(pending_logs(tmp_path)) == 3
    tiled_process.start()
    wait_for(writer, 0, tmp_path)
    summary = writer.close(timeout_s=60)
    assert (summary.uploaded, summary.problems) == (uids, ())
    assert_all_there(place, uids, tmp_path)
