"""A run in Tiled that is still being written: whatever it holds more than before, as documents."""

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from tiled.client.container import Container

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.tiled_client import find_node
from phasepilot.agent.archive.tiled_columns import growing_columns, plain

# How long a stop document waits for rows that it counts and the columns lack.
_PATIENCE_S = 60.0
_Timed = tuple[float, str, Document]


class GrowingRun:
    """Gives each document of a run once, as far as the run has come.

    Other than `archived_documents` it gives every row, also of a sequence number that repeats: an
    agent goes back when that happens, as it does live.
    """

    def __init__(self, container: Container, uid: str) -> None:
        self.uid = uid
        self._container = container
        self._has_started = False
        self._n_given: dict[str, int] = {}
        self._n_described: dict[str, int] = {}
        self._short_since_s = 0.0
        self.has_stopped = False
        self.is_behind = False

    def new_documents(self) -> Iterator[tuple[str, Document]]:
        """Yield what came since the last time.

        `is_behind` says afterwards whether some column is still shorter than another, so that it is
        worth looking again at once; `has_stopped` whether that was all.
        """
        run = find_node(self._container, self.uid)
        if run is None:
            return
        # The stop document is written last: what is read after it is complete.
        metadata = plain(run.metadata)
        if not self._has_started:
            self._has_started = True
            yield "start", metadata["start"]
        stop = metadata.get("stop") or {}
        is_final = bool(stop)
        streams = [self._new_of_stream(name, run[name], is_final=is_final) for name in run]
        # Only now: what could not be read whole is read again, from where it was.
        self.is_behind = any(stream.is_behind for stream in streams)
        for stream in streams:
            self._n_given[stream.name] = stream.n_given
            self._n_described[stream.name] = stream.n_described
        for _, name, doc in heapq.merge(*(one.documents for one in streams), key=itemgetter(0)):
            yield name, doc
        if is_final and not self.has_stopped and self._is_whole(stop):
            self.has_stopped = True
            yield "stop", stop

    def _is_whole(self, stop: Document) -> bool:
        """Whether all rows that the stop document counts were given, or are long overdue.

        After an outage rows can be missing under a stop document. Our writer then takes the run
        away and writes it anew.
        """
        expected = stop.get("num_events") or {}
        if all(self._n_given.get(name, 0) >= n_rows for name, n_rows in expected.items()):
            return True
        now_s = time.monotonic()
        self._short_since_s = self._short_since_s or now_s
        return now_s - self._short_since_s > _PATIENCE_S

    def _new_of_stream(self, name: str, stream: Any, *, is_final: bool) -> "_News":
        first, n_described = self._n_given.get(name, 0), self._n_described.get(name, 0)
        descriptors = [plain(doc) for doc in stream.descriptors]
        if not descriptors:
            return _News(name, [], first, n_described, is_behind=False)
        columns = growing_columns(stream, descriptors[0]["data_keys"])
        n_ready = columns.n_common_rows if is_final or columns.are_all_there else 0
        documents = [(doc["time"], "descriptor", doc) for doc in descriptors[n_described:]]
        for row in range(first, n_ready):
            measured = columns.time(row)
            begun = [doc for doc in descriptors if doc["time"] <= measured] or descriptors[:1]
            documents.append((measured, "event", columns.event(row, begun[-1]["uid"])))
        return _News(
            name,
            documents,
            max(first, n_ready),
            len(descriptors),
            is_behind=n_ready < columns.n_longest,
        )


@dataclass(frozen=True, slots=True)
class _News:
    """What a stream holds more than before, and how far that goes."""

    name: str
    documents: list[_Timed]
    n_given: int
    n_described: int
    is_behind: bool
