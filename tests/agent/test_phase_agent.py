import threading
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import event_model
import numpy as np
import pytest
from bluesky import RunEngine
from cif_text import make_cif, write_cif
from experiment import Emitted, configuration, make_beamline

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.suggestion import Action
from phasepilot.sim_devices.powder_detector import Fault

N_FRAMES = 6
WHAT_EACH_FAULT_IS_TOLD_AS = {
    Fault.NAN: "at least 16 finite intensities",
    Fault.ZEROS: "must be positive somewhere",
    Fault.INFINITE: "at least 16 finite intensities",
    Fault.SHORT: "one value for each of the",
    Fault.NEGATIVE: "must be positive somewhere",
    Fault.COMPLEX: "must be real numbers",
    Fault.TEXT: "must be real numbers",
    Fault.BEAM_LOSS: "the beam may be lost",
}


class FailingModel:
    """A network that throws on chosen frames."""

    def __init__(self, model: PhaseModel, fails_on: set[int]) -> None:
        self.card = model.card
        self._model, self._fails_on, self._n = model, fails_on, 0

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        return self._model.predict(pattern)

    def predict_prepared(self, pattern: PreparedPattern) -> PhaseEstimate:
        self._n += 1
        if self._n in self._fails_on:
            raise RuntimeError("the network exploded")
        return self._model.predict_prepared(pattern)


class SlowModel:
    """A network that waits until all documents are in."""

    def __init__(self, model: PhaseModel) -> None:
        self.card = model.card
        self._model = model
        self.may_answer = threading.Event()

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        return self._model.predict(pattern)

    def predict_prepared(self, pattern: PreparedPattern) -> PhaseEstimate:
        assert self.may_answer.wait(30.0)
        return self._model.predict_prepared(pattern)


def watched_scan(
    run_engine: RunEngine, agent: PhaseAgent, beamline: Any, *, n_frames: int = N_FRAMES
) -> Emitted:
    emitted = Emitted()
    tokens = [run_engine.subscribe(callback) for callback in (emitted, agent)]
    run_engine(bp.scan([beamline.detector], beamline.cell, 0.4, 1.4, n_frames))
    for token in tokens:
        run_engine.unsubscribe(token)
    assert agent.wait()
    return emitted


