"""Where the command line prints, and how it ends when something is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from phasepilot.agent.errors import AgentError
from phasepilot.models.errors import ModelsError

console = Console()
error_console = Console(stderr=True)


def print_error(sentence: str) -> None:
    """Print one sentence to standard error."""
    error_console.print(f"[bold red]error:[/] {escape(sentence)}", highlight=False, soft_wrap=True)


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Print an error that is meant to be read as one sentence and leave with status 1."""
    try:
        yield
    except (AgentError, ModelsError) as error:
        print_error(str(error))
        raise typer.Exit(1) from error
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("phasepilot"):
            raise
        print_error(
            f"this command needs the package {error.name}, which is not installed;"
            " see the table of extras in the README."
        )
        raise typer.Exit(1) from error
