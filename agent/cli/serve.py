"""`phasepilot serve`: the agent in a process of its own; `phasepilot keys`: who may talk to it."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from phasepilot.agent.cli.console import console, reporting_errors

if TYPE_CHECKING:
    from phasepilot.agent.sockets.agent_server import AgentServer
    from phasepilot.agent.sockets.run_archives import RunArchive


def serve(
    config: Annotated[
        Path,
        typer.Argument(help="Agent configuration (JSON or YAML).", exists=True, dir_okay=False),
    ],
    documents: Annotated[
        str, typer.Option(help="Address that documents are sent to.")
    ] = "127.0.0.1:5567",
    advice: Annotated[str, typer.Option(help="Address where plans ask.")] = "127.0.0.1:5570",
    results: Annotated[
        str, typer.Option(help="Address where findings are published.")
    ] = "127.0.0.1:5571",
    proxy: Annotated[
        str | None,
        typer.Option(help="Take documents from this proxy instead (its address for subscribers)."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the document log of the scans: what did not come is read there.",
            file_okay=False,
        ),
    ] = None,
    tiled: Annotated[
        str | None, typer.Option(help="The same, from the Tiled server of this URI.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="TILED_API_KEY", help="Its key.", show_envvar=True)
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(help="Folder with keys: encrypt, and admit known clients only.", exists=True),
    ] = None,
) -> None:
    """Serve an agent: documents come in over 0MQ, plans ask it, findings are published."""
    with reporting_errors():
        from phasepilot.agent.configuration_file import read_configuration
        from phasepilot.agent.phase_agent import PhaseAgent
        from phasepilot.agent.sockets.agent_server import AgentServer, ServerAddresses

        addresses = ServerAddresses(documents, advice, results, proxy)
        agent = PhaseAgent(read_configuration(config))
        server = AgentServer(agent, addresses, archive=_archive(log, tiled, api_key), keys=curve)
        source = f"the proxy at {proxy}" if proxy else f"documents at {documents}"
        console.print(
            f"serving: {source}, advice at {advice}, results at {results}; Ctrl-C ends it",
            highlight=False,
            soft_wrap=True,
        )
        _serve_until_interrupted(server)
        _print_problems(server)


def keys(
    directory: Annotated[Path, typer.Argument(help="Folder for the keys.", file_okay=False)],
    names: Annotated[list[str], typer.Argument(help="A name for each client.", min=1)],
) -> None:
    """Make CURVE keys: those of the agent, if there are none yet, and a pair for each client."""
    with reporting_errors():
        from phasepilot.agent.sockets.curve_keys import make_keys

        make_keys(directory, *names)
    for name in names:
        console.print(
            f"{name}: move {directory / f'{name}.key_secret'} to its owner,"
            f" with {directory / 'agent.key'}",
            highlight=False,
            soft_wrap=True,
        )


def _archive(log: Path | None, tiled: str | None, api_key: str | None) -> "RunArchive | None":
    from phasepilot.agent.errors import ConfigurationError
    from phasepilot.agent.sockets.run_archives import LogArchive, TiledArchive

    if log is not None and tiled is not None:
        raise ConfigurationError("give --log or --tiled, but not both; a log is complete sooner.")
    if log is not None:
        return LogArchive(log)
    if tiled is None:
        return None
    from phasepilot.agent.archive.tiled_client import connect

    return TiledArchive(connect(tiled, api_key=api_key))


def _serve_until_interrupted(server: "AgentServer") -> None:
    def stop(*_: Any) -> None:
        server.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    server.serve()


def _print_problems(server: "AgentServer") -> None:
    feed = server.feed
    console.print(f"ended; {feed.n_lost} documents were lost on the way")
    for sentence in list(feed.problems)[-10:]:
        console.print(f"[yellow]note:[/] {escape(sentence)}", highlight=False, soft_wrap=True)
