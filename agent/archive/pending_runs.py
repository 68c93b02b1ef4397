"""Runs that stayed on disk because Tiled was not there, and how they get into Tiled later."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phasepilot.agent.archive.document_log import LOG_SUFFIX, lock, read_documents
from phasepilot.agent.archive.run_upload import (
    RunUpload,
    mark_uploaded,
    marker_path,
    row_difference,
)
from phasepilot.agent.archive.tiled_client import find_node, remove_run
from phasepilot.agent.archive.tiled_upload import first_line
from phasepilot.agent.archive.upload_copy import rows_by_stream
from phasepilot.agent.errors import ArchiveError

if TYPE_CHECKING:
    from tiled.client.container import Container

logger = logging.getLogger(__name__)

_BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What became of one log.

    Attributes
    ----------
    uid : str
        Uid of the run.
    is_uploaded : bool
        Whether the run is complete in Tiled.
    sentence : str
        What happened, for a person.
    """

    uid: str
    is_uploaded: bool
    sentence: str


def pending_logs(directory: Path) -> list[Path]:
    """Return the logs without a marker of their upload, oldest first."""
    logs = [log for log in directory.glob(f"*{LOG_SUFFIX}") if not marker_path(log).exists()]
    return sorted(logs, key=lambda log: (log.stat().st_mtime, log.name))


def upload_pending(
    directory: Path,
    client: "Container",
    progress: Callable[[UploadResult], None] | None = None,
) -> list[UploadResult]:
    """Upload every log that has no marker, and return what became of each.

    A run that stands in Tiled without a stop document is removed there and uploaded anew; one with
    a stop document is never touched. A log without a stop document gets one, exit status `abort`,
    in Tiled only. Nothing is raised for a single run.

    Parameters
    ----------
    directory : Path
        Where the logs are kept.
    client : Container
        The Tiled container to write to.
    progress : callable, optional
        Called with each result as it comes.
    """
    results = []
    for log in pending_logs(directory):
        result = _result(log, client)
        logger.info("%s", result.sentence)
        results.append(result)
        if progress is not None:
            progress(result)
    return results


def _result(log: Path, client: "Container") -> UploadResult:
    uid = log.name.removesuffix(LOG_SUFFIX)
    try:
        with _locked(log):
            return UploadResult(uid, True, _upload(log, uid, client))
    except Exception as error:  # the next log may do better
        return UploadResult(uid, False, f"Run {uid} is still pending ({first_line(error)}).")


@contextlib.contextmanager
def _locked(log: Path) -> Iterator[None]:
    with log.open("r+b") as file:
        try:
            lock(file)
        except BlockingIOError as error:
            raise ArchiveError("it is being measured, or uploaded by another process") from error
        yield


def _upload(log: Path, uid: str, client: "Container") -> str:
    found = find_node(client, uid)
    if found is not None and found.metadata.get("stop"):
        return _recognise(log, uid, found)
    if found is not None:
        remove_run(found)
    upload = RunUpload(log, client, batch_size=_BATCH_SIZE)
    try:
        has_stopped = upload.advance()
        if not has_stopped:
            upload.close_broken_off()
        notes = upload.finish()
    except Exception:
        # Best effort: if Tiled is gone, the next upload removes what stands there.
        with contextlib.suppress(Exception):
            upload.remove_partial()
        raise
    ending = "" if has_stopped else " It had no stop document and was closed as aborted."
    return " ".join([f"Run {uid} was uploaded.{ending}", *notes])


def _recognise(log: Path, uid: str, found: object) -> str:
    """Mark a run that is complete in Tiled already, perhaps written by somebody else."""
    rows = rows_by_stream(read_documents(log))
    if difference := row_difference(found, rows):
        raise ArchiveError(
            f"Tiled holds a finished run of that uid, but {difference};"
            " compare them, and remove one of the two"
        )
    mark_uploaded(log, found, rows)
    return f"Run {uid} was in Tiled already."
