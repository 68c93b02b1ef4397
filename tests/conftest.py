"""What the whole suite shares: a RunEngine that is cleanly shut down, and the shipped network."""

import asyncio
from collections.abc import Iterator

import pytest
from bluesky import RunEngine

from phasepilot.models.networks.registry import PhaseModel, load_model


@pytest.fixture
def run_engine() -> Iterator[RunEngine]:
    loop = asyncio.new_event_loop()
    engine = RunEngine({}, loop=loop)
    yield engine
    if engine.state not in ("idle", "panicked"):
        engine.halt()
    loop.call_soon_threadsafe(loop.stop)
    engine._th.join()
    loop.close()


@pytest.fixture(scope="session")
def model() -> PhaseModel:
    return load_model()