def test_gives_advice_on_every_frame_of_somebody_elses_plan(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    agent = PhaseAgent(configuration(), model=model)
    emitted = watched_scan(run_engine, agent, make_beamline())
    report = agent.report()
    assert [advice.frame_seq_num for advice in report.advice] == list(range(1, N_FRAMES + 1))
    assert report.problems == ()
    assert all(
        sum(a.crystal_system_probabilities.values()) == pytest.approx(1) for a in report.advice
    )
    strains = [advice.strain for advice in report.advice]
    assert strains == sorted(strains, reverse=True)
    assert emitted.stop["exit_status"] == "success"
    suggestion = agent.suggest()
    assert suggestion is not None
    assert suggestion.action is Action.CONTINUE


def test_each_row_says_how_sure_it_is(run_engine: RunEngine, model: PhaseModel) -> None:
    agent = PhaseAgent(configuration(), model=model)
    watched_scan(run_engine, agent, make_beamline(), n_frames=2)
    for advice in agent.report().advice:
        groups = advice.space_group_set.split("|")
        assert groups[0] == str(advice.space_group_number)
        assert advice.crystal_system_set.split("|")[0] == advice.crystal_system
        assert advice.set_level == 0.9
        assert 0 <= advice.epistemic_bits <= advice.entropy_bits <= np.log2(230)
        assert advice.verdict in ("known", "unknown")
        assert advice.verdict_reason.endswith(".")
        assert advice.extinction_class
        assert advice.phases == ""


def test_a_library_named_in_the_configuration_names_the_phase_in_every_frame(
    run_engine: RunEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    potassium_chloride = "K1 K 0 0 0\nCl1 Cl 0.5 0.5 0.5"
    cell = (6.292, 6.292, 6.292, 90, 90, 90)
    write_cif(tmp_path / "sylvite.cif", make_cif(cell=cell, atoms=potassium_chloride))
    write_cif(tmp_path / "fluorite.cif", make_cif(atoms="Ca1 Ca 0 0 0\nF1 F 0.25 0.25 0.25"))
    write_cif(tmp_path / "broken.cif", "not a crystal")
    agent = PhaseAgent(configuration(library=str(tmp_path), set_level=0.95))
    watched_scan(run_engine, agent, make_beamline(), n_frames=2)
    assert "broken.cif must be a CIF file" in caplog.text
    advice = agent.report().advice
    assert [one.phases.split()[0] for one in advice] == ["sylvite", "sylvite"]
    assert [one.set_level for one in advice] == [0.95, 0.95]
    assert [one.space_group_number for one in advice] == [225, 225]
    assert agent.report().problems == ()


@pytest.mark.parametrize("fault", WHAT_EACH_FAULT_IS_TOLD_AS)
def test_a_spoilt_frame_costs_its_advice_and_nothing_else(
    run_engine: RunEngine, model: PhaseModel, fault: Fault
) -> None:
    beamline = make_beamline()
    beamline.detector.fault_at = {3: fault}
    agent = PhaseAgent(configuration(), model=model)
    emitted = watched_scan(run_engine, agent, beamline)
    assert emitted.stop["exit_status"] == "success"
    assert len(emitted.events("primary")) == N_FRAMES
    advice = agent.report().advice
    assert WHAT_EACH_FAULT_IS_TOLD_AS[fault] in advice[2].problem
    assert [bool(a.problem) for a in advice] == [n == 3 for n in range(1, N_FRAMES + 1)]
    assert advice[2].action == Action.CONTINUE
    assert advice[3].state == "stable"


def test_an_event_without_the_field_costs_its_advice(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    # The RunEngine itself refuses such an event; other sources of documents may not.
    emitted = watched_scan(run_engine, PhaseAgent(configuration(), model=model), make_beamline())
    del emitted.events("primary")[2]["data"]["detector_intensity"]
    agent = PhaseAgent(configuration(), model=model)
    for name, doc in emitted.documents:
        agent(name, doc)
    assert agent.wait()
    assert "has no such field" in agent.report().advice[2].problem


def test_single_dead_pixels_are_no_problem(run_engine: RunEngine, model: PhaseModel) -> None:
    beamline = make_beamline()
    beamline.detector.fault_at = dict.fromkeys(range(1, N_FRAMES + 1), Fault.DEAD_PIXELS)
    agent = PhaseAgent(configuration(), model=model)
    watched_scan(run_engine, agent, beamline)
    assert agent.report().problems == ()


def test_a_failing_network_costs_the_names_and_not_the_strain(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    agent = PhaseAgent(configuration(), model=FailingModel(model, {2, 4}))
    emitted = watched_scan(run_engine, agent, make_beamline())
    advice = agent.report().advice
    assert emitted.stop["exit_status"] == "success"
    assert [a.frame_seq_num for a in advice if "the network exploded" in a.problem] == [2, 4]
    assert advice[3].crystal_system == ""
    assert advice[3].strain < advice[2].strain < 0


def test_says_so_when_there_is_no_wavelength(run_engine: RunEngine, model: PhaseModel) -> None:
    agent = PhaseAgent(configuration(wavelength_field="monochromator_wavelength"), model=model)
    emitted = watched_scan(run_engine, agent, make_beamline(), n_frames=2)
    assert emitted.stop["exit_status"] == "success"
    assert all("wavelength must stand in" in a.problem for a in agent.report().advice)


def test_documents_out_of_order_are_noted_and_passed_over(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    emitted = watched_scan(run_engine, PhaseAgent(configuration(), model=model), make_beamline())
    late = PhaseAgent(configuration(), model=model)
    for name, doc in reversed(emitted.documents):
        late(name, doc)
    assert late.wait()
    assert late.report().advice == ()
    assert any("an event must follow its descriptor" in problem for problem in late.problems)


@pytest.mark.parametrize(
    "junk", [("event", {}), ("stop", {}), ("nonsense", {"a": 1}), ("start", None)]
)
def test_never_raises_on_documents_that_are_none(model: PhaseModel, junk: tuple[str, Any]) -> None:
    agent = PhaseAgent(configuration(), model=model)
    agent(*junk)
    assert agent.wait()


def test_a_run_without_a_stop_leaves_its_findings(run_engine: RunEngine, model: PhaseModel) -> None:
    emitted = watched_scan(run_engine, PhaseAgent(configuration(), model=model), make_beamline())
    agent = PhaseAgent(configuration(), model=model)
    for name, doc in emitted.documents[:-1]:
        agent(name, doc)
    assert agent.wait()
    assert len(agent.report(emitted.of("start")[0]["uid"]).advice) == N_FRAMES


def test_tells_interleaved_runs_apart(run_engine: RunEngine, model: PhaseModel) -> None:
    one = watched_scan(run_engine, PhaseAgent(configuration(), model=model), make_beamline())
    other = watched_scan(
        run_engine, PhaseAgent(configuration(), model=model), make_beamline(seed=1)
    )
    alone = {}
    for emitted in (one, other):
        agent = PhaseAgent(configuration(), model=model)
        for name, doc in emitted.documents:
            agent(name, doc)
        assert agent.wait()
        alone[emitted.of("start")[0]["uid"]] = agent.report().advice
    both = PhaseAgent(configuration(), model=model)
    for pair in zip(one.documents, other.documents, strict=True):
        for name, doc in pair:
            both(name, doc)
    assert both.wait()
    for uid, advice in alone.items():
        np.testing.assert_equal(
            [a.values() for a in both.report(uid).advice], [a.values() for a in advice]
        )


def test_publishes_a_valid_run_that_names_the_raw_one(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    agent = PhaseAgent(configuration(), model=model)
    published = Emitted()
    agent.subscribe(published)
    raw = watched_scan(run_engine, agent, make_beamline())
    for name, doc in published.documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(dict(doc))
    (start,) = published.of("start")
    assert start["analysis_of"] == raw.of("start")[0]["uid"]
    events = published.events("primary")
    assert [doc["data"]["frame_seq_num"] for doc in events] == list(range(1, N_FRAMES + 1))
    assert np.shape(events[0]["data"]["space_group_probabilities"]) == (230,)
    assert published.stop["exit_status"] == "success"


def test_a_failing_subscriber_of_the_agent_is_noted(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    def failing(name: str, doc: Any) -> None:
        raise OSError("no space left on device")

    agent = PhaseAgent(configuration(), model=model)
    agent.subscribe(failing)
    watched_scan(run_engine, agent, make_beamline())
    assert len(agent.report().advice) == N_FRAMES
    assert any("no space left on device" in problem for problem in agent.problems)


def test_a_repeated_frame_replaces_the_former_one(run_engine: RunEngine, model: PhaseModel) -> None:
    beamline = make_beamline()
    agent = PhaseAgent(configuration(), model=model)
    emitted = Emitted()
    run_engine.subscribe(emitted)
    run_engine.subscribe(agent)
    suspended: list[bool] = []

    def suspend_once(name: str, doc: Any) -> None:
        if name == "event" and doc["seq_num"] == 4 and not suspended:
            suspended.append(True)
            run_engine.request_suspend(resume)

    async def resume() -> None:
        pass

    run_engine.subscribe(suspend_once)

    @bpp.run_decorator()
    def plan() -> Any:
        for number in range(1, 9):
            yield from bps.checkpoint()
            yield from bps.mv(beamline.cell, 0.2 * number)
            yield from bps.trigger_and_read([beamline.detector, beamline.cell])
            yield from bps.sleep(0.05)  # the suspension comes before the next checkpoint

    run_engine(plan())
    assert agent.wait()
    numbers = [doc["seq_num"] for doc in emitted.events("primary")]
    assert numbers.count(4) == 2
    last = {doc["seq_num"]: doc for doc in emitted.events("primary")}
    unpaused = PhaseAgent(configuration(), model=model)
    for name, doc in emitted.documents:
        if name != "event" or last[doc["seq_num"]] is doc:
            unpaused(name, doc)
    assert unpaused.wait()
    np.testing.assert_equal(
        [a.values() for a in agent.report().advice],
        [a.values() for a in unpaused.report().advice],
    )


def test_frames_beyond_the_queue_are_skipped_and_counted(
    run_engine: RunEngine, model: PhaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phasepilot.agent.phase_agent.MAX_WAITING_BYTES", 40_000)
    emitted = watched_scan(run_engine, PhaseAgent(configuration(), model=model), make_beamline())
    slow = SlowModel(model)
    agent = PhaseAgent(configuration(), model=slow)
    for name, doc in emitted.documents:
        agent(name, doc)
    slow.may_answer.set()
    assert agent.wait()
    problems = [bool(advice.problem) for advice in agent.report().advice]
    assert len(problems) == N_FRAMES
    assert problems[-1]
    assert not problems[0]
    assert "frames come faster" in agent.report().problems[-1]


def test_going_back_further_than_remembered_starts_anew_and_says_so(
    run_engine: RunEngine, model: PhaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phasepilot.agent.run_history.MAX_MEMORIES", 3)
    emitted = watched_scan(run_engine, PhaseAgent(configuration(), model=model), make_beamline())
    agent = PhaseAgent(configuration(), model=model)
    for name, doc in emitted.documents[:-1]:
        agent(name, doc)
    agent("event", emitted.events("primary")[1])
    assert agent.wait()
    report = agent.report()
    assert [advice.frame_seq_num for advice in report.advice] == [1, 2]
    assert "the sample is followed anew" in report.problems[0]
