"""A screening whose agent is in another process, and whose order of samples is with the plan."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from experiment import Emitted, fresh_run_engine
from queue_library import small_library, truth
from served_agent import served_agent
from steered_run import assert_same_to_the_bit

from phasepilot.agent.cli.demo_scan import write_library
from phasepilot.agent.cli.demo_screening import (
    _advisor,
    _positions,
    _strip,
    order_settings,
    screening_configuration,
)
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.report.build_record import AGENT_STREAM, recorded_advice
from phasepilot.agent.sockets.remote_agent import RemoteAgent
from phasepilot.models.steering.sample_order import SampleOrder
from phasepilot.models.suggestion import Action, Advice
from phasepilot.plans.screening_loop import screening_loop
from phasepilot.sim_devices.beamline import simulated_sample_library
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(LIBRARY_CRYSTALS, tmp_path_factory.mktemp("library"))


@contextlib.contextmanager
def remote_agent(directory: Path, library: Path) -> Iterator[RemoteAgent]:
    settings = screening_configuration(library).model_dump()
    with served_agent(directory, **settings) as served, served.client() as remote:
        assert remote.wait_until_connected()
        yield remote


def screened(agent: Any) -> tuple[list[Advice], dict[str, str]]:
    """What was advised on each exposure of a screening, in order, and what each sample is."""
    beamline = simulated_sample_library(seed=0, library=small_library(), clock=SimulatedClock())
    strip, emitted = _strip(beamline, 0), Emitted()
    advisor = _advisor(agent, SampleOrder(order_settings()), beamline)
    with fresh_run_engine() as run_engine:
        beamline.clock.follow(run_engine)
        for callback in (agent, advisor, emitted):
            run_engine.subscribe(callback)
        run_engine(
            screening_loop(
                [strip, beamline.time],
                [beamline.stage.x, beamline.stage.y],
                _positions(beamline),
                max_exposures=4,
                dwell_s=2.0,
                dwell=strip.exposure_s,
                max_dwell_s=16.0,
                advisor=advisor,
                clock=beamline.clock,
            )
        )
    evidence = advisor.state.evidence.items()
    found = {
        name: max(p, key=lambda label: p[label])
        for name, one in evidence
        if (p := one.probabilities)
    }
    return advice_of(emitted), found


def advice_of(emitted: Emitted) -> list[Advice]:
    """All advice on record, run after run."""
    runs: dict[str, list[Any]] = {}
    of_descriptor: dict[str, str] = {}
    for name, doc in emitted.documents:
        if name == "descriptor":
            of_descriptor[doc["uid"]] = doc["run_start"]
        run = doc["uid"] if name == "start" else doc.get("run_start")
        runs.setdefault(run or of_descriptor[doc["descriptor"]], []).append((name, doc))
    records = [
        recorded_advice(run, stream=AGENT_STREAM, prefix=f"{AGENT_STREAM}_")
        for run in runs.values()
    ]
    return [advice for record in records for advice in record.values()]


def test_a_remote_agent_screens_as_one_in_the_plans_own_process(
    library: Path, tmp_path: Path
) -> None:
    here, named_here = screened(PhaseAgent(screening_configuration(library)))
    with remote_agent(tmp_path, library) as remote:
        there, named_there = screened(remote)
    assert {Action.MOVE, Action.END} <= {advice.action for advice in there}
    assert_same_to_the_bit(there, here)
    assert named_there == named_here
    assert named_there.items() <= truth().items()
