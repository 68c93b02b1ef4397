"""One Tiled server for all tests that need one, and steered runs that stand in it."""

from collections.abc import Iterator

import pytest
from steered_run import SteeredRun, record_steered_run
from tiled.client import utils as tiled_retries
from tiled.client.container import Container
from tiled_process import TiledProcess

from phasepilot.agent.archive.tiled_client import runs_container
from phasepilot.agent.archive.tiled_server import EmbeddedTiledServer, embedded_tiled_server


@pytest.fixture(scope="session")
def tiled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTiledServer]:
    directory = tmp_path_factory.mktemp("tiled")
    with embedded_tiled_server(directory, readable_storage=[directory / "files"]) as server:
        yield server


@pytest.fixture(scope="session")
def tiled_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiledProcess]:
    """A server in a process of its own, with people and API keys."""
    with TiledProcess(tmp_path_factory.mktemp("served")) as process:
        yield process


@pytest.fixture
def container(tiled_server: EmbeddedTiledServer, request: pytest.FixtureRequest) -> Container:
    """A catalog of runs of the test's own."""
    return runs_container(tiled_server.client, request.node.name[:60])


@pytest.fixture
def patient_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Tiled client gives a dead server up after a second instead of 45."""
    monkeypatch.setattr(tiled_retries, "TILED_RETRY_ATTEMPTS", 2)
    monkeypatch.setattr(tiled_retries, "TILED_RETRY_TIMEOUT", 1.0)


@pytest.fixture(scope="session")
def steered_run(tiled_server: EmbeddedTiledServer, tmp_path_factory) -> SteeredRun:
    """A run that the agent steered, in Tiled."""
    place = runs_container(tiled_server.client, "steered")
    return record_steered_run(place, tmp_path_factory.mktemp("steered"))


@pytest.fixture(scope="session")
def paused_run(tiled_server: EmbeddedTiledServer, tmp_path_factory) -> SteeredRun:
    """The same, paused and resumed in the middle."""
    place = runs_container(tiled_server.client, "paused")
    return record_steered_run(place, tmp_path_factory.mktemp("paused"), pause_at=5)
