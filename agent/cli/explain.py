"""`phasepilot explain`: which parts of a pattern led to the space group that was named."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from phasepilot.agent.cli.classify import Axis
from phasepilot.agent.cli.console import console, reporting_errors
from phasepilot.agent.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

    from phasepilot.agent.report.explanation_figure import ExplanationRecord
    from phasepilot.models.arrays import FloatArray
    from phasepilot.models.explanation.attribution import Attribution
    from phasepilot.models.log_q import LogQGrid
    from phasepilot.models.networks.model_card import ModelCard
    from phasepilot.models.networks.network_session import NetworkSession

N_REGIONS_SHOWN = 8
# About the width of a line: bins this near in ln q are drawn and counted together.
SMOOTHING_LOG_Q = 0.002

SpaceGroup = Annotated[
    int | None,
    typer.Option("--space-group", help="Explain this one, not the most probable.", metavar="N"),
]
Against = Annotated[
    int | None,
    typer.Option(help="Explain why it is the space group and not this one.", metavar="M"),
]
Cif = Annotated[
    Path | None,
    typer.Option(help="Mark the Bragg positions of this crystal.", metavar="FILE.cif"),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Picture to write; FILE-explained.png unless given.", metavar="FILE.png"),
]


def explain(
    file: Annotated[
        Path, typer.Argument(help="Pattern: .xy, .xye, .dat, .chi or .csv.", metavar="FILE")
    ],
    wavelength: Annotated[
        float | None,
        typer.Option(help="Wavelength of the beam in angstrom; needed unless --axis q."),
    ] = None,
    axis: Annotated[
        Axis, typer.Option(help="First column: two_theta in degree, or q in 1/angstrom.")
    ] = Axis.TWO_THETA,
    space_group: SpaceGroup = None,
    against: Against = None,
    cif: Cif = None,
    model: Annotated[str, typer.Option(help="Name of the network, or path of its card.")] = "",
    out: Out = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Draw which parts of a pattern speak for the space group that the network names.

    \b
    For example:
    phasepilot explain KCl.xy --wavelength 1.5406
    phasepilot explain KCl.xy --wavelength 1.5406 --against 221 --cif KCl.cif

    What the parts add, and what the network adds by itself, sum up exactly to the logit of the
    space group; with --against to the logarithm of how many times more probable it is.
    """  # noqa: D301
    with reporting_errors():
        path = _picture_path(file, out, may_replace=force)
        record, attribution = _explained(file, wavelength, axis, space_group, against, cif, model)
        from phasepilot.agent.report.explanation_figure import draw_explanation

        try:
            draw_explanation(record).savefig(path)
        except OSError as error:
            raise ConfigurationError(
                f"the picture must go where files can be written, but {path} cannot be"
                f" ({error.strerror or error}); choose another --out."
            ) from error
    _print(record, attribution)
    console.print(f"wrote {path}", soft_wrap=True, markup=False, highlight=False)


def _picture_path(file: Path, out: Path | None, *, may_replace: bool) -> Path:
    path = out or Path(f"{file.stem}-explained.png")
    if path.suffix != ".png":
        raise ConfigurationError(
            f"the picture must be a .png file, but --out is {path}; name it so."
        )
    if path.exists() and not may_replace:
        raise ConfigurationError(
            f"files are not replaced unasked, but {path} exists already; choose another --out, or"
            " add --force."
        )
    return path


