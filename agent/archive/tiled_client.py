"""Connections to Tiled whose waiting is bounded, and what stands in its containers."""

from typing import Any, cast

import httpx
from tiled.client import from_uri
from tiled.client.container import Container
from tiled.structures.core import Spec

_RUNS = Spec("CatalogOfBlueskyRuns", version="3.0")


def connect(uri: str, *, api_key: str | None = None, timeout_s: float = 10.0) -> Container:
    """Return the root of a Tiled server.

    Each request waits at most `timeout_s` for the server. The Tiled client repeats a request that
    failed, up to 10 times in 45 s; the environment variables TILED_RETRY_ATTEMPTS and
    TILED_RETRY_TIMEOUT, set before it is imported, shorten that.
    """
    client = from_uri(uri, api_key=api_key, timeout=httpx.Timeout(timeout_s))
    return cast(Container, client)


def runs_container(client: Container, name: str) -> Container:
    """Return the catalog of runs called `name`, made if it is not there."""
    if (found := find_node(client, name)) is not None:
        return cast(Container, found)
    return cast(Container, client.create_container(name, specs=[_RUNS]))


def find_node(container: Container, key: str) -> Any | None:
    """Return what stands in a container under exactly this key, or None."""
    try:
        # A catalog of runs has its own idea of keys: it takes the beginning of a uid for the whole.
        return Container.__getitem__(container, key)
    except KeyError:
        return None


def remove_run(run: Any) -> None:
    """Remove a run from Tiled, with the data that it holds there; external files stay."""
    run.delete(recursive=True, external_only=False)
