"""Startup script of the RE Manager in the tests: a small simulated library, documents over 0MQ."""

import os
import re
from pathlib import Path

import bluesky.plan_stubs as bps
from bluesky import RunEngine
from patience import PATIENCE_S, wait_until
from queue_library import small_library

from phasepilot.agent.cli.demo_screening import _strip
from phasepilot.agent.sockets.remote_agent import RemoteAgent
from phasepilot.sim_devices.beamline import simulated_sample_library
from phasepilot.sim_devices.clock import SimulatedClock

_library = small_library()
_beamline = simulated_sample_library(seed=0, library=_library, clock=SimulatedClock())
strip = _strip(_beamline, 0)
x, y = _beamline.stage.x, _beamline.stage.y
places = {sample.name: (sample.x_mm, sample.y_mm) for sample in _library.samples}

RE = RunEngine({})
_beamline.clock.follow(RE)
_agent = RemoteAgent(os.environ["PHASEPILOT_DOCUMENTS"], os.environ["PHASEPILOT_ADVICE"])

# Documents that nobody listens to are lost, and an agent may come after this process.
RE.subscribe(lambda name, doc: _agent._publisher.wait_for_subscriber(PATIENCE_S), "start")
RE.subscribe(_agent)


def _wait_for_decision(name, doc):
    """The clock of the beamline is virtual, but decisions take real time."""
    wait_until((Path(os.environ["PHASEPILOT_DECIDED"]) / doc["run_start"]).exists)


if "PHASEPILOT_DECIDED" in os.environ:
    RE.subscribe(_wait_for_decision, "stop")

# The plan stands in the documentation.
_page = (Path(os.environ["PHASEPILOT_DOCS"]) / "sockets.md").read_text()
(_plan,) = [block for block in re.findall(r"```python\n(.*?)```", _page, re.S) if "def " in block]
exec(_plan)


def calibrate():
    """A plan of a person's."""
    yield from bps.sleep(0.1)
