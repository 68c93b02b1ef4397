from collections.abc import Callable

import pytest
from typer.testing import Result

from phasepilot.agent.cli import app

COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands)


def test_there_is_a_command_for_each_job() -> None:
    assert COMMANDS == ["classify", "demo", "recipes", "replay", "simulate", "train", "upload"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(phasepilot: Callable[..., Result], command: str) -> None:
    result = phasepilot(command, "--help")
    assert result.exit_code == 0
    assert f"phasepilot {command}" in result.stdout or f"root {command}" in result.stdout


def test_without_a_command_all_are_listed(phasepilot: Callable[..., Result]) -> None:
    listed = phasepilot("--help").stdout
    assert all(command in listed for command in COMMANDS)
    assert phasepilot().exit_code == 2
