"""Where an agent that joins late, or has missed documents, reads what it does not know."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.document_log import LOG_SUFFIX, lock, log_path, read_documents
from phasepilot.agent.errors import ArchiveError

if TYPE_CHECKING:
    from tiled.client.container import Container

# Runs in progress are among the newest; a folder may hold years of them.
_MOST_LOOKED_AT = 64


class RunArchive(Protocol):
    """Holds the documents of runs, also of those in progress, in the order they were made."""

    def open_runs(self) -> tuple[str, ...]:
        """Return the uids of the runs in progress."""
        ...

    def documents(self, run_uid: str) -> Iterator[tuple[str, Document]]:
        """Yield what is there of a run; raise ArchiveError if it cannot be read."""
        ...


class LogArchive:
    """The folder that a `DocumentLog` writes to, on a disk that both can see.

    Complete at every moment: the log is on disk before a document goes out, provided that it was
    subscribed to the RunEngine first.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open_runs(self) -> tuple[str, ...]:
        """Return the runs whose logs are locked by their writer."""
        logs = sorted(self._directory.glob(f"*{LOG_SUFFIX}"), key=_age)[:_MOST_LOOKED_AT]
        return tuple(log.name.removesuffix(LOG_SUFFIX) for log in logs if _is_locked(log))

    def documents(self, run_uid: str) -> Iterator[tuple[str, Document]]:
        """Yield what stands in the log of a run."""
        return read_documents(log_path(self._directory, run_uid))


class TiledArchive:
    """A Tiled container that runs are written to while they are measured.

    A writer that works in batches is behind by up to one of them.
    """

    def __init__(self, client: "Container") -> None:
        self._client = client

    def open_runs(self) -> tuple[str, ...]:
        """Return the newest runs without a stop document."""
        newest = self._client.items().tail(_MOST_LOOKED_AT)
        return tuple(uid for uid, node in newest if "start" in node.metadata and _is_open(node))

    def documents(self, run_uid: str) -> Iterator[tuple[str, Document]]:
        """Yield the documents of a run, rebuilt from its columns."""
        from phasepilot.agent.archive.tiled_columns import archived_documents, find_run

        return archived_documents(find_run(self._client, run_uid))


def _is_open(node: object) -> bool:
    return not getattr(node, "metadata", {}).get("stop")


def _age(log: Path) -> float:
    try:
        return -log.stat().st_mtime
    except OSError:  # it was removed meanwhile
        return 0.0


def _is_locked(log: Path) -> bool:
    try:
        with log.open("rb") as file:
            lock(file)
    except BlockingIOError:
        return True
    except OSError as error:
        raise ArchiveError(f"the log {log} cannot be opened ({error}); was it moved?") from error
    return False
