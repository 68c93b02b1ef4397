"""Every document of every run, on disk, before anything else is done with it.

`DocumentLog` is a callback for the RunEngine. It appends what comes to `DIR/<run uid>.documents`,
one msgpack record a document (`document_codec`), and never raises: a disk that fails costs the log,
not the measurement. The file is locked (flock) from start to stop, so that others can tell a run
in progress from one that broke off.
"""

import contextlib
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
from event_model import DocumentNames

from phasepilot.agent.archive.document_codec import (
    Document,
    encode_document,
    named_document,
    record_reader,
)
from phasepilot.agent.errors import DocumentError

logger = logging.getLogger(__name__)

LOG_SUFFIX = ".documents"
# A uid becomes a file name, and documents may come over a network.
_SAFE_UID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_NO_RUN = "(no run)"


class DocumentLog:
    """Appends every document to the log of its run.

    Parameters
    ----------
    directory : Path
        Where logs are kept; made when the first run starts.

    Attributes
    ----------
    problems : dict of str to str
        For each run uid whose log is not complete, the sentence that says why.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self.problems: dict[str, str] = {}
        self._files: dict[str, _LogFile] = {}
        # Documents of an agent's own run come from the agent's thread.
        self._lock = threading.Lock()
        self._run_of: dict[str, str] = {}  # uid of a descriptor or resource -> uid of its run

    def __call__(self, name: str, doc: Document) -> None:
        """Append one document; the callback for the RunEngine."""
        self.append(name, doc)

    def append(self, name: str, doc: Document) -> tuple[str, ...]:
        """Append one document and return the uids of the runs whose logs have grown."""
        with self._lock:
            try:
                run_uids = self._runs_of(name, doc)
                record = encode_document(name, doc)
                return tuple(uid for uid in run_uids if self._write(uid, name, record))
            except Exception as error:  # whatever a document holds, the measurement goes on
                self._report(_NO_RUN, f"a document {name!r} could not be kept: {error!r}")
                return ()

    def close(self) -> None:
        """Close the logs of runs that have not stopped."""
        with self._lock:
            for uid in list(self._files):
                self._forget(uid)

    def _runs_of(self, name: str, doc: Document) -> tuple[str, ...]:
        """Return the runs that a document belongs to, learning the uids that later ones refer to.

        A resource that does not name its run belongs to every run that is open.
        """
        if name not in DocumentNames.__members__:
            raise DocumentError(f"unknown document name {name!r}")
        if name == "start":
            return (doc["uid"],)
        if name == "bulk_events":
            return tuple(dict.fromkeys(self._run_of[descriptor] for descriptor in doc))
        if name in ("descriptor", "resource", "stream_resource", "stop"):
            run_uids = (doc["run_start"],) if "run_start" in doc else tuple(self._files)
            for run_uid in run_uids:
                self._run_of[doc["uid"]] = run_uid
            return run_uids
        owner = "resource" if name in ("datum", "datum_page") else "descriptor"
        return (self._run_of[doc[owner]],)

    def _write(self, uid: str, name: str, record: bytes) -> bool:
        try:
            if name == "start":
                self._files[uid] = _LogFile(log_path(self.directory, uid))
            self._files[uid].append(record)
            if name == "stop":
                self._files[uid].synchronise()
        except KeyError:
            self._report(uid, f"a {name!r} came while no log of that run was open")
            return False
        except (OSError, DocumentError) as error:
            self._report(uid, f"{name!r} could not be written ({error}); free or mend the disk")
            return False
        finally:
            if name == "stop":
                self._forget(uid)
        return True

    def _forget(self, uid: str) -> None:
        if file := self._files.pop(uid, None):
            with contextlib.suppress(OSError):  # every byte was written, or reported as not
                file.close()
        self._run_of = {key: run for key, run in self._run_of.items() if run != uid}

    def _report(self, uid: str, sentence: str) -> None:
        if uid not in self.problems:
            self.problems[uid] = f"The log of run {uid} is not complete: {sentence}."
            logger.error("%s Further losses of this run are not reported.", self.problems[uid])


class _LogFile:
    """A new, locked file that holds whole records only, whatever happens to the disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: a record is with the operating system when append returns.
        self._file = path.open("xb", buffering=0)
        self._n_bytes = 0
        lock(self._file)

    def append(self, record: bytes) -> None:
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise FileNotFoundError(f"{self._file.name} was removed")
        try:
            rest = memoryview(record)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError:
            # Half a record would make all that follow unreadable.
            self._file.truncate(self._n_bytes)
            self._file.seek(self._n_bytes)
            raise
        self._n_bytes += len(record)

    def synchronise(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def log_path(directory: Path, uid: str) -> Path:
    """Return where the log of a run is kept, or raise DocumentError if the uid is not safe."""
    if not (isinstance(uid, str) and _SAFE_UID.fullmatch(uid)):
        raise DocumentError(
            f"expected a run uid of letters, digits, '-', '_' and '.', but came {uid!r};"
            " it cannot name a file"
        )
    return directory / f"{uid}{LOG_SUFFIX}"


def lock(file: BinaryIO | Any) -> None:
    """Lock a file against other writers until it is closed; raises BlockingIOError if it is taken.

    Without flock (Windows) nothing is locked.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def read_documents(path: Path) -> Iterator[tuple[str, Document]]:
    """Yield the documents of a log; one cut off at the end is left out, with a warning.

    Raises
    ------
    DocumentError
        If the file is missing, or damaged anywhere but at its end.
    """
    n_documents, end = 0, 0
    for name, doc, offset in read_from(path, 0):
        yield name, doc
        n_documents, end = n_documents + 1, offset
    if (n_bytes := path.stat().st_size) > end:
        logger.warning(
            "The last record of %s is cut off: read %d documents, left out %d bytes.",
            path,
            n_documents,
            n_bytes - end,
        )


def read_from(path: Path, offset: int) -> Iterator[tuple[str, Document, int]]:
    """Yield name and document of each whole record after `offset`, and the offset of the next."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise DocumentError(f"the log {path} cannot be opened ({error}); was it moved?") from error
    with file:
        file.seek(offset)
        records = record_reader(file)
        while True:
            try:
                name, doc = named_document(records.unpack())
            except msgpack.OutOfData:
                return
            except (ValueError, msgpack.UnpackException) as error:
                raise DocumentError(
                    f"the log {path} is damaged after byte {offset + records.tell()} ({error});"
                    " what stands before can be read"
                ) from error
            yield name, doc, offset + records.tell()
