"""Ten measured patterns and what the engine makes of their published structures, in one picture.

    python benchmarks/measured_and_simulated.py --out FILE.png [--data FOLDER]

The structure of each phase is taken from the structure table by formula and space group, an
experimental one before a computed one, and used as it stands: nothing about atoms is refined.
Fitted are a scale, a smooth background, zero shift, isotropic strain and two widths. What differs
afterwards is what a powder on a holder adds: texture, thermal motion, other phases.
"""

import argparse
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from scipy.optimize import least_squares

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystal import Crystal
from phasepilot.models.diffraction.formula import formula_amounts, reduced_formula
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import Recipe, Settings
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.diffraction.structure_table import read_structures
from phasepilot.models.diffraction.symmetry import standard_setting

# Of the table; "computed" are those of density functional theory, and prototypes.
COMPUTED = ("Materials Project", "3DSC", "jarvis", "JARVIS", "alignn", "DeltaCodes", "AFLOW")
N_BACKGROUND_TERMS = 8
STRAIN_GRID = np.linspace(-0.015, 0.015, 61)
# A usual value at room temperature.
B_SQUARE_ANGSTROM = 0.6


@dataclass(frozen=True, slots=True)
class Case:
    """A pattern, its phase, and from where to where it is compared.

    Attributes
    ----------
    pattern : str
        Name in realpatterns/, or ``FILE:FRAME`` of series/.
    """

    pattern: str
    mineral: str
    formula: str
    space_group_number: int
    first_deg: float = 8.0
    last_deg: float = 90.0


CASES = (
    Case("dioptas-CeO2_Pilatus1M", "ceria", "CeO2", 225, 6.0, 30.0),
    Case("cucr2o4_11bm_temperature:0", "copper chromite, 7 K", "CuCr2O4", 70, 3.0, 26.0),
    Case("PbS_225", "galena", "PbS", 225),
    Case("ZrSiO4_141", "zircon", "ZrSiO4", 141),
    Case("ZnO_186", "zincite", "ZnO", 186),
    Case("CaMg(CO3)2_148", "dolomite", "CaMgC2O6", 148),
    Case("BaSO4_62", "barite", "BaSO4", 62),
    Case("CaMg(SiO3)2_15", "diopside", "CaMgSi2O6", 15),
    Case("Al2SiO5_2", "kyanite", "Al2SiO5", 2),
    Case("MoO3_62", "molybdite", "MoO3", 62),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured pattern on its own uniform axis."""

    two_theta_deg: FloatArray
    intensity: FloatArray
    wavelength_angstrom: float

    @property
    def is_of_a_tube(self) -> bool:
        """Whether the wavelength is the mean of copper's K-alpha lines."""
        return abs(self.wavelength_angstrom - 1.5418) < 1e-3


@dataclass(frozen=True, slots=True)
class Fit:
    """The simulated pattern on its background, both on the scale of the measured one."""

    simulated: FloatArray
    background: FloatArray
    zero_shift_deg: float
    strain: float
    fwhm_deg: float

    def cosine(self, measured: Measured) -> float:
        """Return the cosine similarity of the two patterns without the background."""
        first, second = measured.intensity - self.background, self.simulated - self.background
        return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))

    def profile_residual(self, measured: Measured) -> float:
        """Return Rp, the sum of the differences over that of the pattern without background."""
        difference = np.abs(measured.intensity - self.simulated).sum()
        return float(difference / np.abs(measured.intensity - self.background).sum())


def read_pattern(data: Path, case: Case) -> Measured:
    """Return the pattern of the case."""
    if ":" in case.pattern:
        name, frame = case.pattern.split(":")
        with np.load(data / "series" / f"{name}.npz") as series:
            two_theta, intensity = series["two_theta"], series["intensity"][int(frame)]
            wavelength = float(series["wavelength"])
    else:
        with np.load(data / "realpatterns" / "realpatterns_public.npz") as patterns:
            number = int(np.flatnonzero(patterns["name"] == case.pattern)[0])
            points = slice(*patterns["offsets"][number : number + 2])
            two_theta, intensity = patterns["two_theta"][points], patterns["intensity"][points]
            wavelength = float(patterns["wavelength"][number])
    used = (two_theta >= case.first_deg) & (two_theta <= case.last_deg) & np.isfinite(intensity)
    return Measured(two_theta[used].astype(float), intensity[used].astype(float), wavelength)


