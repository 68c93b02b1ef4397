"""The command line: one module a command."""

import typer

from phasepilot.agent.cli.benchmark import benchmark
from phasepilot.agent.cli.classify import classify
from phasepilot.agent.cli.config import config
from phasepilot.agent.cli.demo import demo
from phasepilot.agent.cli.explain import explain
from phasepilot.agent.cli.identify import identify
from phasepilot.agent.cli.ioc import ioc
from phasepilot.agent.cli.library import library
from phasepilot.agent.cli.recipes import recipes
from phasepilot.agent.cli.replay import replay
from phasepilot.agent.cli.serve import keys, serve
from phasepilot.agent.cli.simulate import simulate
from phasepilot.agent.cli.structures import structures
from phasepilot.agent.cli.train import train
from phasepilot.agent.cli.train_lattice import train_lattice
from phasepilot.agent.cli.train_novelty import train_novelty
from phasepilot.agent.cli.train_zone_axes import train_zone_axes
from phasepilot.agent.cli.upload import upload
from phasepilot.agent.cli.watch import watch

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (
    *(demo, classify, identify, explain, simulate, recipes),
    *(replay, upload, serve, keys, watch),
    *(train, train_lattice, train_novelty, train_zone_axes, benchmark),
):
    app.command()(command)


app.add_typer(config, name="config")
app.add_typer(ioc, name="ioc")
app.add_typer(library, name="library")
app.add_typer(structures, name="structures")


@app.callback()
def about() -> None:
    """Name the phase in every frame of a diffraction experiment while it runs, and steer it."""


def main() -> None:
    """Run the command line."""
    app()
