"""`phasepilot train`: train a network from a configuration file."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from phasepilot.agent.cli.console import console, reporting_errors


def train(
    config: Annotated[Path, typer.Option(help="YAML file; see examples/train_npcnn.yaml.")],
    data: Annotated[
        Path | None,
        typer.Option(envvar="PHASEPILOT_DATA", help="Folder that `structures` is relative to."),
    ] = None,
) -> None:
    """Train the network that ships; resumes from its last checkpoint."""
    with reporting_errors():
        _train(config, data)


def _train(config: Path, data: Path | None) -> None:
    # torch takes a second to import and is only in the train extra.
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from phasepilot.models.diffraction.stick_store import build_stick_store
    from phasepilot.models.training.configuration import read_training_configuration
    from phasepilot.models.training.release import write_release
    from phasepilot.models.training.training_loop import Progress as TrainingProgress
    from phasepilot.models.training.training_loop import Trainer, validation_batches

    configuration = read_training_configuration(config, data)
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console) as bars:
        building = bars.add_task("stick lists", visible=False)
        store = build_stick_store(
            configuration.structures,
            configuration.work_directory / "sticks",
            licences=configuration.licences,
            # Recipes stretch lattices by several per cent: lines from beyond the grid move in.
            q_max_per_angstrom=configuration.preprocessing.grid.q_max_per_angstrom * 1.1,
            max_atoms=configuration.max_atoms,
            max_rows=configuration.max_rows,
            progress=lambda done, total: bars.update(
                building, completed=done, total=total, visible=True
            ),
        )
        validation = validation_batches(configuration, store)
        trainer = Trainer(configuration, store)
        training = bars.add_task("training", total=configuration.n_batches)

        def show(step: TrainingProgress) -> None:
            text = f"loss {step.loss:.2f}, space group {step.space_group_accuracy:.0%}"
            bars.update(training, completed=step.batch, description=text)

        trainer.run(show)
    card = write_release(
        trainer.averaged, configuration, store, validation, code_version=version("phasepilot")
    )
    console.print(f"wrote {configuration.work_directory / card.file} and its card")
    for name, value in card.measured.items():
        console.print(f"  {name.replace('_', ' ')}: {value}")
