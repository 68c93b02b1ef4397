"""`phasepilot structures`: tables of crystal structures to train and match with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phasepilot.agent.cli.console import console, print_error, reporting_errors

if TYPE_CHECKING:
    from rich.progress import Progress

    from phasepilot.models.diffraction.crystals.table_builder import TableBuild

structures = typer.Typer(no_args_is_help=True)


@structures.callback()
def about() -> None:
    """Make tables of crystal structures to train networks and to match patterns with."""


@structures.command()
def build(
    folder: Annotated[
        Path, typer.Argument(help="Folder of CIF files; folders in it count.", metavar="DIR")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("structures.parquet"),
    licence: Annotated[
        str, typer.Option(help="Terms of use of the structures, kept with every row.")
    ] = "unstated",
    keep_disordered: Annotated[
        bool,
        typer.Option(
            "--keep-disordered", help="Keep disordered crystals as their average, not skip them."
        ),
    ] = False,
) -> None:
    """Write the crystals of all CIF files of a folder to one table.

    Files that are broken, incomplete or disordered are reported, one sentence each, and skipped.
    The status is 1 if no structure was written.
    """
    with reporting_errors():
        result = _build(folder, out, licence, keep_disordered)
    for file in result.skipped:
        print_error(file.reason)
    n_files = result.n_written + len(result.skipped)
    if not result.n_written:
        print_error(f"none of the {n_files} files gave a structure; {out} was not written.")
        raise typer.Exit(1)
    console.print(f"wrote {out}: {result.n_written} structures of {n_files} files")
    console.print(f"  disordered: {result.n_disordered}")
    console.print(f"  of another space group than declared: {result.n_other_space_group}")
    console.print(f"  skipped: {len(result.skipped)}")


@structures.command()
def sticks(
    table: Annotated[Path, typer.Argument(help="Structure table (Parquet).", metavar="TABLE")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("sticks"),
    q_max: Annotated[float, typer.Option(help="Largest q in 1/angstrom.")] = 7.0,
    max_atoms: Annotated[int, typer.Option(help="Leave out larger unit cells.")] = 200,
    workers: Annotated[int, typer.Option(help="Processes that compute.", min=1)] = 2,
) -> None:
    """Compute the powder lines of every structure of a table, once and for all.

    What an interruption leaves is taken up again. The lines hold for every wavelength.
    """
    from phasepilot.models.diffraction.stick_store import build_stick_store

    with reporting_errors(), _bars() as bars:
        computing = bars.add_task("structures", total=None)
        store = build_stick_store(
            table,
            out,
            licences=None,
            q_max_per_angstrom=q_max,
            max_atoms=max_atoms,
            n_workers=workers,
            progress=lambda done, total: bars.update(computing, completed=done, total=total),
        )
    n_bytes = sum(file.stat().st_size for file in out.iterdir())
    console.print(
        f"wrote {out}: {store.q_per_angstrom.size} lines of {store.n_structures} structures,"
        f" {n_bytes / 1e6:.0f} MB"
    )


def _bars() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    return Progress(*columns, console=console)


def _build(folder: Path, out: Path, licence: str, keep_disordered: bool) -> "TableBuild":
    # spglib takes a second to import, and so does pyarrow, which is in the train extra.
    from phasepilot.models.diffraction.crystals.cif import Disorder
    from phasepilot.models.diffraction.crystals.table_builder import build_structure_table

    with _bars() as bars:
        reading = bars.add_task("CIF files", total=None)
        return build_structure_table(
            folder,
            out,
            licence=licence,
            disorder=Disorder.AVERAGE if keep_disordered else Disorder.REFUSE,
            progress=lambda done, total: bars.update(reading, completed=done, total=total),
        )
