import math
from itertools import pairwise
from typing import Any

import pytest
from advised_plans import ScriptedAdvisor, SoftAxis, SoftDetector, advise, run_plan
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from experiment import Emitted, ManualClock, PausesOnce, configuration, make_beamline

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Action, Advice
from phasepilot.plans.decision import Obedience
from phasepilot.plans.override import Override
from phasepilot.plans.sample_positions import SamplePosition, grid_of_samples, wafer_of_samples
from phasepilot.plans.screening_loop import screening_loop
from phasepilot.plans.screening_result import Outcome, ScreeningResult
from phasepilot.sim_devices.powder_detector import Fault

SAMPLES = grid_of_samples(2, 2, pitch_mm=(9.0, 8.0))


class SampleAdvisor(ScriptedAdvisor):
    """An advisor with an opinion on each exposure of each sample, by name and number."""

    def __init__(self, opinions: dict[tuple[str, int], Any]) -> None:
        super().__init__(self._of_sample)
        self._of_name = opinions
        self._names: dict[str, str] = {}

    def __call__(self, name: str, doc: Any) -> None:
        if name == "start" and "sample_name" in doc:
            self._names[doc["uid"]] = doc["sample_name"]

    def _of_sample(self, run_uid: str, seq_num: int) -> Any:
        plain = Advice(frame_seq_num=seq_num, action="continue", reason="nothing new")
        return self._of_name.get((self._names[run_uid], seq_num), plain)


class Loop:
    """A stage, a detector, and what a screening of them gave."""

    def __init__(
        self, run_engine: RunEngine, advisor: Any, *subscribers: Any, **options: Any
    ) -> None:
        self.clock = ManualClock()
        self.x = SoftAxis(name="x", **options.pop("x_sticks", {}))
        self.y = SoftAxis(name="y", **options.pop("y_sticks", {}))
        detector = SoftDetector(self.x, clock=self.clock, fails_at=options.pop("fails_at", ()))
        arguments = {
            "max_exposures": 3,
            "dwell_s": 1.0,
            "dwell": detector.exposure_s,
            "clock": self.clock,
            "advisor": advisor,
            "advice_timeout_s": 0.05,
        }
        self.emitted = Emitted()
        self.result: ScreeningResult
        plan = screening_loop([detector], [self.x, self.y], SAMPLES, **{**arguments, **options})

        def kept() -> Any:
            self.result = yield from plan

        watchers = [advisor] if callable(advisor) else []
        self.plan = kept()
        for subscriber in (*watchers, *subscribers, self.emitted):
            run_engine.subscribe(subscriber)

    def exposures(self) -> dict[str, int]:
        """Exposures by sample, in the order in which the samples were gone to."""
        names = {doc["uid"]: doc.get("sample_name") for doc in self.emitted.of("start")}
        stops = [doc for doc in self.emitted.of("stop") if names[doc["run_start"]]]
        return {names[doc["run_start"]]: doc["num_events"].get("primary", 0) for doc in stops}

    def outcomes(self) -> dict[str, Outcome]:
        return {one.sample.name: one.outcome for one in self.result.outcomes}


def screened(run_engine: RunEngine, advisor: Any, *subscribers: Any, **options: Any) -> Loop:
    loop = Loop(run_engine, advisor, *subscribers, **options)
    run_engine(loop.plan)
    return loop


def test_without_an_advisor_every_sample_gets_all_exposures_in_order(
    run_engine: RunEngine,
) -> None:
    loop = screened(run_engine, None)
    assert loop.exposures() == {"A1": 3, "A2": 3, "B2": 3, "B1": 3}
    assert (loop.x.sent_to, loop.y.sent_to) == ([0, 9, 9, 0], [0, 0, 8, 8])


def test_leaves_a_settled_sample_and_goes_where_it_is_told(run_engine: RunEngine) -> None:
    advisor = SampleAdvisor(
        {
            ("A1", 1): advise(Action.MOVE, target="B1"),
            ("B1", 2): advise(Action.STOP, "one phase is left"),
            ("A2", 1): advise(Action.EXPOSE, dwell_s=5.0),
        }
    )
    loop = screened(run_engine, advisor)
    assert loop.exposures() == {"A1": 1, "B1": 2, "A2": 3, "B2": 3}
    assert list(loop.outcomes().items())[:3] == [
        ("A1", Outcome.SETTLED),
        ("B1", Outcome.SETTLED),
        ("A2", Outcome.MEASURED),
    ]
    times = [
        doc["data"]["detector_exposure_s"]
        for doc in loop.emitted.events("primary")
        if "detector_exposure_s" in doc["data"]
    ]
    assert times == [1, 1, 1, 1, 5, 5, 1, 1, 1]


