import math
import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from advised_plans import (
    BrightestAdvisor,
    ScriptedAdvisor,
    SoftAxis,
    SoftDetector,
    advise,
    column,
    peak_at,
    run_plan,
)
from bluesky import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted
from experiment import Emitted, ManualClock, PausesOnce, make_beamline
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE_S

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.adaptive_two_theta_scan import adaptive_two_theta_scan
from phasepilot.plans.decision import Obedience
from phasepilot.plans.dwell import DwellLimits
from phasepilot.plans.override import Override
from phasepilot.plans.two_theta_limits import Measured, TwoThetaLimits

PLAIN = [10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 10.7, 10.8]
COARSE = [10.0, 10.4, 10.8]
REST = [10.1, 10.2, 10.3, 10.5, 10.6, 10.7]


def scan(arm: SoftAxis, detector: SoftDetector, **options: Any) -> Any:
    arguments = {
        "start": 10.0,
        "stop": 10.8,
        "step": 0.1,
        "dwell_s": 1.0,
        "dwell": detector.exposure_s,
        "advice_timeout_s": 0.05,
    }
    return adaptive_two_theta_scan([detector], arm, **{**arguments, **options})


def scanned(run_engine: RunEngine, advisor: Any, *subscribers: Any, **options: Any) -> Emitted:
    arm = SoftAxis(name="arm")
    return run_plan(
        run_engine, scan(arm, SoftDetector(arm), advisor=advisor, **options), *subscribers
    )


def positions(emitted: Emitted) -> list[float]:
    return [doc["data"]["arm"] for doc in emitted.events("primary")]


def dwells_s(emitted: Emitted) -> list[float]:
    return [doc["data"]["detector_exposure_s"] for doc in emitted.events("primary")]


def test_without_an_advisor_it_is_the_plain_scan(run_engine: RunEngine) -> None:
    emitted = scanned(run_engine, None)
    assert positions(emitted) == pytest.approx(PLAIN)
    assert {doc["name"] for doc in emitted.of("descriptor")} == {"primary"}
    assert emitted.stop["exit_status"] == "success"


def test_measures_the_brightest_line_finely_after_a_coarse_pass(run_engine: RunEngine) -> None:
    arm = SoftAxis(name="arm")
    detector = SoftDetector(arm, rate=peak_at(10.41))
    advisor = BrightestAdvisor("arm", "detector_counts")
    emitted = run_plan(run_engine, scan(arm, detector, advisor=advisor), advisor)
    window = [10.3, 10.325, 10.35, 10.375, 10.4, 10.425, 10.45, 10.475, 10.5]
    assert positions(emitted) == pytest.approx(COARSE + window)
    assert column(emitted, "decided_action") == ["refine", "stop"]
    # The step of 0.02 that was asked for lies below the smallest allowed.
    assert column(emitted, "limited")[0]
    assert column(emitted, "decided_step")[0] == pytest.approx(0.025)


def test_exposes_a_region_longer_and_puts_the_dwell_back(run_engine: RunEngine) -> None:
    longer = {"region_start": 10.2, "region_stop": 10.3, "step": 0.1, "dwell_s": 4.0}
    advisor = ScriptedAdvisor({3: advise(Action.EXPOSE, **longer), 5: advise(Action.STOP)})
    arm = SoftAxis(name="arm")
    detector = SoftDetector(arm)
    detector.exposure_s.put(0.3)
    plan = scan(arm, detector, advisor=advisor, coarse_dwell_s=0.5)
    emitted = run_plan(run_engine, plan)
    assert positions(emitted) == pytest.approx([*COARSE, 10.2, 10.3])
    assert dwells_s(emitted) == [0.5, 0.5, 0.5, 4.0, 4.0]
    assert detector.exposure_s.get() == 0.3