def find_structures(table: Path) -> dict[Case, tuple[str, Crystal]]:
    """Return identifier and crystal of each case's phase: the first experimental one, or any.

    Structures under pressure are passed over.
    """
    columns = ["source", "formula", "sg", "pressure"]
    rows = pyarrow.parquet.read_table(table, columns=columns).to_pylist()
    wanted = {(_spelled_alike(case.formula), case.space_group_number): case for case in CASES}
    groups = {case.space_group_number for case in CASES}
    found: dict[Case, list[tuple[bool, int]]] = {case: [] for case in CASES}
    for number, row in enumerate(rows):
        if row["sg"] in groups and not row["pressure"]:
            case = wanted.get((_spelled_alike(row["formula"]), row["sg"]))
            if case:
                is_computed = any(word in row["source"] for word in COMPUTED)
                found[case].append((is_computed, number))
    crystals = {}
    for case, numbers in found.items():
        first = min(numbers)[1]
        [row] = read_structures(table, start=first, stop=first + 1)
        crystals[case] = (row.identifier, row.crystal)
    return crystals


def _spelled_alike(formula: str) -> str:
    amounts = formula_amounts(formula)
    return reduced_formula(amounts) if amounts else formula


def fit(measured: Measured, crystal: Crystal) -> Fit:
    """Return the simulated pattern that comes nearest to the measured one."""
    simulator = PatternSimulator(
        stick_store([crystal], _q_of(measured, measured.two_theta_deg[-1]) * 1.05),
        NumpyBackend(np.random.default_rng(0)),
    )
    recipe = _recipe(measured)
    # Errors of counts, and never so small that a line of few counts rules the fit.
    weight = 1 / np.sqrt(np.maximum(measured.intensity, 0.01 * measured.intensity.max()))
    x = np.linspace(-1, 1, measured.intensity.size)
    smooth = np.polynomial.chebyshev.chebvander(x, N_BACKGROUND_TERMS - 1)

    def scaled(drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
        design = np.column_stack([drawn, smooth])
        parts = np.linalg.lstsq(design * weight[:, None], measured.intensity * weight, rcond=None)
        return design @ parts[0], smooth @ parts[0][1:]

    def drawn(numbers: FloatArray) -> FloatArray:
        zero, strain, gauss, lorentz = numbers
        settings = _settings(
            recipe,
            zero_shift_deg=zero,
            isotropic_strain=strain / 100,
            caglioti_w=gauss**2,
            lorentz_fwhm_deg=abs(lorentz),
        )
        return np.asarray(simulator.simulate(np.zeros(1, dtype=int), settings).intensity[0])

    def differences(numbers: FloatArray) -> FloatArray:
        return (scaled(drawn(numbers))[0] - measured.intensity) * weight

    # Lines that do not touch those of the pattern pull nowhere: try strains with broad ones first.
    broad = 0.002 * measured.two_theta_deg[-1]
    starts = [np.array([0.0, strain, broad, broad]) for strain in 100 * STRAIN_GRID]
    start = min(starts, key=lambda numbers: float((differences(numbers) ** 2).sum()))
    start[2:] /= 3
    best = least_squares(differences, start, x_scale=[0.01, 0.01, 0.01, 0.01], diff_step=1e-4).x
    simulated, background = scaled(drawn(best))
    return Fit(simulated, background, best[0], best[1] / 100, abs(best[2]) + abs(best[3]))


def _q_of(measured: Measured, two_theta_deg: float) -> float:
    return 4 * np.pi * np.sin(np.radians(two_theta_deg / 2)) / measured.wavelength_angstrom


def _recipe(measured: Measured) -> Recipe:
    """Return noiseless patterns of this beam, a bin round each point that was measured."""
    angles = measured.two_theta_deg
    half = (angles[-1] - angles[0]) / (angles.size - 1) / 2
    beam: dict[str, Any] = {"emission": ["CuKa12"]}
    if not measured.is_of_a_tube:
        beam = {"wavelength_angstrom": measured.wavelength_angstrom, "polarised_fraction": 0.95}
    return Recipe.model_validate(
        {
            "description": "A measured pattern",
            "source": "fitted",
            "axis": {"start": angles[0] - half, "stop": angles[-1] + half, "n_bins": angles.size},
            "b_square_angstrom": B_SQUARE_ANGSTROM,
            **beam,
        }
    )


def _settings(recipe: Recipe, **numbers: float) -> Settings:
    """Return the settings of one pattern with these numbers."""
    settings = recipe.draw(1, np.random.default_rng(0))
    given = {name: np.full((1, 1), value) for name, value in numbers.items()}
    return replace(settings, columns={**settings.columns, **given})


def draw(results: list[tuple[Case, Measured, Fit]], file: Path) -> None:
    """Write the picture: measured patterns upwards, simulated ones downwards."""
    figure = Figure(figsize=(13, 17), layout="constrained")
    axes = figure.subplots(len(results) // 2, 2).ravel()
    figure.suptitle(
        "Measured (up) and simulated (down), square root of the intensity\n"
        "Published structures; fitted: scale, background, zero shift, isotropic strain, two widths"
    )
    for panel, (case, measured, fitted) in zip(axes, results, strict=True):
        top = (measured.intensity - fitted.background).max()
        for intensity, sign, colour in (
            (measured.intensity, 1, "black"),
            (fitted.simulated, -1, "tab:red"),
        ):
            height = np.sqrt(np.maximum(intensity - fitted.background, 0) / top)
            panel.plot(measured.two_theta_deg, sign * height, color=colour, linewidth=0.7)
        beam = "Cu K$\\alpha$" if measured.is_of_a_tube else f"{measured.wavelength_angstrom:g} Å"
        group = standard_setting(case.space_group_number).gemmi.short_name()
        panel.set_title(
            f"{case.mineral}, {case.formula}, {group}, {beam}: cosine {fitted.cosine(measured):.3f}",
            fontsize=10,
        )
        panel.set_xlim(measured.two_theta_deg[[0, -1]])
        panel.set_yticks([])
        panel.axhline(0, color="grey", linewidth=0.5)
    for panel in axes[-2:]:
        panel.set_xlabel("2θ in degree")
    figure.savefig(file, dpi=110)


def main() -> None:
    """Fit the ten patterns, draw them, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("PHASEPILOT_DATA"))
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    options = parser.parse_args()
    if not options.data:
        sys.exit("give --data, or PHASEPILOT_DATA, the folder of realpatterns/ and structures/")
    data = Path(options.data)
    structures = find_structures(data / "structures" / "structures.parquet")
    table = Table("phase", "structure", "wavelength Å", "zero °", "strain %", "FWHM °")
    for heading in ("cosine", "Rp"):
        table.add_column(heading)
    results = []
    for case in CASES:
        identifier, crystal = structures[case]
        measured = read_pattern(data, case)
        fitted = fit(measured, crystal)
        results.append((case, measured, fitted))
        table.add_row(
            f"{case.mineral} {case.formula}",
            identifier,
            f"{measured.wavelength_angstrom:g}",
            f"{fitted.zero_shift_deg:+.3f}",
            f"{100 * fitted.strain:+.3f}",
            f"{fitted.fwhm_deg:.3f}",
            f"{fitted.cosine(measured):.3f}",
            f"{fitted.profile_residual(measured):.2f}",
        )
    draw(results, options.out)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