def test_the_summary_run_lists_every_sample_with_its_run(run_engine: RunEngine) -> None:
    loop = screened(run_engine, SampleAdvisor({("A2", 1): advise(Action.STOP)}))
    starts = {doc["uid"]: doc for doc in loop.emitted.of("start")}
    summary = starts[loop.result.run_uid]
    assert list(summary["samples"]) == ["A1", "A2", "B2", "B1"]
    rows = [
        doc["data"] for doc in loop.emitted.events("primary") if "screening_sample" in doc["data"]
    ]
    assert [row["screening_sample"] for row in rows] == ["A1", "A2", "B2", "B1"]
    for row in rows:
        of_sample = starts[row["screening_run_uid"]]
        assert of_sample["sample_name"] == row["screening_sample"]
        assert of_sample["screening_uid"] == loop.result.run_uid
    assert [row["screening_outcome"] for row in rows][:2] == ["measured, not settled", "settled"]


class InferringSampleAdvisor(SampleAdvisor):
    """One that also knows a sample that was not measured, and fails on another."""

    def inferred(self, sample: str) -> Advice:
        if sample == "B2":
            raise RuntimeError("no map")
        return Advice(reason="by its neighbours", answer="rutile", answer_probability=0.9)


def test_advice_to_end_ends_the_loop_and_what_is_inferred_is_on_record(
    run_engine: RunEngine,
) -> None:
    advisor = InferringSampleAdvisor({("A1", 1): advise(Action.END, "the budget is used")})
    loop = screened(run_engine, advisor)
    assert loop.exposures() == {"A1": 1}
    assert loop.outcomes() == {
        "A1": Outcome.SETTLED,
        "A2": Outcome.INFERRED,
        "B1": Outcome.INFERRED,
        "B2": Outcome.NOT_REACHED,
    }
    assert loop.result.reason == "the advisor ended it: the budget is used"
    rows = [
        doc["data"] for doc in loop.emitted.events("primary") if "screening_sample" in doc["data"]
    ]
    told = [(row["screening_sample"], row["screening_outcome"]) for row in rows]
    assert told[1:] == [("A2", "not measured, inferred"), ("B1", "not measured, inferred")]
    assert (rows[1]["screening_answer"], rows[1]["screening_answer_probability"]) == (
        "rutile",
        "0.9000",
    )
    assert rows[1]["screening_run_uid"] == ""


def test_advice_to_end_is_not_obeyed_in_advise_only_mode(run_engine: RunEngine) -> None:
    advisor = InferringSampleAdvisor({("A1", 1): advise(Action.END, "the budget is used")})
    loop = screened(run_engine, advisor, obedience=Obedience.ADVISE_ONLY)
    assert loop.exposures() == {"A1": 3, "A2": 3, "B2": 3, "B1": 3}


def test_goes_nowhere_that_is_not_left_to_go_to(run_engine: RunEngine) -> None:
    advisor = SampleAdvisor(
        {("A2", 1): advise(Action.MOVE, target="A1"), ("B2", 1): advise(Action.MOVE, target="Z9")}
    )
    loop = screened(run_engine, advisor)
    assert loop.exposures() == {"A1": 3, "A2": 3, "B2": 3, "B1": 3}


def test_reports_and_skips_a_sample_on_which_a_device_fails(run_engine: RunEngine) -> None:
    loop = screened(run_engine, None, x_sticks={"sticks_at": [9.0]})
    assert loop.outcomes() == {
        "A1": Outcome.UNJUDGED,
        "A2": Outcome.FAILED,
        "B2": Outcome.FAILED,
        "B1": Outcome.UNJUDGED,
    }
    failed = loop.result.outcomes[1]
    assert failed.reason == "RuntimeError: x is stuck"
    (stop,) = [doc for doc in loop.emitted.of("stop") if doc["run_start"] == failed.run_uid]
    assert (stop["exit_status"], stop["reason"]) == ("fail", "RuntimeError: x is stuck")


def test_an_axis_that_fails_late_does_not_spoil_the_next_sample(run_engine: RunEngine) -> None:
    # On the way to A2 both axes get stuck, y after x. At B2 the advisor is silent for so long
    # that a failure from before would be thrown there.
    loop = screened(
        run_engine,
        SampleAdvisor({("B2", 1): None}),
        x_sticks={"sticks_at": [9.0], "sticks_for_s": 0.05, "n_times": 1},
        y_sticks={"sticks_at": [0.0], "sticks_for_s": 0.3, "n_times": 2},
        advice_timeout_s=0.5,
    )
    assert [outcome.value for outcome in loop.outcomes().values()] == [
        "failed",
        "failed",
        "measured, not settled",
        "measured, not settled",
    ]
    assert [one.reason for one in loop.result.outcomes[:2]] == [
        "RuntimeError: y is stuck",
        "RuntimeError: x is stuck",
    ]


def test_a_dead_detector_ends_the_loop_after_some_failures(run_engine: RunEngine) -> None:
    loop = screened(run_engine, None, fails_at=[0.0, 9.0], max_failures_in_a_row=3)
    assert list(loop.outcomes().values()) == [*[Outcome.FAILED] * 3, Outcome.NOT_REACHED]
    assert "3 samples failed one after another" in loop.result.reason


