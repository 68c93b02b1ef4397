"""The command line as a function: a runner that gives what was printed and the status."""

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from phasepilot.agent.cli import app
from phasepilot.agent.cli.console import console

# Sentences and tables are not folded at this width.
WIDE = {"COLUMNS": "300"}


@pytest.fixture(scope="session")
def phasepilot() -> Iterator[Callable[..., Result]]:
    """Runs `phasepilot ARGUMENTS` in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=WIDE)

    # Set when it was made, from the terminal that the tests happen to run in.
    width, console.width = console.width, int(WIDE["COLUMNS"])
    yield run
    console.width = width
