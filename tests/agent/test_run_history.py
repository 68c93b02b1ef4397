"""How much is remembered of a run."""

from dataclasses import replace

import pytest
from bluesky import RunEngine
from experiment import Emitted, configuration, make_beamline
from steered_run import assert_same_to_the_bit

from phasepilot.agent import run_history
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.run_history import RunReport, onset_interval
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Advice
from phasepilot.plans.compression_scan import compression_scan


def test_of_a_long_run_the_newest_advice_and_the_onset_are_kept(
    run_engine: RunEngine, model: PhaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted, beamline = Emitted(), make_beamline()
    run_engine.subscribe(emitted)
    run_engine(compression_scan([beamline.detector], beamline.cell, 1.2, 4.0, step=0.1))
    whole = judged(emitted, model)
    monkeypatch.setattr(run_history, "MAX_ADVICE", 8)
    kept = judged(emitted, model)
    assert 4 <= len(kept.advice) <= 8 < len(whole.advice)
    assert_same_to_the_bit(kept.advice, whole.advice[-len(kept.advice) :])
    assert "are no longer in memory" in kept.problems[-1]
    assert whole.onset_interval is not None
    assert whole.onset_interval[1] < kept.advice[0].axis_value
    assert kept.onset_interval == whole.onset_interval


def test_a_gauge_noisier_than_the_step_gives_the_lower_reading_first() -> None:
    frames = ((1, 2.0, "stable", 0), (2, 2.39, "stable", 0), (3, 2.38, "changing", 3))
    advice = tuple(
        replace(Advice.none(number, ""), axis_value=value, state=state, changed_since_seq_num=since)
        for number, value, state, since in frames
    )
    assert onset_interval(advice) == (2.38, 2.39)
    assert onset_interval(advice[:2]) is None


def judged(emitted: Emitted, model: PhaseModel) -> RunReport:
    """What an agent that only watches makes of the documents."""
    agent = PhaseAgent(configuration(steering=None), model=model)
    for name, doc in emitted.documents:
        agent(name, doc)
    assert agent.wait(60.0)
    return agent.report()
