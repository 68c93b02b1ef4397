"""Archived runs as documents again, rebuilt from the columns that Tiled holds.

`run.documents()` pairs frames with the wrong motor positions once a run was paused, because it
counts rows where a sequence number occurs twice. Columns stay aligned: row i of every column of
a stream was measured together. Of a repeated sequence number the last row counts.
"""

import difflib
import heapq
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from tiled.client.container import Container
from tiled.queries import Eq, Like

from phasepilot.agent.archive.array_rows import ArrayRows
from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.tiled_client import find_node
from phasepilot.agent.errors import ArchiveError

_MOST_LISTED = 10
_Timed = tuple[float, str, Document]


def find_run(client: Container, uid: str) -> Any:
    """Return the BlueskyRun of that uid, or whose uid alone begins so.

    Looks in the container itself and in the one called `raw` below it.

    Raises
    ------
    ArchiveError
        If there is no such run, or more than one.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", uid):
        raise ArchiveError(f"expected the uid of a run, or its beginning, but came {uid!r}")
    places = list(run_places(client))
    for place in places:
        if (run := find_node(place, uid)) is not None and is_run(run):
            return run
    # `_` stands for any character in this kind of search, so look again.
    matches = {
        run_uid: run
        for place in places
        for run_uid, run in place.search(Like("start.uid", f"{uid}%")).items()
        if run_uid.startswith(uid) and is_run(run)
    }
    if len(matches) == 1:
        return next(iter(matches.values()))
    if matches:
        raise ArchiveError(
            f"{len(matches)} runs begin with {uid!r}: {sorted(matches)[:_MOST_LISTED]};"
            " give more of the uid"
        )
    raise ArchiveError(_nothing_found(places, uid))


def find_analysis(client: Container, run_uid: str) -> Any:
    """Return the latest BlueskyRun in the container that was derived from the run of that uid.

    Raises
    ------
    ArchiveError
        If there is none.
    """
    analyses = client.search(Eq("start.analysis_of", run_uid)).values()
    if not len(analyses):
        raise ArchiveError(
            f"a run with analysis_of={run_uid!r} must stand in this archive, but there is none;"
            " was it uploaded? See `phasepilot upload`."
        )
    return analyses.last()


def archived_documents(run: Any) -> Iterator[tuple[str, Document]]:
    """Yield start, descriptors, events of all streams by time, and stop of an archived run.

    Numeric arrays come as ndarray in the type in which they were stored; external arrays are
    filled in. Events have new uids. A run that never stopped yields no stop document.

    Parameters
    ----------
    run : BlueskyRun
        From bluesky_tiled_plugins, as `find_run` returns it.

    Raises
    ------
    ArchiveError
        If the columns of a stream cannot be paired.
    """
    metadata = plain(run.metadata)
    yield "start", metadata["start"]
    streams = [_stream_documents(name, run[name]) for name in run]
    for _, name, doc in heapq.merge(*streams, key=itemgetter(0)):
        yield name, doc
    if metadata.get("stop"):
        yield "stop", metadata["stop"]


def _stream_documents(name: str, stream: Any) -> Iterator[_Timed]:
    """Yield descriptors and events of one stream, each with its time."""
    descriptors = [plain(doc) for doc in stream.descriptors]
    columns = _columns(name, stream, descriptors[0]["data_keys"])
    n_begun = 0
    for row in columns.last_rows():
        event_time = columns.time(row)
        while n_begun < len(descriptors) and (
            n_begun == 0 or descriptors[n_begun]["time"] <= event_time
        ):
            yield descriptors[n_begun]["time"], "descriptor", descriptors[n_begun]
            n_begun += 1
        yield event_time, "event", columns.event(row, descriptors[n_begun - 1]["uid"])
    for doc in descriptors[n_begun:]:
        yield doc["time"], "descriptor", doc


@dataclass(slots=True)
class _Columns:
    """All columns of one stream: small ones in memory, arrays read in blocks of rows.

    Attributes
    ----------
    table : dict
        Values of each column of the table, one a row.
    arrays : dict
        Array client of each data key whose rows are arrays.
    data_keys : mapping
        The data keys of the stream, by name.
    default_time : float
        Time of rows without one: a stream of files only has no table.
    """

    table: dict[str, list[Any]]
    arrays: dict[str, ArrayRows]
    data_keys: Mapping[str, Any]
    default_time: float

    @property
    def seq_nums(self) -> list[int]:
        if "seq_num" in self.table:
            return self.table["seq_num"]
        n_rows = min((rows.n_rows for rows in self.arrays.values()), default=0)
        return list(range(1, n_rows + 1))

    @property
    def n_common_rows(self) -> int:
        """How many rows every column has that is there."""
        return min(self._lengths, default=0)

    @property
    def are_all_there(self) -> bool:
        """Whether every data key has its column; writers make them one after another."""
        has_numbers = "seq_num" in self.table
        return has_numbers and all(
            key in self.table or key in self.arrays for key in self.data_keys
        )

    @property
    def n_longest(self) -> int:
        """How many rows the longest column has."""
        return max(self._lengths, default=0)

    @property
    def _lengths(self) -> list[int]:
        tables = [len(self.table["seq_num"])] if "seq_num" in self.table else []
        return [*tables, *(rows.n_rows for rows in self.arrays.values())]

    def drop_repeated_rows(self) -> None:
        """Drop rows of the table that were written twice, by a writer that got no answer.

        A point that is measured again has its sequence number, but not its time.
        """
        stamps = list(zip(self.table.get("seq_num", ()), self.table.get("time", ()), strict=False))
        is_new = [row == 0 or stamps[row] != stamps[row - 1] for row in range(len(stamps))]
        if not all(is_new):
            self.table = {
                key: [value for value, is_kept in zip(values, is_new, strict=True) if is_kept]
                for key, values in self.table.items()
            }

    def last_rows(self) -> list[int]:
        """Return the row that counts of each sequence number, in order of measurement."""
        return sorted({seq_num: row for row, seq_num in enumerate(self.seq_nums)}.values())

    def time(self, row: int) -> float:
        return float(self.table["time"][row]) if "time" in self.table else self.default_time

    def event(self, row: int, descriptor_uid: str) -> Document:
        time, seq_num = self.time(row), int(self.seq_nums[row])
        data = {
            key: values[row]
            for key, values in self.table.items()
            if key in self.data_keys and values[row] is not None
        }
        data |= {key: rows.read(row) for key, rows in self.arrays.items()}
        stamps = {key: self.table.get(f"ts_{key}") for key in data}
        return {
            "uid": f"{descriptor_uid}/{seq_num}",
            "descriptor": descriptor_uid,
            "seq_num": seq_num,
            "time": time,
            "data": data,
            "timestamps": {key: time if ts is None else ts[row] for key, ts in stamps.items()},
            "filled": {key: True for key in data if "external" in self.data_keys[key]},
        }


def _columns(name: str, stream: Any, data_keys: Mapping[str, Any]) -> _Columns:
    columns = _unpaired_columns(stream, data_keys)
    if "seq_num" in columns.table:
        for key, rows in columns.arrays.items():
            rows.pair(len(columns.table["seq_num"]), f"{key!r} of stream {name!r}")
    return columns


def growing_columns(stream: Any, data_keys: Mapping[str, Any]) -> _Columns:
    """Return the columns of a stream that is being written, of which some may be ahead."""
    columns = _unpaired_columns(stream, data_keys)
    columns.drop_repeated_rows()
    for key, rows in columns.arrays.items():
        rows.pair_as_declared(data_keys[key])
    return columns


def _unpaired_columns(stream: Any, data_keys: Mapping[str, Any]) -> _Columns:
    table: dict[str, list[Any]] = {}
    arrays: dict[str, ArrayRows] = {}
    for part_name, part in stream.base.items():
        if part.structure_family == "table":
            table |= _table_columns(stream, part, data_keys)
        elif part_name in data_keys:
            arrays[part_name] = ArrayRows(part)
    return _Columns(in_measured_order(table), arrays, data_keys, float(stream.metadata["time"]))


def in_measured_order(table: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the columns of a table with their rows as they were measured.

    Tiled asks its database for no order. PostgreSQL gives rows as they lie on its pages, so that
    with two writers the last row of a batch came before the others, and every array beside was
    paired with the wrong row. Sequence numbers rise by one or go back, after a pause; where they
    leap, the rows are out of order, and their times tell the right one. Otherwise they are left
    alone, for a clock may be set back.

    Examples
    --------
    >>> in_measured_order({"seq_num": [1, 4, 2, 3], "time": [0.1, 0.4, 0.2, 0.3]})["seq_num"]
    [1, 2, 3, 4]
    >>> in_measured_order({"seq_num": [1, 2, 2, 3], "time": [5.1, 5.2, 4.9, 5.0]})["time"]
    [5.1, 5.2, 4.9, 5.0]
    """
    seq_nums, times = table.get("seq_num"), table.get("time")
    if not seq_nums or times is None:
        return table
    if all(now <= before + 1 for before, now in itertools.pairwise([0, *seq_nums])):
        return table
    rows = sorted(range(len(seq_nums)), key=lambda row: (times[row], seq_nums[row]))
    return {key: [values[row] for row in rows] for key, values in table.items()}


