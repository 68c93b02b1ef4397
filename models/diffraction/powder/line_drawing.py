"""Pseudo-Voigt lines on bins of any width, each bin holding exactly its share of the area."""

from dataclasses import dataclass, replace
from math import log, pi, sqrt

from array_api_compat import array_namespace, is_numpy_array

from phasepilot.models.arrays import Array
from phasepilot.models.diffraction.powder.axis import Axis
from phasepilot.models.diffraction.powder.backend import Backend, compiled_kernels

# Where a line is cut: at this height against the highest line of its pattern. Below the noise of
# 10^6 counts on a background of 1 %.
TAIL_TOLERANCE = 1e-4
# No line is drawn further than this: the tails of a strong Lorentzian never end.
MAX_REACH_FWHM = 60.0
# Bins are doubled, at most this often, while a line's width stays above so many of them.
MAX_LEVEL = 5
BINS_PER_FWHM = 12
# Refining needs two neighbours at every doubling, which adds up to less than four of the coarsest.
_MARGIN = 4
_MAX_TERMS = 2_000_000
_GAUSS_HEIGHT = 2 * sqrt(log(2) / pi)
_LORENTZ_HEIGHT = 2 / pi


@dataclass(frozen=True, slots=True)
class Lines:
    """Powder lines of a batch of patterns, all of shape (n_lines,).

    Attributes
    ----------
    row : array of int
        Pattern that the line belongs to.
    two_theta_deg, area, fwhm_deg : array
    lorentz_fraction : array
        eta of the pseudo-Voigt, 0 to 1.
    """

    row: Array
    two_theta_deg: Array
    area: Array
    fwhm_deg: Array
    lorentz_fraction: Array

    def chosen(self, which: Array) -> "Lines":
        """Return these lines only."""
        return Lines(
            self.row[which],
            self.two_theta_deg[which],
            self.area[which],
            self.fwhm_deg[which],
            self.lorentz_fraction[which],
        )

    def with_area(self, area: Array) -> "Lines":
        """Return the same lines with other areas."""
        return replace(self, area=area)


def draw_lines(
    lines: Lines, axis: Axis, backend: Backend, *, tail_tolerance: float = TAIL_TOLERANCE
) -> Array:
    """Return the intensity per degree of the lines, averaged over each bin.

    Bins hold differences of the cumulative profile, so that a line keeps its area even where it is
    narrower than a bin. A line many bins wide is drawn on bins that are 2, 4, ... times as wide and
    refined from there, to 1e-4 of its height: its cost does not grow with its width.

    Returns
    -------
    array, shape (n_patterns, n_bins), single precision
        0 in bins that the beam does not reach.
    """
    xp = backend.xp
    level = _levels(lines, axis, backend)
    n_levels = 1 + (int(xp.max(level)) if level.shape[0] else 0)
    wide = _with_margin(axis, n_levels - 1)
    low, high = _bins_in_reach(lines, wide, backend, tail_tolerance)
    level = xp.where(high > low, level, -1)
    margin = _MARGIN << (n_levels - 1)
    shown = slice(margin, margin + axis.n_bins)
    edges = wide.edges_two_theta_deg
    if is_numpy_array(edges) and (compiled := compiled_kernels()):
        density: Array = compiled.draw(*_columns(lines), level, low, high, edges, shown)
        return density
    areas = _areas(lines, level, (low, high), edges, n_levels, backend)
    # Refining leaves rounding errors below 0 where tails end.
    areas = xp.clip(areas[:, shown], 0.0, None)
    widths = axis.widths_deg()
    areas *= backend.asarray(1 / xp.where(widths > 0, widths, xp.ones_like(widths)), single=True)
    return areas


