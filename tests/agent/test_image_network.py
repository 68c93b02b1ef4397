"""The agent asks a network of images about crystals, and fuses what it says of several views."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bluesky import RunEngine
from experiment import Emitted

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import replay
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.poni_file import poni_text
from phasepilot.models.diffraction.images.rotating_crystal import CrystalCamera, Grain
from phasepilot.models.diffraction.images.spot_pattern import zone_axis_orientation
from phasepilot.models.suggestion import Advice
from phasepilot.plans.rotation_scan import rotation_scan
from phasepilot.sim_devices.area_detector import AreaDetector
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.grain_sample import StillGrains
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS
from phasepilot.sim_devices.rotation_axis import RotationAxis

SPINEL = LIBRARY_CRYSTALS["spinel"]
# Electrons of 200 keV, which show whole zones.
GEOMETRY = centred_geometry(
    PLAIN_DETECTOR,
    detector_config=plain_detector_config((384, 384), (1.6e-4, 1.6e-4)),
    distance_m=1.0,
    wavelength_angstrom=0.0251,
)


@dataclass(frozen=True)
class Card:
    """Of a network that was never trained."""

    name: str = "broken"
    sha256: str = "0" * 64


class BrokenNetwork:
    """Fails on every image."""

    card = Card()

    def estimate_image(self, seen: object) -> None:
        raise RuntimeError("out of memory")


def watched(
    run_engine: RunEngine, folder: Path, angles: tuple[float, float], **agent_arguments: object
) -> tuple[Emitted, tuple[Advice, ...]]:
    """Return the documents of a spinel crystal at two angles, and the advice on each."""
    clock = SimulatedClock()
    clock.follow(run_engine)
    (folder / "detector.poni").write_text(poni_text(GEOMETRY))
    # [001] along the beam at 0, [101] at 45 degree.
    grain = Grain(SPINEL, zone_axis_orientation(SPINEL, (0, 0, 1)))
    omega = RotationAxis(name="omega", rng=np.random.default_rng(0), clock=clock)
    detector = AreaDetector(
        name="detector",
        axis=omega,
        sample=StillGrains([grain]),
        camera=CrystalCamera(GEOMETRY, mosaicity_deg=1.0),
        rng=np.random.default_rng(1),
        clock=clock,
    )
    image = ImageSettings(
        poni=str(folder / "detector.poni"), network="pilotlattice-v1", views="one_crystal"
    )
    configuration = AgentConfiguration(
        intensity_field="detector_image",
        image=image,
        wavelength_field="detector_wavelength_angstrom",
        axis_field="omega_setpoint_deg",
    )
    agent = PhaseAgent(configuration, **agent_arguments)  # type: ignore[arg-type]
    emitted = Emitted()
    run_engine.subscribe(emitted)
    run_engine.subscribe(agent)
    agent.subscribe(emitted)
    start, stop = angles
    plan = rotation_scan(
        *([detector], omega, start, stop),
        step=stop - start,
        advisor=agent,
        advice_timeout_s=60.0,
        clock=clock,
    )
    run_engine(plan)
    agent.wait(60.0)
    return emitted, agent.report().advice


def test_views_along_two_axes_name_the_crystal_and_a_replay_says_the_same(
    run_engine: RunEngine, tmp_path: Path
) -> None:
    emitted, advice = watched(run_engine, tmp_path, (0.0, 45.0))
    assert [one.problem for one in advice] == ["", ""]
    first, both = (np.asarray(one.space_group_probabilities) for one in advice)
    assert both.argmax() + 1 == 227
    assert both[226] > first[226]
    descriptors = [doc for name, doc in emitted.documents if name == "descriptor"]
    assert any("agent_image_model" in str(doc["configuration"]) for doc in descriptors)
    replayed = replay(emitted.documents)
    assert replayed.differences == ()
    assert replayed.n_recorded == len(advice)


def test_a_network_that_fails_costs_its_own_answer_and_is_told(
    run_engine: RunEngine, tmp_path: Path
) -> None:
    _, advice = watched(run_engine, tmp_path, (0.0, 45.0), image_network=BrokenNetwork())
    for one in advice:
        assert "the network of images failed (RuntimeError: out of memory)" in one.problem
        assert one.space_group_number > 0
