"""Live runs in a Tiled server, as documents, while somebody else's writer puts them there.

Tiled's websockets tell that something has grown; what has grown is read from the columns, as a
replay reads it. So frames and motor positions cannot be mispaired, a message that is lost costs
time and no frame, and what is said live is what a replay says.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from bluesky_tiled_plugins import subscribe_to_streams
from tiled.client.container import Container

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.growing_run import GrowingRun
from phasepilot.agent.archive.tiled_columns import is_run
from phasepilot.agent.archive.tiled_upload import first_line
from phasepilot.agent.errors import ArchiveError

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 30.0
# How long a message that never came may delay a frame.
_POLL_S = 2.0
# How long a run may go unseen when the websockets are dead.
_SEARCH_S = 10.0
_BEHIND_S = 0.05
# How long a run that is there may refuse to be read before it is left out.
_PATIENCE_S = 300.0
_MOST_RECONNECTIONS = 10
_MOST_OPEN_RUNS = 8
# Runs that are asked for at a time.
PAGE_SIZE = 20
# How many runs are looked through for those of an outage: more are not measured in one.
_MOST_SEARCHED = 2000


class TiledWatch:
    """Follows the runs that are measured while it is open; use it as a context.

    Parameters
    ----------
    container : Container
        Where the runs are written: the catalog itself, not the server's root above it.
    streams : tuple of str
        Streams whose events wake it; others are read along with them.
    note : callable
        Told, in a sentence, when the server goes away and when it is back.
    """

    def __init__(
        self,
        container: Container,
        *,
        streams: tuple[str, ...] = ("primary",),
        note: Callable[[str], None] = logger.warning,
    ) -> None:
        self._container = container
        self._streams = dict.fromkeys(streams, ("seq_num",))
        self._note = note
        self._news = threading.Condition()
        self._grown: dict[str, None] = {}
        self._followed: set[str] = set()
        self._done: set[str] = set()
        self._is_closed = False
        self._began_s = time.time()
        self._open: dict[str, GrowingRun] = {}
        self._unreadable_since_s: dict[str, float] = {}
        self._subscriptions = contextlib.ExitStack()
        self._n_outages = 0

    def __enter__(self) -> "TiledWatch":
        self._follow_latest()
        self._subscribe()
        # Again, for what began in between.
        self._follow_latest()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let `documents` end, and disconnect."""
        with self._news:
            self._is_closed = True
            self._news.notify_all()
        self._disconnect().join(_CONNECT_TIMEOUT_S)

    def documents(self) -> Iterator[tuple[str, Document]]:
        """Yield the documents of the runs that are open now and of all that begin, until closed."""
        wait_s, searched_s = _POLL_S, time.monotonic()
        while not self._is_closed:
            self._take_up_news(wait_s)
            try:
                if time.monotonic() - searched_s > _SEARCH_S:
                    searched_s = time.monotonic()
                    self._follow_latest()
                yield from self._read()
            except httpx.TransportError as error:
                self._wait_for_server(error)
            except httpx.HTTPStatusError as error:
                _raise_if_refused(error)
                logger.info("Tiled cannot be searched now: %s", first_line(error))
            wait_s = _BEHIND_S if any(run.is_behind for run in self._open.values()) else _POLL_S

    def _take_up_news(self, wait_s: float) -> None:
        """Wait for news, but not for ever, and open what is new before anything can fail."""
        with self._news:
            self._news.wait_for(lambda: self._grown or self._is_closed, wait_s)
            grown, self._grown = self._grown, {}
        for uid in grown:
            if uid not in self._open and uid not in self._done:
                self._open[uid] = GrowingRun(self._container, uid)

    def _read(self) -> Iterator[tuple[str, Document]]:
        for uid, run in list(self._open.items()):
            try:
                yield from run.new_documents()
                self._unreadable_since_s.pop(uid, None)
            except httpx.TransportError:
                raise
            except Exception as error:
                # Its writer has taken it away to write it anew, or writes just now: look later.
                logger.info("Run %s cannot be read now: %s", uid, first_line(error))
                self._note_unreadable(uid, error)
            if run.has_stopped:
                self._forget(uid)
        while len(self._open) > _MOST_OPEN_RUNS:
            # Its writer died long ago.
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._followed.discard(oldest)

    def _note_unreadable(self, uid: str, error: Exception) -> None:
        since_s = self._unreadable_since_s.setdefault(uid, time.monotonic())
        if time.monotonic() - since_s > _PATIENCE_S:
            self._note(f"Run {uid} cannot be read ({first_line(error)}); it is left out")
            self._forget(uid)

    def _forget(self, uid: str) -> None:
        self._open.pop(uid, None)
        self._unreadable_since_s.pop(uid, None)
        self._followed.discard(uid)
        self._done.add(uid)

    def _follow_latest(self) -> None:
        """Follow the latest runs that go on, and all that began unseen, the oldest first."""
        wanted: list[str] = []
        for first in range(0, _MOST_SEARCHED, PAGE_SIZE):
            n_unseen = 0
            for uid, node in self._container.items()[-1 - first : -1 - first - PAGE_SIZE : -1]:
                if uid in self._done or not is_run(node):
                    continue
                is_new = node.metadata["start"]["time"] >= self._began_s
                n_unseen += is_new and uid not in self._open
                if is_new or (first == 0 and not node.metadata.get("stop")):
                    wanted.append(uid)
            # Runs stand in the order in which they were written: what is before was seen.
            if not n_unseen:
                break
        else:
            self._note(f"Of the runs only the latest {_MOST_SEARCHED} were looked through")
        for uid in reversed(wanted):
            self._follow(uid)

    def _follow(self, uid: str) -> None:
        self._followed.add(uid)
        self._wake(uid)

    def _wake(self, uid: str) -> None:
        with self._news:
            if uid in self._followed:
                self._grown[uid] = None
                self._news.notify()

    def _subscribe(self) -> None:
        """Connect the websockets.

        Raises
        ------
        ArchiveError
            If the server has none, or does not let this key use them.
        """
        context = self._container.context
        if context.server_info.authentication.providers:
            _check_key(context)
        n_outages = self._n_outages
        opened, problems, is_tried = contextlib.ExitStack(), list[Exception](), threading.Event()

        def connect() -> None:
            try:
                self._open_websockets(opened)
            except Exception as error:
                problems.append(error)
            is_tried.set()

        # Tiled's client waits without an end for a connection that is refused.
        threading.Thread(target=connect, daemon=True).start()
        if not is_tried.wait(_CONNECT_TIMEOUT_S) or problems:
            _close_aside(opened)
            told = f" ({first_line(problems[0])})" if problems else ""
            raise ArchiveError(
                "Tiled must answer on a websocket, but did not within"
                f" {_CONNECT_TIMEOUT_S:g} s{told}; does its configuration have a streaming_cache?"
            )
        with self._news:
            is_late = self._is_closed or n_outages != self._n_outages
            if not is_late:
                self._subscriptions = opened
        if is_late:
            _close_aside(opened)

    def _open_websockets(self, opened: contextlib.ExitStack) -> None:
        root = self._container.subscribe()
        root.child_created.add_callback(self._on_created)
        root.child_metadata_updated.add_callback(self._on_updated)
        opened.callback(root.disconnect)
        root.start_in_thread(None)
        rows = subscribe_to_streams(
            self._container,
            lambda update: self._wake(update.run_uid),
            streams=self._streams,
            run_filter=self._is_wanted,
        )
        opened.callback(rows.disconnect)

    def _disconnect(self) -> threading.Thread:
        with self._news:
            old, self._subscriptions = self._subscriptions, contextlib.ExitStack()
        return _close_aside(old)

    def _is_wanted(self, update: Any) -> bool:
        started = (update.metadata.get("start") or {}).get("time", 0.0)
        return bool(started >= self._began_s or update.key in self._followed)

    def _on_created(self, update: Any) -> None:
        if any(getattr(spec, "name", None) == "BlueskyRun" for spec in update.specs or ()):
            self._follow(update.key)

    def _on_updated(self, update: Any) -> None:
        self._wake(update.key)

    def _wait_for_server(self, error: Exception) -> None:
        """Wait until Tiled can be read; its websockets, which only wake, connect aside."""
        self._note(f"Tiled does not answer ({first_line(error)}); waiting for it")
        self._n_outages += 1
        self._disconnect()
        while not self._is_closed:
            with self._news:
                self._news.wait_for(lambda: self._is_closed, _POLL_S)
            try:
                self._follow_latest()
            except httpx.TransportError:
                continue
            except httpx.HTTPStatusError as answer:
                # While it starts, it may answer with errors.
                _raise_if_refused(answer)
                continue
            self._note("Tiled answers again")
            threading.Thread(target=self._reconnect, daemon=True).start()
            return

    def _reconnect(self) -> None:
        n_outages = self._n_outages
        for _ in range(_MOST_RECONNECTIONS):
            try:
                self._subscribe()
                return
            except (httpx.HTTPError, ArchiveError) as error:
                logger.info("Websockets do not connect: %s", first_line(error))
            with self._news:
                self._news.wait_for(lambda: self._is_closed, _POLL_S)
            if self._is_closed or n_outages != self._n_outages:
                return
        logger.warning("Tiled's websockets did not come back; looking every %g s", _POLL_S)


def _raise_if_refused(error: httpx.HTTPStatusError) -> None:
    """Raise what no waiting mends: the key is not, or no more, good for this."""
    if error.response.status_code in (401, 403):
        raise error


def _close_aside(opened: contextlib.ExitStack) -> threading.Thread:
    """Close websockets in a thread: one that waits for a dead server holds its lock for ever."""

    def close() -> None:
        try:
            opened.close()
        except Exception as error:
            logger.info("A websocket closed with %s", first_line(error))

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    return thread


def _check_key(context: Any) -> None:
    """Raise unless the key may do what the websockets of Tiled's client need: make a key."""
    try:
        made = context.create_api_key(expires_in=60, note="websocket")
        context.revoke_api_key(made["first_eight"])
    except httpx.HTTPStatusError as error:
        raise ArchiveError(
            "the API key must have the scopes create:apikeys and revoke:apikeys besides those for"
            f" reading, because websockets get keys of their own ({first_line(error)})"
        ) from error
