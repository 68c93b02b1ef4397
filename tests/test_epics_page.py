"""The code of docs/epics.md runs, word for word, against IOCs in processes of their own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from epics_server import run_program, served_ioc

pytestmark = pytest.mark.slow

# What ophyd and ophyd-async wait for by default is meant for machines that are not busy, as is
# the time-out of plans.
PATIENT = """
from ophyd.signal import EpicsSignalBase
from phasepilot.plans.compression_scan import compression_scan
EpicsSignalBase.set_defaults(connection_timeout=60, timeout=60, write_timeout=60)
compression_scan.__kwdefaults__["advice_timeout_s"] = 60
"""
PAGE = (Path(__file__).parents[1] / "docs" / "epics.md").read_text()
DEVICES, SCAN, ASYNC_DEVICES, ASYNC_SCAN = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
# Onset of KCl under compression: between these the simulated sample begins to change.
ONSET = "low, high = agent.report().onset_interval\nassert 1.8 < low < high < 2.6, (low, high)\n"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with served_ioc("beamline") as found:
        yield found


def test_ophyd_devices_are_driven_and_steered(environment: dict[str, str]) -> None:
    more = """
import numpy as np

arm.move(12.0, wait=True, timeout=60)
assert abs(arm.position - 12.0) < 1e-6
assert image.get().size == 256 * 256
assert image.get().max() > 0
assert 249 < current.get() <= 250
names = {key for device in (cell, detector, current) for key in device.read()}
assert {"cell_readback", "detector_intensity", "detector_exposure_s", "current"} <= names
"""
    printed = run_program(PATIENT + DEVICES + SCAN + ONSET + more, environment)
    assert re.fullmatch(r"\(\d\.\d+, \d\.\d+\)\n", printed)


def test_a_pressure_beyond_the_limits_is_refused(environment: dict[str, str]) -> None:
    more = """
before = cell.position
try:
    detector.exposure_s.set(0.05).wait(5)
    cell.setpoint.set(99.0).wait(2)
except Exception as error:
    print(type(error).__name__)
assert abs(cell.position - before) < 0.1
"""
    run_program(PATIENT + DEVICES + more, environment)


def test_ophyd_async_devices_are_driven_and_steered(environment: dict[str, str]) -> None:
    more = """
import bluesky.plan_stubs as bps
RE(bps.mv(arm, 8.0))
positions = []
def place():
    positions.append((yield from bps.rd(arm)))
RE(place())
assert abs(positions[0] - 8.0) < 1e-6, positions
"""
    # The sample of the other test was compressed; a fresh one is needed.
    with served_ioc("beamline") as fresh:
        printed = run_program(PATIENT + ASYNC_DEVICES + ASYNC_SCAN + ONSET + more, fresh)
    assert re.fullmatch(r"\(\d\.\d+, \d\.\d+\)\n", printed)
