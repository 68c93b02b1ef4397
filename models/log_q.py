"""Patterns on a uniform ln q axis, where an isotropic strain is a translation.

One bin is the same relative change of d everywhere, so a lattice that shrinks by 1 % moves every
line by the same number of bins, whatever the wavelength.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import median_filter

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern
from phasepilot.models.quantiles import median

# Steps that say what is usual around one.
_NEARBY_STEPS = 31


@dataclass(frozen=True, slots=True)
class LogQGrid:
    """A uniform grid in ln q.

    Attributes
    ----------
    q_min_per_angstrom, q_max_per_angstrom : float
        Outer edges of the first and the last bin.
    n_bins : int
    """

    q_min_per_angstrom: float
    q_max_per_angstrom: float
    n_bins: int

    @property
    def bin_width(self) -> float:
        """Width of a bin in ln q: the strain that moves a line by one bin."""
        return float(np.log(self.q_max_per_angstrom / self.q_min_per_angstrom) / self.n_bins)

    @property
    def log_edges(self) -> FloatArray:
        """Edges of the bins in ln q, shape (n_bins + 1,); read-only."""
        return _log_edges(self)

    @property
    def q_per_angstrom(self) -> FloatArray:
        """Centres of the bins in 1/angstrom, shape (n_bins,)."""
        edges = self.log_edges
        return np.exp((edges[:-1] + edges[1:]) / 2)


@lru_cache(maxsize=8)
def _log_edges(grid: LogQGrid) -> FloatArray:
    edges = np.linspace(
        np.log(grid.q_min_per_angstrom), np.log(grid.q_max_per_angstrom), grid.n_bins + 1
    )
    edges.setflags(write=False)
    return edges


@dataclass(frozen=True, slots=True)
class LogQPattern:
    """A pattern on a `LogQGrid`.

    Attributes
    ----------
    intensity : ndarray, shape (n_bins,)
        Mean intensity in each bin, in the counts of the measured points; 0 where unmeasured.
    is_measured : ndarray of bool, shape (n_bins,)
    """

    grid: LogQGrid
    intensity: FloatArray
    is_measured: BoolArray


def to_log_q(pattern: Pattern, grid: LogQGrid) -> LogQPattern:
    """Return the pattern averaged into the bins of the grid.

    Intensity is taken as linear between measured points and integrated exactly, so that a line
    keeps its area whether the points are finer or coarser than the bins.

    Raises
    ------
    PatternError
        If the pattern and the grid do not overlap, or share no whole bin.
    """
    measured = pattern.is_measured
    q, intensity = pattern.q_per_angstrom, pattern.intensity
    if not measured.all():
        q, intensity = q[measured], intensity[measured]
    log_q = np.log(q)
    edges = grid.log_edges
    if log_q[-1] <= edges[0] or log_q[0] >= edges[-1]:
        raise PatternError(
            f"the pattern must overlap q = {grid.q_min_per_angstrom:g} to"
            f" {grid.q_max_per_angstrom:g} 1/angstrom, but covers {np.exp(log_q[0]):g} to"
            f" {np.exp(log_q[-1]):g}; check the wavelength and the unit of the axis."
        )
    steps = np.diff(log_q)
    cumulative = np.zeros(log_q.size)
    np.cumsum(steps * (intensity[1:] + intensity[:-1]) / 2, out=cumulative[1:])
    left = np.clip(_n_points_up_to_edges(log_q, grid) - 1, 0, steps.size - 1)
    offset = np.minimum(np.maximum(edges - log_q[left], 0.0), steps[left])
    half_slope = np.diff(intensity) / (2 * steps)
    integral = cumulative[left] + offset * (intensity[left] + half_slope[left] * offset)
    is_measured = _measured_bins(q, log_q, grid)
    if not is_measured.any():
        raise PatternError(
            f"the pattern must cover a bin of the grid, {grid.bin_width:.2g} wide in ln q, but"
            f" covers q = {np.exp(log_q[0]):g} to {np.exp(log_q[-1]):g} 1/angstrom with gaps;"
            " measure a wider range, or check the mask."
        )
    mean = np.where(is_measured, np.diff(integral) / grid.bin_width, 0.0)
    return LogQPattern(grid, mean, is_measured)


def _n_points_up_to_edges(log_q: FloatArray, grid: LogQGrid) -> IntArray:
    """Return how many points lie at or below each edge, shape (n_bins + 1,).

    Edges are even, so points are counted bin by bin, in a tenth of a search's time. A point that
    lies on an edge up to rounding may count to either side of it.
    """
    next_edge = np.ceil((log_q - grid.log_edges[0]) * (1 / grid.bin_width))
    place = np.minimum(np.maximum(next_edge, 0), grid.n_bins + 1).astype(np.intp)
    return np.cumsum(np.bincount(place, minlength=grid.n_bins + 2)[: grid.n_bins + 1])


def _measured_bins(q: FloatArray, log_q: FloatArray, grid: LogQGrid) -> BoolArray:
    """Return which bins lie within the measured range and outside its gaps."""
    edges = grid.log_edges
    is_measured = np.zeros(grid.n_bins, dtype=bool)
    first = np.searchsorted(edges, log_q[0])
    last = np.searchsorted(edges, log_q[-1], side="right") - 1
    is_measured[first : max(last, first)] = True
    # A gap is a step several times the usual one, in q, where steps are about even: dead pixels
    # and module gaps show up this way.
    steps = np.diff(q)
    is_gap = steps > 5 * median(steps)
    if is_gap.any():
        # Usual nearby, too: a coarse scan with fine windows in it has no gaps.
        is_gap &= steps > 5 * median_filter(steps, _NEARBY_STEPS, mode="nearest")
    for gap in np.flatnonzero(is_gap):
        first, last = np.searchsorted(edges, (log_q[gap], log_q[gap + 1]))
        is_measured[max(first - 1, 0) : last] = False
    return is_measured
