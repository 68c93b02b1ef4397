"""Patterns on a uniform ln q axis, where an isotropic strain is a translation.

One bin is the same relative change of d everywhere, so a lattice that shrinks by 1 % moves every
line by the same number of bins, whatever the wavelength.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern

# Wide enough to pass under the broadest line trained on (0.6 degree at low angle: 85 bins).
BACKGROUND_WINDOW_BINS = 201
# The minimum of noisy bins lies below their mean; averaging a line's width of them first helps.
_SMOOTHING_BINS = 15


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
    signal : ndarray, shape (n_bins,)
        What of it stands above the background; 0 where unmeasured.
    is_measured : ndarray of bool, shape (n_bins,)
    """

    grid: LogQGrid
    intensity: FloatArray
    signal: FloatArray
    is_measured: BoolArray


def to_log_q(pattern: Pattern, grid: LogQGrid) -> LogQPattern:
    """Return the pattern averaged into the bins of the grid.

    Intensity is taken as linear between measured points and integrated exactly, so that a line
    keeps its area whether the points are finer or coarser than the bins.

    Raises
    ------
    PatternError
        If the pattern and the grid do not overlap.
    """
    measured = pattern.is_measured
    log_q = np.log(pattern.q_per_angstrom[measured])
    intensity = pattern.intensity[measured]
    edges = grid.log_edges
    if log_q[-1] <= edges[0] or log_q[0] >= edges[-1]:
        raise PatternError(
            f"the pattern must overlap q = {grid.q_min_per_angstrom:g} to"
            f" {grid.q_max_per_angstrom:g} 1/angstrom, but covers {np.exp(log_q[0]):g} to"
            f" {np.exp(log_q[-1]):g}; check the wavelength and the unit of the axis."
        )
    steps = np.diff(log_q)
    cumulative = np.concatenate(([0.0], np.cumsum(steps * (intensity[1:] + intensity[:-1]) / 2)))
    left = np.clip(np.searchsorted(log_q, edges, side="right") - 1, 0, steps.size - 1)
    offset = np.clip(edges - log_q[left], 0.0, steps[left])
    slope = (intensity[left + 1] - intensity[left]) / steps[left]
    integral = cumulative[left] + offset * (intensity[left] + slope * offset / 2)
    is_measured = _measured_bins(pattern.q_per_angstrom[measured], log_q, edges)
    mean = np.where(is_measured, np.diff(integral) / grid.bin_width, 0.0)
    return LogQPattern(grid, mean, without_background(mean, is_measured), is_measured)


def _measured_bins(q: FloatArray, log_q: FloatArray, edges: FloatArray) -> BoolArray:
    """Return which bins lie within the measured range and outside its gaps."""
    is_measured = (edges[:-1] >= log_q[0]) & (edges[1:] <= log_q[-1])
    # A gap is a step several times the usual one, in q, where steps are about even: dead pixels
    # and module gaps show up this way.
    steps = np.diff(q)
    for gap in np.flatnonzero(steps > 5 * np.median(steps)):
        first, last = np.searchsorted(edges, (log_q[gap], log_q[gap + 1]))
        is_measured[max(first - 1, 0) : last] = False
    return np.asarray(is_measured)


def without_background(intensity: FloatArray, is_measured: BoolArray) -> FloatArray:
    """Return the intensity above a smoothed rolling minimum; 0 where unmeasured.

    Shape (..., n_bins) in and out. The same function prepares simulated patterns for training and
    measured ones for the network, which would otherwise learn a difference between the two.
    """
    filled = _bridge_gaps(intensity, is_measured)
    smooth = uniform_filter1d(filled, _SMOOTHING_BINS, axis=-1, mode="nearest")
    lower = minimum_filter1d(smooth, BACKGROUND_WINDOW_BINS, axis=-1, mode="nearest")
    background = uniform_filter1d(lower, BACKGROUND_WINDOW_BINS, axis=-1, mode="nearest")
    return np.where(is_measured, np.maximum(intensity - background, 0.0), 0.0)


def _bridge_gaps(intensity: FloatArray, is_measured: BoolArray) -> FloatArray:
    if is_measured.all():
        return intensity
    rows = intensity.reshape(-1, intensity.shape[-1]).copy()
    bins = np.arange(rows.shape[1])
    for row, known in zip(rows, is_measured.reshape(rows.shape), strict=True):
        row[~known] = np.interp(bins[~known], bins[known], row[known])
    return rows.reshape(intensity.shape)


def network_input(intensity: FloatArray, is_measured: BoolArray) -> Float32Array:
    """Return the two channels that a network sees, shape (..., 2, n_bins).

    The first is the square root of the intensity above background, highest line 1: the root evens
    out counting noise. The second is 1 where something was measured.
    """
    return network_input_of_signal(without_background(intensity, is_measured), is_measured)


def network_input_of_signal(signal: FloatArray, is_measured: BoolArray) -> Float32Array:
    """Return the same two channels from intensity whose background is already removed."""
    above = np.sqrt(signal)
    peak = above.max(axis=-1, keepdims=True)
    scaled = np.divide(above, peak, out=np.zeros_like(above), where=peak > 0)
    return np.stack([scaled, is_measured.astype(np.float64)], axis=-2).astype(np.float32)
