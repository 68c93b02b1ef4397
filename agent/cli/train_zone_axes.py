"""`phasepilot train-zone-axes`: train the two-dimensional networks of the paper."""

from pathlib import Path
from typing import Annotated

import typer

from phasepilot.agent.cli.console import bars_of_counts, console, reporting_errors


def train_zone_axes(
    structures: Annotated[
        Path, typer.Argument(help="Structure table, or folder that holds it.", metavar="TABLE")
    ],
    folder: Annotated[
        Path,
        typer.Argument(help="Where reflections, networks and learning curves go.", metavar="DIR"),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(help="model-1 to model-4: trained along 1, 4, 10, 20 zone axes; all if none."),
    ] = None,
    images: Annotated[
        int, typer.Option(help="Images to train model-4 on; the others see fewer.", min=1)
    ] = 300_000,
    width: Annotated[float, typer.Option(help="Of the layers, against the paper's.")] = 0.125,
    shape: Annotated[tuple[int, int], typer.Option(help="Rows and columns.")] = (64, 64),
    batch: Annotated[int, typer.Option(help="Images in a batch.", min=1)] = 64,
    learning_rate: Annotated[float, typer.Option(help="The largest, of Adam.")] = 1e-3,
    per_space_group: Annotated[
        int, typer.Option(help="Structures of each space group, at most.", min=1)
    ] = 250,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
) -> None:
    """Train the paper's networks on spot patterns along zone axes, for `benchmark zone-axes`.

    \b
    The paper's size needs a GPU with 24 GB and days:
    phasepilot train-zone-axes structures.parquet networks --width 1 --shape 321 322 --batch 128
    --images 73000000 --learning-rate 1e-4 --per-space-group 500

    What was trained before an interruption is taken up again. Families of prototypes that the
    benchmark tests are not trained on.
    """  # noqa: D301
    with reporting_errors():
        # torch and numba take seconds to import and are only in the train extra.
        from dataclasses import replace

        from phasepilot.models.benchmarks.held_out_patterns import structure_table
        from phasepilot.models.benchmarks.zone_axes import reflections
        from phasepilot.models.training.zone_training import ZoneTrainer, standard_trainings

        trainings = standard_trainings(images)
        unknown = sorted(set(model or ()) - set(trainings))
        if unknown:
            raise typer.BadParameter(
                f"must be among {', '.join(trainings)}, but is {', '.join(unknown)}",
                param_hint="--model",
            )
        with bars_of_counts() as bars:
            task = bars.add_task("starting", total=None)

            def report(step: str, done: int, total: int) -> None:
                bars.update(task, description=step, completed=done, total=total)

            store = reflections(
                structure_table(structures),
                folder,
                max_per_space_group=per_space_group,
                progress=report,
            )
            for name in model or trainings:
                training = replace(
                    trainings[name],
                    width=width,
                    shape=shape,
                    batch_size=batch,
                    learning_rate=learning_rate,
                    seed=seed,
                )
                ZoneTrainer(training, store, folder, name=name).run(
                    lambda done, total, loss, name=name: report(  # type: ignore[misc]
                        f"{name}, loss {loss:.2f}", done, total
                    )
                )
        console.print(f"trained {', '.join(model or trainings)} in {folder}", highlight=False)
