"""The code of docs/steering.md runs, one block after the other."""

import re
from pathlib import Path
from typing import Any

from bluesky import RunEngine

from phasepilot.agent.cli.demo_scan import write_library
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.sim_devices.beamline import simulated_diffractometer
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

PAGE = (Path(__file__).parents[1] / "docs" / "steering.md").read_text()
PLAN, WRAPPED, RULE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)


def test_the_page_steers_a_scan(tmp_path: Path) -> None:
    clock, engine = SimulatedClock(), RunEngine({})
    clock.follow(engine)
    beamline = simulated_diffractometer({"rutile": 1.0}, seed=0, clock=clock)
    names: dict[str, Any] = {"library": str(write_library(LIBRARY_CRYSTALS, tmp_path))}
    exec(RULE, names)
    agent = PhaseAgent(names["configuration"])
    names |= {"agent": agent, "arm": beamline.arm, "detector": beamline.detector}
    exec(PLAN, names)
    exec(WRAPPED, names)
    engine.subscribe(agent)
    engine(names["plan"])
    answers = [advice.answer for advice in agent.report().advice if advice.answer]
    assert answers[-1] == "rutile"
    ended = agent.suggest()
    assert ended is not None
    assert ended.action == "stop"
    engine(names["steered"])
    assert len(agent.report().advice) > 0
