"""Runs that were derived from other runs, stored beside them."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bluesky_tiled_plugins import TiledWriter
from tiled.client.container import Container

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.tiled_client import (
    connected,
    find_node,
    remove_run,
    runs_container,
)
from phasepilot.agent.archive.upload_columns import ColumnChangeError
from phasepilot.agent.archive.upload_copy import Columns, UploadCopy
from phasepilot.agent.errors import ArchiveError, DocumentError

_BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True)
class TiledAnalyses:
    """The runs of analysis in a container of a Tiled server, made when the first is stored."""

    uri: str
    api_key: str | None = field(default=None, repr=False)
    container: str = "agent"

    def store(self, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
        """Store a complete run of analysis and return its uid, as `store_documents`."""
        run = [(name, dict(doc)) for name, doc in documents]
        with connected(self.uri, api_key=self.api_key) as client:
            return store_documents(client, run, self.container)

    def is_stored(self, uid: str) -> bool:
        """Whether that run stands there whole; one that was broken off is removed."""
        with connected(self.uri, api_key=self.api_key) as client:
            place = find_node(client, self.container)
            run = None if place is None else find_node(place, uid)
            if run is None or run.metadata.get("stop"):
                return run is not None
            remove_run(run)
            return False


def store_documents(
    client: Container, documents: Iterable[tuple[str, Document]], container: str = "agent"
) -> str:
    """Store a run that was derived from another one, and return its uid.

    Parameters
    ----------
    client : Container
        What holds `container`, which is made as a catalog of runs if it is not there.
    documents : iterable of (name, document)
        One complete run; its start document says in `analysis_of` from which run it was derived.

    Raises
    ------
    DocumentError
        If the documents are not one such run.
    ArchiveError
        If a run of that uid is there already.
    """
    run = list(documents)
    if not run or run[0][0] != "start" or run[-1][0] != "stop":
        raise DocumentError(
            "expected a run from its start to its stop document, but came"
            f" {[name for name, _ in run[:1] + run[1:][-1:]]}"
        )
    uid: str = run[0][1]["uid"]
    if not run[0][1].get("analysis_of"):
        raise DocumentError(
            f"the start document of run {uid} lacks `analysis_of`;"
            " set it to the uid of the run that was analysed"
        )
    place = runs_container(client, container)
    if find_node(place, uid) is not None:
        raise ArchiveError(f"run {uid} is in {container!r} already; a run is stored once")
    _store(place, uid, run)
    return uid


def _store(place: Container, uid: str, run: list[tuple[str, Document]]) -> None:
    columns: Columns = {}
    while True:
        copy = UploadCopy(columns)
        writer = TiledWriter(place, batch_size=_BATCH_SIZE, max_array_size=0)
        try:
            # Where Tiled refuses the start, event-model warns in words for the writer's authors;
            # the next document raises.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The callback", UserWarning)
                for name, doc in run:
                    for copied_name, copied in copy.documents(name, doc):
                        writer(copied_name, copied)
            return
        except ColumnChangeError:
            remove_run(find_node(place, uid))
            columns = copy.columns