def test_ends_in_time_and_names_what_was_not_reached(run_engine: RunEngine) -> None:
    loop = screened(run_engine, None, max_time_s=7.5)
    assert loop.exposures() == {"A1": 3, "A2": 3, "B2": 1}
    assert loop.outcomes()["B1"] is Outcome.NOT_REACHED
    assert loop.result.reason == "the time of 7.5 s is spent"


def test_falls_back_to_the_plain_loop_when_the_advisor_dies(run_engine: RunEngine) -> None:
    silent = {(name, number): None for name in ("A2", "B2", "B1") for number in (1, 2, 3)}
    advisor = SampleAdvisor({("A1", 1): advise(Action.STOP), **silent})
    loop = screened(run_engine, advisor)
    assert loop.exposures() == {"A1": 1, "A2": 3, "B2": 3, "B1": 3}
    assert loop.outcomes()["A2"] is Outcome.UNJUDGED
    assert "did not answer within 0.05 s" in loop.result.outcomes[1].reason


def test_advise_only_is_the_plain_loop(run_engine: RunEngine) -> None:
    advisor = SampleAdvisor({("A1", 1): advise(Action.MOVE, target="B1")})
    loop = screened(run_engine, advisor, obedience=Obedience.ADVISE_ONLY)
    assert loop.exposures() == {"A1": 3, "A2": 3, "B2": 3, "B1": 3}


def test_a_person_ends_the_loop(run_engine: RunEngine) -> None:
    override = Override()

    def person(name: str, doc: Any) -> None:
        if name == "event" and doc["data"].get("x") == 9.0:
            override.stop("that is enough")

    loop = screened(run_engine, SampleAdvisor({}), person, override=override)
    assert loop.exposures() == {"A1": 3, "A2": 1}
    assert loop.result.reason == "a person ended it: that is enough"
    assert {doc["exit_status"] for doc in loop.emitted.of("stop")} == {"success"}


def test_an_abort_closes_both_runs(run_engine: RunEngine) -> None:
    pause = PausesOnce(run_engine, seq_num=2)
    loop = Loop(run_engine, SampleAdvisor({}), pause)
    with pytest.raises(RunEngineInterrupted):
        run_engine(loop.plan)
    run_engine.abort("enough")
    assert [doc["exit_status"] for doc in loop.emitted.of("stop")] == ["abort", "abort"]
    assert len(loop.emitted.of("start")) == 2


def test_goes_on_after_a_pause_as_if_nothing_were(run_engine: RunEngine) -> None:
    pause = PausesOnce(run_engine, seq_num=2)
    loop = Loop(run_engine, SampleAdvisor({("A1", 2): advise(Action.MOVE, target="B1")}), pause)
    with pytest.raises(RunEngineInterrupted):
        run_engine(loop.plan)
    run_engine.resume()
    assert list(loop.exposures()) == ["A1", "B1", "A2", "B2"]
    seen = {doc["seq_num"] for doc in loop.emitted.events("primary")}
    assert {doc["exit_status"] for doc in loop.emitted.of("stop")} == {"success"}
    assert seen == {1, 2, 3, 4}


def test_the_agent_reports_a_sample_without_a_usable_frame(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    beamline = make_beamline()
    beamline.detector.fault_at = {2: Fault.NAN}
    agent = PhaseAgent(configuration(steering=None, axis_field=None), model=model)
    results: list[ScreeningResult] = []

    def kept() -> Any:
        result = yield from screening_loop(
            [beamline.detector],
            [SoftAxis(name="x")],
            [SamplePosition("good", (0.0,)), SamplePosition("spoilt", (1.0,))],
            max_exposures=1,
            dwell_s=0.1,
            advisor=agent,
        )
        results.append(result)

    run_plan(run_engine, kept(), agent)
    good, spoilt = results[0].outcomes
    assert good.advice is not None
    assert good.advice.crystal_system == "cubic"
    assert spoilt.outcome is Outcome.UNJUDGED


def test_a_wafer_is_round_and_a_grid_goes_back_and_forth() -> None:
    wafer = wafer_of_samples(100.0, 5.0, edge_mm=5.0, center_mm=(7.0, -3.0))
    radii = [math.hypot(x - 7.0, y + 3.0) for x, y in (one.position for one in wafer)]
    assert max(radii) == pytest.approx(45.0)
    assert len(wafer) == pytest.approx(math.pi * 45.0**2 / 25.0, rel=0.05)
    assert len({one.name for one in wafer}) == len(wafer)
    steps = [math.dist(a.position, b.position) for a, b in pairwise(SAMPLES)]
    assert steps == [9.0, 8.0, 9.0]


def test_refuses_samples_that_share_a_name_or_miss_an_axis() -> None:
    x = SoftAxis(name="x")
    twice = [SamplePosition("a", (0.0,)), SamplePosition("a", (1.0,))]
    with pytest.raises(ValueError, match=r"\['a'\] do not"):
        next(screening_loop([], [x], twice, max_exposures=1, dwell_s=1.0))
    with pytest.raises(ValueError, match="one value for each of 2 axes"):
        next(screening_loop([], [x, x], twice[:1], max_exposures=1, dwell_s=1.0))
