"""Simulated powder patterns over backgrounds that are known, for background_removal.py."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.powder.axis import Axis, AxisKind
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.intensity_factors import lorentz, polarisation
from phasepilot.models.diffraction.powder.line_drawing import Lines, draw_lines
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.log_q import LogQPattern, to_log_q
from phasepilot.models.pattern import Pattern, q_from_two_theta
from phasepilot.models.preprocessing.configuration import GridConfiguration

GRID = GridConfiguration().grid()
KINDS = ("flat", "air scatter", "amorphous hump", "high", "wavy")
PEAK_COUNTS = (1e2, 1e3, 1e4, 1e5)
# Wavelength, first and last angle, step: a tube with a fine and a coarse step, and a beamline.
DIFFRACTOMETERS = (
    (1.5406, 8.0, 100.0, 0.02),
    (1.5406, 15.0, 85.0, 0.04),
    (0.4133, 2.5, 24.0, 0.005),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One counted pattern on the grid, and what it was drawn from; each shape (n_bins,)."""

    kind: str
    peak_counts: float
    intensity: FloatArray
    is_measured: BoolArray
    lines: FloatArray
    background: FloatArray


def cases_of_seed(structures: Path, seed: int, n_each: int) -> list[Case]:
    """Return patterns of `n_each` random crystals over each background at each count."""
    rng = np.random.default_rng(seed)
    plan = [(kind, counts) for kind in KINDS for counts in PEAK_COUNTS for _ in range(n_each)]
    crystals = random_crystals(structures, len(plan), rng)
    return [
        simulated_case(crystal, kind, counts, rng)
        for crystal, (kind, counts) in zip(crystals, plan, strict=True)
    ]


def random_crystals(structures: Path, n: int, rng: np.random.Generator) -> list[Crystal]:
    """Return crystals of random rows of the table."""
    table = pyarrow.parquet.read_table(structures)
    with tempfile.TemporaryDirectory() as directory:
        chosen = Path(directory) / "chosen.parquet"
        rows = np.sort(rng.choice(table.num_rows, 2 * n, replace=False))
        pyarrow.parquet.write_table(table.take(rows), chosen)
        crystals = [row.crystal for row in read_structures(chosen, max_atoms=120)]
    return [crystals[index] for index in rng.permutation(len(crystals))[:n]]


def background_shape(kind: str, x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a smooth background for lines of height 1; x runs from 0 to 1 over the angles."""
    if kind == "flat":
        return np.full_like(x, 0.05)
    if kind == "air scatter":
        return 0.03 + rng.uniform(0.3, 1.0) * np.exp(-x / rng.uniform(0.05, 0.2))
    if kind == "amorphous hump":
        offset = (x - rng.uniform(0.2, 0.5)) / rng.uniform(0.07, 0.15)
        return 0.05 + rng.uniform(0.1, 0.5) * np.exp(-(offset**2))
    if kind == "high":
        return rng.uniform(1.0, 3.0) * (1 - 0.5 * x)
    wave = np.polynomial.chebyshev.chebval(2 * x - 1, rng.uniform(-1, 1, 6))
    return 0.02 + 0.1 * (wave - wave.min()) / np.ptp(wave)


def simulated_case(
    crystal: Crystal, kind: str, peak_counts: float, rng: np.random.Generator
) -> Case:
    """Return one counted pattern of the crystal over a background of that kind."""
    wavelength, first, last, step = DIFFRACTOMETERS[rng.integers(len(DIFFRACTOMETERS))]
    first += rng.uniform(0.0, 4.0) * wavelength / 1.5406
    last -= rng.uniform(0.0, 20.0) * wavelength / 1.5406
    two_theta = np.arange(first, last, step)
    lines = _lines(crystal, two_theta, wavelength, rng)
    x = (two_theta - two_theta[0]) / (two_theta[-1] - two_theta[0])
    signal = peak_counts * lines / lines.max()
    background = peak_counts * background_shape(kind, x, rng)
    counts = rng.poisson(signal + background).astype(np.float64)

    def on_grid(values: FloatArray) -> LogQPattern:
        pattern = Pattern.from_two_theta(two_theta, values, wavelength_angstrom=wavelength)
        return to_log_q(pattern, GRID)

    counted = on_grid(counts)
    return Case(
        kind,
        peak_counts,
        counted.intensity,
        counted.is_measured,
        on_grid(signal).intensity,
        on_grid(background).intensity,
    )


def _lines(
    crystal: Crystal, two_theta: FloatArray, wavelength: float, rng: np.random.Generator
) -> FloatArray:
    step = two_theta[1] - two_theta[0]
    sticks = powder_sticks(crystal, float(q_from_two_theta(two_theta[-1:] + 1.0, wavelength)[0]))
    at = 2 * np.degrees(np.arcsin(sticks.q_per_angstrom * wavelength / (4 * np.pi)))
    texture = np.exp(rng.normal(0.0, 0.3, at.size))
    factor = lorentz(at) * polarisation(at, float(wavelength < 1))
    width = np.exp(rng.uniform(np.log(0.06), np.log(0.5))) * wavelength / 1.5406
    growth = rng.exponential(0.5)
    lines = Lines(
        np.zeros(at.size, dtype=np.int64),
        at,
        sticks.structure_factor_squared * factor * texture,
        width * np.sqrt(1 + growth * np.tan(np.radians(at / 2)) ** 2),
        np.full(at.size, rng.uniform(0.0, 1.0)),
    )
    start, step, beam = (
        np.array([[value]]) for value in (two_theta[0] - step / 2, step, wavelength)
    )
    axis = Axis(AxisKind.TWO_THETA, start, step, two_theta.size, beam)
    return np.asarray(draw_lines(lines, axis, NumpyBackend(rng))[0], dtype=np.float64)
