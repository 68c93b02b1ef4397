"""Runs into Tiled while they are measured, without the measurement waiting for Tiled.

`ArchiveWriter` is a callback for the RunEngine. In the RunEngine's thread it writes to disk only;
one thread of its own reads the logs and writes to Tiled. When Tiled fails, that thread waits a
little and tries the same run again, from its log, before any later one; what is left when the
writer is closed is pending, and `pending_runs.upload_pending` uploads it.
"""

import logging
import threading
import time
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

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
# A run that Tiled refuses for what it holds must not be tried for ever; a server that is gone is.
_MOST_REFUSALS = 3


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
        self._n_refusals: dict[str, int] = {}
        self._pause_s = 0.0
        self._state: dict[str, bool] = {}  # uid of each run seen -> whether it is in Tiled
        self._grown: dict[str, None] = {}  # uids whose logs have grown, oldest first
        self._given_up: set[str] = set()
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
                if uid not in self._given_up:
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
            except Exception as error:  # whatever Tiled does, the writer goes on
                self._note_failure(uid, error)

    def _next(self) -> str | None:
        with self._news:
            if self._pause_s:
                self._wait_out_the_pause()
            self._news.wait_for(lambda: self._grown or self._is_closing)
            if not self._grown:
                return None
            uid = next(iter(self._grown))
            del self._grown[uid]
            return uid

    def _wait_out_the_pause(self) -> None:
        until = time.monotonic() + self._pause_s
        while not self._is_closing and (left_s := until - time.monotonic()) > 0:
            self._news.wait(left_s)

    def _upload(self, uid: str) -> None:
        from phasepilot.agent.archive.run_upload import RunUpload

        if self._state[uid] or uid in self._given_up:
            return  # the stop document was read before the news of it came, or Tiled refuses it
        if self._client is None:
            self._client = self._connect()
        upload = self._uploads.get(uid)
        if upload is None:
            log = log_path(self._log.directory, uid)
            upload = RunUpload(log, self._client, batch_size=self._batch_size)
            self._uploads[uid] = upload
        elif uid in self._problems:
            # What the failed attempt left in Tiled may hold a batch twice, or half of one.
            upload.begin_again(self._client)
        has_stopped = upload.advance()
        notes = upload.finish() if has_stopped else []
        for note in notes:
            logger.warning("Run %s in Tiled: %s", uid, note)
        with self._news:
            self._pause_s = 0.0
            if self._problems.pop(uid, None):
                logger.info("Run %s gets into Tiled after all.", uid)
            if has_stopped:
                del self._uploads[uid]
                self._state[uid] = True

    def _note_failure(self, uid: str, error: Exception) -> None:
        """Put the run first in the queue again, so that runs get into Tiled in their order."""
        self._client = None
        sentence = (
            f"Run {uid} did not get into Tiled ({first_line(error)});"
            f" it is kept in {self._log.directory} and can be uploaded later."
        )
        with self._news:
            self._problems[uid] = sentence
            self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            if is_refusal(error):
                self._n_refusals[uid] = self._n_refusals.get(uid, 0) + 1
            if self._is_closing:
                self._grown.clear()  # there is no time to wait for Tiled: what is left is pending
            elif self._n_refusals.get(uid, 0) == _MOST_REFUSALS:
                self._given_up.add(uid)
                self._grown.pop(uid, None)
            else:
                self._grown = {uid: None, **self._grown}
        logger.warning("%s", sentence)


def is_refusal(error: BaseException) -> bool:
    """Return whether Tiled answered, and would not have the run; False if it did not answer."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    response = next(
        (found for one in causes if (found := getattr(one, "response", None)) is not None), None
    )
    if response is not None:
        return bool(response.status_code < 500)
    return not any(isinstance(one, OSError | _transport_errors()) for one in causes)


def _transport_errors() -> type[Exception]:
    import httpx

    return httpx.TransportError


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, for a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
