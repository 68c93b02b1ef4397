"""Runs in a Tiled server, to replay."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tiled.client.container import Container
from tiled.queries import Comparison, Eq

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.run_query import FoundRun, RunQuery
from phasepilot.agent.archive.tiled_client import connected
from phasepilot.agent.archive.tiled_columns import archived_documents, find_run, is_run, run_places


@dataclass(frozen=True, slots=True)
class TiledRuns:
    """The runs in a container of a Tiled server, and in the one called `raw` below it."""

    uri: str
    api_key: str | None = field(default=None, repr=False)

    def find(self, query: RunQuery) -> list[FoundRun]:
        """Return the runs that are meant, oldest first."""
        with connected(self.uri, api_key=self.api_key) as client:
            if query.uids:
                runs = [find_run(client, uid) for uid in query.uids]
            else:
                runs = sorted(_matching(client, query), key=lambda run: _start(run)["time"])
            return [_found(run) for run in runs]

    def documents(self, uid: str, note: Callable[[str], None]) -> Iterator[tuple[str, Document]]:
        """Yield the documents of a run, rebuilt from its columns."""
        with connected(self.uri, api_key=self.api_key) as client:
            yield from archived_documents(find_run(client, uid))


def _matching(client: Container, query: RunQuery) -> Iterator[Any]:
    for place in run_places(client):
        found = place
        if query.since_s is not None:
            found = found.search(Comparison("ge", "start.time", query.since_s))
        for condition in query.conditions:
            found = found.search(Eq(f"start.{condition.key}", condition.value))
        # The server's idea of equality is JSON's; ours has the last word.
        yield from (run for run in found.values() if is_run(run) and query.holds_for(_start(run)))


def _start(run: Any) -> Any:
    return run.metadata["start"]


def _found(run: Any) -> FoundRun:
    counts = (run.metadata.get("stop") or {}).get("num_events")
    return FoundRun(_start(run)["uid"], None if counts is None else sum(counts.values()))
