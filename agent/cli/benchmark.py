"""`phasepilot benchmark`: how right the answers are, and how far they can be believed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from phasepilot.agent.cli.console import bars_of_counts, console, reporting_errors
from phasepilot.agent.errors import ConfigurationError

if TYPE_CHECKING:
    from phasepilot.models.benchmarks.benchmark_result import (
        BenchmarkOptions,
        BenchmarkResult,
        Figure,
    )
    from phasepilot.models.benchmarks.registry import Benchmark

DATA_VARIABLE = "PHASEPILOT_DATA"
_SMALL = 0.01


Name = Annotated[str, typer.Argument(help="Which benchmark; see --list.", metavar="NAME")]
Data = Annotated[
    Path | None,
    typer.Option(
        help=f"Measured patterns: file, or folder that holds it; ${DATA_VARIABLE} unless given."
    ),
]
Structures = Annotated[
    Path | None,
    typer.Option(
        help="Structure table, or folder of its sticks, for simulated patterns;"
        f" the one in ${DATA_VARIABLE} unless given."
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(
        help="Write the figures here as JSON, and every answer to STEM.items.jsonl.", metavar="FILE"
    ),
]
Library = Annotated[
    Path | None,
    typer.Option(
        help="Known structures: folder of CIF files, or search index. Unless given, an index of the"
        " structure table, made on first use (minutes) and kept.",
        metavar="DIR",
    ),
]
NetworkOnly = Annotated[
    bool, typer.Option("--network-only", help="Let the network answer without a search.")
]
Model = Annotated[str, typer.Option(help="Name of the network, or path of its card.")]
Reference = Annotated[
    Path | None,
    typer.Option(help="Folder with cards of networks to compare with.", metavar="DIR"),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1, help="How often to repeat what is random; unless given, as the benchmark has it."
    ),
]
Simulated = Annotated[
    int, typer.Option(min=2, help="Held-out structures to simulate for each seed.")
]
Picture = Annotated[
    Path | None,
    typer.Option(
        help="Draw the benchmark's curves to this .png; several pictures into this folder, which"
        " must exist, or to STEM-NAME.png.",
        metavar="FILE",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the networks of zone-axes, as `phasepilot train-zone-axes` makes it; small"
        " ones are trained, and thrown away, unless given.",
        metavar="DIR",
    ),
]
FullSize = Annotated[
    bool,
    typer.Option(
        "--full-size",
        help="A paper's benchmark as large as in the paper: days on two cores, hours on a GPU.",
    ),
]
List = Annotated[bool, typer.Option("--list", help="Say what each benchmark measures, and stop.")]


def benchmark(
    name: Name = "",
    data: Data = None,
    structures: Structures = None,
    results: Results = None,
    model: Model = "",
    library: Library = None,
    network_only: NetworkOnly = False,
    reference: Reference = None,
    seeds: Seeds = None,
    simulated: Simulated = 60,
    picture: Picture = None,
    weights: Weights = None,
    full_size: FullSize = False,
    lists: List = False,
) -> None:
    """Measure how right the answers are, beside what others reached.

    \b
    For example:
    phasepilot benchmark --list
    phasepilot benchmark rruff908 --data rruff908_public.npz --results rruff.json

    Shares run from 0 to 1. Beside them stand a 95 % bootstrap interval over patterns and the
    spread, the standard deviation over seeds. The file of results calls figures as the table does.
    """  # noqa: D301
    with reporting_errors():
        # Reading benchmarks loads scipy: --help does not need it.
        from phasepilot.models.benchmarks.registry import BENCHMARKS, benchmark_named

        if lists:
            console.print(_list_of(BENCHMARKS))
            return
        if not name:
            raise ConfigurationError(
                "a benchmark must be named, but none is; see `phasepilot benchmark --list`."
            )
        chosen = benchmark_named(name)
        # Before anything that takes minutes.
        _check_folders(results, picture)
        from phasepilot.agent.cli.benchmark_estimators import estimators
        from phasepilot.agent.cli.kept_library import kept_library
        from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions

        folder = _data_folder()
        tables = structures or _table_in(data) or folder or data
        if network_only:
            library = None
        elif library is None and chosen.searches:
            library = kept_library(tables)
        options = BenchmarkOptions(
            estimators=estimators(model, reference, library if chosen.searches else None)
            if chosen.estimates
            else {},
            data=data or folder,
            structures=tables,
            library=library,
            n_seeds=seeds or chosen.n_seeds,
            n_simulated=simulated,
            weights=weights,
            is_full_size=full_size,
        )
        report(chosen, options, results=results, picture=picture)


def report(
    chosen: "Benchmark", options: "BenchmarkOptions", *, results: Path | None, picture: Path | None
) -> None:
    """Run a benchmark, print its figures and write what is asked for."""
    from phasepilot.models.benchmarks.benchmark_result import write_result

    with bars_of_counts() as bars:
        task = bars.add_task("starting", total=None)
        result = chosen.run(
            options,
            lambda step, done, total: bars.update(
                task, description=step, completed=done, total=total
            ),
        )
    # Names of figures are long, and a pipe has no width.
    table = _table(result)
    console.print(table, width=max(console.width, console.measure(table).minimum))
    _print_meanings(result)
    for note in result.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    written = []
    if results is not None:
        written += [results, write_result(result, results)]
    if picture is not None and result.chart is not None:
        from phasepilot.agent.report.benchmark_figure import draw_chart

        draw_chart(result.chart, result.title, picture)
        written.append(picture)
    if picture is not None and result.series:
        from phasepilot.agent.report.series_figure import draw_series

        written += [draw_series(one, picture) for one in result.series]
    if picture is not None and result.sheets:
        from phasepilot.agent.report.sheet_figure import draw_sheet

        written += [draw_sheet(sheet, picture) for sheet in result.sheets]
    if written:
        names = ", ".join(map(str, written))
        console.print(f"wrote {names}", soft_wrap=True, markup=False, highlight=False)


def _data_folder() -> Path | None:
    folder = os.environ.get(DATA_VARIABLE)
    return Path(folder) if folder else None


def _table_in(data: Path | None) -> Path | None:
    """Return the data if they are a structure table: some benchmarks measure nothing else."""
    return data if data is not None and data.suffix == ".parquet" else None


def _check_folders(*files: Path | None) -> None:
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise ConfigurationError(
                f"what is written must go to a folder that exists, but {file.parent} does not;"
                " make it first."
            )


def _list_of(benchmarks: "dict[str, Benchmark]") -> Table:
    table = Table("benchmark", "what it measures")
    for name, one in sorted(benchmarks.items()):
        table.add_row(name, one.description)
    return table


def _table(result: "BenchmarkResult") -> Table:
    table = Table(title=escape(result.title), title_justify="left")
    # Where a line is short, names are broken and not numbers.
    table.add_column("figure", overflow="fold")
    for column in ("value", "95 %", "spread"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("others", "goal"):
        table.add_column(column)
    for figure in result.figures:
        table.add_row(*_row(figure))
    return table


def _print_meanings(result: "BenchmarkResult") -> None:
    """Say once what each kind of figure is, whoever it is of."""
    figures = {figure.meaning: figure.name for figure in reversed(result.figures)}
    for meaning, name in reversed(figures.items()):
        console.print(f"[bold]{name}[/]: {escape(meaning)}", soft_wrap=True, highlight=False)


def _number(value: float) -> str:
    # Three digits after the point would show errors of lattices as nothing.
    return f"{value:.1e}" if 0 < abs(value) < _SMALL else f"{value:.3f}"


def _row(figure: "Figure") -> list[str]:
    interval, spread = "", ""
    if figure.low is not None and figure.high is not None:
        interval = f"{_number(figure.low)} to {_number(figure.high)}"
    if figure.spread is not None:
        spread = _number(figure.spread)
    about = (figure.anchor, figure.goal)
    return [figure.name, _number(figure.value), interval, spread, *map(escape, about)]
