from typing import Any

import pytest
from advised_plans import ScriptedAdvisor, SoftAxis, SoftDetector, advise, column, run_plan
from bluesky import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted
from experiment import STEERING, Emitted, PausesOnce, configuration, make_beamline
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Action, Advice, Suggestion
from phasepilot.plans.axis_guard import AxisGuard
from phasepilot.plans.compression_scan import compression_scan
from phasepilot.plans.decision import Obedience
from phasepilot.plans.override import Override
from phasepilot.plans.scan_limits import Progress, ReturnLimits, ScanLimits


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
            1: advise(Action.REFINE, step=0.1),
            2: advise(Action.REFINE, step=1e-9),
            3: advise(Action.COARSEN, step=9.0),
        }
    )
    emitted = scanned(run_engine, advisor, min_step=0.05, max_step=0.3)
    assert set_points(emitted) == pytest.approx([0.4, 0.5, 0.55, 0.85, 1.0])


def test_stops_when_told_and_says_why_in_the_record(run_engine: RunEngine) -> None:
    emitted = scanned(run_engine, ScriptedAdvisor({2: advise(Action.STOP)}))
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
    advisor = ScriptedAdvisor(dict.fromkeys(range(1, 99), advise(Action.REFINE, step=0.001)))
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


def place(value: float, action: Action = Action.REFINE) -> Advice:
    return advise(action, region_start=value, region_stop=value)


def test_goes_to_the_place_that_is_asked_for(run_engine: RunEngine) -> None:
    emitted = scanned(run_engine, ScriptedAdvisor({1: place(0.47), 2: place(0.9)}))
    # Never more than a step beyond what was reached.
    assert set_points(emitted) == pytest.approx([0.4, 0.47, 0.67, 0.87, 1.0])


def test_one_way_refuses_to_go_back_and_says_so(run_engine: RunEngine) -> None:
    emitted = scanned(run_engine, ScriptedAdvisor({2: place(0.5)}))
    assert set_points(emitted) == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert column(emitted, "decided_by")[1] == "plan"
    assert "0.5 may not be gone to from here" in column(emitted, "decided_reason")[1]
    assert column(emitted, "region_start")[1] == 0.5
    assert column(emitted, "decided_region_start")[1] == pytest.approx(0.8)


