"""The same drawing, compiled by numba: ten times faster on a processor. Used where installed."""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.powder.line_drawing import Lines

# Lines wider than this many bins are drawn from their density and its curvature, which is good to
# 1e-4 of the peak there and runs on whole vector registers; narrower ones from their cumulative.
_WIDE_BINS = 6.0
# Beyond this many FWHM a Gaussian holds less than 1e-7 of its area.
_GAUSS_REACH_FWHM = 2.4
_GAUSS_HEIGHT = 2 * np.sqrt(np.log(2) / np.pi)
_LORENTZ_HEIGHT = 2 / np.pi
_FOUR_LOG_2 = np.float32(4 * np.log(2))


def draw(
    lines: Lines, edges: FloatArray, low: IntArray, high: IntArray, n_rows: int
) -> NDArray[np.float32]:
    """Return the area in each bin, shape (n_rows, n_bins)."""
    result = np.zeros((n_rows, edges.shape[1] - 1), dtype=np.float32)
    _draw(
        lines.row,
        lines.two_theta_deg,
        lines.area,
        lines.fwhm_deg,
        lines.lorentz_fraction,
        low,
        high,
        edges,
        result,
    )
    return result


@numba.njit(cache=True, nogil=True)
def _draw(  # type: ignore[no-untyped-def]  # compiled for the types that come
    rows, centres, areas, fwhms, lorentz_fractions, lows, highs, edges, result
):
    for k in range(rows.size):
        low, high = lows[k], highs[k]
        target = result[rows[k], low:high]
        edge = edges[rows[k], low : high + 1]
        centre, fwhm, eta = centres[k], fwhms[k], lorentz_fractions[k]
        n_bins = high - low
        bin_width = (edge[n_bins] - edge[0]) / n_bins
        if fwhm < _WIDE_BINS * bin_width:
            _add_narrow(target, edge, centre, areas[k], fwhm, eta)
            continue
        _add_lorentz(target, edge, centre, areas[k] * eta * _LORENTZ_HEIGHT, fwhm)
        reach = _GAUSS_REACH_FWHM * fwhm
        first = np.searchsorted(edge, centre - reach)
        last = np.searchsorted(edge, centre + reach)
        first, last = max(first - 1, 0), min(last, n_bins)
        if last > first and eta < 1:
            height = areas[k] * (1 - eta) * _GAUSS_HEIGHT
            _add_gauss(target[first:last], edge[first : last + 1], centre, height, fwhm)


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _add_lorentz(target, edge, centre, height, fwhm):  # type: ignore[no-untyped-def]
    scale, peak = 1.0 / fwhm, np.float32(height)
    left_edge, right_edge = edge[:-1], edge[1:]
    for j in range(target.size):
        left = np.float32((left_edge[j] - centre) * scale)
        right = np.float32((right_edge[j] - centre) * scale)
        width, x = right - left, (left + right) * np.float32(0.5)
        # Mean over a bin: f + width^2 f'' / 24, with f = 1 / (1 + 4 x^2).
        curvature = width * width * np.float32(1 / 24)
        f = np.float32(1) / (np.float32(1) + np.float32(4) * x * x)
        bend = f * (np.float32(128) * x * x * f - np.float32(8))
        target[j] += peak * width * f * (np.float32(1) + curvature * bend)


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _add_gauss(target, edge, centre, height, fwhm):  # type: ignore[no-untyped-def]
    scale, peak = 1.0 / fwhm, np.float32(height)
    one, half = np.float32(1), np.float32(0.5)
    left_edge, right_edge = edge[:-1], edge[1:]
    for j in range(target.size):
        left = np.float32((left_edge[j] - centre) * scale)
        right = np.float32((right_edge[j] - centre) * scale)
        width, x = right - left, (left + right) * half
        curvature = width * width * np.float32(1 / 24)
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
        bend = np.float32(4) * _FOUR_LOG_2 * exponent - np.float32(2) * _FOUR_LOG_2
        target[j] += peak * width * f * (one + curvature * bend)


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
