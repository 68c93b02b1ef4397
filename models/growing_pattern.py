"""A pattern that grows point by point: repeated points are added up, their exposures too."""

from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern


@dataclass(frozen=True, slots=True)
class CountedPoints:
    """What was counted at which angle, in order of the angle and each angle once.

    Attributes
    ----------
    axis : ndarray, shape (n_points,)
        Angles in degree, or q in 1/angstrom.
    counts : ndarray, shape (n_points,)
        Sums over repeated visits; NaN where a visit gave none.
    exposure_s : ndarray, shape (n_points,)
        Sums of the counting times.
    """

    axis: FloatArray
    counts: FloatArray
    exposure_s: FloatArray


def merged_points(
    axis: FloatArray, counts: FloatArray, exposure_s: FloatArray, *, merge_within: float
) -> CountedPoints:
    """Return points in order, those closer to their neighbour than `merge_within` as one.

    Parameters
    ----------
    axis, counts, exposure_s : ndarray, shape (n_points,)
        In the order of measurement.
    merge_within : float
        In the unit of the axis; readbacks of the same place scatter by less than this.

    Raises
    ------
    PatternError
        If the columns do not belong together, or a counting time is not above 0.

    Examples
    --------
    >>> points = merged_points(
    ...     np.array([10.0, 11.0, 10.0]),
    ...     np.array([3.0, 8.0, 5.0]),
    ...     np.array([1.0, 2.0, 1.0]),
    ...     merge_within=1e-3,
    ... )
    >>> points.axis.tolist(), points.counts.tolist(), points.exposure_s.tolist()
    ([10.0, 11.0], [8.0, 8.0], [2.0, 2.0])
    """
    if not axis.shape == counts.shape == exposure_s.shape or axis.ndim != 1:
        raise PatternError(
            "the points of a scan need an angle, counts and a counting time each, but there are"
            f" {axis.shape}, {counts.shape} and {exposure_s.shape}; check that the three fields"
            " come from the same detector."
        )
    if axis.size and not (np.isfinite(exposure_s).all() and exposure_s.min() > 0):
        raise PatternError(
            f"counting times must be above 0 s, but the smallest is {exposure_s.min():g} s; check"
            " exposure_field."
        )
    order = np.argsort(axis, kind="stable")
    axis, counts, exposure_s = axis[order], counts[order], exposure_s[order]
    group = np.concatenate(([0], np.cumsum(np.diff(axis) > merge_within)))[: axis.size]
    # Where nobody was twice, the columns stay as they are, to the bit.
    if axis.size and group[-1] == axis.size - 1:
        return CountedPoints(axis, counts, exposure_s)
    # Sums over each group of neighbours.
    first = np.flatnonzero(np.diff(group, prepend=-1))
    total_s = np.add.reduceat(exposure_s, first)
    places = np.add.reduceat(axis * exposure_s, first) / total_s
    return CountedPoints(places, np.add.reduceat(counts, first), total_s)


def evenly_exposed(pattern: Pattern, exposure_s: FloatArray) -> Pattern:
    """Return the pattern as if every point had been counted for the median time.

    Parameters
    ----------
    exposure_s : ndarray, shape (n_points,)
    """
    shortest, longest = exposure_s.min(), exposure_s.max()
    if shortest == longest:
        return pattern
    return replace(pattern, intensity=pattern.intensity * (np.median(exposure_s) / exposure_s))
