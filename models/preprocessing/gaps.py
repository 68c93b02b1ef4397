"""What stands in for bins that were not measured while a filter runs over them."""

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray


def bridged(values: FloatArray, is_known: BoolArray) -> FloatArray:
    """Return the values with straight lines across gaps, and the ends held.

    Shape (n_patterns, n_bins) in and out; each row must be known somewhere.

    Examples
    --------
    >>> values = np.array([[9.0, 2.0, 9.0, 4.0, 9.0]])
    >>> bridged(values, np.array([[False, True, False, True, False]]))
    array([[2., 2., 3., 4., 4.]])
    """
    if is_known.all():
        return values
    filled = values.copy()
    bins = np.arange(values.shape[1])
    for row, known in zip(filled, is_known, strict=True):
        if not known.all():
            row[~known] = np.interp(bins[~known], bins[known], row[known])
    return filled


def bridged_between_ends(values: FloatArray, is_known: BoolArray) -> FloatArray:
    """Return the values with straight lines across gaps, and NaN beyond the ends.

    Shape (n_patterns, n_bins) in and out; each row must be known somewhere.
    """
    is_inside = _is_between_ends(is_known)
    has_gap = (is_inside & ~is_known).any(axis=1)
    filled = np.where(is_inside, values, np.nan)
    filled[has_gap] = np.where(
        is_inside[has_gap], bridged(values[has_gap], is_known[has_gap]), np.nan
    )
    return filled


def with_ends_held(values: FloatArray) -> FloatArray:
    """Return the values with the first and the last finite one of each row in place of its NaN."""
    is_known = ~np.isnan(values)
    first = is_known.argmax(axis=1)[:, None]
    last = values.shape[1] - 1 - is_known[:, ::-1].argmax(axis=1)[:, None]
    nearest = np.clip(np.arange(values.shape[1]), first, last)
    return np.take_along_axis(values, nearest, axis=1)


def _is_between_ends(is_known: BoolArray) -> BoolArray:
    has_begun = np.logical_or.accumulate(is_known, axis=1)
    goes_on = np.logical_or.accumulate(is_known[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(has_begun & goes_on)
