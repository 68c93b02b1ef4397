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
    from phasepilot.models.networks.registry import PhaseModel

N_SPACE_GROUPS_SHOWN = 5


class Axis(StrEnum):
    """What the first column of a file holds."""

    TWO_THETA = "two_theta"
    Q = "q"


def classify(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Patterns (.xy, .xye, .dat, .chi, .csv), or images with --poni.",
            metavar="FILE...",
        ),
    ],
    wavelength: Annotated[
        float | None,
        typer.Option(help="Of the beam, in angstrom; needed unless --axis q or --poni states it."),
    ] = None,
    axis: Annotated[
        Axis, typer.Option(help="First column: two_theta in degree, or q in 1/angstrom.")
    ] = Axis.TWO_THETA,
    model: Annotated[str, typer.Option(help="Name of the network, or path of its card.")] = "",
    library: Annotated[
        Path | None,
        typer.Option(
            help="Known phases: a folder of CIF files, or one made by `phasepilot library build`."
        ),
    ] = None,
    set_level: Annotated[
        float, typer.Option(help="How often the sets are to hold the truth.", min=0.5, max=0.99)
    ] = 0.9,
    poni: Annotated[
        Path | None,
        typer.Option(
            help="The files are images (.tif, .cbf, .edf, .npy ...) of this detector.",
            metavar="FILE.poni",
        ),
    ] = None,
    image_model: Annotated[
        str, typer.Option(help="Network of images, or path of its card; none for no network.")
    ] = "",
    picture: Annotated[
        Path | None,
        typer.Option(help="With --poni: draw what mattered in each image.", metavar="FOLDER"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line instead of a table.")
    ] = False,
) -> None:
    """Name crystal system and space group of measured patterns or images, with probabilities.

    With --library the known phases that explain each pattern are named too, and weighed in.
    With --poni images are integrated, what they show is told (rings, texture, grains, a single
    crystal, spots of the diamonds), and the network of images has a say.

    Files that cannot be read are reported and passed over; the status is then 1.
    """
    with reporting_errors():
        loaded = _loaded(model, library, set_level)
        if poni is None:
            rows, n_failed = _classify(files, wavelength, axis, loaded)
        else:
            from phasepilot.agent.cli.classify_images import image_rows

            found, n_failed = image_rows(
                files, poni, wavelength, loaded, image_model, picture, set_level
            )
            rows = [{**_row(*one.row), **one.more} for one in found]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
    elif rows:
        console.print(_table(rows))
    if n_failed:
        raise typer.Exit(1)


def _loaded(name: str, library: Path | None, set_level: float) -> "PhaseModel":
    # ONNX Runtime is loaded only when something is to be classified.
    from phasepilot.models.networks.registry import DEFAULT_MODEL, open_model

    if library is None:
        return open_model(name or DEFAULT_MODEL, set_level=set_level)
    from phasepilot.models.identification.known_structures import open_known_structures

    index, problems = open_known_structures(library)
    for problem in problems:
        print_error(problem)
    return open_model(name or DEFAULT_MODEL, set_level=set_level, index=index)


def _classify(
    files: list[Path], wavelength: float | None, axis: Axis, model: "PhaseModel"
) -> tuple[list[dict[str, Any]], int]:
    from phasepilot.agent.pattern_files import read_pattern

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
        "space_group_number": estimate.space_group_number,
        "space_group_top": [
            {"number": number, "symbol": space_group_symbol(number), "probability": probability}
            for number, probability in estimate.top_space_groups(N_SPACE_GROUPS_SHOWN)
        ],
        "space_group_set": list(estimate.space_group_set),
        "set_level": estimate.set_level,
        "extinction_class": estimate.extinction_class,
        "entropy_bits": estimate.entropy_bits,
        "epistemic_bits": estimate.epistemic_bits,
        "novelty": estimate.novelty,
        "verdict": "known" if estimate.verdict.is_known else "unknown",
        "verdict_reason": estimate.verdict.reason,
        "phases": [
            {
                "name": phase.name,
                "formula": phase.formula,
                "space_group_number": phase.space_group_number,
                "fraction": phase.fraction,
                "strain": phase.strain,
                "explained": phase.explained,
            }
            for phase in estimate.phases
        ],
        "seconds": seconds,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    level = rows[0]["set_level"]
    table = Table("file", "crystal system", f"set at {level:.0%}", "space group", "verdict")
    shows_images = "image_kind" in rows[0]
    if shows_images:
        table.add_column("image")
    has_phases = any(row["phases"] for row in rows)
    if has_phases:
        table.add_column("phases")
    for row in rows:
        probability = row["crystal_system_probabilities"][row["crystal_system"]]
        groups = [
            f"{group['number']} {group['symbol']} ({group['probability']:.0%})"
            for group in row["space_group_top"][:3]
        ]
        phases = [
            f"{phase['name']} ({phase['fraction']:.0%}, strain {phase['strain']:+.2%})"
            for phase in row["phases"]
        ]
        verdict = row["verdict"]
        if verdict == "unknown":
            verdict = f"unknown: {row['verdict_reason']}"
        table.add_row(
            Path(row["file"]).name,
            f"{row['crystal_system']} ({probability:.0%})",
            ", ".join(row["crystal_system_set"]),
            "\n".join(groups),
            verdict,
            *([f"{row['image_kind']}: {row['image_reason']}"] if shows_images else []),
            *(["\n".join(phases)] if has_phases else []),
        )
    return table
