"""`phasepilot identify`: name the compound of a measured pattern by searching known structures."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from phasepilot.agent.cli.classify import Axis
from phasepilot.agent.cli.console import console, print_error, reporting_errors
from phasepilot.agent.errors import ConfigurationError

if TYPE_CHECKING:
    from phasepilot.agent.report.identification_figure import DrawnLines, IdentificationRecord
    from phasepilot.models.arrays import FloatArray
    from phasepilot.models.estimation.identification import IdentifiedStructure
    from phasepilot.models.identification.search_index import SearchIndex
    from phasepilot.models.preprocessing.preparation import PreparedPattern

N_PANELS = 3

Elements = Annotated[
    str,
    typer.Option(help="Only structures of these elements and no others.", metavar="Ca,Ti,O"),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Picture to write: pattern and lines of the best.", metavar="FILE.png"),
]


@dataclass(frozen=True, slots=True)
class _Answer:
    """A pattern and what it was found to be."""

    prepared: "PreparedPattern"
    wavelength_angstrom: float | None
    index: "SearchIndex"
    found: tuple["IdentifiedStructure", ...]
    seconds: float


def identify(
    file: Annotated[
        Path, typer.Argument(help="Pattern: .xy, .xye, .dat, .chi or .csv.", metavar="FILE")
    ],
    library: Annotated[
        Path,
        typer.Option(
            help="Folder made by `phasepilot library build`, or one of CIF files.", metavar="DIR"
        ),
    ],
    elements: Elements = "",
    top: Annotated[int, typer.Option(help="How many compounds to name.", min=1)] = 10,
    wavelength: Annotated[
        float | None,
        typer.Option(help="Wavelength of the beam in angstrom; needed unless --axis q."),
    ] = None,
    axis: Annotated[
        Axis, typer.Option(help="First column: two_theta in degree, or q in 1/angstrom.")
    ] = Axis.TWO_THETA,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on a line instead of a table.")
    ] = False,
    out: Out = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Name the compounds whose patterns a measured one resembles most, the best first.

    \b
    For example:
    phasepilot identify rock.xy --wavelength 1.5406 --library known --elements Ca,Ti,O
    phasepilot identify rock.xy --wavelength 1.5406 --library known --out rock.png

    The probability is of the compound if one of the library's is the sample. The score is the
    cosine of the root intensities once the lattice is adjusted, 1 for the same pattern. The strain
    is how much larger the sample's lattice is than the library's. The status is 1 if the library
    holds no structure of these elements.
    """  # noqa: D301
    with reporting_errors():
        _check_picture(out, may_replace=force)
        answer = _identified(file, library, elements, top, wavelength, axis)
        if out is not None:
            _draw(answer, file, out)
    if as_json:
        typer.echo(json.dumps(_row(file, answer)))
    else:
        console.print(_table(answer))
    if out is not None and not as_json:
        console.print(f"wrote {out}", soft_wrap=True, markup=False, highlight=False)


def _check_picture(out: Path | None, *, may_replace: bool) -> None:
    if out is None:
        return
    if out.suffix != ".png":
        raise ConfigurationError(
            f"the picture must be a .png file, but --out is {out}; name it so."
        )
    if out.exists() and not may_replace:
        raise ConfigurationError(
            f"files are not replaced unasked, but {out} exists already; choose another --out, or"
            " add --force."
        )


