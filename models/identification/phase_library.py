"""A library of known phases, packed so that all are compared with a pattern at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.powder.intensity_factors import debye_waller
from phasepilot.models.errors import PatternError
from phasepilot.models.identification.known_phase import KnownPhase
from phasepilot.models.identification.lattice_modes import N_MODES, position_slopes

# The strongest lines of a phase, which are compared. Further lines of large cells of low symmetry
# lie so close together that background removal takes them for a smooth rise.
MAX_LINES = 160
# Against the strongest line. What symmetry almost forbids is not seen.
_WEAKEST = 1e-6
# Lines of a phase that lie within this of one another in ln q, about the width of a laboratory
# line, are seen as one.
_MERGED_WITHIN = 0.006
# A usual isotropic displacement parameter; what a sample has beyond it hardly changes a match.
_B_SQUARE_ANGSTROM = 1.0


@dataclass(frozen=True, slots=True)
class PhaseLibrary:
    """Known phases and their strongest lines.

    Attributes
    ----------
    phases : tuple of KnownPhase
    log_q : ndarray, shape (n_phases, MAX_LINES)
        Positions in the library's own lattices; rows with fewer lines are filled up with lines
        without area.
    area : ndarray, shape (n_phases, MAX_LINES)
        See `line_areas`; each row adds up to 1.
    root_weight : ndarray, shape (n_phases, MAX_LINES)
        What each line contributes to the root of the pattern: its area over the root of the area
        of all lines that coincide with it.
    slopes : ndarray, shape (n_phases, MAX_LINES, N_MODES)
        See `phasepilot.models.identification.lattice_modes.position_slopes`.
    """

    phases: tuple[KnownPhase, ...]
    log_q: FloatArray
    area: FloatArray
    root_weight: FloatArray
    slopes: FloatArray

    def chosen(self, rows: IntArray) -> "PhaseLibrary":
        """Return the library of these phases only."""
        return PhaseLibrary(
            tuple(self.phases[row] for row in rows),
            self.log_q[rows],
            self.area[rows],
            self.root_weight[rows],
            self.slopes[rows],
        )


def phase_library(phases: Sequence[KnownPhase]) -> PhaseLibrary:
    """Return these phases ready to be matched.

    Raises
    ------
    PatternError
        If there are none.
    """
    if not phases:
        raise PatternError(
            "a library must hold at least one phase, but holds none; give CIF files that can be"
            " read, or other elements."
        )
    shape = (len(phases), MAX_LINES)
    log_q, area, weight = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    slopes = np.zeros((*shape, N_MODES))
    for row, phase in enumerate(phases):
        areas = line_areas(phase.q_per_angstrom, phase.strength)
        strongest = np.argsort(areas)[::-1][:MAX_LINES]
        strongest = np.sort(strongest[areas[strongest] > _WEAKEST * areas.max()])
        used = slice(0, strongest.size)
        log_q[row, used] = np.log(phase.q_per_angstrom[strongest])
        area[row, used] = areas[strongest] / areas[strongest].sum()
        weight[row, used] = _root_weights(log_q[row, used], area[row, used])
        slopes[row, used] = position_slopes(
            phase.space_group_number, phase.reciprocal, phase.hkl[strongest]
        )
    return PhaseLibrary(tuple(phases), log_q, area, weight, slopes)


def line_areas(q_per_angstrom: FloatArray, strength: FloatArray) -> FloatArray:
    """Return the areas of lines over ln q for a beam that is polarised across the scattering plane.

    An angle scan shows the strength times the Lorentz factor 1 / (sin^2 theta cos theta). An area
    over 2-theta becomes one over ln q by d(ln q) / d(2-theta) = 1 / (2 tan theta), so that the
    cosine drops out and strength / q^3 is left, whatever the wavelength.

    Examples
    --------
    >>> areas = line_areas(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    >>> round(float(areas[1] / areas[0]), 3)
    0.12
    """
    damping = debye_waller(q_per_angstrom, np.float64(_B_SQUARE_ANGSTROM))
    return np.asarray(strength * damping / q_per_angstrom**3)


def _root_weights(log_q: FloatArray, area: FloatArray) -> FloatArray:
    """Return area / sqrt(area of what coincides) of lines sorted by ln q."""
    cumulative = np.concatenate(([0.0], np.cumsum(area)))
    first = np.searchsorted(log_q, log_q - _MERGED_WITHIN, side="left")
    last = np.searchsorted(log_q, log_q + _MERGED_WITHIN, side="right")
    return np.asarray(area / np.sqrt(cumulative[last] - cumulative[first]))
