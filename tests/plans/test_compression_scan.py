from concurrent.futures import Future
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from experiment import STEERING, Emitted, PausesOnce, configuration, make_beamline

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Action, Advice, Suggestion
from phasepilot.plans.compression_scan import compression_scan
from phasepilot.plans.scan_limits import Progress, ScanLimits


class ScriptedAdvisor:
    """An advisor with a fixed opinion on each frame; None stands for silence."""

    def __init__(self, opinions: dict[int, Advice | Exception | None]) -> None:
        self._opinions = opinions

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        future: Future[Advice] = Future()
        opinion = self._opinions.get(seq_num, Advice.none(seq_num, "no opinion"))
        if isinstance(opinion, Exception):
            raise opinion
        if opinion is not None:
            future.set_result(opinion)
        return future

    def settings(self) -> dict[str, str | float | int]:
        return {"agent_model": "script"}


def advise(action: Action, step: float) -> Advice:
    return Advice(action=action.value, reason="as scripted", step=step)


def scanned(run_engine: RunEngine, advisor: Any, **options: Any) -> Emitted:
    beamline = make_beamline()
    emitted = Emitted()
    run_engine.subscribe(emitted)
    arguments = {"step": 0.2, "advice_timeout_s": 0.05, **options}
    run_engine(
        compression_scan([beamline.detector], beamline.cell, 0.4, 1.0, advisor=advisor, **arguments)
    )
    return emitted


def set_points(emitted: Emitted) -> list[float]:
    return [doc["data"]["cell_setpoint_gpa"] for doc in emitted.events("primary")]


def test_without_an_advisor_it_is_the_plain_scan(run_engine: RunEngine) -> None:
    emitted = scanned(run_engine, None)
    assert set_points(emitted) == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert {doc["name"] for doc in emitted.of("descriptor")} == {"primary"}
    assert emitted.stop["exit_status"] == "success"


