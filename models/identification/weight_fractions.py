"""From shares of the intensity to shares of the weight, by what each phase scatters."""

from collections.abc import Sequence

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.formula import formula_amounts
from phasepilot.models.diffraction.powder.intensity_factors import polarisation
from phasepilot.models.identification.phase_library import line_areas
from phasepilot.models.identification.phase_match import PhaseMatch
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.pattern import Pattern, two_theta_from_q

# 1 u per cubic angstrom in g/cm^3 (CODATA 2018).
_GRAM_PER_CM3 = 1.66053907


def densities(index: SearchIndex) -> FloatArray:
    """Return the X-ray density of each structure in g/cm^3, shape (n_structures,).

    By the reduced formula, the number of atoms in the cell and its volume.
    """
    volume = 1 / np.abs(np.linalg.det(index.sticks.reciprocal))
    masses = []
    for formula, n_atoms in zip(index.labels.formula, index.labels.n_atoms, strict=True):
        amounts = formula_amounts(str(formula))
        mass = sum(gemmi.Element(number).weight * amount for number, amount in amounts.items())
        masses.append(mass * float(n_atoms) / sum(amounts.values()))
    return np.asarray(np.array(masses) * _GRAM_PER_CM3 / volume)


def weight_fractions(
    index: SearchIndex, phases: Sequence[PhaseMatch], pattern: Pattern
) -> dict[str, float]:
    """Return the share of the weight of each phase that was found, by name; they add up to 1.

    What a phase scatters into the measured range of a tube's beam is calculated for a powder
    without texture or absorption, so that an error of its line strengths goes straight into its
    weight.

    Parameters
    ----------
    phases : sequence of PhaseMatch
        Of this index; names must be distinct there.

    References
    ----------
    Hill & Howard, J. Appl. Cryst. 20, 467 (1987), doi:10.1107/S0021889887086199.
    """
    q = pattern.q_per_angstrom[pattern.is_measured]
    density = densities(index)
    names = index.labels.name.tolist()
    weights = {}
    for phase in phases:
        row = names.index(phase.name)
        scattered = _scattered_by_volume(index, row, (q[0], q[-1]), pattern.wavelength_angstrom)
        weights[phase.name] = phase.fraction / scattered * density[row]
    total = sum(weights.values())
    return {name: float(weight / total) for name, weight in weights.items()}


def _scattered_by_volume(
    index: SearchIndex, row: int, q_limits: tuple[float, float], wavelength_angstrom: float | None
) -> float:
    """Return the area over ln q of a phase's lines between two q, for a unit of its volume."""
    sticks = index.sticks_of(row)
    q = sticks.q_per_angstrom.astype(np.float64)
    seen = (q >= q_limits[0]) & (q <= q_limits[1])
    area = line_areas(q[seen], sticks.strength[seen].astype(np.float64))
    if wavelength_angstrom is not None:
        angle = two_theta_from_q(q[seen], wavelength_angstrom)
        area = area * polarisation(angle, np.zeros(1))
    return float(area.sum())
