"""Files of Bluesky documents: JSON Lines, JSON, msgpack, and the logs that we keep ourselves.

What a file holds decides, not its name. Understood are a name and a document a record, as a pair
(`["start", {...}]`: ours, suitcase-jsonl, suitcase-msgpack) or as an object (`{"name": "start",
"doc": {...}}`: Bluesky's own JSON writers). Arrays of msgpack-numpy are read without its decoder,
which would unpickle arrays of objects: here such an array is refused.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from phasepilot.agent.archive.document_codec import UNPACKING, Document, named_document
from phasepilot.agent.archive.run_query import FoundRun, RunQuery, chosen
from phasepilot.agent.errors import ArchiveError, DocumentError

SUFFIXES = (".documents", ".jsonl", ".json", ".msgpack", ".ndjson")
_PLAIN_KINDS = "biufcSU"


@dataclass(frozen=True, slots=True)
class DocumentFiles:
    """The runs in a file of documents, or in all such files of a folder."""

    path: Path

    def find(self, query: RunQuery) -> list[FoundRun]:
        """Return the runs that are meant, oldest first."""
        starts, counts = self._contents()
        by_time = dict(sorted(starts.items(), key=lambda item: float(item[1].get("time", 0.0))))
        uids = chosen(by_time, query, str(self.path))
        return [FoundRun(uid, counts.get(uid)) for uid in uids]

    def documents(self, uid: str, note: Callable[[str], None]) -> Iterator[tuple[str, Document]]:
        """Yield the documents of a run; others that the file holds are left out."""
        for file in self._files():
            if any(name == "start" and doc["uid"] == uid for name, doc in read_records(file)):
                yield from documents_of(uid, read_records(file))
                return
        raise ArchiveError(f"no run {uid!r} in {self.path} any more; was the file replaced?")

    def _files(self) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        files = sorted(file for file in self.path.iterdir() if file.suffix in SUFFIXES)
        if not files:
            raise ArchiveError(
                f"{self.path} must hold files of documents ({', '.join(SUFFIXES)}), but holds none"
            )
        return files

    def _contents(self) -> tuple[dict[str, Document], dict[str, int]]:
        starts: dict[str, Document] = {}
        counts: dict[str, int] = {}
        for file in self._files():
            for name, doc in read_records(file):
                if name == "start":
                    starts[doc["uid"]] = doc
                elif name == "stop":
                    counts[doc["run_start"]] = sum((doc.get("num_events") or {}).values())
        if not starts:
            raise DocumentError(f"{self.path} must hold runs, but no start document is in it")
        return starts, counts


def read_records(path: Path) -> Iterator[tuple[str, Document]]:
    """Yield name and document of each record of a file.

    A last record that is cut off, as in a file still being written, is left out.

    Raises
    ------
    DocumentError
        If the file cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(64).lstrip()
            file.seek(0)
            if not beginning:
                raise DocumentError(f"{path} must hold Bluesky documents, but is empty")
            is_text = beginning[:1] in b"[{"
            yield from (_json_records(file, path) if is_text else _msgpack_records(file, path))
    except OSError as error:
        raise DocumentError(f"{path} cannot be read ({error.strerror}); check the path") from error


def documents_of(
    uid: str, records: Iterable[tuple[str, Document]]
) -> Iterator[tuple[str, Document]]:
    """Yield the documents of one run among those of several."""
    known = {uid}
    for name, doc in records:
        if name == "bulk_events":
            mine = {key: events for key, events in doc.items() if key in known}
            if mine:
                yield name, mine
        elif known & {doc.get(key) for key in ("run_start", "descriptor", "resource")} or (
            doc.get("uid") == uid or (name == "resource" and "run_start" not in doc)
        ):
            if name in ("descriptor", "resource", "stream_resource"):
                known.add(doc["uid"])
            yield name, doc


def _json_records(file: Any, path: Path) -> Iterator[tuple[str, Document]]:
    held: tuple[int, str] | None = None
    for number, line in enumerate(file, start=1):
        # Bluesky's JSON writer: one array, a record a line.
        text = line.strip().rstrip(b",")
        if text in (b"", b"[", b"]"):
            continue
        if held is not None:
            raise DocumentError(
                f"{path} must hold one document a line in JSON, but line {held[0]} is none"
                f" ({held[1]}); is it a file of Bluesky documents?"
            )
        try:
            record = json.loads(text)
        except ValueError as error:
            held = (number, str(error))
            continue
        yield _named(record, path)
    if held is not None and held[0] == 1:
        raise DocumentError(
            f"{path} must hold one document a line in JSON, but its first line is none ({held[1]})"
        )


def _msgpack_records(file: Any, path: Path) -> Iterator[tuple[str, Document]]:
    options = {**UNPACKING, "object_pairs_hook": lambda pairs: _array_or_mapping(pairs, path)}
    records = msgpack.Unpacker(file, max_buffer_size=0, **options)
    while True:
        try:
            record = records.unpack()
        except msgpack.OutOfData:
            return
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise DocumentError(
                f"{path} must hold Bluesky documents in msgpack or JSON, but is damaged, or"
                f" something else, after byte {records.tell()} ({error or type(error).__name__})"
            ) from error
        yield _named(record, path)


def _named(record: Any, path: Path) -> tuple[str, Document]:
    if isinstance(record, Mapping) and {"name", "doc"} <= record.keys():
        record = [record["name"], record["doc"]]
    try:
        return named_document(record)
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from error


def _array_or_mapping(pairs: Iterable[tuple[Any, Any]], path: Path) -> Any:
    """Return what msgpack-numpy would make of a mapping, but never an array of objects."""
    pairs = list(pairs)
    keys = {key.decode() if isinstance(key, bytes) else key: value for key, value in pairs}
    if keys.get("nd") is None or "data" not in keys:
        return UNPACKING["object_pairs_hook"](pairs)
    kind, descr = keys.get("kind"), keys["type"]
    dtype = np.dtype(descr) if isinstance(descr, str) and kind not in (b"O", "O") else None
    if dtype is None or dtype.kind not in _PLAIN_KINDS:
        raise DocumentError(
            f"{path} holds an array of dtype {descr!r}; arrays of objects and of records are"
            " refused because decoding them can run code"
        )
    array = np.frombuffer(keys["data"], dtype)
    return array.reshape(keys["shape"]).copy() if keys["nd"] else array[0]
