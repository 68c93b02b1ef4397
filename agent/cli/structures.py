"""`phasepilot structures`: tables of crystal structures to train and match with."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phasepilot.agent.cli.console import (
    bars_of_counts,
    console,
    print_error,
    reporting_errors,
)
from phasepilot.models.errors import CrystalError

if TYPE_CHECKING:
    from phasepilot.models.diffraction.crystals.structure_selection import PhaseName, Wanted
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

    with reporting_errors(), bars_of_counts() as bars:
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


@structures.command()
def export(
    table: Annotated[Path, typer.Argument(help="Structure table (Parquet).", metavar="TABLE")],
    out: Annotated[Path, typer.Option(help="Folder to write CIF files to.", metavar="DIR")],
    identifier: Annotated[
        list[str] | None, typer.Option("--id", help="Identifier in the table; repeatable.")
    ] = None,
    formula: Annotated[
        list[str] | None, typer.Option(help="Formula, such as TiO2; repeatable.")
    ] = None,
    elements: Annotated[
        str | None, typer.Option(help="Only structures of these elements, such as Ca,Ti,O.")
    ] = None,
    space_group: Annotated[
        list[int] | None, typer.Option(help="Space group number; repeatable.", min=1, max=230)
    ] = None,
    phases_of: Annotated[
        Path | None,
        typer.Option(
            help="JSON list of samples with `phases` (`formula`, `space_group`): only those.",
            metavar="JSON",
        ),
    ] = None,
    distractors: Annotated[
        int,
        typer.Option(help="Other structures of the same elements, for each phase.", min=0),
    ] = 0,
    limit: Annotated[int | None, typer.Option(help="Write so many at most.", min=1)] = None,
) -> None:
    """Write structures of a table as CIF files, one each: a library to match patterns with.

    A structure must meet all conditions given. The status is 1 if none does.
    """
    with reporting_errors():
        wanted = _wanted(
            identifiers=identifier or [],
            formulas=formula or [],
            elements=elements,
            space_groups=space_group or [],
            phases_of=phases_of,
            n_distractors=distractors,
        )
        n_chosen, n_written = _export(table, out, wanted, limit)
    if not n_written:
        print_error(
            f"none of the structures of {table} meets all conditions; loosen one of them, such as"
            " --space-group."
        )
        raise typer.Exit(1)
    console.print(f"wrote {n_written} CIF files to {out}")
    if n_chosen > n_written:
        console.print(f"  passed over, as they cannot be simulated: {n_chosen - n_written}")


def _wanted(
    *,
    identifiers: list[str],
    formulas: list[str],
    elements: str | None,
    space_groups: list[int],
    phases_of: Path | None,
    n_distractors: int,
) -> "Wanted":
    from phasepilot.models.diffraction.crystals.stated_formula import stated_reduced_formula
    from phasepilot.models.diffraction.crystals.structure_selection import Wanted
    from phasepilot.models.identification.element_filter import allowed_elements

    if n_distractors and phases_of is None:
        raise CrystalError(
            "distractors are chosen for a list of phases, but none was given; add --phases-of."
        )
    reduced = {text: stated_reduced_formula(text) for text in formulas}
    for text, formula in reduced.items():
        if not formula:
            raise CrystalError(
                f"a formula must be written as in CaTiO3 or Ca(OH)2, but is {text!r}; give the"
                " elements with their amounts."
            )
    return Wanted(
        identifiers=frozenset(identifiers),
        formulas=frozenset(reduced.values()),
        elements=frozenset() if elements is None else allowed_elements(elements),
        space_group_numbers=frozenset(space_groups),
        phases=frozenset() if phases_of is None else frozenset(_phases(phases_of)),
        n_distractors=n_distractors,
    )


def _phases(path: Path) -> "Iterator[PhaseName]":
    """Yield the phases that a list of samples names by a formula that can be read."""
    from phasepilot.models.diffraction.crystals.stated_formula import stated_reduced_formula
    from phasepilot.models.diffraction.crystals.structure_selection import PhaseName

    found = False
    for phase in _phase_entries(path):
        formula = stated_reduced_formula(phase.get("formula") or "")
        if formula:
            found = True
            yield PhaseName(formula, phase.get("space_group"))
    if not found:
        raise CrystalError(
            f"{path} must name phases by their formulas, but none can be read; write them as in"
            " CaTiO3."
        )


def _phase_entries(path: Path) -> list[dict[str, Any]]:
    try:
        return [phase for sample in json.loads(path.read_text()) for phase in sample["phases"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CrystalError(
            f"phases must be read from a JSON list of samples with `phases`, but {path} is none"
            f" ({error!r}); give a file such as realpatterns.json."
        ) from error


def _export(table: Path, out: Path, wanted: "Wanted", limit: int | None) -> tuple[int, int]:
    """Return how many structures were chosen, and how many of them written."""
    from phasepilot.models.diffraction.crystals.cif_writer import cif_text
    from phasepilot.models.diffraction.crystals.structure_selection import (
        read_selected,
        select_rows,
    )

    rows = select_rows(table, wanted)[:limit]
    n_written = 0
    with bars_of_counts() as bars:
        for row in bars.track(read_selected(table, rows), total=len(rows), description="CIF files"):
            try:
                text = cif_text(row.crystal, row.identifier, licence=row.licence)
            except CrystalError:
                continue
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{_file_name(row.identifier)}.cif").write_text(text)
            n_written += 1
    return len(rows), n_written


def _file_name(identifier: str) -> str:
    return re.sub(r"[^\w.+-]", "_", identifier)


def _build(folder: Path, out: Path, licence: str, keep_disordered: bool) -> "TableBuild":
    # spglib takes a second to import, and so does pyarrow, which is in the train extra.
    from phasepilot.models.diffraction.crystals.cif import Disorder
    from phasepilot.models.diffraction.crystals.table_builder import build_structure_table

    with bars_of_counts() as bars:
        reading = bars.add_task("CIF files", total=None)
        return build_structure_table(
            folder,
            out,
            licence=licence,
            disorder=Disorder.AVERAGE if keep_disordered else Disorder.REFUSE,
            progress=lambda done, total: bars.update(reading, completed=done, total=total),
        )
