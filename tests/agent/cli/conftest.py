"""The command line as a function: a runner that gives what was printed and the status."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from phasepilot.agent.cli import app


@pytest.fixture(scope="session")
def phasepilot() -> Callable[..., Result]:
    """Runs `phasepilot ARGUMENTS` in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
