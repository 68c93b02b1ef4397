"""Dynamic time warping between patterns, within a band.

Written out because it is a loop of ten lines, and numba is there already; libraries for time
series bring it with much else.
"""

import numba
import numpy as np

from phasepilot.models.arrays import FloatArray


def warped_distances(first: FloatArray, second: FloatArray, reach: int) -> FloatArray:
    """Return the warped distance between all rows, shape (n_first, n_second).

    The root of the least sum of squared differences over paths that stray from the diagonal by at
    most `reach` points, over the number of points.

    References
    ----------
    Sakoe & Chiba, IEEE Trans. Acoust. 26, 43 (1978), doi:10.1109/TASSP.1978.1163055, the symmetric
    form without weights.

    Examples
    --------
    >>> a, b = np.array([[0.0, 1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 1.0, 0.0]])
    >>> float(warped_distances(a, b, 1)[0, 0]), round(float(warped_distances(a, b, 0)[0, 0]), 4)
    (0.0, 0.7071)
    """
    squares = _squares(first.astype(np.float64), second.astype(np.float64), reach)
    return np.asarray(np.sqrt(squares / first.shape[1]))


@numba.njit(cache=True, nogil=True)
def _squares(first, second, reach):  # type: ignore[no-untyped-def]  # compiled for the types
    n_points = first.shape[1]
    result = np.empty((first.shape[0], second.shape[0]))
    before, row = np.empty(n_points + 1), np.empty(n_points + 1)
    for a in range(first.shape[0]):
        for b in range(second.shape[0]):
            before[:] = np.inf
            before[0] = 0.0
            for i in range(n_points):
                low, high = max(0, i - reach), min(n_points, i + reach + 1)
                row[low] = np.inf
                for j in range(low, high):
                    step = min(before[j], before[j + 1], row[j])
                    row[j + 1] = step + (first[a, i] - second[b, j]) ** 2
                # The next row looks one point further.
                if high < n_points:
                    row[high + 1] = np.inf
                before, row = row, before
            result[a, b] = before[n_points]
    return result
