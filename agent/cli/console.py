"""Where the command line prints, and how it ends when something is wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from phasepilot.agent.errors import AgentError
from phasepilot.models.errors import ModelsError

console = Console()
error_console = Console(stderr=True)


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Print an error that is meant to be read as one sentence and leave with status 1."""
    try:
        yield
    except (AgentError, ModelsError) as error:
        error_console.print(f"[bold red]error:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("phasepilot"):
            raise
        error_console.print(
            f"[bold red]error:[/] this command needs the package {error.name}, which is not"
            " installed; see the table of extras in the README.",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(1) from error


def is_interactive() -> bool:
    """Return whether somebody is watching."""
    return sys.stdout.isatty()
