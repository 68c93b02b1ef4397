"""Live runs followed over the websockets of a Tiled server in another process."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plans as bp
from experiment import Emitted, PausesOnce, configuration, make_beamline
from ophyd.sim import SynAxis, SynSignal
from patience import PATIENCE_S, wait_until
from steered_run import assert_same_to_the_bit
from tiled_process import READ_SCOPES, WRITE_SCOPES, TiledProcess

from phasepilot.agent.archive import tiled_upload, tiled_watch
from phasepilot.agent.archive.tiled_client import connected, runs_container
from phasepilot.agent.archive.tiled_upload import FIRST_PAUSE_S, ArchiveWriter
from phasepilot.agent.archive.tiled_watch import TiledWatch
from phasepilot.agent.errors import ArchiveError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.plans.compression_scan import compression_scan

pytestmark = [
    pytest.mark.slow,
    # Tiled's client uses websockets in a way that their version 17 calls outdated.
    pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning"),
]
WATCH_SCOPES = [*READ_SCOPES, "create:apikeys", "revoke:apikeys"]


class Follower(threading.Thread):
    """Feeds a fresh agent what a watch yields until a run has stopped, in a thread of its own."""

    def __init__(self, watch: TiledWatch) -> None:
        super().__init__(daemon=True)
        self.agent, self.emitted, self._watch = PhaseAgent(configuration()), Emitted(), watch

    def run(self) -> None:
        for name, doc in self._watch.documents():
            self.emitted(name, doc)
            self.agent(name, doc)
            if name == "stop":
                return


def steer(run_engine, writer, *extra, pause_at=None):
    """Run a steered scan, written to Tiled event by event; return uid and live report."""
    beamline, agent = make_beamline(), PhaseAgent(configuration())
    for callback in (agent, writer, *extra):
        run_engine.subscribe(callback)
    plan = compression_scan([beamline.detector], beamline.cell, 1.4, 3.0, step=0.2, advisor=agent)
    if pause_at is None:
        (uid,) = run_engine(plan)
    else:
        pause = PausesOnce(run_engine, pause_at)
        run_engine.subscribe(pause)
        with pytest.raises(Exception, match="paused"):
            run_engine(plan)
        (uid,) = run_engine.resume()
    return uid, agent.report(uid)


def test_a_watch_says_of_a_paused_run_what_was_said_at_the_beamline_to_the_bit(
    tiled_process: TiledProcess, run_engine: RunEngine, tmp_path: Path
) -> None:
    key, name = tiled_process.api_key(WRITE_SCOPES), "watched"
    watch_key = tiled_process.api_key(WATCH_SCOPES)
    with tiled_process.client(key) as client:
        place = runs_container(client, name)
        with (
            connected(place.uri, api_key=watch_key) as watched,
            TiledWatch(watched) as watch,
        ):
            follower = Follower(watch)
            follower.start()
            writer = ArchiveWriter(tmp_path, place, batch_size=1)
            uid, live = steer(run_engine, writer, pause_at=5)
            writer.close(timeout_s=PATIENCE_S)
            follower.join(PATIENCE_S)
            # Closing the watch would end it, too.
            assert not follower.is_alive()
    follower.agent.wait()
    assert not follower.agent.problems
    assert_same_to_the_bit(follower.agent.report(uid).advice, live.advice)
    numbers = [doc["seq_num"] for doc in follower.emitted.events("primary")]
    assert sorted(set(numbers)) == list(range(1, len(live.advice) + 1))
    assert len(numbers) > len(live.advice)


def test_a_watch_that_comes_late_begins_with_the_first_frame(
    tiled_process: TiledProcess, run_engine: RunEngine, tmp_path: Path
) -> None:
    watch_key = tiled_process.api_key(WATCH_SCOPES)
    with tiled_process.client(tiled_process.api_key(WRITE_SCOPES)) as client:
        place = runs_container(client, "late")
        writer = ArchiveWriter(tmp_path, place, batch_size=1)
        with ExitStack() as stack:
            followers: list[Follower] = []

            def join_late(name: str, doc) -> None:
                if name == "event" and doc["seq_num"] == 6 and not followers:
                    wait_until(lambda: len(place) and "primary" in place.values().first())
                    watched = stack.enter_context(connected(place.uri, api_key=watch_key))
                    watch = stack.enter_context(TiledWatch(watched))
                    followers.append(Follower(watch))
                    followers[0].start()

            uid, live = steer(run_engine, writer, join_late)
            writer.close(timeout_s=PATIENCE_S)
            followers[0].join(PATIENCE_S)
            assert not followers[0].is_alive()
    follower = followers[0]
    follower.agent.wait()
    assert_same_to_the_bit(follower.agent.report(uid).advice, live.advice)


# The threads of Tiled's own subscriptions end with an error when their server is gone.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.usefixtures("patient_for_a_second")
def test_a_watch_whose_server_dies_waits_for_it_and_misses_no_frame(
    tiled_process: TiledProcess,
    run_engine: RunEngine,
    motor: SynAxis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiled_upload, "LONGEST_PAUSE_S", FIRST_PAUSE_S)
    detector = SynSignal(func=lambda: np.full(200, motor.position), name="detector")
    emitted, watched, notes = Emitted(), Emitted(), []
    watch_key = tiled_process.api_key(WATCH_SCOPES)
    with tiled_process.client(tiled_process.api_key(WRITE_SCOPES)) as client:
        place = runs_container(client, "dies_watched")
        with (
            ThreadPoolExecutor(1) as pool,
            connected(place.uri, api_key=watch_key) as container,
            TiledWatch(container, note=notes.append) as watch,
        ):
            followed = pool.submit(follow_runs, watch, watched, n_runs=3)
            writer = ArchiveWriter(tmp_path, place, batch_size=1)

            def kill_at_the_eighth(name: str, doc: Mapping[str, Any]) -> None:
                if name == "event" and doc["seq_num"] == 8 and not notes:
                    wait_until(lambda: watched.of("event") or followed.done())
                    tiled_process.kill()
                    wait_until(lambda: notes or followed.done())

            for callback in (emitted, writer, kill_at_the_eighth):
                run_engine.subscribe(callback)
            # The first run is cut in two, the second measured in between, the third afterwards.
            run_engine(bp.scan([detector], motor, 1, 12, 12))
            run_engine(bp.scan([detector], motor, 21, 25, 5))
            tiled_process.start()
            wait_until(lambda: len(notes) > 1 or followed.done())
            run_engine(bp.scan([detector], motor, 31, 35, 5))
            followed.result(2 * PATIENCE_S)
            assert len(writer.close(timeout_s=PATIENCE_S).uploaded) == 3
    assert notes[0].startswith("Tiled does not answer")
    assert notes[-1] == "Tiled answers again"
    assert rows_of_runs(watched) == rows_of_runs(emitted)


def test_all_runs_that_were_written_unseen_are_read_in_their_order(
    tiled_process: TiledProcess,
    run_engine: RunEngine,
    motor: SynAxis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiled_watch, "PAGE_SIZE", 3)
    watched = Emitted()
    watch_key = tiled_process.api_key(WATCH_SCOPES)
    with tiled_process.client(tiled_process.api_key(WRITE_SCOPES)) as client:
        place = runs_container(client, "many_unseen")
        with connected(place.uri, api_key=watch_key) as container:
            watch = TiledWatch(container)
            writer = ArchiveWriter(tmp_path, place)
            run_engine.subscribe(writer)
            # More than two pages, as after an outage: no websocket has told of them.
            uids = [uid for _ in range(8) for uid in run_engine(bp.count([motor]))]
            assert len(writer.close(timeout_s=PATIENCE_S).uploaded) == len(uids)
            with watch:
                follow_runs(watch, watched, n_runs=len(uids))
    assert [doc["uid"] for doc in watched.of("start")] == uids


def follow_runs(watch: TiledWatch, to: Emitted, *, n_runs: int) -> None:
    for name, doc in watch.documents():
        to(name, doc)
        if len(to.of("stop")) == n_runs:
            return


def rows_of_runs(emitted: Emitted) -> dict[str, list[tuple[int, float, bytes]]]:
    runs = {doc["uid"]: doc["run_start"] for doc in emitted.of("descriptor")}
    rows: dict[str, list[tuple[int, float, bytes]]] = {
        doc["uid"]: [] for doc in emitted.of("start")
    }
    for doc in emitted.of("event"):
        row = (doc["seq_num"], doc["data"]["motor"], np.asarray(doc["data"]["detector"]).tobytes())
        rows[runs[doc["descriptor"]]].append(row)
    return rows


def test_a_key_without_the_scopes_for_websockets_is_told(tiled_process: TiledProcess) -> None:
    with (
        tiled_process.client(tiled_process.api_key(READ_SCOPES)) as client,
        pytest.raises(ArchiveError, match="scopes create:apikeys and revoke:apikeys"),
        TiledWatch(client),
    ):
        pass
