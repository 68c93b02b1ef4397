"""Ten measured patterns and what the engine makes of their published structures, in one picture.

    python benchmarks/measured_and_simulated.py --out FILE.png [--data FOLDER]

The structure of each phase is taken from the structure table by formula and space group, an
experimental one before a computed one, and no atom is moved. Fitted are a scale, a smooth
background, zero shift, isotropic strain and two widths. The table also says how much nearer one
more number comes, the March-Dollase r about the best low-index axis. What else differs lies in the
sample: the ceria has so few grains that its rings are spotty, the copper chromite holds some CuO.
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
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.formula import formula_amounts, reduced_formula
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.line_widths import thompson_cox_hastings
from phasepilot.models.diffraction.powder.recipe import TEXTURE_AXES, Recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.reflections import DEFAULT_B_SQUARE_ANGSTROM
from phasepilot.models.diffraction.stick_store import stick_store

# Of the table; "computed" are those of density functional theory, and prototypes.
COMPUTED = ("Materials Project", "3DSC", "jarvis", "JARVIS", "alignn", "DeltaCodes", "AFLOW")
N_BACKGROUND_TERMS = 8
STRAIN_PERCENT = np.linspace(-1.5, 1.5, 61)


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
    Case("AsS_14", "realgar", "AsS", 14),
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

    @property
    def beam(self) -> str:
        """The beam, as a title says it."""
        return r"Cu K$\alpha$" if self.is_of_a_tube else f"{self.wavelength_angstrom:g} Å"

    @property
    def last_q_per_angstrom(self) -> float:
        """Where the pattern ends."""
        sine = np.sin(np.radians(self.two_theta_deg[-1] / 2))
        return float(4 * np.pi * sine / self.wavelength_angstrom)


@dataclass(frozen=True, slots=True)
class Fit:
    """A simulated pattern and what it was made with.

    Attributes
    ----------
    simulated, background : ndarray, shape (n_points,)
        On the scale of the measured pattern; the background is part of `simulated`.
    numbers : ndarray
        Zero shift in degree, strain in percent, Gaussian and Lorentzian width in degree, and with
        texture the logarithm of the March-Dollase r.
    texture_axis : tuple of int or None
    cosine : float
        Cosine similarity with the measured pattern, without the background of both.
    profile_residual : float
        Rp, the sum of differences over that of the measured pattern without background.
    """

    simulated: FloatArray
    background: FloatArray
    numbers: FloatArray
    texture_axis: tuple[int, ...] | None
    cosine: float
    profile_residual: float


class Model:
    """Patterns of one structure on the axis of a measured pattern."""

    def __init__(self, measured: Measured, crystal: Crystal) -> None:
        intensity = measured.intensity
        sticks = stick_store([crystal], 1.05 * measured.last_q_per_angstrom)
        self._simulator = PatternSimulator(sticks, NumpyBackend(np.random.default_rng(0)))
        self._recipe = recipe_of(measured)
        self._measured = intensity
        # Errors of counts, but never so small that points of few counts rule the fit.
        self._weight = 1 / np.sqrt(np.maximum(intensity, 0.01 * intensity.max()))
        x = np.linspace(-1, 1, intensity.size)
        self._smooth = np.polynomial.chebyshev.chebvander(x, N_BACKGROUND_TERMS - 1)
        # Lines that touch none of the pattern's pull nowhere: strains are tried with broad ones.
        self._broad_deg = 0.002 * measured.two_theta_deg[-1]

    def fit(self) -> Fit:
        """Return the nearest pattern without texture."""
        broad = self._broad_deg
        starts = [np.array([0.0, strain, broad, broad]) for strain in STRAIN_PERCENT]
        start = min(starts, key=lambda numbers: float((self._differences(numbers) ** 2).sum()))
        return self._nearest(np.array([0.0, start[1], broad / 3, broad / 3]), None)

    def fit_with_texture(self, plain: Fit) -> Fit:
        """Return the nearest pattern with texture about any low-index axis."""
        start = np.append(plain.numbers, -0.1)
        fits = [self._nearest(start, axis) for axis in range(len(TEXTURE_AXES))]
        return min(fits, key=lambda one: one.profile_residual)

    def _nearest(self, start: FloatArray, axis: int | None) -> Fit:
        # In hundredths of a degree or percent from one: steps of derivatives are relative, and too
        # small for single precision where a number begins at 0.
        def moved(hundredths: FloatArray) -> FloatArray:
            return np.asarray(start + (hundredths - 1) / 100)

        found = least_squares(
            lambda hundredths: self._differences(moved(hundredths), axis),
            np.ones(start.size),
            diff_step=0.01,
        )
        numbers = moved(found.x)
        simulated, background = self._on_background(self._drawn(numbers, axis))
        first, second = self._measured - background, simulated - background
        return Fit(
            simulated,
            background,
            numbers,
            None if axis is None else tuple(TEXTURE_AXES[axis].tolist()),
            cosine=float(first @ second / np.linalg.norm(first) / np.linalg.norm(second)),
            profile_residual=float(np.abs(first - second).sum() / np.abs(first).sum()),
        )

    def _differences(self, numbers: FloatArray, axis: int | None = None) -> FloatArray:
        simulated, _ = self._on_background(self._drawn(numbers, axis))
        return (simulated - self._measured) * self._weight

    def _drawn(self, numbers: FloatArray, axis: int | None) -> FloatArray:
        zero, strain, gauss, lorentz = numbers[:4]
        given = {
            "zero_shift_deg": zero,
            "isotropic_strain": strain / 100,
            "caglioti_w": gauss**2,
            "lorentz_fwhm_deg": abs(lorentz),
        }
        if axis is not None:
            given |= {"texture_axis": axis, "march_dollase_r": np.exp(numbers[4])}
        settings = self._recipe.draw(1, np.random.default_rng(0))
        columns = {name: np.full((1, 1), float(value)) for name, value in given.items()}
        settings = replace(settings, columns={**settings.columns, **columns})
        return np.asarray(self._simulator.simulate(np.zeros(1, dtype=int), settings).intensity[0])

    def _on_background(self, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the scaled pattern and the background of the best linear fit."""
        design = np.column_stack([drawn, self._smooth])
        weight = self._weight
        parts = np.linalg.lstsq(design * weight[:, None], self._measured * weight, rcond=None)[0]
        return design @ parts, self._smooth @ parts[1:]


