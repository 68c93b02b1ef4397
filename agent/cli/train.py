"""`phasepilot train`: train a network from a configuration file."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phasepilot.agent.cli.console import console, reporting_errors

if TYPE_CHECKING:
    from rich.progress import Progress

    from phasepilot.models.training.configuration import TrainingConfiguration
    from phasepilot.models.training.learning_curve import CurvePoint
    from phasepilot.models.training.processes import Processes
    from phasepilot.models.training.training_loop import Progress as TrainingProgress
    from phasepilot.models.training.training_loop import Trainer

# EX_TEMPFAIL of sysexits.h: not an error, start it again.
NOT_FINISHED = 75


def train(
    config: Annotated[Path, typer.Option(help="YAML file; see examples/train_pilotnet.yaml.")],
    data: Annotated[
        Path | None,
        typer.Option(envvar="PHASEPILOT_DATA", help="Folder that `structures` is relative to."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0, help="Stop at a checkpoint after so many minutes, with status 75 if unfinished."
        ),
    ] = None,
) -> None:
    """Train a network; resumes from its last checkpoint.

    On several GPUs: torchrun --nproc-per-node 4 --no-python phasepilot train --config FILE

    The learning curve is kept as curve.csv and curve.png beside the checkpoint.
    """
    start = time.monotonic()
    stop = float("inf") if minutes is None else start + 60 * minutes
    with reporting_errors():
        is_finished = _train(config, data, stop)
    if not is_finished:
        raise typer.Exit(NOT_FINISHED)


def _train(config: Path, data: Path | None, stop: float) -> bool:
    # torch takes a second to import and is only in the train extra.
    from phasepilot.models.training.configuration import read_training_configuration
    from phasepilot.models.training.network_choice import create_network
    from phasepilot.models.training.training_loop import Trainer

    configuration = read_training_configuration(config, data)
    with _processes(configuration) as processes:
        # A network that does not exist is told before stick lists take minutes.
        create_network(configuration)
        with _bars(is_shown=processes.is_first) as bars:
            _build_sticks(configuration, processes, bars)
            trainer = Trainer(configuration, processes)
            is_finished = _run(trainer, bars, stop, may_draw=processes.is_first)
        if is_finished and processes.is_first:
            _release(trainer)
        elif processes.is_first:
            done, in_all = trainer.n_done, configuration.n_batches
            console.print(f"stopped after {done} of {in_all} batches; start again to go on")
    return is_finished


@contextmanager
def _processes(configuration: "TrainingConfiguration") -> Iterator["Processes"]:
    """Give this process among those that torchrun started, if it did."""
    from phasepilot.models.training.processes import Processes, joined_processes

    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Processes()
        return
    with joined_processes(int(os.environ["LOCAL_RANK"]), configuration.device) as processes:
        yield processes


def _bars(*, is_shown: bool) -> "Progress":
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    return Progress(*columns, console=console, disable=not is_shown)


def _build_sticks(
    configuration: "TrainingConfiguration", processes: "Processes", bars: "Progress"
) -> None:
    """Let the first process compute the stick lists, unless they are there, and all wait."""
    from phasepilot.models.diffraction.stick_store import build_stick_store

    if processes.is_first:
        building = bars.add_task("stick lists", visible=False)
        build_stick_store(
            configuration.structures,
            configuration.stick_directory,
            licences=configuration.licences,
            q_max_per_angstrom=configuration.q_max_per_angstrom,
            max_atoms=configuration.max_atoms,
            max_rows=configuration.max_rows,
            n_workers=max(configuration.n_workers, 1),
            progress=lambda done, total: bars.update(
                building, completed=done, total=total, visible=True
            ),
        )
    processes.wait()


def _run(trainer: "Trainer", bars: "Progress", stop: float, *, may_draw: bool) -> bool:
    training = bars.add_task("training", total=trainer.configuration.n_batches)
    n_drawn = 0

    def show(step: "TrainingProgress") -> None:
        nonlocal n_drawn
        text = f"loss {step.loss:.2f}, space group {step.space_group_accuracy:.0%}"
        bars.update(training, completed=step.batch, description=text)
        if may_draw and len(step.curve) != n_drawn:
            _draw(step.curve, trainer.configuration)
            n_drawn = len(step.curve)

    return trainer.run(show, is_time_up=lambda: time.monotonic() > stop)


def _draw(curve: "tuple[CurvePoint, ...]", configuration: "TrainingConfiguration") -> None:
    from phasepilot.agent.report.training_figure import draw_learning_curve

    n_patterns = configuration.n_batches * configuration.batch_size
    figure = draw_learning_curve(configuration.name, curve, n_patterns)
    figure.savefig(configuration.work_directory / "curve.png")


def _release(trainer: "Trainer") -> None:
    from phasepilot.models.diffraction.stick_store import open_stick_store
    from phasepilot.models.training.release import write_release

    configuration = trainer.configuration
    with console.status("measuring on held-out families"):
        card = write_release(
            trainer.averaged,
            configuration,
            open_stick_store(configuration.stick_directory),
            code_version=code_version(),
        )
    console.print(f"wrote {configuration.work_directory / card.file} and its card", soft_wrap=True)
    for name, value in card.measured.items():
        console.print(f"  {name.replace('_', ' ')}: {value}")


def code_version() -> str:
    """Return the version that cards name."""
    try:
        return version("phasepilot")
    except PackageNotFoundError:
        return "a checkout that is not installed"
