"""Startup script of the RE Manager in the tests: a small simulated library, documents over 0MQ."""

import os
import time

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky import RunEngine
from queue_library import small_library

from phasepilot.agent.cli.demo_screening import _strip
from phasepilot.agent.sockets.remote_agent import RemoteAgent
from phasepilot.sim_devices.beamline import simulated_sample_library
from phasepilot.sim_devices.clock import SimulatedClock

_library = small_library()
_beamline = simulated_sample_library(seed=0, library=_library, clock=SimulatedClock())
strip = _strip(_beamline, 0)
x, y = _beamline.stage.x, _beamline.stage.y

RE = RunEngine({})
_beamline.clock.follow(RE)
_agent = RemoteAgent(os.environ["PHASEPILOT_DOCUMENTS"], os.environ["PHASEPILOT_ADVICE"])
_agent.wait_until_connected(30.0)
RE.subscribe(_agent)


def measure_sample(sample: str, dwell_s: float):
    """One exposure of one sample."""
    place = _library.sample(sample)

    @bpp.stage_decorator([strip])
    @bpp.run_decorator(md={"sample_name": sample})
    def inner():
        yield from bps.mv(x, place.x_mm, y, place.y_mm, strip.exposure_s, dwell_s)
        yield from bps.trigger_and_read([strip])
        time.sleep(0.3)  # the clock of the beamline is virtual, but decisions take real time

    yield from inner()


def calibrate():
    """A plan of a person's."""
    yield from bps.sleep(0.1)
