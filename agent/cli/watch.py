"""`phasepilot watch`: what an agent finds in the runs of others, live."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phasepilot.agent.cli.console import console, reporting_errors

if TYPE_CHECKING:
    from phasepilot.agent.sockets.curve_keys import ClientKeys


def watch(
    zmq: Annotated[
        str,
        typer.Option(help="Where `phasepilot serve` publishes its results, or a 0MQ proxy."),
    ] = "127.0.0.1:5571",
    config: Annotated[
        Path | None,
        typer.Option(help="Agent configuration: judge raw runs here.", exists=True, dir_okay=False),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Secret key, where keys are needed.", exists=True)
    ] = None,
    server_key: Annotated[
        Path | None, typer.Option(help="Public key of the other side.", exists=True)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Leave when the first run ends.")] = False,
) -> None:
    """Show what an agent finds, frame by frame, until Ctrl-C."""
    with reporting_errors():
        from phasepilot.agent.sockets.subscriber import followed_documents

        console.print(f"watching {zmq}; Ctrl-C ends it", highlight=False, soft_wrap=True)
        documents = followed_documents(zmq, keys=client_keys_of(key, server_key))
        try:
            show(documents, config, once=once)
        except KeyboardInterrupt:
            console.print("ended")
        finally:
            documents.close()


def show(
    documents: Iterable[tuple[str, dict[str, Any]] | None], config: Path | None, *, once: bool
) -> None:
    """Show findings among documents; with a configuration those of an agent of our own."""
    from phasepilot.agent.cli.advice_table import AdviceTable

    with AdviceTable(console) as table:
        take = _judging(config, table) if config else table
        for document in documents:
            if document is not None:
                take(*document)
            if once and table.n_runs_ended:
                return
            if table.n_raw_runs == 1 and config is None:
                table.n_raw_runs += 1
                console.print("raw runs come here: give --config to have them judged")


def _judging(config: Path, table: Any) -> Any:
    from phasepilot.agent.configuration_file import read_configuration
    from phasepilot.agent.phase_agent import PhaseAgent

    agent = PhaseAgent(read_configuration(config))
    agent.subscribe(table)
    return agent


def client_keys_of(secret: Path | None, server: Path | None) -> "ClientKeys | None":
    """Return the keys of the command line, if there are any."""
    from phasepilot.agent.errors import ConfigurationError
    from phasepilot.agent.sockets.curve_keys import ClientKeys

    if (secret is None) != (server is None):
        raise ConfigurationError("give both --key and --server-key, or none of them.")
    return ClientKeys(secret, server) if secret and server else None