def test_obeys_within_its_limits(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor(
        {
            1: advise(Action.REFINE, 0.1),
            2: advise(Action.REFINE, 1e-9),
            3: advise(Action.COARSEN, 9.0),
        }
    )
    emitted = scanned(run_engine, advisor, min_step=0.05, max_step=0.3)
    assert set_points(emitted) == pytest.approx([0.4, 0.5, 0.55, 0.85, 1.0])


def test_stops_when_told_and_says_why_in_the_record(run_engine: RunEngine) -> None:
    emitted = scanned(run_engine, ScriptedAdvisor({2: advise(Action.STOP, float("nan"))}))
    assert set_points(emitted) == pytest.approx([0.4, 0.6])
    assert emitted.events("agent")[-1]["data"]["agent_reason"] == "as scripted"


@pytest.mark.parametrize(
    ("opinion", "message"),
    [
        (None, "did not answer within 0.05 s"),
        (RuntimeError("boom"), "the advisor failed (RuntimeError: boom)"),
    ],
)
def test_goes_on_as_the_plain_scan_when_the_advisor_fails(
    run_engine: RunEngine, opinion: Exception | None, message: str
) -> None:
    emitted = scanned(run_engine, ScriptedAdvisor(dict.fromkeys(range(1, 9), opinion)))
    assert set_points(emitted) == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert emitted.stop["exit_status"] == "success"
    assert all(message in doc["data"]["agent_problem"] for doc in emitted.events("agent"))


def test_never_takes_more_points_than_allowed(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor(dict.fromkeys(range(1, 99), advise(Action.REFINE, 0.001)))
    emitted = scanned(run_engine, advisor, min_step=0.001, max_points=7)
    assert len(set_points(emitted)) == 7


def plain_positions(limits: ScanLimits) -> list[float]:
    progress = Progress(limits.start, limits.start)
    positions = [limits.start]
    while True:
        done = limits.limited(Suggestion(Action.CONTINUE, ""), progress)
        if done.action is Action.STOP:
            return positions
        progress = limits.moved(progress, done.region_stop)
        positions.append(progress.position)


def test_goes_down_when_stop_lies_below_start() -> None:
    limits = ScanLimits(5.0, 4.0, 0.4, 0.1, 0.4, 99)
    assert plain_positions(limits) == pytest.approx([5.0, 4.6, 4.2, 4.0])


@pytest.mark.parametrize(("start", "stop"), [(0.4, 4.2), (-3.0, 7.0), (5.0, 0.1)])
@pytest.mark.parametrize("n_steps", [3, 7, 24, 192, 900])
def test_steps_that_divide_the_range_take_one_point_more(
    start: float, stop: float, n_steps: int
) -> None:
    step = abs(stop - start) / n_steps
    positions = plain_positions(ScanLimits(start, stop, step, step, step, 1000))
    assert len(positions) == n_steps + 1
    assert positions[-1] == stop


@pytest.mark.parametrize("steps", [(0.0, 0.1, 0.2), (0.3, 0.1, 0.2), (0.1, 0.3, 0.2), (-1, 1, 1)])
def test_refuses_steps_that_contradict_each_other(steps: tuple[float, float, float]) -> None:
    smallest, nominal, largest = steps
    with pytest.raises(ValueError, match="min_step <= step <= max_step"):
        ScanLimits(0.0, 1.0, nominal, smallest, largest, 10)


@pytest.mark.parametrize("seed", range(3))
def test_the_agent_finds_the_transition_and_stops(
    run_engine: RunEngine, model: PhaseModel, seed: int
) -> None:
    beamline = make_beamline(seed)
    agent = PhaseAgent(configuration(), model=model)
    emitted = Emitted()
    run_engine.subscribe(agent)
    run_engine.subscribe(emitted)
    material = beamline.material
    run_engine(
        compression_scan(
            [beamline.detector],
            beamline.cell,
            material.scan_start_gpa,
            material.scan_stop_gpa,
            step=STEERING.coarse_step,
            advisor=agent,
            advice_timeout_s=30.0,
        )
    )
    interval = agent.report().onset_interval
    assert interval is not None
    # The gauge reads to 0.01 GPa; the new lines stand out once a few percent have changed.
    assert interval[0] - 0.05 <= material.transition_pressure_gpa <= interval[1]
    assert interval[1] - interval[0] < 1.5 * STEERING.coarse_step
    actions = [doc["data"]["agent_action"] for doc in emitted.events("agent")]
    assert Action.REFINE in actions
    assert actions[-1] == Action.STOP
    assert set_points(emitted)[-1] < material.scan_stop_gpa
    assert len(actions) == len(emitted.events("primary"))


def test_after_a_pause_plan_and_record_agree(run_engine: RunEngine, model: PhaseModel) -> None:
    beamline = make_beamline()
    agent = PhaseAgent(configuration(), model=model)
    emitted = Emitted()
    run_engine.subscribe(agent)
    run_engine.subscribe(emitted)
    pause = PausesOnce(run_engine, seq_num=5)
    run_engine.subscribe(pause)
    plan = compression_scan(
        [beamline.detector], beamline.cell, 1.4, 3.0, step=0.2, advisor=agent, advice_timeout_s=30.0
    )
    with pytest.raises(RunEngineInterrupted):
        run_engine(plan)
    pause.join()
    run_engine.resume()
    frames = {doc["seq_num"]: doc["data"] for doc in emitted.events("primary")}
    advice = {doc["data"]["agent_frame_seq_num"]: doc["data"] for doc in emitted.events("agent")}
    assert emitted.stop["exit_status"] == "success"
    assert sorted(frames) == sorted(advice) == list(range(1, len(frames) + 1))
    assert len(emitted.events("primary")) > len(frames)
    for number in sorted(frames)[:-1]:
        taken = frames[number + 1]["cell_setpoint_gpa"] - frames[number]["cell_setpoint_gpa"]
        room = 3.0 - frames[number]["cell_setpoint_gpa"]
        assert taken == pytest.approx(min(advice[number]["agent_step"], room), abs=1e-6)
        assert advice[number]["agent_axis_value"] == frames[number]["cell_pressure_gpa"]
