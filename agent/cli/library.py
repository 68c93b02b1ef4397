"""`phasepilot library`: search indices of known structures, for `phasepilot identify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phasepilot.agent.cli.console import (
    bars_of_counts,
    console,
    print_error,
    reporting_errors,
)
from phasepilot.agent.cli.library_calibration import calibrate

if TYPE_CHECKING:
    from rich.progress import Progress

    from phasepilot.models.identification.search_index import SearchIndex

library = typer.Typer(no_args_is_help=True)


@library.callback()
def about() -> None:
    """Make indices of known structures to search measured patterns in."""


library.command()(calibrate)


@library.command()
def build(
    structures: Annotated[
        Path,
        typer.Argument(
            help="Structure table (Parquet), or a folder of CIF files; folders in it count.",
            metavar="TABLE|DIR",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.", metavar="DIR")] = Path("library"),
    workers: Annotated[int, typer.Option(help="Processes that compute.", min=1)] = 2,
    keep_disordered: Annotated[
        bool,
        typer.Option(
            "--keep-disordered", help="Keep disordered CIFs as their average, not skip them."
        ),
    ] = False,
) -> None:
    """Make a search index of a structure table, or of the CIF files of a folder.

    \b
    For example:
    phasepilot library build structures.parquet --out known
    phasepilot identify pattern.xy --wavelength 1.5406 --library known --elements Ca,Ti,O

    What an interruption leaves of a table is taken up again. CIF files that are broken, incomplete
    or disordered are reported, one sentence each, and passed over.
    """  # noqa: D301
    with reporting_errors():
        table = structures
        if structures.is_dir():
            with bars_of_counts() as bars:
                table = _table_of_cifs(structures, out, bars, keeps_disordered=keep_disordered)
        index = indexed(table, out, n_workers=workers)
    n_bytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    console.print(
        f"wrote {out}: {index.n_structures} structures, {index.sticks.q_per_angstrom.size} lines,"
        f" {n_bytes / 1e6:.0f} MB",
        soft_wrap=True,
    )


def indexed(table: Path, out: Path, *, n_workers: int) -> "SearchIndex":
    """Return the index of a table, made in that folder unless it is there, with progress bars."""
    from phasepilot.models.identification.search_index import build_search_index

    with bars_of_counts() as bars:
        steps = {name: bars.add_task(name, total=None) for name in ("lines", "patterns")}
        return build_search_index(
            table,
            out,
            n_workers=n_workers,
            progress=lambda step, done, total: bars.update(
                steps[step], completed=done, total=total
            ),
        )


def _table_of_cifs(folder: Path, out: Path, bars: "Progress", *, keeps_disordered: bool) -> Path:
    """Write the structures of a folder to a table beside the index."""
    # spglib takes a second to import, and so does pyarrow, which is in the train extra.
    from phasepilot.models.diffraction.crystals.cif import Disorder
    from phasepilot.models.diffraction.crystals.table_builder import build_structure_table

    table = out / "structures.parquet"
    reading = bars.add_task("CIF files", total=None)
    result = build_structure_table(
        folder,
        table,
        disorder=Disorder.AVERAGE if keeps_disordered else Disorder.REFUSE,
        progress=lambda done, total: bars.update(reading, completed=done, total=total),
    )
    for file in result.skipped:
        print_error(file.reason)
    if not result.n_written:
        print_error(f"none of the {len(result.skipped)} files of {folder} gave a structure.")
        raise typer.Exit(1)
    return table
