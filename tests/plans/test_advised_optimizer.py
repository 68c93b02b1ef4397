from typing import Any

import pytest
from advised_plans import ScriptedAdvisor, SoftAxis, SoftDetector, advise, column, run_plan
from bluesky import RunEngine
from experiment import Emitted, configuration, make_beamline

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Action
from phasepilot.plans.advised_optimizer import AdvisedOptimizer
from phasepilot.plans.scan_limits import ScanLimits
from phasepilot.plans.steering import Steering

adaptive = pytest.importorskip(
    "bluesky_adaptive", reason="bluesky-adaptive 1.x is not installed; pip install phasepilot[test]"
)

LIMITS = ScanLimits(0.0, 1.0, 0.5, 0.1, 0.5, 20)


def places(emitted: Emitted) -> list[float]:
    return [doc["data"]["axis"] for doc in emitted.events("primary") if "axis" in doc["data"]]


def problem(scan: AdvisedOptimizer, axis: Any, detector: Any) -> Any:
    return adaptive.protocols.OptimizationProblem(
        scan, [axis], [detector], evaluation_function=scan.evaluate
    )


def test_satisfies_the_protocols_without_importing_them() -> None:
    scan = AdvisedOptimizer("axis", LIMITS)
    protocols = adaptive.protocols
    assert isinstance(scan, protocols.Optimizer)
    assert isinstance(scan, protocols.SupportsStoppingCriteria)
    assert isinstance(scan, protocols.TrialFaultAware)


def test_optimize_measures_where_the_advisor_says_until_it_stops(run_engine: RunEngine) -> None:
    advice = [
        advise(Action.CONTINUE),
        advise(Action.REFINE, step=0.01, change_probability=0.9),
        advise(Action.STOP),
    ]
    opinions = iter(advice)
    by_run: dict[str, Any] = {}

    def opinion(run_uid: str, seq_num: int) -> Any:
        if run_uid not in by_run:
            by_run[run_uid] = next(opinions)
        return by_run[run_uid]

    axis = SoftAxis(name="axis")
    detector = SoftDetector(axis)
    scan = AdvisedOptimizer("axis", LIMITS)
    steering = Steering(ScriptedAdvisor(opinion))
    plan = adaptive.optimize(problem(scan, axis, detector), iterations=None)
    emitted = run_plan(run_engine, scan.advised(plan, steering, [detector]))
    assert axis.sent_to == pytest.approx([0.0, 0.5, 0.6])
    assert column(emitted, "decided_by") == ["advisor"] * 3
    assert scan.should_stop() == (True, "as scripted")
    ((_, place, outcome),) = scan.get_best_points()
    assert place == {"axis": 0.5}
    assert outcome["change_probability"] == 0.9


def test_the_range_ends_the_scan_whatever_the_advisor_says(run_engine: RunEngine) -> None:
    axis = SoftAxis(name="axis")
    detector = SoftDetector(axis)
    scan = AdvisedOptimizer("axis", LIMITS)
    plan = adaptive.optimize(problem(scan, axis, detector), iterations=None)
    run_plan(run_engine, scan.advised(plan, Steering(ScriptedAdvisor()), [detector]))
    assert axis.sent_to == pytest.approx([0.0, 0.5, 1.0])
    assert scan.should_stop()[1] == "the end of the range is reached"


def test_failed_points_are_kept_and_the_place_stays(run_engine: RunEngine) -> None:
    axis = SoftAxis(name="axis")
    dead = SoftDetector(axis, fails_at=[0.0])
    scan = AdvisedOptimizer("axis", LIMITS)
    plan = adaptive.optimize(problem(scan, axis, dead), iterations=None)
    with pytest.raises(Exception, match="Status"):
        run_engine(scan.advised(plan, Steering(ScriptedAdvisor()), [dead]))
    assert [point["axis"] for point in scan.failed] == [0.0]
    assert scan.suggest()[0]["axis"] == 0.0


def test_one_point_at_a_time() -> None:
    with pytest.raises(ValueError, match="one point can be suggested at a time, but 3"):
        AdvisedOptimizer("axis", LIMITS).suggest(3)


def test_the_agent_finds_a_transition_within_one_run_of_it(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    beamline = make_beamline()
    agent = PhaseAgent(configuration(), model=model)
    material = beamline.material
    limits = ScanLimits(material.scan_start_gpa, material.scan_stop_gpa, 0.2, 0.025, 0.2, 60)
    scan = AdvisedOptimizer("cell", limits)
    trial = problem(scan, beamline.cell, beamline.detector)
    steering = Steering(agent, timeout_s=30.0)
    plan = adaptive.optimize_in_run(trial, iterations=60)
    emitted = run_plan(run_engine, scan.advised(plan, steering, [beamline.detector]), agent)
    interval = agent.report().onset_interval
    assert interval is not None
    assert interval[0] - 0.05 <= material.transition_pressure_gpa <= interval[1]
    assert column(emitted, "decided_action")[-1] == "stop"
    assert len(emitted.events("agent")) < 60
