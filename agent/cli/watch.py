"""`phasepilot watch`: what an agent finds in the runs of others, live."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phasepilot.agent.cli.console import console, reporting_errors
from phasepilot.agent.errors import ConfigurationError

if TYPE_CHECKING:
    from phasepilot.agent.phase_agent import PhaseAgent
    from phasepilot.agent.sockets.curve_keys import ClientKeys

Documents = Iterable[tuple[str, Any] | None]

_FINDINGS = "127.0.0.1:5571"


def watch(
    zmq: Annotated[
        str | None,
        typer.Option(
            help="Where `phasepilot serve` publishes its results, or a 0MQ proxy;"
            f" {_FINDINGS} without --tiled."
        ),
    ] = None,
    tiled: Annotated[
        str | None, typer.Option(help="URI of the catalog in Tiled where runs are written.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Agent configuration: judge raw runs here.", exists=True, dir_okay=False),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="TILED_API_KEY", help="Tiled's key.", show_envvar=True)
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Secret key, where 0MQ needs keys.", exists=True)
    ] = None,
    server_key: Annotated[
        Path | None, typer.Option(help="Public key of the other side.", exists=True)
    ] = None,
    n_runs: Annotated[
        int | None, typer.Option("--runs", help="Leave after so many runs have ended.", min=1)
    ] = None,
) -> None:
    """Show what an agent finds, frame by frame, while others measure; Ctrl-C ends it."""
    with reporting_errors():
        if tiled and zmq:
            raise ConfigurationError("runs must come from one place: name --tiled or --zmq.")
        if tiled and config is None:
            raise ConfigurationError(
                "runs in Tiled must be judged here: give --config, which `phasepilot config init"
                " --tiled URI` writes from one of them."
            )
        agent = _agent(config) if config else None
        if tiled and agent:
            source = _from_tiled(tiled, api_key, agent.configuration.stream)
        else:
            source = _from_zmq(zmq or _FINDINGS, client_keys_of(key, server_key))
        try:
            with source as documents:
                _show(documents, agent, n_runs)
        except KeyboardInterrupt:
            console.print("ended")


def _agent(config: Path) -> "PhaseAgent":
    with console.status("loading the network"):
        from phasepilot.agent.configuration_file import read_configuration
        from phasepilot.agent.phase_agent import PhaseAgent

        return PhaseAgent(read_configuration(config))


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


@contextlib.contextmanager
def _from_zmq(address: str, keys: "ClientKeys | None") -> Iterator[Documents]:
    from phasepilot.agent.sockets.subscriber import followed_documents

    console.print(f"watching {address}; Ctrl-C ends it", highlight=False, soft_wrap=True)
    with contextlib.closing(followed_documents(address, keys=keys)) as documents:
        yield documents


def _show(documents: Documents, agent: "PhaseAgent | None", n_runs: int | None) -> None:
    """Show findings among documents, or those of an agent of our own."""
    from phasepilot.agent.cli.advice_table import AdviceTable

    n_stopped, is_told = 0, agent is not None
    with AdviceTable(console) as table:
        if agent:
            agent.subscribe(table)
        for document in documents:
            if document is not None:
                (agent or table)(*document)
                n_stopped += document[0] == "stop"
            if table.n_raw_runs and not is_told:
                is_told = True
                console.print("raw runs come here: give --config to have them judged")
            if n_runs and (n_stopped if agent else table.n_runs_ended) >= n_runs:
                break
        if agent:
            agent.wait()
    for problem in agent.problems if agent else ():
        console.print(f"[yellow]note:[/] {problem}", highlight=False)


def client_keys_of(secret: Path | None, server: Path | None) -> "ClientKeys | None":
    """Return the keys of the command line, if there are any."""
    from phasepilot.agent.sockets.curve_keys import ClientKeys

    if (secret is None) != (server is None):
        raise ConfigurationError("give both --key and --server-key, or none of them.")
    return ClientKeys(secret, server) if secret and server else None
