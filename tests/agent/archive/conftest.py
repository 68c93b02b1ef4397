"""One Tiled server for all tests of the archive, and a RunEngine that goes away again."""

from collections.abc import Iterator

import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis

from phasepilot.agent.archive.tiled_client import runs_container
from phasepilot.agent.archive.tiled_server import EmbeddedTiledServer, embedded_tiled_server


@pytest.fixture(scope="session")
def tiled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTiledServer]:
    directory = tmp_path_factory.mktemp("tiled")
    with embedded_tiled_server(directory, readable_storage=[directory / "files"]) as server:
        yield server


@pytest.fixture
def container(tiled_server: EmbeddedTiledServer, request: pytest.FixtureRequest):
    """A catalog of runs of the test's own."""
    return runs_container(tiled_server.client, request.node.name[:60])


@pytest.fixture
def run_engine() -> Iterator[RunEngine]:
    engine = RunEngine({})
    yield engine
    if engine.state != "idle":
        engine.halt()
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join()
    engine.loop.close()


@pytest.fixture
def motor() -> SynAxis:
    return SynAxis(name="motor")