def recipe_of(measured: Measured) -> Recipe:
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
            "b_square_angstrom": DEFAULT_B_SQUARE_ANGSTROM,
            "axis": {"start": angles[0] - half, "stop": angles[-1] + half, "n_bins": angles.size},
            **beam,
        }
    )


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


def draw(results: list[tuple[Case, Measured, Fit]], file: Path) -> None:
    """Write the picture: measured patterns upwards, simulated ones downwards."""
    figure = Figure(figsize=(13, 17), layout="constrained")
    axes = figure.subplots(len(results) // 2, 2).ravel()
    figure.suptitle(
        "Measured (up) and simulated (down)\n"
        "Published structures without texture; fitted: scale, smooth background, zero shift,"
        " isotropic strain, two widths"
    )
    for panel, (case, measured, fitted) in zip(axes, results, strict=True):
        lines = measured.intensity - fitted.background, fitted.background - fitted.simulated
        for height, colour in zip(lines, ("black", "tab:red"), strict=True):
            panel.plot(measured.two_theta_deg, height / lines[0].max(), color=colour, linewidth=0.7)
        group = standard_setting(case.space_group_number).symbol
        panel.set_title(
            f"{case.mineral}, {case.formula}, {group}, {measured.beam}: cosine {fitted.cosine:.3f}",
            fontsize=10,
        )
        panel.set_xlim(measured.two_theta_deg[[0, -1]])
        panel.set_yticks([])
        panel.axhline(0, color="grey", linewidth=0.5)
    for panel in axes[-2:]:
        panel.set_xlabel("2θ in degree")
    figure.savefig(file, dpi=110)


def row(case: Case, identifier: str, measured: Measured, plain: Fit, textured: Fit) -> list[str]:
    """Return the line of the table."""
    zero, strain, gauss, lorentz = plain.numbers
    fwhm, _ = thompson_cox_hastings(np.abs(gauss), np.abs(lorentz))
    return [
        f"{case.mineral}, {case.formula}",
        identifier,
        f"{measured.wavelength_angstrom:g}",
        f"{zero:+.3f}",
        f"{strain:+.3f}",
        f"{fwhm:.3f}",
        f"{plain.cosine:.3f}",
        f"{plain.profile_residual:.2f}",
        f"{''.join(map(str, textured.texture_axis or ()))}, {np.exp(textured.numbers[4]):.2f}",
        f"{textured.cosine:.3f}",
    ]


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
    table = Table(
        *("phase", "structure", "beam Å", "zero °", "strain %", "FWHM °", "cosine", "Rp"),
        *("texture, r", "cosine with it"),
    )
    results = []
    for case in CASES:
        identifier, crystal = structures[case]
        measured = read_pattern(data, case)
        model = Model(measured, crystal)
        plain = model.fit()
        table.add_row(*row(case, identifier, measured, plain, model.fit_with_texture(plain)))
        results.append((case, measured, plain))
    draw(results, options.out)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
