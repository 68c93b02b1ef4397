"""What the whole suite shares: a RunEngine that is cleanly shut down, and the shipped network."""

from collections.abc import Iterator

import pytest
from bluesky import RunEngine
from experiment import fresh_run_engine

from phasepilot.models.networks.registry import PhaseModel, load_model


@pytest.fixture
def run_engine() -> Iterator[RunEngine]:
    with fresh_run_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def model() -> PhaseModel:
    return load_model()
