"""A plan and an agent in two processes, and what happens when the agent dies between them."""

import contextlib
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from experiment import Emitted, PausesOnce, configuration, fresh_run_engine, make_beamline
from patience import PATIENCE_S
from served_agent import ServedAgent, addresses, served_agent
from steered_run import assert_same_to_the_bit

from phasepilot.agent.archive.document_log import DocumentLog
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import replay
from phasepilot.agent.report.build_record import AGENT_STREAM, recorded_advice
from phasepilot.agent.sockets.remote_agent import RemoteAgent
from phasepilot.models.suggestion import Action, Advice
from phasepilot.plans.compression_scan import compression_scan

pytestmark = pytest.mark.slow


def steered_by(
    run_engine: RunEngine, advisor: Any, *callbacks: Any, patience_s: float = PATIENCE_S
) -> Emitted:
    """The documents of a scan through the transition of KCl, resumed if somebody pauses it."""
    beamline, emitted = make_beamline(), Emitted()
    for callback in (*callbacks, advisor, emitted):
        run_engine.subscribe(callback)
    detectors, cell = [beamline.detector], beamline.cell
    try:
        run_engine(
            compression_scan(
                detectors, cell, 1.4, 3.0, step=0.2, advisor=advisor, advice_timeout_s=patience_s
            )
        )
    except RunEngineInterrupted:
        run_engine.resume()
    return emitted


def obeyed(emitted: Emitted) -> list[Advice]:
    """The advice on record, by frame."""
    recorded = recorded_advice(emitted.documents, stream=AGENT_STREAM, prefix=f"{AGENT_STREAM}_")
    return [recorded[number] for number in sorted(recorded)]


@pytest.fixture(scope="module")
def in_process() -> list[Advice]:
    """What an agent in the plan's own process says in the same scan."""
    with fresh_run_engine() as engine:
        return obeyed(steered_by(engine, PhaseAgent(configuration())))


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with served_agent(tmp_path_factory.mktemp("served")) as served:
        yield served


def test_a_plan_is_steered_from_another_process_as_from_its_own(
    agent: ServedAgent, run_engine: RunEngine, in_process: list[Advice]
) -> None:
    with agent.client() as remote:
        assert remote.wait_until_connected()
        said = obeyed(steered_by(run_engine, remote))
    assert {Action.REFINE, Action.STOP} <= {advice.action for advice in said}
    assert_same_to_the_bit(said, in_process)


class KillsOnce:
    """A subscriber that kills the agent after a frame, and has it restarted at the same place."""

    def __init__(self, seq_num: int, kill_and_restart: Any) -> None:
        self._seq_num, self._kill_and_restart = seq_num, kill_and_restart

    def __call__(self, name: str, doc: Any) -> None:
        if name == "event" and doc["seq_num"] == self._seq_num and self._kill_and_restart:
            kill_and_restart, self._kill_and_restart = self._kill_and_restart, None
            kill_and_restart()


class WaitsItself:
    """A remote agent that is waited for as long as it takes, up to a frame."""

    def __init__(self, remote: RemoteAgent, until: int) -> None:
        self._remote, self._until = remote, until
        self.settings = remote.settings

    def __call__(self, name: str, doc: Any) -> None:
        self._remote(name, doc)

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        asked = self._remote.advice(run_uid, stream, seq_num)
        if seq_num <= self._until:
            asked.result(PATIENCE_S)
        return asked


class LeapingClock:
    """A clock that leaps at a frame."""

    def __init__(self, seq_num: int, by_s: float) -> None:
        self._seq_num, self._by_s, self._leapt_s = seq_num, by_s, 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._leapt_s

    def leap(self, name: str, doc: Any) -> None:
        if name == "event" and doc["seq_num"] == self._seq_num:
            self._leapt_s = self._by_s


def test_an_agent_that_was_killed_catches_up_from_the_log_and_decides_as_before(
    tmp_path: Path, run_engine: RunEngine, in_process: list[Advice]
) -> None:
    log, places = tmp_path / "log", addresses()
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(served_agent(tmp_path, "--log", str(log), at=places))
        remote = stack.enter_context(served.client(silence_s=PATIENCE_S))
        assert remote.wait_until_connected()

        def kill_and_restart() -> None:
            served.kill()
            restarted.append(
                stack.enter_context(served_agent(tmp_path, "--log", str(log), at=places))
            )

        restarted: list[ServedAgent] = []
        killer = KillsOnce(5, kill_and_restart)
        said = obeyed(steered_by(run_engine, remote, DocumentLog(log), killer))
        printed = restarted[0].interrupt()
    assert_same_to_the_bit(said, in_process)
    assert "documents did not come over the wire" in printed


def test_a_plan_goes_on_by_itself_when_the_agent_dies(
    tmp_path: Path, run_engine: RunEngine, in_process: list[Advice]
) -> None:
    clock = LeapingClock(4, 2 * PATIENCE_S)
    with served_agent(tmp_path) as served, served.client(clock=clock) as remote:
        assert remote.wait_until_connected()
        advisor = WaitsItself(remote, 2)
        killer = KillsOnce(3, served.kill)
        said = obeyed(steered_by(run_engine, advisor, killer, clock.leap, patience_s=0.5))
    assert_same_to_the_bit(said[:2], in_process[:2])
    assert all(advice.action == Action.CONTINUE for advice in said[2:])
    assert "did not answer within 0.5 s" in said[2].problem
    assert all(f"was not heard of for {PATIENCE_S:g} s" in one.problem for one in said[3:])
    assert len(said) == 9  # the plain scan: 1.4 to 3.0 GPa in steps of 0.2


def test_an_agent_that_nobody_started_is_told_on_record(
    run_engine: RunEngine, tmp_path: Path
) -> None:
    documents, advice, _ = addresses()
    with RemoteAgent(documents, advice, silence_s=0.2) as remote:
        assert not remote.wait_until_connected(0.3)
        emitted = steered_by(run_engine, remote)
    assert all("was not heard of" in advice.problem for advice in obeyed(emitted))
    (descriptor,) = [doc for doc in emitted.of("descriptor") if doc["name"] == "agent"]
    settings = descriptor["configuration"]["agent"]["data"]
    assert "is `phasepilot serve` running" in settings["agent_problem"]


def test_frames_taken_twice_around_a_pause_are_asked_for_anew(
    agent: ServedAgent, run_engine: RunEngine
) -> None:
    with agent.client() as remote:
        assert remote.wait_until_connected()
        emitted = steered_by(run_engine, remote, PausesOnce(run_engine, 5))
    numbers = [doc["seq_num"] for doc in emitted.events("primary")]
    assert len(numbers) > len(set(numbers))
    again = replay(emitted.documents)
    assert again.n_recorded == len(set(numbers))
    assert again.differences == ()