def _table_columns(stream: Any, part: Any, data_keys: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the columns of a table; small arrays, which a whole table gives as text, one by one.

    An array becomes an ndarray a row, anything else a Python value, a missing text None.
    """
    small = [key for key in part.columns if data_keys.get(key, {}).get("dtype") == "array"]
    plain = [key for key in part.columns if key not in small]
    frame = part.read(plain)
    columns = {key: [_or_none(value) for value in frame[key].tolist()] for key in plain}
    return columns | {key: list(np.asarray(stream[key].read())) for key in small}


def _or_none(value: Any) -> Any:
    """Return pandas' missing text as None; NaN among numbers is a value like any other."""
    return None if value is None or type(value).__name__ == "NAType" else value


def plain(value: Any) -> Any:
    """Return metadata as plain dictionaries and lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def run_places(client: Container) -> Iterator[Container]:
    """Yield where runs may stand: the container itself, and the one called `raw` below it."""
    yield client
    raw = find_node(client, "raw")
    if raw is not None and not is_run(raw):
        yield raw


def is_run(node: Any) -> bool:
    """Whether a node of Tiled is a Bluesky run."""
    return any(spec.name == "BlueskyRun" for spec in node.specs)


def _nothing_found(places: list[Container], uid: str) -> str:
    """Return the sentence that says what there is instead."""
    latest = [
        key for place in places for key, node in place.items().tail(_MOST_LISTED) if is_run(node)
    ]
    if not latest:
        return f"no run {uid!r}: there is no run at all in this archive; is it the right one?"
    near = difflib.get_close_matches(uid, latest, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"no run {uid!r}; the latest are {sorted(latest)}.{hint}"