def test_extends_only_within_reach(run_engine: RunEngine) -> None:
    beyond = advise(Action.EXTEND, region_start=10.9, region_stop=15.0, step=0.1)
    advisor = ScriptedAdvisor({3: beyond, 5: advise(Action.STOP)})
    emitted = scanned(run_engine, advisor, reach=(10.0, 11.0))
    assert positions(emitted) == pytest.approx([*COARSE, 10.9, 11.0])


def test_coarsens_the_rest_of_the_plain_scan(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor({3: advise(Action.COARSEN, step=0.2)})
    emitted = scanned(run_engine, advisor)
    assert positions(emitted) == pytest.approx([*COARSE, 10.2, 10.6])


def test_runs_every_pass_in_the_direction_of_the_scan(run_engine: RunEngine) -> None:
    window = advise(Action.REFINE, region_start=10.2, region_stop=10.4, step=0.1)
    advisor = ScriptedAdvisor({3: window, 6: advise(Action.STOP)})
    emitted = scanned(run_engine, advisor, start=10.8, stop=10.0)
    assert positions(emitted) == pytest.approx([*reversed(COARSE), 10.4, 10.3, 10.2])


@pytest.mark.parametrize(
    ("opinion", "message"),
    [
        (None, "did not answer within 0.05 s"),
        (RuntimeError("boom"), "the advisor failed (RuntimeError: boom)"),
    ],
)
def test_completes_the_plain_scan_when_the_advisor_fails(
    run_engine: RunEngine, opinion: Exception | None, message: str
) -> None:
    emitted = scanned(run_engine, ScriptedAdvisor(lambda run_uid, seq_num: opinion))
    assert positions(emitted) == pytest.approx(COARSE + REST)
    assert column(emitted, "decided_by") == ["fallback", "plan"]
    assert all(message in problem for problem in column(emitted, "problem"))
    assert "all of the plain scan has been measured" in emitted.stop["reason"]


def test_an_advisor_that_dies_midway_leaves_the_plain_scan(run_engine: RunEngine) -> None:
    window = advise(Action.REFINE, region_start=10.2, region_stop=10.3, step=0.05)
    advisor = ScriptedAdvisor(lambda run_uid, seq_num: window if seq_num <= 3 else None)
    emitted = scanned(run_engine, advisor)
    rest = [place for place in REST if place not in (10.2, 10.3)]
    assert positions(emitted) == pytest.approx([*COARSE, 10.2, 10.25, 10.3, *rest])
    assert column(emitted, "decided_by") == ["advisor", "fallback", "plan"]


def test_advise_only_measures_what_the_plain_scan_does(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor(lambda run_uid, seq_num: advise(Action.STOP))
    emitted = scanned(run_engine, advisor, obedience=Obedience.ADVISE_ONLY)
    assert sorted(positions(emitted)) == pytest.approx(PLAIN)
    assert column(emitted, "action") == ["stop", "stop"]
    assert column(emitted, "obeyed") == [False, False]


def test_a_person_ends_a_pass_and_the_record_says_so(run_engine: RunEngine) -> None:
    override = Override()

    def person(name: str, doc: Any) -> None:
        if name == "event" and doc["data"].get("arm") == 10.4:
            thread = threading.Thread(target=override.stop, args=("lunch",))
            thread.start()
            thread.join()

    emitted = scanned(run_engine, ScriptedAdvisor(), person, override=override)
    assert positions(emitted) == pytest.approx([10.0, 10.4])
    assert column(emitted, "decided_by") == ["person"]
    assert column(emitted, "decided_reason") == ["lunch"]


def test_a_person_replaces_the_next_suggestion(run_engine: RunEngine) -> None:
    override = Override()
    override.next(Suggestion(Action.REFINE, "look here", 0.1, 10.6, 10.7))
    advisor = ScriptedAdvisor({3: advise(Action.COARSEN), 5: advise(Action.STOP)})
    emitted = scanned(run_engine, advisor, override=override)
    assert positions(emitted) == pytest.approx([*COARSE, 10.6, 10.7])
    assert column(emitted, "decided_by") == ["person", "advisor"]


def test_points_dose_and_time_end_the_scan(run_engine: RunEngine) -> None:
    greedy = ScriptedAdvisor(lambda run_uid, seq_num: advise(Action.EXPOSE, dwell_s=3.0))
    emitted = scanned(run_engine, greedy, max_points=7)
    assert len(positions(emitted)) == 7
    with_dose = scanned(run_engine, greedy, max_exposure_s=10.0)
    assert sum(dwells_s(with_dose)) <= 10.0
    clock = ManualClock()
    arm = SoftAxis(name="arm")
    plan = scan(arm, SoftDetector(arm, clock=clock), advisor=greedy, clock=clock, max_time_s=12.0)
    in_time = run_plan(run_engine, plan)
    assert sum(dwells_s(in_time)) == 12.0
    assert "12 s are over" in in_time.stop["reason"]


def test_after_a_pause_plan_and_record_agree(run_engine: RunEngine) -> None:
    window = advise(Action.REFINE, region_start=10.2, region_stop=10.3, step=0.05)
    is_resumed = threading.Event()

    # Silent when first asked, so that the pause comes during the wait; then of another mind.
    def opinion(run_uid: str, seq_num: int) -> Any:
        if not is_resumed.is_set():
            return None
        return window if seq_num == 3 else advise(Action.STOP)

    arm, emitted = SoftAxis(name="arm"), Emitted()
    pause = PausesOnce(run_engine, seq_num=3)
    run_engine.subscribe(emitted)
    run_engine.subscribe(pause)
    plan = scan(arm, SoftDetector(arm), advisor=ScriptedAdvisor(opinion), advice_timeout_s=1.0)
    with pytest.raises(RunEngineInterrupted):
        run_engine(plan)
    is_resumed.set()
    run_engine.resume()
    taken = {doc["seq_num"]: doc["data"]["arm"] for doc in emitted.events("primary")}
    assert len(emitted.events("primary")) > len(taken)
    assert list(taken.values()) == pytest.approx([*COARSE, 10.2, 10.25, 10.3])
    last = {doc["data"]["agent_frame_seq_num"]: doc["data"] for doc in emitted.events("agent")}
    assert [doc["agent_decided_action"] for doc in last.values()][-2:] == ["refine", "stop"]
    assert emitted.stop["exit_status"] == "success"


def test_an_abort_closes_the_run_and_puts_the_dwell_back(run_engine: RunEngine) -> None:
    arm = SoftAxis(name="arm")
    detector = SoftDetector(arm)
    detector.exposure_s.put(0.3)
    emitted = Emitted()
    pause = PausesOnce(run_engine, seq_num=2)
    run_engine.subscribe(emitted)
    run_engine.subscribe(pause)
    with pytest.raises(RunEngineInterrupted):
        run_engine(scan(arm, detector, advisor=ScriptedAdvisor()))
    run_engine.abort("enough")
    assert emitted.stop["exit_status"] == "abort"
    assert detector.exposure_s.get() == 0.3


def test_a_stuck_arm_fails_the_run_and_says_why(run_engine: RunEngine) -> None:
    arm, emitted = SoftAxis(name="arm", sticks_at=[10.4]), Emitted()
    run_engine.subscribe(emitted)
    with pytest.raises(FailedStatus):
        run_engine(scan(arm, SoftDetector(arm), advisor=ScriptedAdvisor()))
    assert emitted.stop["reason"] == "RuntimeError: arm is stuck"
    assert len(emitted.events("primary")) == 1


def test_the_agent_judges_the_pattern_as_it_grows(run_engine: RunEngine, model: PhaseModel) -> None:
    sample = make_beamline().sample
    wavelength_angstrom = sample.diffractometer.wavelength_angstrom
    angles_deg, counts = sample.diffractometer.two_theta_deg, sample.expected_counts(0.1)
    arm = SoftAxis(name="arm")
    detector = SoftDetector(arm, rate=lambda angle: float(np.interp(angle, angles_deg, counts)))
    agent = PhaseAgent(
        AgentConfiguration(
            frame="points",
            intensity_field="detector_counts",
            two_theta_field="arm",
            exposure_field="detector_exposure_s",
            wavelength_angstrom=wavelength_angstrom,
            judge_every=10_000,
        ),
        model=model,
    )
    emitted = run_plan(
        run_engine,
        scan(
            arm,
            detector,
            start=float(angles_deg[0]),
            stop=float(angles_deg[-1]),
            step=0.05,
            coarse_step=0.1,
            advisor=agent,
            advice_timeout_s=PATIENCE_S,
        ),
        agent,
    )
    frames = emitted.events("primary")
    judged = emitted.events("agent")
    # An agent that only watches says to continue: the plain scan is completed and judged again.
    assert [doc["data"]["agent_decided_by"] for doc in judged] == ["advisor", "plan"]
    assert judged[0]["data"]["agent_frame_seq_num"] == pytest.approx(len(frames) / 2, abs=1)
    assert column(emitted, "crystal_system") == ["cubic", "cubic"]
    assert column(emitted, "problem") == ["", ""]


number = st.floats(allow_nan=True, allow_infinity=True)
suggestions = st.builds(
    Suggestion,
    action=st.sampled_from(Action),
    reason=st.just("anything"),
    step=st.one_of(number, st.floats(0.01, 1.0)),
    region_start=st.one_of(number, st.floats(5.0, 25.0)),
    region_stop=st.one_of(number, st.floats(5.0, 25.0)),
    dwell_s=st.one_of(number, st.floats(0.1, 20.0)),
)


@given(
    asked=st.lists(suggestions, min_size=1, max_size=20),
    ends=st.sampled_from([(10.0, 20.0), (20.0, 10.0)]),
)
def test_no_advice_moves_the_scan_out_of_its_limits(
    asked: list[Suggestion], ends: tuple[float, float]
) -> None:
    limits = TwoThetaLimits(
        start=ends[0],
        stop=ends[1],
        reach=(8.0, 21.0),
        step=0.5,
        coarse_step=1.0,
        min_step=0.2,
        max_step=2.0,
        dwell=DwellLimits(1.0, 0.5, 5.0),
        coarse_dwell_s=1.0,
        max_points=150,
        max_exposure_s=200.0,
        max_time_s=math.inf,
    )
    measured = Measured(limits.step)
    direction = 1 if ends[1] > ends[0] else -1
    current = limits.first_pass(measured, step=1.0, dwell_s=1.0)
    for suggestion in asked:
        places = limits.positions(current, measured)
        assert places
        assert all(8.0 <= place <= 21.0 for place in places)
        assert 0.2 <= current.step <= 2.0
        assert 0.5 <= current.dwell_s <= 5.0
        steps = [direction * (b - a) for a, b in pairwise(places)]
        assert all(step > 0.2 - 1e-8 for step in steps)
        for one in places:
            measured.add(one, current.dwell_s)
        assert measured.n_points <= 150
        assert measured.exposure_s <= 200.0 + 1e-6
        current = limits.limited(suggestion, measured, elapsed_s=0.0)
        if current.action is Action.STOP:
            break


def test_refuses_limits_that_contradict_each_other() -> None:
    arm = SoftAxis(name="arm")
    with pytest.raises(ValueError, match="reach must hold the range"):
        next(scan(arm, SoftDetector(arm), reach=(10.2, 11.0)))
    with pytest.raises(ValueError, match="min_step <= step <= coarse_step"):
        next(scan(arm, SoftDetector(arm), coarse_step=0.05))
    with pytest.raises(ValueError, match="min_dwell_s <= dwell_s"):
        next(scan(arm, SoftDetector(arm), max_dwell_s=0.5))
