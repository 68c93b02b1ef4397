"""Runs into Tiled while they are measured, without the measurement waiting for Tiled.

`ArchiveWriter` is a callback for the RunEngine. In the RunEngine's thread it writes to disk only;
one thread of its own reads the logs and writes to Tiled. When Tiled fails, the run is pending:
`pending_runs.upload_pending` uploads it later, from its log.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.document_log import DocumentLog, log_path

if TYPE_CHECKING:
    from tiled.client.container import Container

    from phasepilot.agent.archive.run_upload import RunUpload

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArchiveSummary:
    """What became of the runs that an `ArchiveWriter` saw.

    Attributes
    ----------
    uploaded : tuple of str
        Uids of the runs that are complete in Tiled.
    pending : tuple of str
        Uids of the runs that are to be uploaded later.
    problems : tuple of str
        Why runs are pending, or their logs not complete: a sentence each.
    """

    uploaded: tuple[str, ...]
    pending: tuple[str, ...]
    problems: tuple[str, ...]


class ArchiveWriter:
    """Keeps every document on disk, and writes every run to Tiled from there.

    Parameters
    ----------
    directory : Path
        Where the logs are kept.
    client : Container or callable
        The Tiled container to write to, or what returns it: called in the writer's own thread, at
        the first run and again after a failure, so that Tiled may start later than the experiment.
        Its time-outs should be bounded, as those of `tiled_client.connect` are.
    batch_size : int
        Events per request to Tiled.
    """

    def __init__(
        self,
        directory: Path,
        client: "Container | Callable[[], Container]",
        *,
        batch_size: int = 10,
    ) -> None:
        self._log = DocumentLog(directory)
        self._connect = client if callable(client) else lambda: client
        self._batch_size = batch_size
        self._client: Container | None = None
        self._uploads: dict[str, RunUpload] = {}
        self._problems: dict[str, str] = {}
        self._state: dict[str, bool] = {}  # uid of each run seen -> whether it is in Tiled
        self._grown: dict[str, None] = {}  # uids whose logs have grown, oldest first
        self._is_closing = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="phasepilot-archive", daemon=True)
        self._thread.start()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why runs are pending, or their logs not complete: a sentence each."""
        with self._news:
            return (*self._problems.values(), *self._log.problems.values())

    def __call__(self, name: str, doc: Document) -> None:
        """Keep one document; the callback for the RunEngine. Never raises and never waits."""
        run_uids = self._log.append(name, doc)
        with self._news:
            for uid in run_uids:
                self._state.setdefault(uid, False)
                if uid not in self._problems:
                    self._grown[uid] = None
            self._news.notify()

    def close(self, timeout_s: float = 30.0) -> ArchiveSummary:
        """Wait for the uploads, at most `timeout_s`, and return what became of the runs."""
        with self._news:
            self._is_closing = True
            self._news.notify()
        self._thread.join(timeout_s)
        self._log.close()
        with self._news:
            self._grown.clear()  # if the thread still waits for Tiled, that is its last request
            uploaded = tuple(uid for uid, is_uploaded in self._state.items() if is_uploaded)
            pending = tuple(uid for uid, is_uploaded in self._state.items() if not is_uploaded)
            for uid in pending:
                self._problems.setdefault(
                    uid, f"Run {uid} was not complete in Tiled when the archive was closed."
                )
        return ArchiveSummary(uploaded, pending, self.problems)

    def _work(self) -> None:
        while (uid := self._next()) is not None:
            try:
                self._upload(uid)
            except Exception as error:  # whatever Tiled does, the next run is tried again
                self._give_up(uid, error)

    def _next(self) -> str | None:
        with self._news:
            self._news.wait_for(lambda: self._grown or self._is_closing)
            if not self._grown:
                return None
            uid = next(iter(self._grown))
            del self._grown[uid]
            return uid

    def _upload(self, uid: str) -> None:
        from phasepilot.agent.archive.run_upload import RunUpload

        if self._state[uid] or uid in self._problems:
            return  # the stop document was read before the news of it came, or Tiled has failed
        if self._client is None:
            self._client = self._connect()
        if uid not in self._uploads:
            self._uploads[uid] = RunUpload(
                log_path(self._log.directory, uid), self._client, batch_size=self._batch_size
            )
        if self._uploads[uid].advance():
            for note in self._uploads[uid].finish():
                logger.warning("Run %s in Tiled: %s", uid, note)
            del self._uploads[uid]
            with self._news:
                self._state[uid] = True

    def _give_up(self, uid: str, error: Exception) -> None:
        self._uploads.pop(uid, None)
        self._client = None
        sentence = (
            f"Run {uid} did not get into Tiled ({first_line(error)});"
            f" it is kept in {self._log.directory} and can be uploaded later."
        )
        with self._news:
            self._problems[uid] = sentence
            self._grown.pop(uid, None)
        logger.warning("%s", sentence)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, for a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
