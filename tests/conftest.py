"""What the whole suite shares: a RunEngine that is cleanly shut down, and the shipped network."""

from collections.abc import Iterator

import pytest
from bluesky import RunEngine
from experiment import fresh_run_engine
from patience import be_patient

from phasepilot.models.networks.registry import PhaseModel, load_model


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Defaults of ours that are meant for beamlines, not for tests on busy machines."""
    with pytest.MonkeyPatch.context() as change:
        be_patient(change)
        yield


@pytest.fixture
def run_engine() -> Iterator[RunEngine]:
    with fresh_run_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def model() -> PhaseModel:
    return load_model()
