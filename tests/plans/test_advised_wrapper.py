from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from advised_plans import ScriptedAdvisor, SoftAxis, SoftDetector, advise, column, run_plan
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from experiment import Emitted, PausesOnce

from phasepilot.models.suggestion import Action
from phasepilot.plans.advised_wrapper import advised_decorator, advised_wrapper
from phasepilot.plans.override import Override
from phasepilot.plans.steering import Steering


def positions(emitted: Emitted) -> list[float]:
    return [doc["data"]["arm"] for doc in emitted.events("primary")]


def test_records_its_decisions_in_the_run_of_the_plan(run_engine: RunEngine) -> None:
    arm, advisor = SoftAxis(name="arm"), ScriptedAdvisor()
    detector = SoftDetector(arm)
    plan = advised_wrapper(bp.scan([detector], arm, 0, 4, 5), Steering(advisor), [detector])
    emitted = run_plan(run_engine, plan)
    assert column(emitted, "frame_seq_num") == [1, 2, 3, 4, 5]
    (start,) = emitted.of("start")
    assert advisor.asked == [(start["uid"], number) for number in range(1, 6)]


def test_advice_to_stop_ends_the_plan_inside_and_not_the_one_around(run_engine: RunEngine) -> None:
    arm = SoftAxis(name="arm")
    detector = SoftDetector(arm)
    steering = Steering(ScriptedAdvisor({2: advise(Action.STOP, "settled")}))
    returned: list[Any] = []

    @advised_decorator(steering, [detector])
    def settled() -> Any:
        return (yield from bp.count([detector], num=9))

    def both() -> Any:
        for _ in range(2):
            returned.append((yield from settled()))

    emitted = run_plan(run_engine, both())
    stops = emitted.of("stop")
    assert [doc["num_events"]["primary"] for doc in stops] == [2, 2]
    assert {doc["exit_status"] for doc in stops} == {"success"}
    assert returned == [doc["uid"] for doc in emitted.of("start")]


def test_a_hook_may_obey_in_its_own_way(run_engine: RunEngine) -> None:
    detector = SoftDetector()
    steering = Steering(ScriptedAdvisor({1: advise(Action.EXPOSE, dwell_s=7.0)}))

    def obey(decision: Any) -> Any:
        if decision.suggestion.action is Action.EXPOSE:
            yield from bps.mv(detector.exposure_s, decision.suggestion.dwell_s)

    plan = advised_wrapper(bp.count([detector], num=2), steering, [detector], obey=obey)
    emitted = run_plan(run_engine, plan)
    times = [doc["data"]["detector_exposure_s"] for doc in emitted.events("primary")]
    assert times == [1.0, 7.0]


def test_events_without_the_detector_are_not_asked_about(run_engine: RunEngine) -> None:
    arm, advisor = SoftAxis(name="arm"), ScriptedAdvisor()
    plan = advised_wrapper(bp.scan([], arm, 0, 1, 2), Steering(advisor), [SoftDetector(arm)])
    emitted = run_plan(run_engine, plan)
    assert len(positions(emitted)) == 2
    assert advisor.asked == []


def test_a_silent_advisor_leaves_the_plan_as_it_is(run_engine: RunEngine) -> None:
    arm = SoftAxis(name="arm")
    detector = SoftDetector(arm)
    steering = Steering(ScriptedAdvisor(lambda run_uid, seq_num: None), timeout_s=0.02)
    plan = advised_wrapper(bp.scan([detector], arm, 0, 2, 3), steering, [detector])
    emitted = run_plan(run_engine, plan)
    assert positions(emitted) == [0, 1, 2]
    assert column(emitted, "decided_by") == ["fallback"] * 3


def test_a_person_ends_a_plan_that_is_not_ours(run_engine: RunEngine) -> None:
    detector, override = SoftDetector(), Override()
    override.stop("enough")
    steering = Steering(override=override)
    plan = advised_wrapper(bp.count([detector], num=5), steering, [detector])
    emitted = run_plan(run_engine, plan)
    assert len(emitted.events("primary")) == 1
    assert column(emitted, "decided_reason") == ["enough"]


def test_a_failing_device_fails_the_plan_as_ever(run_engine: RunEngine) -> None:
    arm = SoftAxis(name="arm", sticks_at=[1])
    detector, emitted = SoftDetector(arm), Emitted()
    run_engine.subscribe(emitted)
    plan = advised_wrapper(
        bp.scan([detector], arm, 0, 2, 3), Steering(ScriptedAdvisor()), [detector]
    )
    with pytest.raises(Exception, match="Status"):
        run_engine(plan)
    assert emitted.stop["exit_status"] == "fail"
    assert len(emitted.events("agent")) == 1


def test_after_a_pause_frame_and_decision_are_repeated_together(run_engine: RunEngine) -> None:
    arm, emitted = SoftAxis(name="arm"), Emitted()
    detector = SoftDetector(arm)
    pause = PausesOnce(run_engine, seq_num=2)
    run_engine.subscribe(emitted)
    run_engine.subscribe(pause)
    slow = Steering(ScriptedAdvisor(lambda run_uid, seq_num: None), timeout_s=0.3)
    with pytest.raises(RunEngineInterrupted):
        run_engine(advised_wrapper(bp.scan([detector], arm, 0, 2, 3), slow, [detector]))
    run_engine.resume()
    assert [doc["seq_num"] for doc in emitted.events("primary")] == [1, 2, 2, 3]
    assert column(emitted, "frame_seq_num") == [1, 2, 3]
    assert positions(emitted) == [0, 1, 1, 2]
