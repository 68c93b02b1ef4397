"""`phasepilot upload`: put runs into Tiled that could not be uploaded while they were measured."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phasepilot.agent.cli.console import console, reporting_errors


def upload(
    directory: Annotated[
        Path,
        typer.Argument(help="Folder with the logs of documents.", exists=True, file_okay=False),
    ],
    tiled: Annotated[str, typer.Option(help="URI of the Tiled server.")],
    api_key: Annotated[
        str | None, typer.Option(envvar="TILED_API_KEY", help="Its key.", show_envvar=True)
    ] = None,
) -> None:
    """Upload every run of a folder that is not complete in Tiled yet.

    The status is 1 when some could not be uploaded; their logs stay.
    """
    with reporting_errors():
        from phasepilot.agent.archive.pending_runs import upload_pending
        from phasepilot.agent.archive.tiled_client import connected

        with connected(tiled, api_key=api_key) as client:
            results = upload_pending(
                directory,
                client,
                progress=lambda result: console.print(escape(result.sentence), highlight=False),
            )
    if not results:
        console.print(f"nothing is pending in {escape(str(directory))}")
    if not all(result.is_uploaded for result in results):
        raise typer.Exit(1)
