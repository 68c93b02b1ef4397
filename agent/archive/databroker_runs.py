"""Runs in a databroker catalog: a Tiled profile, of TiledWriter's kind or of the Mongo era.

The Mongo adapter (``databroker.mongo_normalized``) serves events as they were emitted, so its runs
are read document by document. Those of TiledWriter are rebuilt from columns, as everywhere here.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tiled.client.container import Container
from tiled.profiles import ProfileNotFound
from tiled.queries import Comparison, Eq

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.run_query import FoundRun, RunQuery
from phasepilot.agent.archive.tiled_client import find_node, refusal
from phasepilot.agent.archive.tiled_columns import archived_documents, find_run, plain
from phasepilot.agent.archive.tiled_upload import first_line
from phasepilot.agent.errors import ArchiveError

_NEWEST_MONGO_VERSION = 2.0
_NUMBERS = ("number", "array")


@dataclass(frozen=True, slots=True)
class DatabrokerRuns:
    """The runs of `databroker.catalog[name]`."""

    name: str

    def find(self, query: RunQuery) -> list[FoundRun]:
        """Return the runs that are meant, oldest first."""
        with _catalog(self.name) as catalog:
            return runs_of_catalog(catalog, query)

    def documents(self, uid: str, note: Callable[[str], None]) -> Iterator[tuple[str, Document]]:
        """Yield the documents of a run."""
        with _catalog(self.name) as catalog:
            yield from broker_documents(_run(catalog, uid))


def runs_of_catalog(catalog: Container, query: RunQuery) -> list[FoundRun]:
    """Return the runs of a catalog that are meant; works on ``databroker.temp().v2``, too.

    Raises
    ------
    ArchiveError
        If a uid is unknown, or the beginning of several.
    """
    if query.uids:
        runs = [_run(catalog, uid) for uid in query.uids]
    else:
        found = catalog
        if query.since_s is not None:
            key = "time" if _is_of_mongo_era(catalog) else "start.time"
            found = found.search(Comparison("ge", key, query.since_s))
        for condition in query.conditions:
            found = found.search(Eq(f"start.{condition.key}", condition.value))
        runs = [run for run in found.values() if query.holds_for(run.metadata["start"])]
    counts = [(run.metadata.get("stop") or {}).get("num_events") for run in runs]
    uids = [run.metadata["start"]["uid"] for run in runs]
    found_runs = [
        FoundRun(uid, None if count is None else sum(count.values()))
        for uid, count in zip(uids, counts, strict=True)
    ]
    times = {run.metadata["start"]["uid"]: run.metadata["start"]["time"] for run in runs}
    return sorted(found_runs, key=lambda run: times[run.uid])


def broker_documents(run: Any) -> Iterator[tuple[str, Document]]:
    """Yield the documents of a run of any databroker catalog, also ``temp().v2[uid]``."""
    if not _is_of_mongo_era(run):
        yield from archived_documents(run)
        return
    number_keys: dict[str, set[str]] = {}
    for name, doc in run.documents():
        copied = plain(doc)
        if name == "descriptor":
            keys = copied["data_keys"].items()
            number_keys[copied["uid"]] = {key for key, of in keys if of["dtype"] in _NUMBERS}
        elif name in ("event", "event_page"):
            numbers = number_keys[copied["descriptor"]]
            copied["data"] = {
                key: _with_nan(value) if key in numbers else value
                for key, value in copied["data"].items()
            }
        yield name, copied


def _with_nan(value: Any) -> Any:
    """Return numbers as they were: the adapter sends them as JSON, in which NaN becomes null."""
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value


def _run(catalog: Container, uid: str) -> Any:
    if not _is_of_mongo_era(catalog):
        return find_run(catalog, uid)
    if (run := find_node(catalog, uid)) is not None:
        return run
    try:
        return catalog[uid]
    except (KeyError, ValueError) as error:
        raise ArchiveError(
            f"the catalog must hold one run {uid!r}, but says: {first_line(error)}"
        ) from error


def _is_of_mongo_era(node: Any) -> bool:
    versions = [spec.version for spec in node.specs if spec.version]
    return any(float(version) <= _NEWEST_MONGO_VERSION for version in versions)


@contextlib.contextmanager
def _catalog(name: str) -> Iterator[Container]:
    import httpx
    from tiled.client import from_profile

    try:
        client = from_profile(name)
    except ProfileNotFound as error:
        raise ArchiveError(
            f"no databroker catalog {name!r}: it must be a Tiled profile"
            f" ({' '.join(str(error).split())[:300]})"
        ) from error
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        raise ArchiveError(
            f"the databroker catalog {name!r} cannot be opened ({first_line(error)});"
            " check its Tiled profile and that its server runs."
        ) from error
    try:
        # Many facilities put what came from the beamline below `raw`.
        raw = find_node(client, "raw") if isinstance(client, Container) else None
        yield client if raw is None else raw
    except httpx.HTTPError as error:
        raise ArchiveError(refusal(name, error)) from error
    finally:
        client.context.http_client.close()
