"""The copy of a run that Tiled can store; the log keeps what really came.

A frame of the wrong length, complex, or text among numbers would fail or silently spoil the whole
upload, so in the copy it is a row of NaN, and a note says so. A descriptor is held back until its
first event, because only data say what a data key holds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from event_model import bulk_events_to_event_pages, unpack_event_page

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.upload_columns import (
    Column,
    ColumnChangeError,
    column_with_holes,
    declared_column,
    first_column,
    fit,
)
from phasepilot.agent.errors import DocumentError

Columns = dict[tuple[str, str], Column]


@dataclass
class UploadCopy:
    """Rewrites the documents of one run, in order, for Tiled.

    Attributes
    ----------
    columns : dict
        Column of each (stream, data key). Give those of an earlier attempt to a new one.
    """

    columns: Columns = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._descriptors: dict[str, Document] = {}
        self._held: dict[str, Document] = {}
        self._replaced: dict[tuple[str, str], list[int]] = {}

    @property
    def notes(self) -> list[str]:
        """Sentences on the rows that were replaced."""
        return [
            f"{key!r} of stream {stream!r} was missing or did not fit {self.columns[stream, key]}"
            f" in {len(rows)} events (seq_num {_listed(rows)}): stored as NaN or empty text."
            for (stream, key), rows in self._replaced.items()
        ]

    def documents(self, name: str, doc: Document) -> Iterator[tuple[str, Document]]:
        """Yield what to write to Tiled for one document.

        Raises
        ------
        ColumnChangeError
            If a column has to change from the first row on. `columns` has been corrected:
            start again from the first document, with a new copy that is given these columns.
        """
        if name == "descriptor":
            self._descriptors[doc["uid"]] = self._held[doc["uid"]] = doc
        elif events := list(_events_of(name, doc)):
            for event in events:
                yield from self._release(event["descriptor"], event["data"])
                yield "event", self._fitted(event)
        elif name not in ("event_page", "bulk_events"):
            if name == "stream_datum":
                yield from self._release(doc["descriptor"], {})
            elif name == "stop":
                for uid in list(self._held):
                    yield from self._release(uid, {})
            yield name, _as_json(doc)

    def _release(self, uid: str, data: dict[str, Any]) -> Iterator[tuple[str, Document]]:
        """Yield the descriptors of a stream that were held, now that its first data are there."""
        stream = self._descriptor(uid)["name"]
        for held_uid, doc in list(self._held.items()):
            if doc["name"] == stream:
                del self._held[held_uid]
                yield "descriptor", self._corrected(doc, data)

    def _descriptor(self, uid: str) -> Document:
        if uid not in self._descriptors:
            raise DocumentError(f"an event refers to descriptor {uid!r}, which never came")
        return self._descriptors[uid]

    def _corrected(self, doc: Document, data: dict[str, Any]) -> Document:
        data_keys = dict(doc["data_keys"])
        for key, declared in data_keys.items():
            if _is_fitted(declared):
                column = first_column(declared, data.get(key))
                column = self.columns.setdefault((doc["name"], key), column)
                data_keys[key] = column.data_key(declared)
        corrected: Document = _as_json(doc | {"data_keys": data_keys})
        return corrected

    def _fitted(self, event: Document) -> Document:
        descriptor = self._descriptor(event["descriptor"])
        stream, data, timestamps = descriptor["name"], {}, {}
        for key, declared in descriptor["data_keys"].items():
            if _is_fitted(declared):
                data[key] = self._value(stream, key, declared, event)
            elif key in event["data"]:
                data[key] = event["data"][key]
            else:
                continue
            timestamps[key] = event["timestamps"].get(key, event["time"])
        return event | {"data": data, "timestamps": timestamps}

    def _value(self, stream: str, key: str, declared: dict[str, Any], event: Document) -> Any:
        column = self.columns[stream, key]
        try:
            value = fit(event["data"].get(key), column, declared_column(declared))
            if value is not None:
                return value
            if not column.can_hold_nan:
                raise ColumnChangeError(column_with_holes(column))
        except ColumnChangeError as change:
            self.columns[stream, key] = change.column
            raise
        self._replaced.setdefault((stream, key), []).append(event["seq_num"])
        return column.hole


def rows_by_stream(documents: Iterable[tuple[str, Document]]) -> dict[str, int]:
    """Return how many events each stream of a run has, repeated ones counted each time."""
    streams: dict[str, str] = {}
    rows: dict[str, int] = {}
    for name, doc in documents:
        if name == "descriptor":
            streams[doc["uid"]] = doc["name"]
        for event in _events_of(name, doc):
            stream = streams[event["descriptor"]]
            rows[stream] = rows.get(stream, 0) + 1
    return rows


def _events_of(name: str, doc: Document) -> Iterator[Document]:
    """Yield the events in a document of any kind."""
    if name == "event":
        yield doc
    elif name == "event_page":
        yield from unpack_event_page(cast(Any, doc))
    elif name == "bulk_events":
        for page in bulk_events_to_event_pages(doc):
            yield from unpack_event_page(page)


def _is_fitted(data_key: dict[str, Any]) -> bool:
    """Whether values of this key stand in the events, and all in one shape."""
    return "external" not in data_key and None not in (data_key.get("shape") or ())


def _listed(rows: list[int]) -> str:
    text = ", ".join(str(row) for row in rows[:20])
    return text if len(rows) <= 20 else f"{text}, ..."


def _as_json(value: Any) -> Any:
    """Return a copy of metadata with arrays as lists and strange values as text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)
