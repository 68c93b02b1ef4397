"""Inner loops compiled by numba: ten times faster on a processor. Used where it is installed.

Without numba's fast mathematics: it lets the compiler reorder sums as it likes, and a function that
was just compiled then differs in the last bit from the same one loaded from numba's cache. Batches
of two processes must not differ, and it saves no time here.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import FloatArray, IntArray

# Lines wider than this many bins are drawn from their density and its curvature, which is good to
# 1e-4 of the peak there and runs on whole vector registers; narrower ones from their cumulative.
_WIDE_BINS = 6.0
# Beyond this many FWHM a Gaussian holds less than 1e-7 of its area.
_GAUSS_REACH_FWHM = 2.4
_GAUSS_HEIGHT = 2 * np.sqrt(np.log(2) / np.pi)
_LORENTZ_HEIGHT = 2 / np.pi
_FOUR_LOG_2 = np.float32(4 * np.log(2))


def draw(
    row: IntArray,
    two_theta_deg: FloatArray,
    area: FloatArray,
    fwhm_deg: FloatArray,
    lorentz_fraction: FloatArray,
    level: IntArray,
    low: IntArray,
    high: IntArray,
    edges: FloatArray,
    shown: slice,
) -> NDArray[np.float32]:
    """Return the intensity per degree of lines in each bin shown, shape (n_rows, n_bins shown).

    Parameters
    ----------
    row, two_theta_deg, area, fwhm_deg, lorentz_fraction : ndarray, shape (n_lines,)
    level : ndarray of int, shape (n_lines,)
        How often bins are doubled before the line is drawn; it is left out if negative.
    low, high : ndarray of int, shape (n_lines,)
        First bin and one past the last bin of each line, not doubled.
    edges : ndarray, shape (n_rows, n_bins + 1)
        In degree; the number of bins divides by two as often as the highest level says.
    """
    highest = max(0, int(level.max(initial=0)))
    # Row after row, and from the coarsest bins to the finest, so that all that a row needs stays in
    # the processor's cache.
    order = np.argsort(row * (highest + 1) + (highest - level), kind="stable")
    order = order[level[order] >= 0]
    starts = np.searchsorted(row[order], np.arange(edges.shape[0] + 1))
    result = np.empty((edges.shape[0], shown.stop - shown.start), dtype=np.float32)
    lines = (two_theta_deg, area, fwhm_deg, lorentz_fraction, level, low, high)
    _draw_rows(order, starts, *lines, edges, highest, shown.start, result)
    return result


@numba.njit(cache=True, nogil=True)
def poisson(mean, uniform):  # type: ignore[no-untyped-def]
    """Return Poisson deviates of small means from uniform ones, by adding up probabilities."""
    result = np.empty(mean.size, dtype=np.float32)
    for k in range(mean.size):
        probability = math.exp(-mean[k])
        below, count = probability, 0
        while uniform[k] > below and count < 40:
            count += 1
            probability *= mean[k] / count
            below += probability
        result[k] = count
    return result


@numba.njit(cache=True, nogil=True)
def _draw_rows(  # type: ignore[no-untyped-def]  # compiled for the types that come
    order,
    starts,
    centres,
    areas,
    fwhms,
    lorentz_fractions,
    levels,
    lows,
    highs,
    edges,
    highest,
    first_shown,
    result,
):
    n_bins = edges.shape[1] - 1
    # Single precision is 1e-5 of the width of a wide line, and twice as fast.
    middles, widths = np.empty(n_bins, dtype=np.float32), np.empty(n_bins, dtype=np.float32)
    coarse, fine = np.empty(n_bins, dtype=np.float32), np.empty(n_bins, dtype=np.float32)
    for row in range(edges.shape[0]):
        place = starts[row]
        for level in range(highest, -1, -1):
            size = 1 << level
            n = n_bins >> level
            # A copy without gaps: vector registers load it at once.
            edge = edges[row, ::size].copy()
            coarse, fine = fine, coarse
            if level == highest:
                fine[:n] = 0
            else:
                _refine(coarse[: n // 2], fine)
            _measure_bins(edge, middles, widths)
            while place < starts[row + 1] and levels[order[place]] == level:
                k = order[place]
                place += 1
                low, high = lows[k] // size, -(-highs[k] // size)
                _add_line(
                    fine[low:high],
                    edge[low : high + 1],
                    middles[low:high],
                    widths[low:high],
                    centres[k],
                    areas[k],
                    fwhms[k],
                    lorentz_fractions[k],
                )
        for j in range(result.shape[1]):
            width = widths[first_shown + j]
            # Refining leaves rounding errors below 0 where tails end.
            result[row, j] = max(fine[first_shown + j], 0) / width if width > 0 else 0


@numba.njit(cache=True, nogil=True)
def _refine(areas, halves):  # type: ignore[no-untyped-def]
    """Write the areas in half bins; the arithmetic of `line_drawing.refined`."""
    n, half = areas.size, np.float32(0.5)
    near, far = np.float32(22 / 256), np.float32(3 / 256)
    for j in range(2, n - 2):
        difference = near * (areas[j + 1] - areas[j - 1]) - far * (areas[j + 2] - areas[j - 2])
        halves[2 * j] = half * areas[j] - difference
        halves[2 * j + 1] = half * areas[j] + difference
    for j in (0, 1, n - 2, n - 1):
        # Within the margin that nobody sees.
        halves[2 * j] = halves[2 * j + 1] = half * areas[j]


@numba.njit(cache=True, nogil=True)
def _add_line(target, edge, middle, width, centre, area, fwhm, eta):  # type: ignore[no-untyped-def]
    n_bins = target.size
    if fwhm < _WIDE_BINS * (edge[n_bins] - edge[0]) / n_bins:
        _add_narrow(target, edge, centre, area, fwhm, eta)
        return
    _add_lorentz(target, middle, width, centre, area * eta * _LORENTZ_HEIGHT, fwhm)
    reach = _GAUSS_REACH_FWHM * fwhm
    first = max(np.searchsorted(edge, centre - reach) - 1, 0)
    last = min(np.searchsorted(edge, centre + reach), n_bins)
    if last > first and eta < 1:
        inside = slice(first, last)
        height = area * (1 - eta) * _GAUSS_HEIGHT
        _add_gauss(target[inside], middle[inside], width[inside], centre, height, fwhm)


@numba.njit(cache=True, nogil=True)
def _measure_bins(edge, middles, widths):  # type: ignore[no-untyped-def]
    left, right = edge[:-1], edge[1:]
    for j in range(left.size):
        middles[j] = (left[j] + right[j]) / 2
        widths[j] = right[j] - left[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_lorentz(target, middle, width, centre, height, fwhm):  # type: ignore[no-untyped-def]
    scale, peak, origin = np.float32(1.0 / fwhm), np.float32(height / fwhm), np.float32(centre)
    # Mean over a bin: f + width^2 f'' / 24, with f = 1 / (1 + 4 x^2).
    bending = scale * scale / np.float32(24)
    one, four, eight = np.float32(1), np.float32(4), np.float32(8)
    for j in range(target.size):
        x = (middle[j] - origin) * scale
        four_x_squared = four * x * x
        f = one / (one + four_x_squared)
        bend = eight * f * (four * four_x_squared * f - one)
        target[j] += peak * width[j] * f * (one + bending * width[j] * width[j] * bend)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_gauss(target, middle, width, centre, height, fwhm):  # type: ignore[no-untyped-def]
    scale, peak, origin = np.float32(1.0 / fwhm), np.float32(height / fwhm), np.float32(centre)
    bending = scale * scale / np.float32(24)
    one, half = np.float32(1), np.float32(0.5)
    for j in range(target.size):
        x = (middle[j] - origin) * scale
        exponent = _FOUR_LOG_2 * x * x
        # exp(-t) as the 256th power of a cubic: exact to 2e-5, and the compiler can vectorise it.
        u = exponent * np.float32(1 / 256)
        f = one - u * (one - u * (half - u * np.float32(1 / 6)))
        f = f * f
        f = f * f
        f = f * f
        f = f * f
        f = f * f
        f = f * f
        f = f * f
        f = f * f
        bend = np.float32(2) * _FOUR_LOG_2 * (np.float32(2) * exponent - one)
        target[j] += peak * width[j] * f * (one + bending * width[j] * width[j] * bend)


@numba.njit(cache=True, nogil=True)
def _add_narrow(target, edge, centre, area, fwhm, eta):  # type: ignore[no-untyped-def]
    before = _cumulative((edge[0] - centre) / fwhm, eta)
    for j in range(target.size):
        after = _cumulative((edge[j + 1] - centre) / fwhm, eta)
        target[j] += area * (after - before)
        before = after


@numba.njit(cache=True, nogil=True)
def _cumulative(offset, eta):  # type: ignore[no-untyped-def]
    gauss = math.erf(2 * np.sqrt(np.log(2)) * offset) / 2
    return gauss + eta * (np.arctan(2 * offset) / np.pi - gauss)
