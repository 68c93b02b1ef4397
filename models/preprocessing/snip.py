"""SNIP, the clipping of peaks, for a batch of patterns at once."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import PatternError

# Values and two temporaries of a block stay in a core's second-level cache.
_BLOCK_VALUES = 2**16


def snip(
    intensity: FloatArray,
    half_window: int,
    *,
    filter_order: Literal[2, 4] = 2,
    windows: Literal["decreasing", "increasing"] = "decreasing",
    ends: Literal["median", "least_squares"] = "median",
) -> FloatArray:
    """Return the background below the peaks of each row.

    For every half window, each value is lowered to what its neighbours at that distance suggest,
    if it lies above. At its ends a row is first continued by `half_window` bins, along the line
    through its outermost `half_window` bins. With `ends="least_squares"` these are the numbers that
    `pybaselines.Baseline().snip` gives for the measured part of each row.

    Parameters
    ----------
    intensity : ndarray, shape (n_patterns, n_bins)
        float32 or float64; NaN before the first and after the last measured bin of a row, finite
        between them.
    half_window : int
        The largest half window in bins, at least 1. Rows that are measured over fewer than
        2 `half_window` + 1 bins get the largest that fits them.
    filter_order : {2, 4}
        2 suggests the mean of two neighbours; 4 the larger of that and of a cubic through four.
    windows : {"decreasing", "increasing"}
        The order of the half windows.
    ends : {"median", "least_squares"}
        How lines are put through the outermost bins. A strong peak among them tilts a line of
        least squares, and with it the background; the medians of slopes and offsets (Theil and
        Sen) withstand it until peaks fill some 30 % of the bins.

    Returns
    -------
    ndarray, shape (n_patterns, n_bins)
        Of the same type; NaN where the intensity is.

    Raises
    ------
    PatternError
        If the half window does not fit the array, or a row is all NaN or has NaN between finite
        values.

    References
    ----------
    Ryan et al., Nucl. Instrum. Methods B 34, 396 (1988); filters of higher order and decreasing
    windows: Morhac & Matousek, Appl. Spectrosc. 62, 91 (2008). Medians of slopes: Sen, J. Am. Stat.
    Assoc. 63, 1379 (1968).

    Examples
    --------
    >>> snip(np.array([[2.0, 2.0, 2.0, 9.0, 2.0, 2.0, 2.0]]), half_window=2)
    array([[2., 2., 2., 2., 2., 2., 2.]])
    """
    starts, stops = _measured_spans(intensity, half_window)
    fitting = np.minimum(half_window, (stops - starts - 1) // 2)
    background = np.empty_like(intensity)
    for rows, window in _blocks_of_one_window(fitting, intensity.shape[1]):
        if window == 0:
            # One or two bins have no neighbours on both sides.
            background[rows] = np.nanmin(intensity[rows], axis=1, keepdims=True)
            continue
        extended = _extended(intensity[rows], starts[rows], stops[rows], window, _LINES[ends])
        steps = range(1, window + 1)
        _clip(extended, reversed(steps) if windows == "decreasing" else steps, filter_order)
        background[rows] = extended[window:-window].T
    return np.where(np.isnan(intensity), intensity, background)


def _blocks_of_one_window(fitting: IntArray, n_bins: int) -> Iterator[tuple[IntArray, int]]:
    """Yield rows that share a window, as many as fit the cache."""
    for window in np.unique(fitting):
        rows = np.flatnonzero(fitting == window)
        n_block = max(1, _BLOCK_VALUES // (n_bins + 2 * int(window)))
        for first in range(0, rows.size, n_block):
            yield rows[first : first + n_block], int(window)


def _measured_spans(intensity: FloatArray, half_window: int) -> tuple[IntArray, IntArray]:
    """Return the first measured bin of each row, and the first bin after its last."""
    if not 1 <= half_window <= (intensity.shape[1] - 1) // 2:
        raise PatternError(
            f"half_window must be 1 to {(intensity.shape[1] - 1) // 2}, half of the pattern's"
            f" {intensity.shape[1]} bins, but is {half_window};"
            " use about twice the width of the broadest line."
        )
    is_measured = ~np.isnan(intensity)
    if not is_measured.any(axis=1).all():
        row = int(np.flatnonzero(~is_measured.any(axis=1))[0])
        raise PatternError(
            f"every pattern must have a measured bin, but row {row} has none; leave it out."
        )
    starts = is_measured.argmax(axis=1)
    stops = intensity.shape[1] - is_measured[:, ::-1].argmax(axis=1)
    if (is_measured.sum(axis=1) != stops - starts).any():
        row = int(np.flatnonzero(is_measured.sum(axis=1) != stops - starts)[0])
        raise PatternError(
            f"a pattern must be finite between its first and last measured bin, but row {row} has"
            " NaN there; bridge the gaps first."
        )
    return starts, stops


def _clip(values: FloatArray, half_windows: Iterable[int], filter_order: int) -> None:
    """Lower the values, shape (n_bins, n_patterns), in place.

    With bins along the first axis every slice is contiguous, whatever the shift.
    """
    outer, inner = np.empty_like(values), np.empty_like(values)
    # Factors of the array's own type: float32 stays float32.
    half, four, sixth = np.array([1 / 2, 4, 1 / 6], dtype=values.dtype)
    n = values.shape[0]
    for step in half_windows:
        suggested, cubic = outer[: n - 2 * step], inner[: n - 2 * step]
        np.add(values[: n - 2 * step], values[2 * step :], out=suggested)
        if filter_order == 4:
            below, above = step - step // 2, step + step // 2
            np.add(values[below : n - above], values[above : n - below], out=cubic)
            cubic *= four
            cubic -= suggested
            cubic *= sixth
        suggested *= half
        if filter_order == 4:
            np.maximum(suggested, cubic, out=suggested)
        clipped = values[step : n - step]
        # Where a neighbour lies beyond the extension the suggestion is NaN, and fmin keeps the
        # value: each row is treated as if its array ended there.
        np.fmin(clipped, suggested, out=clipped)


def _extended(
    intensity: FloatArray,
    starts: IntArray,
    stops: IntArray,
    half_window: int,
    line: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
) -> FloatArray:
    """Return the rows, continued at both ends, as the columns of a contiguous array.

    Shape (n_bins + 2 half_window, n_patterns); NaN beyond the continuation.
    """
    n_patterns, n_bins = intensity.shape
    extended = np.full((n_bins + 2 * half_window, n_patterns), np.nan, intensity.dtype)
    extended[half_window:-half_window] = intensity.T
    columns, bins = np.tile(np.arange(n_patterns), 2), np.arange(half_window)[:, None]
    # In `extended` the measured bins start half a window after `starts`. First ends come first.
    fitted = np.concatenate([starts + half_window, stops]) + bins
    added = np.concatenate([starts, stops + half_window]) + bins
    distance = np.repeat([-half_window, half_window], n_patterns)
    middle, slope = line(extended[fitted, columns])
    at = bins - (half_window - 1) / 2 + distance
    extended[added, columns] = middle + slope * at.astype(intensity.dtype)
    return extended


def _least_squares_line(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return height in the middle and slope of each column's line, shapes (n_columns,)."""
    n = values.shape[0]
    middle = values.mean(axis=0)
    if n == 1:
        return middle, np.zeros_like(middle)
    offset = (np.arange(n) - (n - 1) / 2).astype(values.dtype)
    return middle, np.einsum("b,bc->c", offset / (offset @ offset), values)


def _median_line(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return height in the middle and slope of each column's line, shapes (n_columns,)."""
    n = values.shape[0]
    if n == 1:
        return values[0], np.zeros_like(values[0])
    first, second = np.triu_indices(n, 1)
    distance = (second - first)[:, None].astype(values.dtype)
    slope = _median((values[second] - values[first]) / distance)
    offset = (np.arange(n) - (n - 1) / 2)[:, None].astype(values.dtype)
    return _median(values - slope * offset), slope


def _median(values: FloatArray) -> FloatArray:
    # Sorting all of them is vectorised, and several times faster here than np.median.
    ordered = np.sort(values, axis=0)
    n = values.shape[0]
    return np.asarray((ordered[(n - 1) // 2] + ordered[n // 2]) * ordered.dtype.type(0.5))


_LINES = {"median": _median_line, "least_squares": _least_squares_line}
