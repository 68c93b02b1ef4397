"""`phasepilot train-images`: train a network of image frames from a configuration file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phasepilot.agent.cli.console import console, reporting_errors
from phasepilot.agent.cli.train import NOT_FINISHED, code_version, run_trainer, training_bars

if TYPE_CHECKING:
    from rich.progress import Progress

    from phasepilot.models.training.image_configuration import ImageTrainingConfiguration
    from phasepilot.models.training.training_loop import Trainer


def train_images(
    config: Annotated[Path, typer.Option(help="YAML file; see examples/train_pilotcake.yaml.")],
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
    release: Annotated[
        bool, typer.Option("--release", help="Write the network even if training is unfinished.")
    ] = False,
) -> None:
    """Train a network of image frames; resumes from its last checkpoint.

    The learning curve is kept as curve.csv and curve.png beside the checkpoint.
    """
    start = time.monotonic()
    stop = float("inf") if minutes is None else start + 60 * minutes
    with reporting_errors():
        is_finished = _train(config, data, stop, is_released=release)
    if not is_finished:
        raise typer.Exit(NOT_FINISHED)


def _train(config: Path, data: Path | None, stop: float, *, is_released: bool) -> bool:
    # torch takes a second to import and is only in the train extra.
    from phasepilot.models.training.image_configuration import read_image_training_configuration
    from phasepilot.models.training.training_loop import Trainer

    configuration = read_image_training_configuration(config, data)
    with training_bars() as bars:
        _build_reflections(configuration, bars)
        trainer = Trainer(configuration)
        is_finished = run_trainer(trainer, bars, stop)
    if is_finished or is_released:
        _release(trainer, configuration)
    if not is_finished:
        done, in_all = trainer.n_done, configuration.n_batches
        console.print(f"stopped after {done} of {in_all} batches; start again to go on")
    return is_finished


def _build_reflections(configuration: "ImageTrainingConfiguration", bars: "Progress") -> None:
    from phasepilot.models.diffraction.images.reflection_store import build_reflection_store

    building = bars.add_task("reflections", visible=False)
    build_reflection_store(
        configuration.structures,
        configuration.reflection_directory,
        licences=configuration.licences,
        max_atoms=configuration.max_atoms,
        max_per_space_group=configuration.max_per_space_group,
        n_workers=max(configuration.n_workers, 1),
        progress=lambda done, total: bars.update(
            building, completed=done, total=total, visible=True
        ),
    )


def _release(trainer: "Trainer", configuration: "ImageTrainingConfiguration") -> None:
    from phasepilot.models.diffraction.images.reflection_store import open_reflection_store
    from phasepilot.models.networks.cake_net import CakeNet
    from phasepilot.models.training.image_release import write_image_release

    network = trainer.averaged
    if not isinstance(network, CakeNet):
        raise TypeError(f"images are learned by a CakeNet, not by {type(network).__name__}")
    with console.status("calibrating and measuring on held-out families"):
        card = write_image_release(
            network,
            configuration,
            open_reflection_store(configuration.reflection_directory),
            n_patterns=trainer.n_done * configuration.batch_size,
            code_version=code_version(),
        )
    console.print(f"wrote {configuration.work_directory / card.file} and its card", soft_wrap=True)
    for name, value in card.measured.items():
        console.print(f"  {name.replace('_', ' ')}: {value}")