def test_bisects_as_far_and_as_often_as_it_may_return(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor({3: place(0.7), 4: place(0.65), 5: place(0.62), 6: place(0.75)})
    emitted = scanned(run_engine, advisor, returns=ReturnLimits(max_distance=0.2, max_returns=2))
    # The third return is refused, and without advice the scan goes on from the furthest point.
    assert set_points(emitted) == pytest.approx([0.4, 0.6, 0.8, 0.7, 0.65, 1.0])


def test_ends_when_the_axis_reads_above_its_maximum(run_engine: RunEngine) -> None:
    axis = SoftAxis(name="furnace", overshoot=5.0)
    emitted = run_plan(
        run_engine,
        compression_scan(
            [SoftDetector(axis)], axis, 10, 30, step=5, guard=AxisGuard(max_value=32.0)
        ),
    )
    assert axis.sent_to == [10, 15, 20, 25, 30]
    assert "above its maximum of 32" in emitted.stop["reason"]


def test_refuses_a_range_above_the_maximum() -> None:
    plan = compression_scan([], SoftAxis(name="a"), 0, 9, step=1, guard=AxisGuard(max_value=8))
    with pytest.raises(ValueError, match="max_value = 8"):
        next(plan)


def test_drives_the_axis_in_pieces_no_faster_than_allowed(run_engine: RunEngine) -> None:
    axis = SoftAxis(name="furnace", value=8.0)
    sleeps: list[float] = []
    plan = compression_scan(
        [SoftDetector(axis)], axis, 10, 20, step=10, guard=AxisGuard(max_rate_per_s=200.0)
    )

    def watched() -> Any:
        response = None
        while True:
            try:
                message = plan.send(response)
            except StopIteration as end:
                return end.value
            if message.command == "sleep":
                sleeps.append(message.args[0])
            response = yield message

    run_plan(run_engine, watched())
    assert axis.sent_to == [10, 20]
    assert sleeps == pytest.approx([2 / 200, 10 / 200])
    slow = AxisGuard(max_rate_per_s=4.0)
    sent = [message.args[0] for message in slow.move(axis, 12.0) if message.command == "set"]
    assert sent == pytest.approx([18, 16, 14, 12])


def test_a_person_vetoes_replaces_and_ends(run_engine: RunEngine) -> None:
    override = Override()
    advisor = ScriptedAdvisor(dict.fromkeys(range(1, 9), advise(Action.REFINE, step=0.05)))
    orders = {
        1: lambda: override.veto("that line is the gasket"),
        3: lambda: override.next(Suggestion(Action.COARSEN, "hurry", step=0.1)),
        5: override.stop,
    }

    def person(name: str, doc: Any) -> None:
        if name == "event" and "cell_setpoint_gpa" in doc["data"]:
            orders.get(doc["seq_num"], lambda: None)()

    run_engine.subscribe(person)
    emitted = scanned(run_engine, advisor, override=override)
    assert set_points(emitted) == pytest.approx([0.4, 0.6, 0.65, 0.75, 0.8])
    assert column(emitted, "decided_by") == ["person", "advisor", "person", "advisor", "person"]
    assert column(emitted, "obeyed") == [False, True, False, True, False]
    assert column(emitted, "action") == ["refine"] * 5
    assert column(emitted, "decided_reason")[0] == "vetoed: that line is the gasket"
    assert "a person ended the plan" in emitted.stop["reason"]
    assert override.pending is None


def test_advise_only_records_suggestions_and_is_the_plain_scan(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor(dict.fromkeys(range(1, 9), advise(Action.STOP)))
    emitted = scanned(run_engine, advisor, obedience=Obedience.ADVISE_ONLY)
    assert set_points(emitted) == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert column(emitted, "action") == ["stop"] * 4
    assert set(column(emitted, "decided_by")) == {"plan"}
    assert emitted.of("start")[0]["is_steered"] is False


def test_a_failing_axis_closes_the_run_and_says_why(run_engine: RunEngine) -> None:
    axis = SoftAxis(name="furnace", sticks_at=[2])
    emitted = Emitted()
    run_engine.subscribe(emitted)
    with pytest.raises(FailedStatus):
        run_engine(compression_scan([SoftDetector(axis)], axis, 0, 4, step=1))
    assert emitted.stop["exit_status"] == "fail"
    assert emitted.stop["reason"] == "RuntimeError: furnace is stuck"
    assert len(emitted.events("primary")) == 2


def test_advice_that_makes_no_sense_is_no_advice(run_engine: RunEngine) -> None:
    nonsense = Advice(action="dance", reason="why not")
    emitted = scanned(run_engine, ScriptedAdvisor({2: nonsense}))
    assert set_points(emitted) == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert column(emitted, "decided_by")[1] == "fallback"
    assert "'dance' is not a valid Action" in column(emitted, "problem")[1]


number = st.floats(allow_nan=True, allow_infinity=True)
suggestions = st.builds(
    Suggestion,
    action=st.sampled_from(Action),
    reason=st.just("anything"),
    step=number,
    region_start=number,
    region_stop=number,
    dwell_s=number,
)
places = st.builds(
    lambda value: Suggestion(Action.REFINE, "there", region_start=value, region_stop=value),
    st.floats(-3, 12),
)


@given(
    asked=st.lists(st.one_of(suggestions, places), min_size=1, max_size=40),
    ends=st.sampled_from([(0.0, 10.0), (10.0, 0.0), (0.1, 0.7)]),
    returns=st.sampled_from([None, ReturnLimits(max_distance=1.5, max_returns=2)]),
)
def test_no_advice_moves_the_scan_out_of_its_limits(
    asked: list[Suggestion], ends: tuple[float, float], returns: ReturnLimits | None
) -> None:
    start, stop = ends
    limits = ScanLimits(start, stop, 0.5, 0.1, 1.0, 15, returns)
    progress = Progress(start, start)
    direction = 1 if stop > start else -1
    for suggestion in asked:
        done = limits.limited(suggestion, progress)
        if done.action is Action.STOP:
            break
        after = limits.moved(progress, done.region_stop)
        assert min(ends) <= after.position <= max(ends)
        ahead = direction * (after.position - progress.furthest)
        assert ahead <= limits.max_step + 1e-8
        if returns is None:
            assert direction * (after.position - progress.position) > 0
        else:
            assert ahead >= -returns.max_distance - 1e-8
        progress = after
    assert progress.n_points <= limits.max_points
    assert progress.n_returns <= (returns.max_returns if returns else 0)


# Later the change comes while the tracker still learns which lines are the sample's.
@pytest.mark.parametrize("later_gpa", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_the_agent_finds_the_transition_and_stops(
    run_engine: RunEngine, model: PhaseModel, seed: int, later_gpa: float
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
            material.scan_start_gpa + later_gpa,
            material.scan_stop_gpa,
            step=STEERING.coarse_step,
            advisor=agent,
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
    plan = compression_scan([beamline.detector], beamline.cell, 1.4, 3.0, step=0.2, advisor=agent)
    with pytest.raises(RunEngineInterrupted):
        run_engine(plan)
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
