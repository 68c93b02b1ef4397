"""`phasepilot recipes`: the recipes of simulated patterns that ship."""

from typing import Annotated

import typer
from rich.table import Table

from phasepilot.agent.cli.console import console, reporting_errors


def recipes(
    name: Annotated[str, typer.Argument(help="Recipe to show as YAML.", metavar="[NAME]")] = "",
) -> None:
    """List the recipes of simulated patterns, or show one.

    What is shown can be saved, changed and handed to `phasepilot simulate --recipe FILE`.
    """
    with reporting_errors():
        # Recipes come from YAML files, which costs half a second that --help need not.
        from phasepilot.models.diffraction.powder.recipe import (
            named_recipe,
            recipe_names,
            recipe_text,
        )

        if name:
            typer.echo(recipe_text(name), nl=False)
            return
        table = Table("name", "description")
        for one in recipe_names():
            table.add_row(one, named_recipe(one).description)
        console.print(table)
