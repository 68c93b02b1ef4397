import pytest
from experiment import ManualClock

from phasepilot.sim_devices.clock import SimulatedClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def documents(run_engine):
    """Every document of the run engine, as (name, document)."""
    collected = []
    run_engine.subscribe(lambda name, document: collected.append((name, document)))
    return collected


@pytest.fixture
def virtual_clock(run_engine):
    """A clock that jumps while the run engine waits."""
    clock = SimulatedClock()
    clock.follow(run_engine)
    return clock
