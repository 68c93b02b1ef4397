from typing import Any

import pytest
from advised_plans import ScriptedAdvisor, SoftDetector, advise, column, run_plan
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from experiment import Emitted, ManualClock, PausesOnce, configuration, make_beamline
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.count_until_confident import count_until_confident
from phasepilot.plans.decision import Obedience
from phasepilot.plans.dwell import DwellLimits
from phasepilot.plans.exposures import ExposureLimits, Spent
from phasepilot.plans.override import Override


def counted(run_engine: RunEngine, advisor: Any, *subscribers: Any, **options: Any) -> Emitted:
    clock = ManualClock()
    detector = SoftDetector(clock=clock)
    arguments = {
        "max_exposures": 5,
        "dwell_s": 1.0,
        "dwell": detector.exposure_s,
        "clock": clock,
        "advice_timeout_s": 0.05,
    }
    plan = count_until_confident([detector], advisor=advisor, **{**arguments, **options})
    return run_plan(run_engine, plan, *subscribers)


def dwells_s(emitted: Emitted) -> list[float]:
    return [doc["data"]["detector_exposure_s"] for doc in emitted.events("primary")]


def test_takes_all_exposures_without_an_advisor(run_engine: RunEngine) -> None:
    emitted = counted(run_engine, None)
    assert dwells_s(emitted) == [1.0] * 5
    assert emitted.events("agent") == []


def test_stops_once_settled_and_exposes_as_long_as_advised(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor(
        {1: advise(Action.EXPOSE, dwell_s=3.0), 3: advise(Action.STOP, "one phase is left")}
    )
    emitted = counted(run_engine, advisor)
    assert dwells_s(emitted) == [1.0, 3.0, 3.0]
    assert emitted.stop["reason"] == "advisor: one phase is left"


@pytest.mark.parametrize("opinion", [None, RuntimeError("boom")])
def test_takes_all_exposures_when_the_advisor_fails(
    run_engine: RunEngine, opinion: Exception | None
) -> None:
    emitted = counted(run_engine, ScriptedAdvisor(lambda run_uid, seq_num: opinion))
    assert dwells_s(emitted) == [1.0] * 5
    assert column(emitted, "decided_by") == ["fallback"] * 4 + ["plan"]


def test_keeps_to_dose_and_time(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor(lambda run_uid, seq_num: advise(Action.EXPOSE, dwell_s=99.0))
    in_dose = counted(run_engine, advisor, max_dwell_s=4.0, max_exposure_s=10.0)
    assert dwells_s(in_dose) == [1.0, 4.0, 4.0]
    in_time = counted(run_engine, None, max_time_s=3.0)
    assert dwells_s(in_time) == [1.0] * 3
    assert "exceed the time of 3 s" in in_time.stop["reason"]


def test_advise_only_takes_all_exposures(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor(lambda run_uid, seq_num: advise(Action.STOP))
    emitted = counted(run_engine, advisor, obedience=Obedience.ADVISE_ONLY)
    assert len(dwells_s(emitted)) == 5


def test_a_person_vetoes_a_stop(run_engine: RunEngine) -> None:
    override = Override()
    override.veto("more statistics")
    advisor = ScriptedAdvisor({1: advise(Action.STOP), 2: advise(Action.STOP)})
    emitted = counted(run_engine, advisor, override=override)
    assert len(dwells_s(emitted)) == 2
    assert column(emitted, "decided_by") == ["person", "advisor"]


def test_a_person_may_stop_a_count_that_nobody_advises(run_engine: RunEngine) -> None:
    override = Override()

    def person(name: str, doc: Any) -> None:
        if name == "event" and doc["seq_num"] == 2:
            override.stop("beam time is over")

    emitted = counted(run_engine, None, person, override=override)
    assert len(dwells_s(emitted)) == 2
    assert emitted.stop["reason"] == "person: beam time is over"


def test_an_order_holds_through_a_pause(run_engine: RunEngine) -> None:
    override, emitted = Override(), Emitted()
    override.next(Suggestion(Action.EXPOSE, "longer", dwell_s=2.0))
    pause = PausesOnce(run_engine, seq_num=1)
    run_engine.subscribe(emitted)
    run_engine.subscribe(pause)
    detector = SoftDetector()
    silent = ScriptedAdvisor(lambda run_uid, seq_num: None)
    plan = count_until_confident(
        [detector],
        max_exposures=2,
        dwell_s=1.0,
        dwell=detector.exposure_s,
        advisor=silent,
        override=override,
        advice_timeout_s=0.5,
    )
    with pytest.raises(RunEngineInterrupted):
        run_engine(plan)
    run_engine.resume()
    assert dwells_s(emitted)[-2:] == [1.0, 2.0]
    assert column(emitted, "decided_by")[-2:] == ["person", "plan"]
    assert emitted.events("primary")[1]["seq_num"] == 1


def test_a_dead_detector_fails_the_run_and_says_why(run_engine: RunEngine) -> None:
    emitted = Emitted()
    run_engine.subscribe(emitted)
    dead = SoftDetector(fails_at=[0.0])
    with pytest.raises(Exception, match="Status"):
        run_engine(count_until_confident([dead], max_exposures=2, dwell_s=1.0))
    assert emitted.stop["reason"] == "RuntimeError: the detector is dead"


def test_the_agent_judges_each_exposure(run_engine: RunEngine, model: PhaseModel) -> None:
    beamline = make_beamline()
    agent = PhaseAgent(configuration(steering=None, axis_field=None), model=model)
    plan = count_until_confident(
        [beamline.detector],
        max_exposures=2,
        dwell_s=0.1,
        advisor=agent,
    )
    emitted = run_plan(run_engine, plan, agent)
    assert column(emitted, "crystal_system") == ["cubic", "cubic"]
    assert column(emitted, "decided_by") == ["advisor", "plan"]


number = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(0.1, 9.0))


@given(
    asked=st.lists(
        st.builds(
            Suggestion,
            action=st.sampled_from(Action),
            reason=st.just("anything"),
            dwell_s=number,
            target=st.sampled_from(["", "A1", "elsewhere"]),
        ),
        max_size=30,
    )
)
def test_no_advice_exceeds_the_limits(asked: list[Suggestion]) -> None:
    limits = ExposureLimits(DwellLimits(1.0, 0.5, 4.0), 12, 30.0, 1e9, frozenset({"A1"}))
    spent = Spent(1.0)
    spent.add(1.0)
    for suggestion in asked:
        done = limits.limited(suggestion, spent, elapsed_s=0.0)
        if done.action in (Action.STOP, Action.END):
            break
        if done.action is Action.MOVE:
            assert done.target in ("", "A1")
            break
        assert 0.5 <= done.dwell_s <= 4.0
        spent.add(done.dwell_s)
    assert spent.n_exposures <= 12
    assert spent.exposure_s <= 30.0 + 1e-9
