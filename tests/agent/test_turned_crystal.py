"""The agent watches a crystal that is turned: views add up, and a replay says the same."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from experiment import Emitted

from phasepilot.agent.cli.demo_rotation import rotation_configuration
from phasepilot.agent.cli.demo_scan import write_library
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import replay
from phasepilot.models.diffraction.images.poni_file import poni_text
from phasepilot.models.suggestion import Advice
from phasepilot.plans.rotation_scan import rotation_scan
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.crystal_beamline import simulated_crystal
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS


@dataclass
class Steered:
    """A run that the agent steered."""

    emitted: Emitted
    advice: tuple[Advice, ...]


@pytest.fixture
def steered(run_engine: RunEngine, tmp_path: Path) -> Steered:
    clock = SimulatedClock()
    clock.follow(run_engine)
    beamline = simulated_crystal(LIBRARY_CRYSTALS["rutile"], seed=1, clock=clock)
    (tmp_path / "detector.poni").write_text(poni_text(beamline.geometry))
    library = write_library(LIBRARY_CRYSTALS, tmp_path / "library")
    agent = PhaseAgent(rotation_configuration(library, tmp_path / "detector.poni"))
    emitted = Emitted()
    run_engine.subscribe(emitted)
    run_engine.subscribe(agent)
    run_engine(
        rotation_scan(
            [beamline.detector, beamline.time],
            beamline.omega,
            0.0,
            170.0,
            step=10.0,
            advisor=agent,
            advice_timeout_s=60.0,
            clock=clock,
        )
    )
    return Steered(emitted, agent.report().advice)


def test_turns_until_the_crystal_is_named_and_a_replay_does_the_same(steered: Steered) -> None:
    last = steered.advice[-1]
    assert last.action == "stop"
    assert last.answer == "rutile"
    assert last.answer_probability > 0.9
    assert 1 < len(steered.advice) < 18
    assert {one.image_kind for one in steered.advice} == {"single crystal"}
    angles = [doc["data"]["omega_setpoint_deg"] for doc in steered.emitted.events("primary")]
    assert np.min(np.abs(np.diff(angles))) > 4.0
    replayed = replay(steered.emitted.documents)
    assert replayed.differences == ()
    assert replayed.n_recorded == len(steered.advice)


def test_the_tracker_sees_no_change_in_a_crystal_that_is_turned(steered: Steered) -> None:
    assert {one.state for one in steered.advice} == {""}


def test_a_crystal_whose_spots_are_removed_is_refused() -> None:
    with pytest.raises(ValueError, match="a crystal shows nothing but spots"):
        ImageSettings(poni="x.poni", spots="remove", views="one_crystal")
