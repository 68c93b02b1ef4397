import pytest
from experiment import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def documents(run_engine):
    """Every document of the run engine, as (name, document)."""
    collected = []
    run_engine.subscribe(lambda name, document: collected.append((name, document)))
    return collected
