"""A point detector on an arm: many events, one pattern."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from experiment import Emitted
from ophyd.sim import SynAxis, SynSignal
from recorded_documents import write_json_lines
from steered_run import assert_same_to_the_bit

from phasepilot.agent.archive.document_files import DocumentFiles
from phasepilot.agent.archive.document_log import DocumentLog, log_path
from phasepilot.agent.archive.run_query import RunQuery
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.growing_scan import GrowingScan
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import replay
from phasepilot.agent.replay_batch import judge_run
from phasepilot.plans.steering import Steering

LINES_DEG = (12.0, 17.0, 20.9, 24.2, 27.1)


def counts_at(angle_deg: float, exposure_s: float) -> float:
    lines = sum(100.0 * np.exp(-((angle_deg - line) ** 2) / 0.02) for line in LINES_DEG)
    return round(exposure_s * (lines + 5.0))


class Diffractometer:
    """An arm, a counting time and a detector that counts what the arm looks at."""

    def __init__(self) -> None:
        self.arm = SynAxis(name="arm")
        self.dwell = SynAxis(name="dwell", value=1.0)
        self.counter = SynSignal(
            name="counter", func=lambda: counts_at(self.arm.position, self.dwell.position)
        )

    @property
    def devices(self) -> list[Any]:
        return [self.arm, self.dwell, self.counter]


@pytest.fixture
def diffractometer() -> Diffractometer:
    return Diffractometer()


@pytest.fixture
def agent() -> PhaseAgent:
    return PhaseAgent(
        AgentConfiguration(
            frame="points",
            intensity_field="counter",
            two_theta_field="arm",
            exposure_field="dwell",
            wavelength_angstrom=0.7,
            judge_every=1000,
        )
    )


def two_passes(
    diffractometer: Diffractometer, agent: PhaseAgent, advice: list[Any], *, pauses: bool = False
) -> Iterator[Any]:
    """Scan coarsely, then a window of it finely and ten times as long; ask after each."""
    steering = Steering(agent, timeout_s=10.0)

    @bpp.run_decorator()
    def scan() -> Iterator[Any]:
        seq_num = 0
        passes = ((np.arange(8.0, 30.0, 0.2), 1.0), (np.arange(16.5, 17.5, 0.05), 10.0))
        for angles, dwell_s in passes:
            yield from bps.checkpoint()
            yield from bps.mv(diffractometer.dwell, dwell_s)
            for index, angle in enumerate(angles):
                yield from bps.mv(diffractometer.arm, angle)
                yield from bps.trigger_and_read(diffractometer.devices)
                seq_num += 1
                if pauses and dwell_s > 1 and index == 5 and not paused:
                    paused.append(True)
                    yield from bps.pause()
            decision = yield from steering.decide(uids[-1], seq_num)
            advice.append(decision.advice)

    paused: list[bool] = []
    uids: list[str] = []

    def remember(name: str, doc: Any) -> None:
        if name == "start":
            uids.append(doc["uid"])

    yield from bpp.subs_wrapper(scan(), {"start": [remember]})


def test_a_pattern_grows_and_is_judged_when_the_plan_asks(
    diffractometer: Diffractometer, agent: PhaseAgent
) -> None:
    engine, advice = RunEngine(call_returns_result=False), []
    engine.subscribe(agent)
    engine(two_passes(diffractometer, agent, advice))
    assert [one.problem for one in advice] == ["", ""]
    assert [one.frame_seq_num for one in agent.report().advice] == [110, 130]
    assert advice[0].crystal_system
    assert advice[1].state == ""  # a longer pattern is no phase change


def test_the_replay_asks_where_the_plan_asked(
    diffractometer: Diffractometer, agent: PhaseAgent
) -> None:
    engine, documents = RunEngine(call_returns_result=False), []
    engine.subscribe(agent)
    engine.subscribe(lambda name, doc: documents.append((name, doc)))
    engine(two_passes(diffractometer, agent, []))
    replayed = replay(documents)
    assert replayed.n_recorded == 2
    assert replayed.differences == ()


def scanned_to_files(diffractometer: Diffractometer, directory: Path) -> list[Path]:
    """A plain scan of points that no agent saw, as a log of ours and as suitcase writes it."""
    engine, log, emitted = RunEngine(call_returns_result=False), DocumentLog(directory), Emitted()
    engine.subscribe(log)
    engine.subscribe(emitted)
    arm, dwell, counter = diffractometer.devices
    engine(bp.scan([counter, dwell], arm, 8.0, 30.0, 120))
    log.close()
    (start,) = emitted.of("start")
    lines = write_json_lines(directory / "run.jsonl", emitted.documents)
    return [log_path(directory, start["uid"]), lines]


def test_a_scan_of_points_that_nobody_asked_about_is_judged_at_its_end(
    diffractometer: Diffractometer, agent: PhaseAgent, tmp_path: Path
) -> None:
    engine = RunEngine(call_returns_result=False)
    engine.subscribe(agent)
    engine(bp.scan(diffractometer.devices[1:], diffractometer.arm, 8.0, 30.0, 120))
    assert agent.wait()
    (live,) = agent.report().advice
    assert live.frame_seq_num == 120
    assert live.crystal_system
    for file in scanned_to_files(diffractometer, tmp_path):
        outcome = judge_run(DocumentFiles(file), run_in(file), agent.configuration)
        assert outcome.failure == ""
        assert_same_to_the_bit(outcome.result.advice, [live])


def run_in(file: Path) -> str:
    (found,) = DocumentFiles(file).find(RunQuery())
    return found.uid


def test_points_measured_again_after_a_pause_count_once(
    diffractometer: Diffractometer, agent: PhaseAgent
) -> None:
    engine, advice = RunEngine(call_returns_result=False), []
    engine.subscribe(agent)
    with pytest.raises(Exception, match="paused"):
        engine(two_passes(diffractometer, agent, advice, pauses=True))
    engine.resume()
    plain: list[Any] = []
    engine(two_passes(diffractometer, agent, plain))
    assert advice[1].space_group_probabilities == plain[1].space_group_probabilities


def test_what_came_from_a_repeated_event_on_is_dropped() -> None:
    scan = GrowingScan()
    for seq_num, angle in ((1, 10.0), (2, 11.0), (3, 12.0), (2, 11.5)):
        scan.add(seq_num, angle, 5, 1.0)
    angles, counts, exposure_s = scan.columns()
    assert angles.tolist() == [10.0, 11.5]
    assert counts.tolist() == [5.0, 5.0]
    assert exposure_s.tolist() == [1.0, 1.0]


def test_a_strip_brings_many_points_and_junk_none() -> None:
    scan = GrowingScan()
    scan.add(1, np.arange(3.0), np.ones(3), 0.5)
    scan.add(2, "nowhere", 4.0, 0.5)
    scan.add(3, np.arange(2.0), np.ones(3), 0.5)
    scan.add(4, 7.0, None, 0.5)
    angles, counts, exposure_s = scan.columns()
    assert angles.tolist() == [0.0, 1.0, 2.0, 7.0]
    assert np.isnan(counts[3])
    assert exposure_s.tolist() == [0.5, 0.5, 0.5, 0.5]
