"""A whole screening, archived and repeated: agent, order and map say the same, to the bit."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from experiment import Emitted, fresh_run_engine
from steered_run import bits
from tiled.client.container import Container
from typer.testing import CliRunner

from phasepilot.agent.archive.tiled_client import runs_container
from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
from phasepilot.agent.archive.tiled_server import EmbeddedTiledServer
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.cli import app
from phasepilot.agent.cli.demo_scan import write_library
from phasepilot.agent.cli.demo_screening import order_settings, screening_configuration
from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.screening import ScreeningAdvisor
from phasepilot.agent.screening_replay import replay_screening
from phasepilot.models.steering.sample_belief import SampleSite
from phasepilot.models.steering.sample_order import SampleOrder
from phasepilot.plans.sample_positions import SamplePosition
from phasepilot.plans.screening_loop import screening_loop
from phasepilot.sim_devices.beamline import simulated_sample_library
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.counting_detector import StripDetector
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS
from phasepilot.sim_devices.sample_library import sample_library

BUDGET_S = 60.0


@dataclass(frozen=True)
class Screened:
    advisor: ScreeningAdvisor
    runs: list[list[Any]]
    place: Container


@pytest.fixture(scope="module")
def screening(
    tiled_server: EmbeddedTiledServer, tmp_path_factory: pytest.TempPathFactory
) -> Screened:
    """Twelve samples, information order, a budget that ends it; and its runs as archived."""
    container = runs_container(tiled_server.client, "screening")
    with fresh_run_engine() as run_engine:
        return screened(container, tmp_path_factory.mktemp("screening"), run_engine)


def screened(container: Container, tmp_path: Path, run_engine: RunEngine) -> Screened:
    library = sample_library(
        np.random.default_rng(3), n_columns=4, n_rows=3, n_bad_of_each=0, peak_rate_per_s=3.0
    )
    beamline = simulated_sample_library(seed=3, library=library, clock=SimulatedClock())
    beamline.arm.set(45.0).wait()
    strip = StripDetector(
        name="strip",
        arm=beamline.arm,
        sample=beamline.stage,
        rng=np.random.default_rng(3),
        clock=beamline.clock,
    )
    positions = [SamplePosition(one.name, (one.x_mm, one.y_mm)) for one in library.samples]
    agent = PhaseAgent(screening_configuration(write_library(LIBRARY_CRYSTALS, tmp_path / "cif")))
    order = order_settings().model_copy(update={"order": "information", "budget_s": BUDGET_S})
    sites = [SampleSite(one.name, one.position) for one in positions]
    advisor = ScreeningAdvisor(agent, SampleOrder(order), sites, time_field="beamline_time_s")
    emitted, writer = Emitted(), ArchiveWriter(tmp_path / "log", container, batch_size=100)
    for callback in (agent, advisor, emitted, writer):
        run_engine.subscribe(callback)
    beamline.clock.follow(run_engine)
    run_engine(
        screening_loop(
            [strip, beamline.time],
            [beamline.stage.x, beamline.stage.y],
            positions,
            max_exposures=4,
            dwell_s=2.0,
            dwell=strip.exposure_s,
            max_dwell_s=16.0,
            advisor=advisor,
            clock=beamline.clock,
        )
    )
    assert not writer.close(timeout_s=60).problems
    uids = [doc["uid"] for doc in emitted.of("start")]
    runs = [list(archived_documents(find_run(container, uid))) for uid in uids]
    return Screened(advisor, runs, container)


@pytest.mark.slow
def test_a_screening_is_repeated_from_its_archive_to_the_bit(screening: Screened) -> None:
    live, runs = screening.advisor, screening.runs
    replayed = replay_screening(runs)
    assert replayed.differences == ()
    assert replayed.n_recorded >= len(runs) - 1 > 1
    assert bits(replayed.advisor.known().posterior) == bits(live.known().posterior)
    assert replayed.advisor.state.evidence == live.state.evidence
    # The budget ended it, and what was not measured is told as inferred.
    decided = [
        doc["data"]["agent_action"]
        for run in runs
        for name, doc in run
        if name == "event" and "agent_action" in doc["data"]
    ]
    assert decided[-1] == "end"

    # Another suggestion on record is told.
    changed = copy.deepcopy(runs)
    event = next(
        doc
        for run in changed
        for name, doc in run
        if name == "event" and "agent_action" in doc["data"]
    )
    event["data"]["agent_target"] = "elsewhere"
    (told,) = replay_screening(changed).differences
    assert "target was 'elsewhere'" in told


@pytest.mark.slow
def test_the_command_repeats_a_screening_when_all_of_its_runs_are_selected(
    screening: Screened, tiled_server: EmbeddedTiledServer
) -> None:
    starts = [run[0][1] for run in screening.runs if "sample_name" in run[0][1]]
    n_recorded = replay_screening(screening.runs).n_recorded

    def replay(*selection: str) -> str:
        server = ("--tiled", screening.place.uri, "--api-key", tiled_server.api_key, "--no-store")
        result = CliRunner().invoke(app, ["replay", *selection, *server], env={"COLUMNS": "300"})
        assert result.exit_code == 0, result.output
        return " ".join(result.stdout.split())

    told = replay("--where", f"screening_uid={starts[0]['screening_uid']}")
    assert f"screening of {len(starts)} runs: {n_recorded} of {n_recorded} suggestions" in told
    assert "repeated to the last bit" in told
    told = replay(starts[0]["uid"])
    assert f"{len(starts) - 1} of {len(starts)} runs of a screening were not selected" in told


def test_runs_without_an_order_cannot_be_repeated() -> None:
    run = [("start", {"uid": "1", "time": 0.0, "sample_name": "A1"})]
    with pytest.raises(ConfigurationError, match="that a ScreeningAdvisor steered"):
        replay_screening([run])
