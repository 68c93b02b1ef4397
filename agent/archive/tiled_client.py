"""Connections to Tiled whose waiting is bounded, and what stands in its containers."""

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import httpx
from tiled.client import from_context
from tiled.client.container import Container
from tiled.client.context import Context
from tiled.structures.core import Spec

from phasepilot.agent.archive.tiled_upload import first_line
from phasepilot.agent.errors import ArchiveError

_RUNS = Spec("CatalogOfBlueskyRuns", version="3.0")


def connect(uri: str, *, api_key: str | None = None, timeout_s: float = 10.0) -> Container:
    """Return the root of a Tiled server, or the container at that URI.

    Each request waits at most `timeout_s` for the server. The Tiled client repeats a request that
    failed, up to 10 times in 45 s; the environment variables TILED_RETRY_ATTEMPTS and
    TILED_RETRY_TIMEOUT, set before it is imported, shorten that.

    Raises
    ------
    ArchiveError
        If no Tiled server answers there, it refuses the key, or holds something else there.
    """
    # A key may stand in the URI; it is not for the screen.
    place = uri.partition("?")[0]
    try:
        context, path = Context.from_any_uri(uri, api_key=api_key, timeout=httpx.Timeout(timeout_s))
        client = _node_at(context, path)
    except Exception as error:  # httpx's, KeyError of a server that is not Tiled's, RuntimeError...
        if type(error).__name__ == "CannotPrompt":
            raise ArchiveError(
                f"the Tiled server at {place!r} answers nobody without an API key, and none was"
                " given; make one with `tiled api_key create` and give it."
            ) from error
        raise ArchiveError(
            f"a Tiled server must answer at {place!r}, but there came {first_line(error)};"
            " check the URI, the API key and that the server runs."
        ) from error
    if not isinstance(client, Container):
        context.http_client.close()
        raise ArchiveError(
            f"a container of runs must stand at {place!r}, but Tiled holds a"
            f" {type(client).__name__} there; give the URI of the server or of a container."
        )
    return client


@contextlib.contextmanager
def connected(
    uri: str, *, api_key: str | None = None, timeout_s: float = 10.0
) -> Iterator[Container]:
    """Give what `connect` returns, and close its connections afterwards.

    Raises
    ------
    ArchiveError
        As `connect`; and if, within, the server goes away or refuses something.
    """
    client = connect(uri, api_key=api_key, timeout_s=timeout_s)
    try:
        yield client
    except httpx.HTTPError as error:
        raise ArchiveError(refusal(uri, error)) from error
    finally:
        client.context.http_client.close()


def refusal(uri: str, error: httpx.HTTPError) -> str:
    """Return the sentence on what a Tiled server answered instead of doing what was asked."""
    place, told = uri.partition("?")[0], first_line(error)
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in (401, 403):
        return (
            f"the Tiled server at {place!r} does not allow this with the API key that was given"
            f" ({told}); use a key with the scopes it names."
        )
    return (
        f"the Tiled server at {place!r} answered before and does so no more ({told});"
        " check that it runs, and start again."
    )


def _node_at(context: Context, path: list[str]) -> Any:
    try:
        return from_context(context, node_path_parts=path)
    except Exception:
        context.http_client.close()
        raise


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