def _with_margin(axis: Axis, level: int) -> Axis:
    """Return the axis with some of the coarsest bins more at each end, which refining spoils."""
    coarsest = 1 << level
    margin = _MARGIN * coarsest
    n_bins = -(-axis.n_bins // coarsest) * coarsest + 2 * margin
    return replace(axis, start=axis.start - margin * axis.step, n_bins=n_bins)


def peak_height(lines: Lines) -> Array:
    """Return the intensity per degree at the centre of each line alone."""
    eta = lines.lorentz_fraction
    return lines.area / lines.fwhm_deg * ((1 - eta) * _GAUSS_HEIGHT + eta * _LORENTZ_HEIGHT)


def refined(areas: Array) -> Array:
    """Return the areas in bins of half the width, from those in the whole ones.

    The two halves add up to the whole exactly; how they differ is taken from the polynomial of
    fourth degree whose areas in five neighbouring bins are those given.

    Parameters
    ----------
    areas : array, shape (n_rows, n_bins)

    Returns
    -------
    array, shape (n_rows, 2 n_bins)

    References
    ----------
    Harten, J. Comput. Phys. 115, 319 (1994), doi:10.1006/jcph.1994.1199, prediction of cell
    averages.

    Examples
    --------
    >>> import numpy as np
    >>> refined(np.array([[1.0, 3.0, 5.0, 7.0, 9.0]]))[0, 4:6].tolist()
    [2.25, 2.75]
    """
    xp = array_namespace(areas)
    ends = areas[:, :1], areas[:, -1:]
    wide = xp.concat([ends[0], ends[0], areas, ends[1], ends[1]], axis=1)
    difference = (22 / 256) * (wide[:, 3:-1] - wide[:, 1:-3]) - (3 / 256) * (
        wide[:, 4:] - wide[:, :-4]
    )
    half = areas / 2
    halves = xp.stack([half - difference, half + difference], axis=2)
    return xp.reshape(halves, (areas.shape[0], -1))


def _levels(lines: Lines, axis: Axis, backend: Backend) -> Array:
    """Return how often bins are doubled before each line is drawn."""
    xp = backend.xp
    half = lines.fwhm_deg / 2
    left, right = (axis.bins_of(lines.two_theta_deg + shift, lines.row) for shift in (-half, half))
    doublings = xp.floor(xp.log2(xp.clip((right - left) / BINS_PER_FWHM, 1.0, None)))
    return xp.astype(xp.clip(doublings, 0, MAX_LEVEL), xp.int64)


def _areas(
    lines: Lines,
    level: Array,
    bins: tuple[Array, Array],
    edges: Array,
    n_levels: int,
    backend: Backend,
) -> Array:
    """Return the area in each bin, in plain array arithmetic, from the coarsest bins down."""
    areas: Array = None
    for number in range(n_levels - 1, -1, -1):
        which = backend.xp.nonzero(level == number)[0]
        size = 1 << number
        low, high = bins[0][which] // size, -(-bins[1][which] // size)
        drawn = _drawn(lines.chosen(which), edges[:, ::size], low, high, edges.shape[0], backend)
        areas = drawn if areas is None else drawn + refined(areas)
    return areas


def _bins_in_reach(
    lines: Lines, axis: Axis, backend: Backend, tail_tolerance: float
) -> tuple[Array, Array]:
    """Return first bin and one past the last bin of each line."""
    xp = backend.xp
    eta, height = lines.lorentz_fraction, peak_height(lines)
    highest = backend.row_maximum(height, lines.row, axis.n_patterns)[lines.row]
    relative = height / xp.where(highest > 0, highest, xp.ones_like(highest)) / tail_tolerance
    # Half widths where 1 / (1 + 4 x^2) and exp(-4 ln 2 x^2) have fallen to the tolerance.
    lorentz_reach = xp.sqrt(relative * eta) / 2
    gauss_reach = xp.sqrt(xp.log2(xp.clip(relative, 1.0, None))) / 2
    is_drawn = relative > 0.3
    reach = xp.clip(xp.maximum(lorentz_reach, gauss_reach), 1.0, MAX_REACH_FWHM) * lines.fwhm_deg
    low = xp.floor(axis.bins_of(lines.two_theta_deg - reach, lines.row))
    high = xp.ceil(axis.bins_of(lines.two_theta_deg + reach, lines.row))
    low, high = (xp.astype(xp.clip(edge, 0, axis.n_bins), xp.int64) for edge in (low, high))
    return low, xp.where(is_drawn, high, low)


def _columns(lines: Lines) -> tuple[Array, ...]:
    return lines.row, lines.two_theta_deg, lines.area, lines.fwhm_deg, lines.lorentz_fraction


def _drawn(
    lines: Lines, edges: Array, low: Array, high: Array, n_rows: int, backend: Backend
) -> Array:
    """Return the area in each bin, in plain array arithmetic; in blocks of bounded memory."""
    xp = backend.xp
    n_bins = edges.shape[1] - 1
    total = xp.zeros(n_rows * n_bins, dtype=xp.float32, device=edges.device)
    ends = xp.cumulative_sum(high - low + 1)
    start = 0
    while start < ends.shape[0]:
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(xp.searchsorted(ends, xp.asarray(done + _MAX_TERMS))))
        span = slice(start, stop)
        index, areas = _terms(lines, edges, low[span], high[span], span)
        total = total + backend.scattered_sum(index, areas, n_rows * n_bins)
        start = stop
    return xp.reshape(total, (n_rows, n_bins))


def _terms(lines: Lines, edges: Array, low: Array, high: Array, span: slice) -> tuple[Array, Array]:
    """Return flat bin numbers and areas of some lines, bin by bin."""
    xp = array_namespace(edges)
    n_edges = high - low + 1
    line = xp.repeat(xp.arange(n_edges.shape[0], device=edges.device), n_edges)
    first = xp.cumulative_sum(n_edges) - n_edges
    number = xp.arange(line.shape[0], device=edges.device) - first[line] + low[line]
    row = lines.row[span][line]
    offset = edges[row, number] - lines.two_theta_deg[span][line]
    cumulative = cumulative_pseudo_voigt(
        offset / lines.fwhm_deg[span][line], lines.lorentz_fraction[span][line]
    )
    areas = xp.diff(cumulative) * lines.area[span][line][:-1]
    # The step from the last edge of a line to the first of the next is no bin.
    is_bin = number[:-1] < high[line][:-1]
    index = row * (edges.shape[1] - 1) + number
    return index[:-1][is_bin], areas[is_bin]


def cumulative_pseudo_voigt(offset_fwhm: Array, lorentz_fraction: Array) -> Array:
    """Return the area of a pseudo-Voigt below each offset from its centre, less one half.

    Examples
    --------
    >>> import numpy as np
    >>> cumulative_pseudo_voigt(np.array([-0.5, 0.0, 0.5]), np.array(1.0)).tolist()
    [-0.25, 0.0, 0.25]
    """
    xp = array_namespace(offset_fwhm)
    if is_numpy_array(offset_fwhm):
        from scipy.special import erf
    else:
        from torch import erf
    gauss = erf(2 * sqrt(log(2)) * offset_fwhm) / 2
    lorentz = xp.atan(2 * offset_fwhm) / pi
    return gauss + lorentz_fraction * (lorentz - gauss)
