"""A rule for 2-theta scans, the agent, the plan and a simulated diffractometer together."""

from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine

from phasepilot.agent.cli.demo_scan import write_library
from phasepilot.agent.configuration import AgentConfiguration, configuration_from_json
from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import replay
from phasepilot.models.steering.compression_rule import CompressionSettings
from phasepilot.models.steering.information_rate import InformationRateSettings
from phasepilot.plans.adaptive_two_theta_scan import adaptive_two_theta_scan
from phasepilot.sim_devices.beamline import simulated_diffractometer
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

START_DEG, STOP_DEG = 23.0, 33.0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("anatase", "rutile", "corundum")
    chosen = {name: LIBRARY_CRYSTALS[name] for name in names}
    return write_library(chosen, tmp_path_factory.mktemp("library"))


def scan_configuration(library: Path | None) -> AgentConfiguration:
    return AgentConfiguration(
        frame="points",
        intensity_field="detector_counts",
        two_theta_field="arm_two_theta_deg",
        exposure_field="detector_exposure_s",
        axis_field="arm_two_theta_deg",
        wavelength_field="detector_wavelength_angstrom",
        library=None if library is None else str(library),
        steering=InformationRateSettings(
            start_deg=START_DEG,
            stop_deg=STOP_DEG,
            reach_deg=STOP_DEG,
            steps_deg=(0.05,),
            dwells_s=(0.5, 2.0),
            max_phases=2,
        ),
    )


@pytest.fixture(scope="module")
def documents(library: Path) -> list[tuple[str, Any]]:
    """Of a steered scan of anatase with a little rutile."""
    clock, engine = SimulatedClock(), RunEngine({})
    clock.follow(engine)
    beamline = simulated_diffractometer({"anatase": 0.95, "rutile": 0.05}, seed=5, clock=clock)
    agent = PhaseAgent(scan_configuration(library))
    taken: list[tuple[str, Any]] = []
    engine.subscribe(lambda name, doc: taken.append((name, doc)))
    engine.subscribe(agent)
    engine(
        adaptive_two_theta_scan(
            [beamline.detector, beamline.time],
            beamline.arm,
            START_DEG,
            STOP_DEG,
            step=0.05,
            dwell_s=1.0,
            dwell=beamline.detector.exposure_s,
            coarse_step=0.1,
            coarse_dwell_s=0.1,
            advisor=agent,
            advice_timeout_s=60.0,
            clock=clock,
        )
    )
    return taken


def decisions(documents: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    events = [doc["data"] for name, doc in documents if name == "event"]
    return [data for data in events if "agent_reason" in data]


def test_the_scan_ends_with_the_right_mixture_and_says_how_sure_it_is(
    documents: list[tuple[str, Any]],
) -> None:
    last = decisions(documents)[-1]
    assert last["agent_action"] == "stop"
    assert last["agent_answer"] == "anatase + rutile"
    assert last["agent_answer_probability"] > 0.95
    assert last["agent_error_bound"] >= 1 - last["agent_answer_probability"]


def test_every_window_is_on_record_with_the_numbers_that_chose_it(
    documents: list[tuple[str, Any]],
) -> None:
    windows = [one for one in decisions(documents) if one["agent_action"] != "stop"]
    assert windows
    for one in windows:
        assert one["agent_decided_by"] == "advisor"
        assert START_DEG <= one["agent_region_start"] < one["agent_region_stop"] <= STOP_DEG
        assert one["agent_gain_per_s"] > 0
        assert one["agent_expected_error_bound"] < one["agent_error_bound"]


def test_the_replay_of_a_steered_scan_says_the_same_to_the_bit(
    documents: list[tuple[str, Any]],
) -> None:
    replayed = replay(documents)
    assert replayed.n_recorded == len(decisions(documents)) >= 2
    assert replayed.differences == ()


def test_a_rule_for_scans_asks_for_known_phases() -> None:
    with pytest.raises(ConfigurationError, match="no library is named"):
        PhaseAgent(scan_configuration(None))


def test_a_record_that_does_not_name_its_rule_means_the_only_one_there_was() -> None:
    text = (
        '{"intensity_field": "i", "q_field": "q",'
        ' "steering": {"coarse_step": 1.0, "fine_step": 0.1, "stop_margin": 0.5}}'
    )
    steering = configuration_from_json(text).steering
    assert steering == CompressionSettings(1.0, 0.1, 0.5)


def test_a_configuration_comes_back_from_its_record(library: Path) -> None:
    configuration = scan_configuration(library)
    assert configuration_from_json(configuration.model_dump_json()) == configuration
