"""A Tiled server of one's own, for tests, tutorials and a laptop at a beamline.

It listens on this machine only and answers nobody without its key. Its thread is not a daemon:
a server left open keeps Python from exiting, hence the context manager.
"""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from bluesky_tiled_plugins.exporters import json_seq_exporter
from tiled.client.container import Container
from tiled.media_type_registration import default_serialization_registry
from tiled.server import SimpleTiledServer

from phasepilot.agent.archive.tiled_client import connected


@dataclass(frozen=True, slots=True)
class EmbeddedTiledServer:
    """A running server.

    Attributes
    ----------
    uri : str
        Where it listens, without the key.
    api_key : str
        The key that gives full access.
    client : Container
        The root of its catalog.
    directory : Path
        Where its catalog, its data and its own logs are.
    """

    uri: str
    api_key: str = field(repr=False)
    client: Container
    directory: Path


@cache
def _api_key_of_this_process() -> str:
    """Return the key of all embedded servers: Tiled keeps its settings once a process.

    With a key of its own, a second server would lock out the clients of the first.
    """
    return secrets.token_hex(32)


@contextlib.contextmanager
def embedded_tiled_server(
    directory: Path | None = None, *, readable_storage: list[Path] | None = None, port: int = 0
) -> Iterator[EmbeddedTiledServer]:
    """Serve a Tiled catalog from a thread of this process; takes about ten seconds to start.

    Parameters
    ----------
    directory : Path, optional
        Where the catalog is kept and found again next time; without one it lives in a temporary
        directory, which is removed at the end.
    readable_storage : list of Path, optional
        Directories with detectors' files that the server may read.
    port : int
        Port on the loopback interface; 0 takes a free one.

    Yields
    ------
    EmbeddedTiledServer
    """
    # Without this, and before the server starts, run.documents() is answered 406.
    default_serialization_registry.register("BlueskyRun", "application/json-seq", json_seq_exporter)
    api_key = _api_key_of_this_process()
    server = SimpleTiledServer(
        directory, api_key=api_key, port=port, readable_storage=readable_storage
    )
    try:
        uri = server.uri.partition("?")[0]
        with connected(uri, api_key=api_key) as client:
            yield EmbeddedTiledServer(uri, api_key, client, Path(server.directory))
    finally:
        server.close()
