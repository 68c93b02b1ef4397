"""Whether the pressures that a marker tells are off by what their uncertainties say.

    python benchmarks/marker_pressures.py [--patterns 40]

Each pattern holds a marker at a pressure drawn between 5 and 80 % of its range, alone or with a
sample of another substance that may be stronger, with 10^2.3 to 10^5 counts in the marker's highest
bin, with grains that differ by 20 % and a background. Printed are the share of patterns in which a
pressure is told, the median error, and how often the error exceeds one and two standard deviations
(32 and 5 % where they are right), and what a refinement costs.
"""

import argparse
import time

import numpy as np

from phasepilot.agent.cell_measurement import CellMeasurement, CellMemory
from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.transition_samples import FITTED_ON
from phasepilot.models.diffraction.pressure.compressed_powder import (
    Diffractometer,
    counts_of_lines,
    phase_lines,
    sticks_in_view,
)
from phasepilot.models.diffraction.pressure.markers import MARKERS, marker_crystal
from phasepilot.models.diffraction.pressure.materials import Phase
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern

BEAM = Diffractometer(n_points=2751)
SHARES = {"alone": 0.0, "with as much of a sample": 1.0, "with a sample ten times as strong": 10.0}


def powder(rng: np.random.Generator, phase: Phase, pressure_gpa: float) -> FloatArray:
    """Return the lines of a phase, the highest bin at 1."""
    lines = phase_lines(phase, sticks_in_view(phase, BEAM), pressure_gpa, BEAM)
    heights = lines.strength * np.exp(rng.normal(0, 0.2, lines.strength.size))
    size_nm = rng.uniform(20, 100)
    drawn = counts_of_lines(lines.two_theta_deg, heights, BEAM, crystallite_size_nm=size_nm)
    return np.asarray(drawn / drawn.max())


def marked(
    rng: np.random.Generator, marker: str, pressure_gpa: float, sample_share: float
) -> PreparedPattern:
    """Return a pattern of a marker, and of a sample so many times as high."""
    state = MARKERS[marker].equation_of_state
    total = powder(rng, Phase(marker, marker_crystal(marker), state), pressure_gpa)
    if sample_share:
        material = FITTED_ON.compressed[int(rng.integers(len(FITTED_ON.compressed)))]
        highest = 0.9 * material.scan_stop_gpa
        total = total + sample_share * powder(
            rng, material.low_pressure, min(pressure_gpa, highest)
        )
    total += 0.05 * total.max()
    counts = rng.poisson(10 ** rng.uniform(2.3, 5) * total).astype(np.float64)
    pattern = Pattern.from_two_theta(
        BEAM.two_theta_deg, counts, wavelength_angstrom=BEAM.wavelength_angstrom
    )
    return prepare_pattern(pattern, Preprocessing())


def _told(errors: list[float], pulls: list[float]) -> str:
    if not errors:
        return ""
    beyond = [100 * float(np.mean(np.array(pulls) > limit)) for limit in (1, 2, 5)]
    return (
        f", error {np.median(errors):.3f} GPa (median), {max(errors):.2f} at most;"
        f" {beyond[0]:.0f}, {beyond[1]:.0f} and {beyond[2]:.0f} %"
        " beyond one, two and five deviations"
    )


def main() -> None:
    """Print how far pressures are off, for each marker and surroundings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=40)
    n_patterns = parser.parse_args().patterns
    costs = []
    for name, share in SHARES.items():
        for marker in MARKERS:
            rng = np.random.default_rng([7, list(MARKERS).index(marker)])
            cells = CellMeasurement(None, marker)
            errors: list[float] = []
            pulls: list[float] = []
            for _ in range(n_patterns):
                pressure = MARKERS[marker].highest_gpa * rng.uniform(0.05, 0.8)
                pattern = marked(rng, marker, pressure, share)
                start = time.perf_counter()
                columns, _ = cells.measure(CellMemory(), pattern, None)
                costs.append(time.perf_counter() - start)
                told, uncertainty = (
                    columns.get(f"pressure_{what}gpa") for what in ("", "uncertainty_")
                )
                if isinstance(told, float) and isinstance(uncertainty, float):
                    errors.append(abs(told - pressure))
                    pulls.append(errors[-1] / max(uncertainty, 1e-9))
            print(f"{marker} {name}: told in {len(errors)} of {n_patterns}{_told(errors, pulls)}")
    print(f"a refinement takes {1e3 * np.median(costs):.2f} ms (median)")


if __name__ == "__main__":
    main()