def _explained(
    file: Path,
    wavelength: float | None,
    axis: Axis,
    space_group: int | None,
    against: int | None,
    cif: Path | None,
    model_name: str,
) -> tuple["ExplanationRecord", "Attribution"]:
    # ONNX Runtime and scipy are loaded only when something is to be explained.
    from phasepilot.agent.pattern_files import read_pattern
    from phasepilot.agent.report.explanation_figure import ExplanationRecord
    from phasepilot.models.explanation.attribution import attribute, class_weights
    from phasepilot.models.explanation.regions import regions
    from phasepilot.models.preprocessing.preparation import network_input, prepare_pattern

    card, network = _network(model_name)
    pattern = read_pattern(file, axis=axis.value, wavelength_angstrom=wavelength)
    beam = None if axis is Axis.Q else pattern.wavelength_angstrom
    prepared = prepare_pattern(pattern, card.preprocessing)
    inputs = network_input(prepared, card.preprocessing)
    named = space_group or int(network.run(inputs[None]).space_group_logits[0].argmax()) + 1
    attribution = attribute(network, inputs, class_weights(named, against=against))
    shown = _measured_span(prepared.is_measured)
    smoothing_bins = SMOOTHING_LOG_Q / prepared.grid.bin_width
    of_bins = attribution.of_bins[shown]
    crystal, lines = _bragg_positions(cif, prepared.grid, beam)
    return ExplanationRecord(
        title=f"{file.name}: why {_name(named)}" + (f", not {_name(against)}" if against else ""),
        subtitle=_sum(attribution, against),
        axis_title="q (1/Å)" if beam is None else "2θ (degree)",
        edges=_on_axis(_edges(prepared.grid, shown), beam),
        root_intensity=inputs[0, shown].astype("float64"),
        of_bins=of_bins,
        smoothing_bins=smoothing_bins,
        regions=tuple(regions(of_bins, smoothing_bins=smoothing_bins)),
        crystal=crystal,
        lines=lines,
    ), attribution


def _network(name: str) -> tuple["ModelCard", "NetworkSession"]:
    from phasepilot.models.networks.model_card import check_sha256, read_card
    from phasepilot.models.networks.network_session import NetworkSession
    from phasepilot.models.networks.registry import DEFAULT_MODEL, card_path

    path = card_path(name or DEFAULT_MODEL)
    card = read_card(path)
    return card, NetworkSession(check_sha256(path.with_name(card.file), card.sha256))


def _measured_span(is_measured: "np.ndarray") -> slice:
    measured = is_measured.nonzero()[0]
    return slice(int(measured[0]), int(measured[-1]) + 1)


def _edges(grid: "LogQGrid", shown: slice) -> "FloatArray":
    import numpy as np

    return np.exp(grid.log_edges[shown.start : shown.stop + 1])


def _on_axis(q_per_angstrom: "FloatArray", wavelength_angstrom: float | None) -> "FloatArray":
    from phasepilot.models.pattern import two_theta_from_q

    if wavelength_angstrom is None:
        return q_per_angstrom
    return two_theta_from_q(q_per_angstrom, wavelength_angstrom)


def _bragg_positions(
    cif: Path | None, grid: "LogQGrid", wavelength_angstrom: float | None
) -> tuple[str, "FloatArray"]:
    """Return the name of a crystal and its lines on the axis; nothing without a file."""
    import numpy as np

    if cif is None:
        return "", np.zeros(0)
    from phasepilot.models.diffraction.crystals.cif import read_cif
    from phasepilot.models.diffraction.reflections import powder_sticks

    crystal = read_cif(cif)
    sticks = powder_sticks(crystal, grid.q_max_per_angstrom)
    # What symmetry forbids or nearly cancels shows no line to compare with.
    is_seen = sticks.structure_factor_squared > 1e-4 * sticks.structure_factor_squared.max()
    return crystal.name, _on_axis(sticks.q_per_angstrom[is_seen], wavelength_angstrom)


def _name(space_group_number: int) -> str:
    from phasepilot.models.networks.space_groups import space_group_symbol

    return f"{space_group_number} {space_group_symbol(space_group_number)}"


def _sum(attribution: "Attribution", against: int | None) -> str:
    intensity, range_ = attribution.contributions.sum(axis=1).tolist()
    what = "logit" if against is None else "difference of logits"
    return (
        f"{what} {attribution.total:+.2f} = {intensity:+.2f} from intensity {range_:+.2f} from the"
        f" measured range {attribution.intercept:+.2f} from the network itself"
    )


def _print(record: "ExplanationRecord", attribution: "Attribution") -> None:
    console.print(record.title, style="bold", markup=False)
    console.print(record.subtitle, markup=False, highlight=False)
    table = Table(record.axis_title, "adds", title="strongest regions", title_justify="left")
    for region in record.regions[:N_REGIONS_SHOWN]:
        low, high = record.edges[region.start], record.edges[region.stop]
        table.add_row(f"{low:.3f} to {high:.3f}", f"{region.contribution:+.3f}")
    console.print(table)
