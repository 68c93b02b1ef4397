"""`phasepilot classify`: name the symmetry of patterns in files."""

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from phasepilot.agent.cli.console import console, print_error, reporting_errors
from phasepilot.agent.errors import AgentError
from phasepilot.models.errors import ModelsError
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

if TYPE_CHECKING:
    from phasepilot.models.networks.estimate import PhaseEstimate

N_SPACE_GROUPS_SHOWN = 5


class Axis(StrEnum):
    """What the first column of a file holds."""

    TWO_THETA = "two_theta"
    Q = "q"


def classify(
    files: Annotated[
        list[Path],
        typer.Argument(help="Patterns: .xy, .xye, .dat, .chi or .csv.", metavar="FILE..."),
    ],
    wavelength: Annotated[
        float | None,
        typer.Option(help="Wavelength of the beam in angstrom; needed unless --axis q."),
    ] = None,
    axis: Annotated[
        Axis, typer.Option(help="First column: two_theta in degree, or q in 1/angstrom.")
    ] = Axis.TWO_THETA,
    model: Annotated[str, typer.Option(help="Name of the network, or path of its card.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line instead of a table.")
    ] = False,
) -> None:
    """Name crystal system and space group of measured patterns, with probabilities.

    Files that cannot be read are reported and passed over; the status is then 1.
    """
    with reporting_errors():
        rows, n_failed = _classify(files, wavelength, axis, model)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
    elif rows:
        console.print(_table(rows))
    if n_failed:
        raise typer.Exit(1)


def _classify(
    files: list[Path], wavelength: float | None, axis: Axis, model_name: str
) -> tuple[list[dict[str, Any]], int]:
    # ONNX Runtime is loaded only when something is to be classified.
    from phasepilot.agent.pattern_files import read_pattern
    from phasepilot.models.networks.registry import DEFAULT_MODEL, load_model

    model = load_model(model_name or DEFAULT_MODEL)
    rows: list[dict[str, Any]] = []
    n_failed = 0
    for file in files:
        try:
            pattern = read_pattern(file, axis=axis.value, wavelength_angstrom=wavelength)
            started = time.perf_counter()
            estimate = model.predict(pattern)
            rows.append(_row(file, estimate, time.perf_counter() - started))
        except (AgentError, ModelsError) as error:
            n_failed += 1
            print_error(str(error))
    return rows, n_failed


def _row(file: Path, estimate: "PhaseEstimate", seconds: float) -> dict[str, Any]:
    from phasepilot.models.networks.space_groups import space_group_symbol

    systems = zip(CRYSTAL_SYSTEMS, estimate.crystal_system_probabilities.tolist(), strict=True)
    return {
        "file": str(file),
        "crystal_system": estimate.crystal_system,
        "crystal_system_probabilities": dict(systems),
        "crystal_system_set": list(estimate.crystal_system_set),
        "crystal_system_set_level": estimate.set_level,
        "space_group_number": estimate.space_group_number,
        "space_group_top": [
            {"number": number, "symbol": space_group_symbol(number), "probability": probability}
            for number, probability in estimate.top_space_groups(N_SPACE_GROUPS_SHOWN)
        ],
        "novelty": estimate.novelty,
        "seconds": seconds,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    level = rows[0]["crystal_system_set_level"]
    table = Table("file", "crystal system", f"set at {level:.0%}", "space group", "novelty")
    for row in rows:
        probability = row["crystal_system_probabilities"][row["crystal_system"]]
        groups = [
            f"{group['number']} {group['symbol']} ({group['probability']:.0%})"
            for group in row["space_group_top"][:3]
        ]
        table.add_row(
            Path(row["file"]).name,
            f"{row['crystal_system']} ({probability:.0%})",
            ", ".join(row["crystal_system_set"]),
            "\n".join(groups),
            f"{row['novelty']:.2f}",
        )
    return table
