"""`phasepilot replay`: an archived run through a fresh agent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phasepilot.agent.cli.console import console, reporting_errors

if TYPE_CHECKING:
    from tiled.client.container import Container

_MOST_SHOWN = 10


def replay(
    run_uid: Annotated[str, typer.Argument(help="Uid of the run, or its beginning.")],
    tiled: Annotated[str, typer.Option(help="URI of the Tiled server.")],
    api_key: Annotated[
        str | None, typer.Option(envvar="TILED_API_KEY", help="Its key.", show_envvar=True)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Agent configuration (JSON), for runs that carry none.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    store: Annotated[
        bool, typer.Option(help="Store the results in Tiled, as a run with `analysis_of`.")
    ] = True,
) -> None:
    """Judge an archived run again and compare with what is on record, to the bit.

    The status is 1 when the same network and configuration say something else.
    """
    with reporting_errors():
        # The Tiled client takes seconds to import.
        with console.status("looking for Tiled"):
            from phasepilot.agent.archive.tiled_client import connected
        with connected(tiled, api_key=api_key) as client:
            is_same = _replay(client, run_uid, config, store=store)
    if not is_same:
        raise typer.Exit(1)


def _replay(client: "Container", run_uid: str, config: Path | None, *, store: bool) -> bool:
    with console.status("reading the run"):
        from phasepilot.agent.archive.derived_runs import store_documents
        from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
        from phasepilot.agent.configuration import configuration_from_json
        from phasepilot.agent.replay import replay as replay_documents

        documents = list(archived_documents(find_run(client, run_uid)))
    configuration = configuration_from_json(config.read_text()) if config else None
    with console.status("judging it again"):
        result = replay_documents(documents, configuration)
    console.print(f"{len(result.advice)} frames judged, {result.n_recorded} on record in the run")
    for sentence in result.problems:
        console.print(f"[yellow]note:[/] {escape(sentence)}", highlight=False)
    if result.n_recorded and not result.differences:
        compared = ", states and suggestions" if result.compares_suggestions else " and states"
        console.print(f"estimates{compared} are the same to the last bit")
    for sentence in result.differences[:_MOST_SHOWN]:
        console.print(f"[red]differs:[/] {escape(sentence)}", highlight=False)
    if len(result.differences) > _MOST_SHOWN:
        console.print(f"and {len(result.differences) - _MOST_SHOWN} more differences")
    if store and result.is_complete:
        uid = store_documents(client, [(name, dict(doc)) for name, doc in result.documents])
        console.print(f"stored as run {uid} in the container 'agent'")
    elif store:
        console.print("not stored: the run has no stop document or no frames")
    return not result.differences or not result.is_same_network or config is not None
