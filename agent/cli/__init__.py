"""The command line: one module a command."""

import typer

from phasepilot.agent.cli.train import train

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(train)


@app.callback()
def about() -> None:
    """Name the phase in every frame of a diffraction experiment while it runs, and steer it."""


def main() -> None:
    """Run the command line."""
    app()
