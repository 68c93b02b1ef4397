"""Where the command line prints, and how it ends when something is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from phasepilot.agent.errors import AgentError
from phasepilot.models.errors import ModelsError

if TYPE_CHECKING:
    from rich.progress import Progress

_EXTRA_OF = {
    **dict.fromkeys(("torch", "onnx", "pyarrow", "pymatgen", "numba", "sklearn"), "train"),
    **dict.fromkeys(("dask", "distributed", "h5py"), "replay"),
    **dict.fromkeys(("databroker", "mongomock", "pymongo"), "databroker"),
    **dict.fromkeys(("ophyd", "tiled"), "sim"),
    **dict.fromkeys(("pyFAI", "fabio", "h5py", "hdf5plugin"), "images"),
    "zmq": "zmq",
    "caproto": "epics",
}

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
        package = (error.name or "").partition(".")[0]
        extra = _EXTRA_OF.get(package, "sim,train")
        print_error(
            f"this command needs the package {package}, which is not installed;"
            f" install phasepilot with the extra: pip install 'phasepilot[{extra}]'."
        )
        raise typer.Exit(1) from error


def bars_of_counts() -> "Progress":
    """Return progress bars that say how many of how many are done, and for how long."""
    # A seventh of a second that most commands do not need.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
