"""The lines of a pattern: where they lie, how high they are and how well their place is known."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.quantiles import median, quantile

MAX_LINES = 20

# A line's height: against the highest, and against the scatter of bins around it.
_MIN_HEIGHT, _MIN_NOISE_HEIGHTS = 0.006, 6.0
# K-alpha2 of Cr to Cu lies this much above K-alpha1 in ln q, at about half its height.
_ALPHA_2_FROM, _ALPHA_2_TO, _ALPHA_2_HEIGHT = 0.0014, 0.0031, 0.75
# How well a line's position is known, in bins and in parts of its width.
_BIN_ERROR, _WIDTH_ERROR = 0.35, 0.10


@dataclass(frozen=True, slots=True)
class PatternLines:
    """Lines by rising q, their height, and how well ln q is known, each of shape (n_lines,)."""

    q_per_angstrom: FloatArray
    height: FloatArray
    log_q_error: FloatArray


def find_lines(prepared: PreparedPattern) -> PatternLines:
    """Return the lines that stand out, at most `MAX_LINES` of lowest q."""
    from scipy.signal import find_peaks, peak_widths

    signal = prepared.signal
    floor = np.maximum(_MIN_HEIGHT * signal.max(), _MIN_NOISE_HEIGHTS * _noise(prepared))
    # A line on the edge of the measured range has no position.
    inside = prepared.is_measured[:-2] & prepared.is_measured[1:-1] & prepared.is_measured[2:]
    bins, found = find_peaks(signal, height=floor, prominence=1e-12)
    keep = inside[bins - 1] & (found["prominences"] > np.maximum(floor[bins], 0.1 * signal[bins]))
    bins = bins[keep]
    sides = tuple(found[name][keep] for name in ("prominences", "left_bases", "right_bases"))
    below, top, above = signal[bins - 1], signal[bins], signal[bins + 1]
    # The vertex of a parabola through ln height is exact for a Gaussian line.
    logs = [np.log(np.maximum(part, 0.01 * top)) for part in (below, top, above)]
    curvature = np.minimum(logs[0] - 2 * logs[1] + logs[2], -1e-9)
    places = bins + np.clip((logs[0] - logs[2]) / (2 * curvature), -0.5, 0.5)
    widths = (
        peak_widths(signal, bins, rel_height=0.5, prominence_data=sides)[0]
        if bins.size
        else np.zeros(0)
    )
    step = prepared.grid.bin_width
    log_q = prepared.grid.log_edges[0] + (places + 0.5) * step
    error = step * np.hypot(_BIN_ERROR, _WIDTH_ERROR * widths)
    chosen = ~_is_alpha_2(log_q, top)
    chosen[np.flatnonzero(chosen)[MAX_LINES:]] = False
    return PatternLines(np.exp(log_q[chosen]), top[chosen], error[chosen])


def _noise(prepared: PreparedPattern) -> FloatArray:
    """Return the standard deviation of each bin, as counting noise."""
    grid, measured = prepared.grid, prepared.is_measured
    if prepared.source is None:
        counts, bins_per_point = prepared.intensity[measured], np.ones(measured.size)
    else:
        # Bins between two points are interpolated and scatter less than they err: go by points.
        source = prepared.source
        counts, log_q = source.intensity[source.is_measured], np.log(source.q_per_angstrom)
        centres = np.log(grid.q_per_angstrom)
        steps = np.interp(centres, (log_q[1:] + log_q[:-1]) / 2, np.diff(log_q))
        bins_per_point = np.minimum(steps / grid.bin_width, 1.0)
    if counts.size < 3:
        return np.full(measured.size, np.inf)
    mean = np.convolve(np.maximum(counts, 0.0), np.full(9, 1 / 9), mode="same")[1:-1]
    second = np.abs(np.diff(counts, 2)) / np.sqrt(np.maximum(mean, 1e-9 * counts.max() + 1e-30))
    # 1.150: upper quartile of |x| of a unit normal; sqrt 6: scatter of second differences. Of
    # sparse counts the median is 0.
    per_root_count = quantile(second, 0.75) / (1.150 * 6**0.5)
    level = np.maximum(prepared.intensity, median(counts))
    return np.asarray(per_root_count * np.sqrt(np.maximum(level, 0.0) * bins_per_point))


def _is_alpha_2(log_q: FloatArray, height: FloatArray) -> BoolArray:
    """Say which lines look like the K-alpha2 shadow of a higher line just below them."""
    distance = log_q[:, None] - log_q
    is_near = (distance > _ALPHA_2_FROM) & (distance < _ALPHA_2_TO)
    return np.asarray((is_near & (height[:, None] < _ALPHA_2_HEIGHT * height)).any(axis=1))
