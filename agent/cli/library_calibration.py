"""`phasepilot library calibrate`: weigh a network against the search of an index."""

from pathlib import Path
from typing import Annotated

import typer

from phasepilot.agent.cli.console import bars_of_counts, console, reporting_errors


def calibrate(
    card: Annotated[Path, typer.Argument(help="Card of the network (.json).", metavar="CARD")],
    library: Annotated[
        Path, typer.Option(help="Folder made by `phasepilot library build` of a whole table.")
    ],
    structures: Annotated[
        Path | None,
        typer.Option(
            help="Table that the library was made of: what experiments determined of it is"
            " measured. Without it, structures of families that no network is trained on are.",
            metavar="TABLE",
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="What measurements are simulated by; see `phasepilot recipes`."
            " determined-structure with --structures, else careful-laboratory."
        ),
    ] = "",
    patterns: Annotated[int, typer.Option(help="Measurements to simulate.", min=200)] = 1400,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
) -> None:
    """Weigh a network against a search, on simulated measurements.

    Writes NAME.search.npz beside the card and names it there. Patterns take half a second each.
    """
    with reporting_errors():
        _calibrate(card, library, structures, recipe, n_patterns=patterns, seed=seed)


def _calibrate(
    card_path: Path,
    library: Path,
    table: Path | None,
    recipe: str,
    *,
    n_patterns: int,
    seed: int,
) -> None:
    import numpy as np

    from phasepilot.models.diffraction.powder.recipe import named_recipe
    from phasepilot.models.estimation.calibrated_model import CalibratedModel
    from phasepilot.models.estimation.calibration_samples import (
        held_out_samples,
        measured_samples,
    )
    from phasepilot.models.estimation.search_fit import (
        fitted_search,
        simulated_cases,
        write_search_calibration,
    )
    from phasepilot.models.identification.search_index import open_search_index

    model, index = CalibratedModel(card_path), open_search_index(library)
    if table is None:
        samples, usual_recipe = held_out_samples(index), "careful-laboratory"
    else:
        samples, usual_recipe = measured_samples(index, table), "determined-structure"
    with bars_of_counts() as bars:
        task = bars.add_task("measurements", total=n_patterns)
        cases = simulated_cases(
            model,
            index,
            named_recipe(recipe or usual_recipe),
            samples,
            n_patterns=n_patterns,
            rng=np.random.default_rng(seed),
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
    written = write_search_calibration(fitted_search(model, index, cases), card_path)
    console.print(f"wrote {written}", soft_wrap=True, markup=False, highlight=False)
