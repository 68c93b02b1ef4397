"""`phasepilot watch`: live runs that another process measures, named frame by frame."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from phasepilot.agent.cli.console import console, reporting_errors
from phasepilot.agent.errors import ConfigurationError

Documents = Iterator[tuple[str, Any]]


def watch(
    config: Annotated[
        Path,
        typer.Option(
            help="Agent configuration (JSON): where patterns are and how to judge them.",
            exists=True,
            dir_okay=False,
        ),
    ],
    tiled: Annotated[
        str | None, typer.Option(help="URI of the catalog in Tiled where runs are written.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="TILED_API_KEY", help="Its key.", show_envvar=True)
    ] = None,
    n_runs: Annotated[
        int | None, typer.Option("--runs", help="End after so many runs have stopped.", min=1)
    ] = None,
) -> None:
    """Follow runs while they are measured, and show what the agent says of each frame.

    It only watches: nothing is sent back. Ctrl-C ends it.
    """
    with reporting_errors(), contextlib.suppress(KeyboardInterrupt):
        from phasepilot.agent.configuration import configuration_from_json

        configuration = configuration_from_json(config.read_text())
        if tiled is None:
            raise ConfigurationError("runs must come from somewhere: name --tiled.")
        with _from_tiled(tiled, api_key, configuration.stream) as documents:
            _judge(documents, configuration, n_runs)


@contextlib.contextmanager
def _from_tiled(uri: str, api_key: str | None, stream: str) -> Iterator[Documents]:
    # The Tiled client takes seconds to import.
    with console.status("looking for Tiled"):
        from phasepilot.agent.archive.tiled_client import connected
        from phasepilot.agent.archive.tiled_watch import TiledWatch
    with (
        connected(uri, api_key=api_key) as client,
        TiledWatch(client, streams=(stream,), note=console.print) as watched,
    ):
        yield watched.documents()


def _judge(documents: Documents, configuration: Any, n_runs: int | None) -> None:
    from phasepilot.agent.cli.watch_table import WatchTable
    from phasepilot.agent.phase_agent import PhaseAgent

    agent = PhaseAgent(configuration)
    n_stopped = 0
    with WatchTable() as table:
        agent.subscribe(table)
        for name, doc in documents:
            agent(name, doc)
            if name == "stop":
                n_stopped += 1
                agent.wait()
                if n_stopped == n_runs:
                    break
    for problem in agent.problems:
        console.print(f"[yellow]note:[/] {problem}", highlight=False)
