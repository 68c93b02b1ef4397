"""`phasepilot train-lattice`: train the network of spot lattices."""

from pathlib import Path
from typing import Annotated

import typer

from phasepilot.agent.cli.console import bars_of_counts, console, reporting_errors


def train_lattice(
    structures: Annotated[
        Path, typer.Argument(help="Structure table, or folder that holds it.", metavar="TABLE")
    ],
    folder: Annotated[
        Path,
        typer.Argument(help="Where reflections, weights and learning curve go.", metavar="DIR"),
    ],
    patterns: Annotated[int, typer.Option(help="Patterns to train on.", min=1)] = 3_000_000,
    per_space_group: Annotated[
        int, typer.Option(help="Structures of each space group, at most.", min=1)
    ] = 250,
    name: Annotated[str, typer.Option(help="Of the files.")] = "pilotlattice-v1",
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
) -> None:
    """Train the network that names space groups from the lattice of spots along a zone axis.

    What was trained before an interruption is taken up again. Families of prototypes that
    `benchmark zone-axes` tests are not trained on.
    """
    with reporting_errors():
        # torch and numba take seconds to import and are only in the train extra.
        from phasepilot.agent.cli.train import code_version
        from phasepilot.models.benchmarks.held_out_patterns import structure_table
        from phasepilot.models.benchmarks.zone_axes import reflections
        from phasepilot.models.training.lattice_release import write_lattice_release
        from phasepilot.models.training.lattice_training import LatticeTrainer, LatticeTraining

        table = structure_table(structures)
        with bars_of_counts() as bars:
            task = bars.add_task("starting", total=None)

            def report(step: str, done: int, total: int) -> None:
                bars.update(task, description=step, completed=done, total=total)

            store = reflections(table, folder, max_per_space_group=per_space_group, progress=report)
            training = LatticeTraining(n_patterns=patterns, seed=seed)
            trainer = LatticeTrainer(training, store, folder, name=name)
            trainer.run(lambda done, total, loss: report(f"loss {loss:.2f}", done, total))
            card = write_lattice_release(
                trainer,
                store,
                folder,
                name=name,
                trained_on=table.name,
                code_version=code_version(),
            )
        console.print(f"wrote {folder / card.file} and its card", soft_wrap=True)
        for figure, value in card.measured.items():
            console.print(f"  {figure.replace('_', ' ')}: {value}")
