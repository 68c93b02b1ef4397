"""One run on its way from its log into Tiled.

The log is the queue: `RunUpload.advance` writes whatever the log holds by now, so that nothing
but TiledWriter's batch is kept in memory, and the same code serves a run in progress and one that
was left behind.
"""

import json
import time
import uuid
from pathlib import Path
from typing import Any

from bluesky_tiled_plugins import TiledWriter
from tiled.client.container import Container

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.document_log import LOG_SUFFIX, read_documents, read_from
from phasepilot.agent.archive.tiled_client import find_node, remove_run
from phasepilot.agent.archive.upload_columns import ColumnChangeError
from phasepilot.agent.archive.upload_copy import Columns, UploadCopy, rows_by_stream
from phasepilot.agent.errors import ArchiveError

MARKER_SUFFIX = ".uploaded"
_MOST_ATTEMPTS = 30


class RunUpload:
    """Writes one log to Tiled, as far as the log goes.

    Parameters
    ----------
    log : Path
        The log of the run.
    client : Container
        Where the run is to stand in Tiled.
    batch_size : int
        Events per request; 1 is live and slow, 1000 fast.
    """

    def __init__(self, log: Path, client: Container, *, batch_size: int) -> None:
        self.log = log
        self.uid = log.name.removesuffix(LOG_SUFFIX)
        self._client = client
        self._batch_size = batch_size
        self._n_attempts = 0
        self._has_begun = False
        self._begin({})

    def _begin(self, columns: Columns) -> None:
        self._n_attempts += 1
        self._offset = 0
        self._has_stopped = False
        self._latest: Document = {}
        self._copy = UploadCopy(columns)
        # 0: small arrays as arrays too, for in a table they are read back as text.
        self._writer = TiledWriter(self._client, batch_size=self._batch_size, max_array_size=0)

    def begin_again(self, client: Container) -> None:
        """Remove what was written so far, and start from the first document, perhaps elsewhere."""
        self._client = client
        self.remove_partial()
        self._n_attempts = 0
        self._begin({})

    def advance(self) -> bool:
        """Write all that the log holds by now; return whether the run has stopped."""
        while True:
            try:
                for name, doc, offset in read_from(self.log, self._offset):
                    self._offset = offset
                    self._write(name, doc)
                return self._has_stopped
            except ColumnChangeError as change:
                if self._n_attempts == _MOST_ATTEMPTS:
                    raise ArchiveError(
                        f"run {self.uid} was begun {_MOST_ATTEMPTS} times and {change} again;"
                        " its data keys change too often to be stored"
                    ) from change
                self.remove_partial()
                self._begin(self._copy.columns)

    def _write(self, name: str, doc: Document) -> None:
        if name == "start":
            if find_node(self._client, doc["uid"]) is not None:
                raise ArchiveError(f"run {doc['uid']} is in Tiled already; it is left as it is")
            self._has_begun = True
        for copied_name, copied in self._copy.documents(name, doc):
            self._writer(copied_name, copied)
        self._latest = doc if "time" in doc else self._latest
        self._has_stopped = name == "stop"

    def close_broken_off(self) -> None:
        """Write the stop document that the log of a run lacks because its process ended."""
        if not self._latest:
            raise ArchiveError(f"{self.log} holds no start document; there is nothing to upload")
        stop = {
            "uid": str(uuid.uuid4()),
            "run_start": self.uid,
            "time": self._latest["time"],
            "exit_status": "abort",
            "reason": "closed at upload: the log ends without a stop document",
            "num_events": rows_by_stream(read_documents(self.log)),
        }
        self._write("stop", stop)

    def finish(self) -> list[str]:
        """Verify a stopped run in Tiled, note there what was replaced, and make the marker file.

        Returns
        -------
        list of str
            The notes.

        Raises
        ------
        ArchiveError
            If Tiled has not as many rows as the log; the run is removed from Tiled.
        """
        run = find_node(self._client, self.uid)
        rows = rows_by_stream(read_documents(self.log))
        if run is None or (difference := row_difference(run, rows)):
            self.remove_partial()
            raise ArchiveError(
                f"run {self.uid} reads back incomplete from Tiled"
                f" ({difference if run is not None else 'it is not there'}); it was removed there"
            )
        if self._copy.notes:
            notes = [*(run.metadata.get("notes") or []), *self._copy.notes]
            run.update_metadata({"notes": notes}, drop_revision=True)
        mark_uploaded(self.log, run, rows)
        return self._copy.notes

    def remove_partial(self) -> None:
        """Remove from Tiled what this upload has written there."""
        if self._has_begun and (run := find_node(self._client, self.uid)) is not None:
            remove_run(run)
        self._has_begun = False


def row_difference(run: Any, rows: dict[str, int]) -> str:
    """Return how the rows of a run in Tiled differ from those expected, or empty text."""
    for stream, n_expected in rows.items():
        if stream not in run:
            return f"stream {stream!r} with {n_expected} events is missing"
        data_keys = run[stream].metadata["data_keys"]
        found = {"seq_num": len(run[stream]["seq_num"].read())}
        for key, column in run[stream].base.items():
            if column.structure_family == "array" and "external" not in data_keys[key]:
                found[key] = column.shape[0]
        for key, n_rows in found.items():
            if n_rows != n_expected:
                return f"{key!r} of stream {stream!r} has {n_rows} rows, not {n_expected}"
    return ""


def marker_path(log: Path) -> Path:
    """Return the marker file that says that a log was uploaded."""
    return log.with_name(log.name.removesuffix(LOG_SUFFIX) + MARKER_SUFFIX)


def mark_uploaded(log: Path, run: Any, rows: dict[str, int]) -> None:
    """Make the marker file, which says where the run stands and with how many rows."""
    marker = marker_path(log)
    written = marker.with_suffix(".writing")
    written.write_text(json.dumps({"uri": run.uri, "rows": rows, "time": time.time()}) + "\n")
    written.replace(marker)
