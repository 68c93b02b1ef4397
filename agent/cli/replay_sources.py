"""What the options of `phasepilot replay` say about where runs are, and which are meant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phasepilot.agent.cli.classify import Axis
from phasepilot.agent.errors import ReplayError

if TYPE_CHECKING:
    from phasepilot.agent.archive.run_query import RunQuery, RunSource


Tiled = Annotated[
    str | None,
    typer.Option(help="URI of the Tiled server; beside another source, where results are stored."),
]
ApiKey = Annotated[
    str | None, typer.Option(envvar="TILED_API_KEY", help="Its key.", show_envvar=True)
]
Databroker = Annotated[
    str | None, typer.Option(help="Name of a databroker catalog (a Tiled profile).")
]
Documents = Annotated[
    Path | None,
    typer.Option(help="File or folder of documents: .documents, .jsonl, .json, .msgpack."),
]
Patterns = Annotated[
    Path | None,
    typer.Option(help="File or folder of .xy, .chi, .tif, HDF5 or NeXus: one run of all frames."),
]
Names = Annotated[str, typer.Option(help="With --patterns: only files of these names.")]
FirstColumn = Annotated[Axis, typer.Option(help="With --patterns: what text has first.")]
Wavelength = Annotated[
    float | None, typer.Option(help="With --patterns: wavelength of the beam in angstrom.")
]
Poni = Annotated[
    Path | None,
    typer.Option(help="With --patterns: geometry of images.", exists=True, dir_okay=False),
]
Dataset = Annotated[
    str | None, typer.Option(help="With --patterns: path of the frames within HDF5 files.")
]
Since = Annotated[
    str | None, typer.Option(help="Runs from this time on: 2026-05-04, 2026-05-04T13:00, 12h, 3d.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Runs with this in their start document, e.g. start.sample=KCl; repeatable."),
]


def query_of(uids: list[str], since: str | None, where: list[str] | None) -> "RunQuery":
    """Return which runs are meant."""
    from phasepilot.agent.archive import run_query

    since_s = None if since is None else run_query.since(since)
    conditions = tuple(map(run_query.condition, where or ()))
    if uids and (conditions or since_s is not None):
        raise ReplayError(
            "runs must be named by uid or by --since and --where, but both were given"
        )
    return run_query.RunQuery(tuple(uids), since_s, conditions)


def archive_source(
    query: "RunQuery",
    *,
    tiled: str | None,
    api_key: str | None,
    databroker: str | None,
    documents: Path | None,
) -> "RunSource":
    """Return the archive that is meant.

    Raises
    ------
    ReplayError
        If it is none, or nobody said which of its runs.
    """
    if documents is not None:
        from phasepilot.agent.archive.document_files import DocumentFiles

        # Whole paths, for workers of Dask run in folders of their own.
        return DocumentFiles(documents.absolute())
    if databroker is None and tiled is None:
        raise ReplayError(
            "runs must come from somewhere: name one of --tiled, --databroker, --documents and"
            " --patterns."
        )
    if not (query.uids or query.conditions or query.since_s is not None):
        raise ReplayError(
            "an archive may hold thousands of runs: say which by their uids, --since or --where."
        )
    if databroker is not None:
        from phasepilot.agent.archive.databroker_runs import DatabrokerRuns

        return DatabrokerRuns(databroker)
    from phasepilot.agent.archive.tiled_runs import TiledRuns

    return TiledRuns(str(tiled), api_key)
