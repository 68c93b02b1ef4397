from collections.abc import Callable

import pytest
from typer.testing import Result

from phasepilot.agent.cli import app

COMMANDS = sorted(
    command.callback.__name__.replace("_", "-") for command in app.registered_commands
)
GROUPS = sorted(group.name for group in app.registered_groups)
OF_GROUPS = [
    (group.name, command.callback.__name__)
    for group in app.registered_groups
    for command in group.typer_instance.registered_commands
]


def test_there_is_a_command_for_each_job() -> None:
    assert [
        *("benchmark", "classify", "demo", "explain", "identify"),
        *("keys", "recipes", "replay", "serve", "simulate", "train"),
        *("train-lattice", "train-novelty", "train-zone-axes", "upload", "watch"),
    ] == COMMANDS
    assert GROUPS == ["config", "ioc", "library", "structures"]
    assert {name for group, name in OF_GROUPS if group == "library"} == {"build", "calibrate"}


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_every_command_explains_itself(phasepilot: Callable[..., Result], command: str) -> None:
    result = phasepilot(command, "--help")
    assert result.exit_code == 0
    assert f"phasepilot {command}" in result.stdout or f"root {command}" in result.stdout


@pytest.mark.parametrize(("group", "command"), OF_GROUPS)
def test_every_command_of_a_group_explains_itself(
    phasepilot: Callable[..., Result], group: str, command: str
) -> None:
    result = phasepilot(group, command, "--help")
    assert result.exit_code == 0
    assert f"{group} {command}" in result.stdout


def test_without_a_command_all_are_listed(phasepilot: Callable[..., Result]) -> None:
    listed = phasepilot("--help").stdout
    assert all(command in listed for command in (*COMMANDS, *GROUPS))
    assert phasepilot().exit_code == 2