def _identified(
    file: Path, library: Path, elements: str, top: int, wavelength: float | None, axis: Axis
) -> _Answer:
    # Numpy and scipy are loaded only when something is to be searched for.
    from phasepilot.agent.pattern_files import read_pattern
    from phasepilot.models.estimation.evidence import N_CANDIDATES
    from phasepilot.models.estimation.identification import identify as identified
    from phasepilot.models.identification.element_filter import allowed_elements
    from phasepilot.models.identification.known_structures import open_known_structures
    from phasepilot.models.networks.registry import load_model
    from phasepilot.models.preprocessing.preparation import prepare_pattern

    index, problems = open_known_structures(library)
    for problem in problems:
        print_error(problem)
    model = load_model(index=index)
    pattern = read_pattern(file, axis=axis.value, wavelength_angstrom=wavelength)
    started = time.perf_counter()
    prepared = prepare_pattern(pattern, model.card.preprocessing)
    found = identified(
        model,
        prepared,
        n_results=top,
        # Several structures of a compound count once.
        n_candidates=max(N_CANDIDATES, 10 * top),
        elements=allowed_elements(elements) if elements else None,
    )
    seconds = time.perf_counter() - started
    if not found:
        raise ConfigurationError(
            f"{library} must hold structures of the elements given, but has none of {elements}"
            " alone; allow more --elements, such as O."
        )
    beam = None if axis is Axis.Q else pattern.wavelength_angstrom
    return _Answer(prepared, beam, index, found, seconds)


def _row(file: Path, answer: _Answer) -> dict[str, Any]:
    from phasepilot.models.networks.space_groups import space_group_symbol

    compounds = []
    for rank, one in enumerate(answer.found, start=1):
        symbol = space_group_symbol(one.space_group_number)
        fields = {name: value for name, value in asdict(one).items() if name != "structure"}
        compounds.append({"rank": rank, **fields, "space_group_symbol": symbol})
    return {"file": str(file), "compounds": compounds, "seconds": answer.seconds}


def _table(answer: _Answer) -> Table:
    from phasepilot.models.networks.space_groups import space_group_symbol

    table = Table("", "name", "formula", "space group", "probability", "score", "strain")
    for rank, one in enumerate(answer.found, start=1):
        number = one.space_group_number
        table.add_row(
            str(rank),
            escape(one.name),
            one.formula,
            f"{number} {space_group_symbol(number)}",
            f"{one.probability:.1%}",
            f"{one.score:.3f}",
            f"{one.strain:+.2%}",
        )
    return table


def _draw(answer: _Answer, file: Path, out: Path) -> None:
    from phasepilot.agent.report.identification_figure import draw_identification

    try:
        draw_identification(_record(answer, file)).savefig(out)
    except OSError as error:
        raise ConfigurationError(
            f"the picture must go where files can be written, but {out} cannot be"
            f" ({error.strerror or error}); choose another --out."
        ) from error


def _record(answer: _Answer, file: Path) -> "IdentificationRecord":
    import numpy as np

    from phasepilot.agent.report.identification_figure import IdentificationRecord

    prepared, beam = answer.prepared, answer.wavelength_angstrom
    root = np.where(prepared.is_measured, np.sqrt(prepared.signal), np.nan)
    return IdentificationRecord(
        title=file.name,
        axis_title="q (1/Å)" if beam is None else "2θ (degree)",
        position=_on_axis(prepared.grid.q_per_angstrom, beam),
        root_intensity=root,
        candidates=tuple(
            _drawn_lines(answer, rank) for rank in range(min(N_PANELS, len(answer.found)))
        ),
    )


def _drawn_lines(answer: _Answer, rank: int) -> "DrawnLines":
    import numpy as np

    from phasepilot.agent.report.identification_figure import DrawnLines
    from phasepilot.models.identification.coarse_templates import line_areas
    from phasepilot.models.networks.space_groups import space_group_symbol

    one = answer.found[rank]
    sticks = answer.index.sticks_of(one.structure)
    q = sticks.q_per_angstrom.astype(np.float64) / (1 + one.strain)
    number = one.space_group_number
    name = "" if one.name == one.formula else f"{one.name}, "
    return DrawnLines(
        title=f"{rank + 1}.  {name}{one.formula}, {number} {space_group_symbol(number)}:"
        f" score {one.score:.3f}, strain {one.strain:+.2%}",
        position=_on_axis(q, answer.wavelength_angstrom),
        root_intensity=np.sqrt(line_areas(q, sticks.strength)),
    )


def _on_axis(q_per_angstrom: "FloatArray", wavelength_angstrom: float | None) -> "FloatArray":
    from phasepilot.models.pattern import two_theta_from_q

    if wavelength_angstrom is None:
        return q_per_angstrom
    return two_theta_from_q(q_per_angstrom, wavelength_angstrom)
