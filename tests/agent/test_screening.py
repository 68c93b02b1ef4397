"""The advisor of a screening, with a real RunEngine and a small library."""

from concurrent.futures import Future
from typing import Any

import pytest
from advised_plans import SoftAxis, SoftDetector, column
from bluesky import RunEngine
from experiment import Emitted, ManualClock, configuration

from phasepilot.agent.replay import SAMPLE_ORDER_KEY, differences
from phasepilot.agent.screening import ScreeningAdvisor
from phasepilot.models.steering.sample_belief import SampleSite
from phasepilot.models.steering.sample_order import SampleOrder, SampleOrderSettings
from phasepilot.models.suggestion import Advice
from phasepilot.plans.sample_positions import grid_of_samples
from phasepilot.plans.screening_loop import screening_loop
from phasepilot.plans.screening_result import Outcome

POSITIONS = grid_of_samples(2, 3, pitch_mm=(5.0, 5.0))
SITES = [SampleSite(one.name, one.position) for one in POSITIONS]


class NamingAgent:
    """Names a sample by its place, the more surely the longer it was exposed."""

    def __init__(self, *, fails: bool = False) -> None:
        self.configuration = configuration(exposure_field="detector_exposure_s")
        self._fails = fails

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        future: Future[Advice] = Future()
        if self._fails:
            future.set_result(Advice.none(seq_num, "no beam"))
        else:
            sure = (0.7, 0.995)[min(seq_num, 2) - 1]
            advice = Advice(seq_num, "continue", "named", answer="a", answer_probability=sure)
            future.set_result(advice)
        return future

    def settings(self) -> dict[str, str | float | int]:
        return {"agent_model": "by place"}


def screened(
    run_engine: RunEngine,
    agent: Any,
    *,
    sites: list[SampleSite] = SITES,
    sticks_at: tuple[float, ...] = (),
    **settings: Any,
) -> tuple[Emitted, ScreeningAdvisor, Any]:
    clock = ManualClock()
    x, y = SoftAxis(name="x", sticks_at=sticks_at, n_times=1), SoftAxis(name="y")
    detector = SoftDetector(x, clock=clock)
    order = SampleOrder(SampleOrderSettings(labels=("a", "b"), **settings))
    advisor = ScreeningAdvisor(agent, order, sites)
    emitted, results = Emitted(), []
    plan = screening_loop(
        [detector],
        [x, y],
        POSITIONS,
        max_exposures=4,
        dwell_s=1.0,
        dwell=detector.exposure_s,
        max_dwell_s=5.0,
        advisor=advisor,
        clock=clock,
    )

    def kept() -> Any:
        results.append((yield from plan))

    for subscriber in (advisor, emitted):
        run_engine.subscribe(subscriber)
    run_engine(kept())
    return emitted, advisor, results[0]


def test_each_sample_is_exposed_until_settled_and_then_left_for_another(
    run_engine: RunEngine,
) -> None:
    emitted, advisor, result = screened(run_engine, NamingAgent())
    actions = column(emitted, "action")
    assert actions[:2] == ["expose", "move"]
    assert (actions.count("expose"), actions.count("move"), actions[-1]) == (6, 5, "end")
    assert {one.outcome for one in result.outcomes} == {Outcome.SETTLED}
    assert set(column(emitted, "answer")) == {"a"}
    exposed = [one.exposure_s for one in advisor.state.evidence.values()]
    asked = [dwell for dwell in column(emitted, "decided_dwell_s") if dwell == dwell]
    assert exposed == pytest.approx([1.0 + dwell for dwell in asked if dwell > 0][: len(exposed)])


def test_the_target_of_a_move_is_where_the_loop_goes_next(run_engine: RunEngine) -> None:
    emitted, _, _ = screened(run_engine, NamingAgent(), order="random", seed=3)
    visited = [doc["sample_name"] for doc in emitted.of("start") if "sample_name" in doc]
    targets = [target for target in column(emitted, "target") if target]
    assert visited[1:] == targets
    assert visited != [one.name for one in POSITIONS]


def test_a_failed_sample_is_known_as_failed_and_not_gone_to_again(run_engine: RunEngine) -> None:
    _, advisor, result = screened(run_engine, NamingAgent(), order="raster", sticks_at=(5.0,))
    failed = [one.sample.name for one in result.outcomes if one.outcome is Outcome.FAILED]
    assert len(failed) == 1
    assert advisor.state.evidence[failed[0]].is_failed
    assert len(result.outcomes) == len(POSITIONS)


def test_without_an_answer_the_agents_own_advice_is_passed_on(run_engine: RunEngine) -> None:
    emitted, _, result = screened(run_engine, NamingAgent(fails=True))
    assert set(column(emitted, "problem")) == {"no beam"}
    assert {one.outcome for one in result.outcomes} == {Outcome.UNJUDGED}


def test_an_order_that_fails_is_told_and_each_sample_gets_its_exposures(
    run_engine: RunEngine,
) -> None:
    # A stage with names for places has no distances.
    sites = [SampleSite(one.name, ("A", "B")) for one in POSITIONS]  # type: ignore[arg-type]
    emitted, _, result = screened(run_engine, NamingAgent(), sites=sites, neighbour_length_mm=5.0)
    assert all("order of samples failed (TypeError" in told for told in column(emitted, "problem"))
    assert {one.outcome for one in result.outcomes} == {Outcome.UNJUDGED}


def test_documents_of_any_kind_never_raise() -> None:
    order = SampleOrder(SampleOrderSettings())
    advisor = ScreeningAdvisor(NamingAgent(), order, SITES)
    for name in ("start", "descriptor", "event", "stop", "resource"):
        advisor(name, {})
    assert advisor.state.evidence == {}


def test_the_record_says_that_an_order_was_used() -> None:
    order = SampleOrder(SampleOrderSettings(seed=7))
    settings = ScreeningAdvisor(NamingAgent(), order, SITES).settings()
    assert settings["agent_model"] == "by place"
    assert '"seed":7' in str(settings[SAMPLE_ORDER_KEY])


def test_what_the_order_decided_can_be_left_out_of_a_comparison() -> None:
    live = Advice(1, "move", "sure", target="B1", strain=0.1)
    replayed = Advice(1, "continue", "watching only", strain=0.2)
    told = list(differences([replayed], {1: live}, left_out={"action", "reason", "target"}))
    assert told == ["frame 1: strain was 0.1 and is 0.2"]
