"""`phasepilot simulate`: what a crystal shows in a diffractometer or on a detector."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from phasepilot.agent.cli.console import console, reporting_errors
from phasepilot.agent.errors import ConfigurationError

if TYPE_CHECKING:
    from phasepilot.agent.cli.simulation_files import SimulationRecord
    from phasepilot.models.diffraction.crystals.cif import CifEntry
    from phasepilot.models.diffraction.crystals.crystal import Crystal
    from phasepilot.models.diffraction.powder.emission import Emission
    from phasepilot.models.diffraction.powder.recipe import Recipe

N_LINES_SHOWN = 8


CrystalFile = Annotated[Path, typer.Argument(help="Crystal structure.", metavar="FILE.cif")]
Beam = Annotated[
    str,
    typer.Option(
        help="Beam, in place of the recipe's: angstrom, or an emission such as CuKa12.",
        metavar="ANGSTROM|NAME",
    ),
]
RecipeName = Annotated[
    str,
    typer.Option(
        help="How to simulate: a name from `phasepilot recipes`, or a YAML file.",
        metavar="NAME|FILE",
    ),
]
Range = Annotated[
    tuple[float, float] | None,
    typer.Option("--range", help="2-theta in degree, not the recipe's.", metavar="LOW HIGH"),
]
Count = Annotated[int, typer.Option(min=1, help="How many powder patterns to draw.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all that is random.")]
ZoneAxis = Annotated[
    tuple[int, int, int] | None,
    typer.Option(
        help="Spots of a single crystal with this lattice direction along the beam.",
        metavar="U V W",
    ),
]
Poni = Annotated[
    Path | None,
    typer.Option(
        help="Rings on the detector of this .poni file, with its wavelength.", metavar="FILE"
    ),
]
KeepDisordered = Annotated[
    bool,
    typer.Option(
        "--keep-disordered", help="Simulate a disordered crystal as its average, not refuse."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Name of the files to write, without suffix, or folder; that of the CIF unless given.",
        metavar="PREFIX",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]


def simulate(
    file: CrystalFile,
    wavelength: Beam = "",
    recipe: RecipeName = "ideal",
    two_theta_range: Range = None,
    count: Count = 1,
    seed: Seed = 0,
    zone_axis: ZoneAxis = None,
    poni: Poni = None,
    keep_disordered: KeepDisordered = False,
    out: Out = None,
    force: Force = False,
) -> None:
    """Simulate a powder pattern of a crystal, or its spots or rings on a detector.

    \b
    For example:
    phasepilot simulate KCl.cif --wavelength 0.4 --range 2 30
    phasepilot simulate KCl.cif --recipe laboratory --count 1000
    phasepilot simulate KCl.cif --zone-axis 1 1 0
    phasepilot simulate KCl.cif --poni detector.poni

    Writes a picture (.png), all numbers with indexed lines, masks and recipe (.npz), the first or
    the integrated pattern (.xy), and the image (.tif, -1 in the gaps of a detector).

    Directions and hkl refer to the cell that is printed: the standard setting of the space group.
    Rings follow the recipe's lines and counts, spots its beam and counts.
    """  # noqa: D301
    request = Request(recipe, wavelength, two_theta_range, count, seed, zone_axis, poni)
    with reporting_errors():
        request.check()
        # Reading crystals loads spglib, drawing loads matplotlib: --help needs neither.
        from phasepilot.agent.cli.simulation_files import output_paths, write_files

        paths = output_paths(_prefix(file, out), request.suffixes, may_replace=force)
        entry = _read(file, keep_disordered)
        with console.status("simulating"):
            record, origin = _simulated(entry.crystal, request)
            write_files(record, paths)
    for note in entry.notes:
        console.print(f"[yellow]note:[/] {escape(f'{file.name} {note}')}", soft_wrap=True)
    _print_summary(record, origin)
    written = ", ".join(str(path) for path in paths.values())
    console.print(f"wrote {written}", soft_wrap=True, markup=False, highlight=False)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be simulated of a crystal, as the command line says it."""

    recipe: str
    wavelength: str
    two_theta_range: tuple[float, float] | None
    count: int
    seed: int
    zone_axis: tuple[int, int, int] | None
    poni: Path | None

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Files that are written."""
        if self.zone_axis is not None:
            return (".png", ".npz", ".tif")
        if self.poni is not None:
            return (".png", ".npz", ".xy", ".tif")
        return (".png", ".npz", ".xy")

    def check(self) -> None:
        """Raise ConfigurationError if options contradict each other."""
        if self.zone_axis is not None and self.poni is not None:
            raise ConfigurationError(
                "an image must show spots or rings, but both --zone-axis and --poni are given;"
                " leave one out."
            )
        for is_given, option in (
            (self.two_theta_range is not None, "--range"),
            (self.count > 1, "--count"),
        ):
            if is_given and ".tif" in self.suffixes:
                raise ConfigurationError(
                    f"{option} is for powder patterns, but an image is asked for by --zone-axis or"
                    f" --poni; leave {option} out."
                )
        low, high = self.two_theta_range or (0.0, 180.0)
        if not 0 <= low < high <= 180:
            raise ConfigurationError(
                f"--range must be two angles from 0 to 180 degree, the lower first, but is"
                f" {low:g} {high:g}; give 2-theta, e.g. --range 5 90."
            )


def _prefix(file: Path, out: Path | None) -> Path:
    if out is None:
        return Path(file.stem)
    return out / file.stem if out.is_dir() else out


def _read(file: Path, keeps_disordered: bool) -> "CifEntry":
    from phasepilot.models.diffraction.crystals.cif import Disorder, read_cif_entry

    return read_cif_entry(file, disorder=Disorder.AVERAGE if keeps_disordered else Disorder.REFUSE)


def _simulated(crystal: "Crystal", request: Request) -> tuple["SimulationRecord", str]:
    """Return the simulation and where its wavelength is from."""
    from phasepilot.agent.cli.simulated_records import powder_record, ring_record, spot_record

    name, seed = request.recipe, request.seed
    recipe = _with_range(_recipe(name), request.two_theta_range)
    origin = f"of the recipe {name}"
    if request.wavelength:
        recipe, origin = _with_beam(recipe, request.wavelength), "as given"
    if request.poni is not None:
        from phasepilot.models.diffraction.images.poni_file import read_geometry

        beam = _beam(request.wavelength) if request.wavelength else None
        first = beam.wavelengths_angstrom[0] if beam else None
        geometry = read_geometry(request.poni, wavelength_angstrom=first)
        if not beam:
            recipe = _with_beam(recipe, repr(geometry.wavelength_angstrom))
            origin = f"of {request.poni.name}"
        return ring_record(crystal, recipe, geometry, recipe_name=name, seed=seed), origin
    if request.zone_axis is not None:
        axis = request.zone_axis
        return spot_record(crystal, recipe, axis, recipe_name=name, seed=seed), origin
    count = request.count
    record = powder_record(crystal, recipe, recipe_name=name, seed=seed, n_patterns=count)
    return record, origin


def _recipe(text: str) -> "Recipe":
    from phasepilot.models.diffraction.powder.recipe import named_recipe, read_recipe

    path = Path(text)
    return read_recipe(path) if path.suffix in (".yaml", ".yml") else named_recipe(text)


def _with_range(recipe: "Recipe", two_theta_range: tuple[float, float] | None) -> "Recipe":
    if two_theta_range is None:
        return recipe
    from phasepilot.models.diffraction.powder.recipe import AxisRecipe

    old = recipe.axis
    low, high = two_theta_range
    axis = AxisRecipe.model_validate(
        {"kind": old.kind, "start": low, "stop": high, "n_bins": old.n_bins}
    )
    return recipe.model_copy(update={"axis": axis})


def _with_beam(recipe: "Recipe", text: str) -> "Recipe":
    """Return the recipe with one beam for all of its variants."""
    from phasepilot.models.diffraction.powder.emission import EMISSIONS
    from phasepilot.models.diffraction.powder.quantity import fixed

    beam = _beam(text)
    change = {"emission": (), "wavelength_angstrom": fixed(beam.wavelengths_angstrom[0])}
    if text in EMISSIONS:
        change = {"emission": (text,), "wavelength_angstrom": None}
    variants = tuple(variant.model_copy(update=change) for variant in recipe.variants)
    return recipe.model_copy(update={"variants": variants})


def _beam(text: str) -> "Emission":
    """Return the beam of that emission or wavelength in angstrom."""
    from phasepilot.models.diffraction.powder.emission import emission, monochromatic

    try:
        wavelength = float(text)
    except ValueError:
        return emission(text)
    return monochromatic(wavelength)


def _print_summary(record: "SimulationRecord", origin: str) -> None:
    subject, lines = record.subject, record.lines
    a, b, c, alpha, beta, gamma = subject.crystal.cell
    console.print(f"{subject.phase}, {subject.crystal.crystal_system}", style="bold")
    console.print(f"cell {a:.4f} {b:.4f} {c:.4f} Å  {alpha:g} {beta:g} {gamma:g}°")
    console.print(f"wavelength {subject.beam}, {origin}", markup=False)
    table = Table("hkl", "d (Å)", "2θ (°)", "intensity", title="strongest", title_justify="left")
    for family, line in _strongest_families(record):
        table.add_row(
            " ".join(map(str, family)),
            f"{lines.d_spacing_angstrom[line]:.4f}",
            f"{lines.two_theta_deg[line]:.3f}",
            f"{lines.relative_intensity[line]:.1f}",
        )
    console.print(table)


def _strongest_families(record: "SimulationRecord") -> list[tuple[tuple[int, ...], int]]:
    """Return what to call each of the strongest lines, and its number; equivalent spots are one."""
    from phasepilot.agent.cli.simulated_records import usual_indices

    families = usual_indices(record.lines.hkl, record.subject.crystal).tolist()
    line_of = {tuple(family): line for line, family in enumerate(families)}
    intensity = record.lines.relative_intensity
    return sorted(line_of.items(), key=lambda item: -intensity[item[1]])[:N_LINES_SHOWN]
