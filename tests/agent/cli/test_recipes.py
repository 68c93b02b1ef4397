from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.recipes import recipes
from phasepilot.models.diffraction.powder.recipe import named_recipe, read_recipe, recipe_names

Recipes = Callable[..., Result]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Recipes:
    """Runs `phasepilot recipes ARGUMENTS` in this process."""
    monkeypatch.setattr(console, "width", 300)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(recipes)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_every_recipe_is_listed_with_what_it_is(show: Recipes) -> None:
    listed = show()
    assert listed.exit_code == 0
    assert "ideal" in recipe_names()
    for name in recipe_names():
        assert f" {name} " in listed.stdout
        assert named_recipe(name).description[:60] in listed.stdout


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_shown_can_be_used_as_a_recipe(show: Recipes, tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(show(name).stdout)
    assert read_recipe(file) == named_recipe(name)


def test_an_unknown_recipe_is_answered_with_the_choices(show: Recipes) -> None:
    result = show("laboratry")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "a recipe must be one of" in result.stderr
    assert "Did you mean 'laboratory'?" in result.stderr
    assert len(result.stderr.splitlines()) == 1
