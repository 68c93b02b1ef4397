"""What a spot pattern says of symmetry, in numbers that neither turning nor stretching it changes.

A space group has no size: lengths are compared with |a|, the shortest of the lattice. The lattice
of the spots is reduced; of the bases that its metric makes equal, one is chosen by the intensities.
`BLOCKS` says which numbers are what. Intensities come as their fourth root, of the strongest 1:
spots of one pattern span five decades.
"""

import numba
import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.diffraction.images.spot_lattice import (
    COMPUTED_SPOT_ERROR,
    find_basis,
    index_spots,
)
from phasepilot.models.diffraction.images.zone_spots import SpotLists

# Weaker spots, as a share of the strongest, are not looked at.
LEAST_INTENSITY = 1e-4
# What a symmetry of the lattice can map h, k to, but for the inversion that Friedel's law adds:
# columns are the images of a and b. Turns by 90, 60, 120 degree, then mirrors along a or b, between
# a and b, along a in a centred rectangle, and the third of the hexagonal lattice.
_OPERATIONS = np.array(
    [
        *([[0, -1], [1, 0]], [[0, -1], [1, 1]], [[-1, -1], [1, 0]]),
        *([[1, 0], [0, -1]], [[0, 1], [1, 0]], [[1, 1], [0, -1]], [[-1, 0], [1, 1]]),
    ]
)
# Rows of the lattice in which extinct spots are looked for: a, b, a + b, a - b, 2b - a, 2a - b.
_ROWS = np.array([[1, 0], [0, 1], [1, 1], [1, -1], [-1, 2], [2, -1]])
# Indices up to this are in the array of amplitudes, and up to the other in the map.
_ARRAY_REACH = 16
_MAP_REACH = 5
_TIGHT, _LOOSE = 0.004, 0.03
# Relative difference of metrics from which intensities are not compared.
_NO_SYMMETRY = 0.2937
# Relative difference of metrics that a basis may be exchanged at.
_SAME_METRIC = 0.01
# Longest of the profile, as a multiple of |a|, and its bins.
_PROFILE = (24.0, 16)
_N_SHELLS = 6

_SIZES = {
    # Is there a lattice, the share of spots on it, ln of their number, ln of the weakest intensity,
    # ln of the farthest against |a|, means of intensity and of its root, and the visible share of
    # its points.
    "counts": 8,
    # |b|/|a| - 1, cosine; closeness to |a| = |b|, 90 degree, 60 degree and a centred rectangle,
    # sharply and widely.
    "metric": 10,
    # Of each operation: closeness of the metric, sharply and widely, agreement of amplitudes and
    # of their squares.
    "symmetry": 4 * len(_OPERATIONS),
    # Of each row: mean amplitude where the index is odd, 2 mod 4, 0 mod 4, no multiple of 3,
    # a multiple of 3, no multiple of 6; the largest where odd, no multiple of 4, of 3; points.
    "rows": 10 * len(_ROWS),
    # Mean amplitude, visible share and ln of the number of points by (h, k) mod 2, (h + k) mod 3
    # and (h - k) mod 3.
    "classes": 3 * 10,
    # Amplitudes of low indices, of h k and -h -k one.
    "map": _MAP_REACH + _MAP_REACH * (2 * _MAP_REACH + 1),
    # Sums of amplitude squared by ln of the length against |a|.
    "profile": _PROFILE[1],
    # Moments of normalised intensity z, which differ with and without a centre: mean of |z - 1|,
    # of the root, of the square; shares below 0.02, 0.1, 0.3; number of points; and the first
    # three of visible points.
    "statistics": 10,
}
_ENDS = np.cumsum(list(_SIZES.values()))
BLOCKS = {
    name: slice(int(end) - size, int(end))
    for (name, size), end in zip(_SIZES.items(), _ENDS, strict=True)
}
N_FEATURES = int(_ENDS[-1])


def lattice_features(
    spots: SpotLists, position_error_per_angstrom: FloatArray | float = COMPUTED_SPOT_ERROR
) -> Float32Array:
    """Return what each pattern says, shape (n_patterns, N_FEATURES).

    A pattern whose spots lie on one line or are none has no lattice: only counts.

    Parameters
    ----------
    position_error_per_angstrom : float or ndarray, shape (n_patterns,)
        Standard error of coordinates.
    """
    result = np.zeros((spots.n_patterns, N_FEATURES))
    error = np.broadcast_to(np.float64(position_error_per_angstrom), (spots.n_patterns,))
    columns = (spots.x_per_angstrom, spots.y_per_angstrom, spots.intensity)
    _fill_all(spots.offsets, *columns, np.ascontiguousarray(error), result)
    return result.astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _fill_all(offsets, x, y, intensity, error, result):  # type: ignore[no-untyped-def]
    for p in range(len(result)):
        n = 0
        xy = np.empty((offsets[p + 1] - offsets[p], 2))
        seen = np.empty(len(xy))
        for s in range(offsets[p], offsets[p + 1]):
            if intensity[s] >= LEAST_INTENSITY:
                xy[n, 0], xy[n, 1], seen[n] = x[s], y[s], intensity[s]
                n += 1
        if n:
            _fill(xy[:n], seen[:n], error[p], result[p])


@numba.njit(cache=True, nogil=True)
def _fill(xy, intensity, error, out):  # type: ignore[no-untyped-def]
    n = len(xy)
    at = _SIZES_COUNTS
    basis = np.zeros((2, 2))
    indices, is_indexed = np.zeros((n, 2), dtype=np.int64), np.zeros(n, dtype=np.bool_)
    has_lattice = find_basis(xy, error, basis)
    if has_lattice:
        index_spots(xy, error, basis, indices, is_indexed)
    farthest = _counts(xy, intensity, is_indexed, has_lattice, out)
    if not has_lattice:
        return
    metric = np.array(
        [
            basis[0, 0] ** 2 + basis[0, 1] ** 2,
            basis[1, 0] ** 2 + basis[1, 1] ** 2,
            basis[0, 0] * basis[1, 0] + basis[0, 1] * basis[1, 1],
        ]
    )
    out[4] = np.log(farthest / np.sqrt(metric[0]))
    _profile(xy, intensity, np.sqrt(metric[0]), out[_PROFILE_START:])
    at = _metric(metric, out, at)
    raw = _amplitudes(indices, is_indexed, intensity)
    amplitude = _canonical(raw, metric)
    at = _symmetry(raw, metric, farthest, out, at)
    at = _rows(amplitude, metric, farthest, out, at)
    at, out[7] = _classes(amplitude, metric, farthest, out, at)
    at = _map(amplitude, out, at)
    _statistics(amplitude, metric, farthest, out, at + _PROFILE_SIZE)


_SIZES_COUNTS = _SIZES["counts"]
_PROFILE_START = BLOCKS["profile"].start
_PROFILE_SIZE = _SIZES["profile"]


@numba.njit(cache=True, nogil=True)
def _counts(xy, intensity, is_indexed, has_lattice, out):  # type: ignore[no-untyped-def]
    """Return the farthest length."""
    n, farthest, roots = len(xy), 0.0, 0.0
    for i in range(n):
        # A stray spot far out says nothing of how far the crystal diffracts.
        if is_indexed[i] or not has_lattice:
            farthest = max(farthest, np.hypot(xy[i, 0], xy[i, 1]))
        roots += np.sqrt(intensity[i])
    out[0] = 1.0 if has_lattice else 0.0
    out[1] = is_indexed.sum() / n
    out[2] = np.log(n) / 5
    out[3] = np.log(intensity.min()) / 5
    out[5], out[6] = intensity.sum() / n, roots / n
    return max(farthest, 1e-3)


@numba.njit(cache=True, nogil=True)
def _profile(xy, intensity, shortest, out):  # type: ignore[no-untyped-def]
    longest, n_bins = np.log(_PROFILE[0]), _PROFILE[1]
    for i in range(len(xy)):
        length = np.log(np.hypot(xy[i, 0], xy[i, 1]) / shortest)
        # Half a bin lower: the shortest, at 0, must not fall to either side.
        place = int(length / longest * n_bins + 0.5)
        if length > -0.5 and place < n_bins:
            out[place] += 0.25 * np.sqrt(intensity[i])


@numba.njit(cache=True, nogil=True)
def _metric(metric, out, at):  # type: ignore[no-untyped-def]
    a, b = np.sqrt(metric[0]), np.sqrt(metric[1])
    cosine = metric[2] / (a * b)
    out[at], out[at + 1] = b / a - 1, cosine
    special = np.array([b / a - 1, cosine, cosine - 0.5, metric[2] / metric[0] - 0.5])
    for i in range(4):
        out[at + 2 + i] = np.exp(-abs(special[i]) / _TIGHT)
        out[at + 6 + i] = np.exp(-abs(special[i]) / _LOOSE)
    return at + 10


@numba.njit(cache=True, nogil=True)
def _amplitudes(indices, is_indexed, intensity):  # type: ignore[no-untyped-def]
    """Return fourth roots by h and k, of Friedel mates the mean; 0 where nothing is seen."""
    reach = _ARRAY_REACH
    total = np.zeros((2 * reach + 1, 2 * reach + 1))
    number = np.zeros((2 * reach + 1, 2 * reach + 1))
    for i in range(len(indices)):
        h, k = indices[i]
        if is_indexed[i] and abs(h) <= reach and abs(k) <= reach:
            root = np.sqrt(np.sqrt(intensity[i]))
            for sign in (-1, 1):
                total[reach + sign * h, reach + sign * k] += root
                number[reach + sign * h, reach + sign * k] += 1
    return total / np.maximum(number, 1.0)


@numba.njit(cache=True, nogil=True)
def _metric_change(operation, metric):  # type: ignore[no-untyped-def]
    """Return by how much an operation changes the lattice, relative to its size."""
    p, q, r, s = operation[0, 0], operation[1, 0], operation[0, 1], operation[1, 1]
    aa = p * p * metric[0] + q * q * metric[1] + 2 * p * q * metric[2]
    bb = r * r * metric[0] + s * s * metric[1] + 2 * r * s * metric[2]
    ab = p * r * metric[0] + q * s * metric[1] + (p * s + q * r) * metric[2]
    change = abs(aa - metric[0]) + abs(bb - metric[1]) + abs(ab - metric[2])
    return change / (metric[0] + metric[1])


@numba.njit(cache=True, nogil=True)
def _canonical(raw, metric):  # type: ignore[no-untyped-def]
    """Return the amplitudes along that basis, of those that the metric makes equal, that is usual.

    It has stronger spots along a than along b, and between a and b than beside them. The cosine,
    which is like no other at any two points, decides where that leaves bases equal.
    """
    reach, best, largest = _ARRAY_REACH, -1, _order_parameter(raw, np.eye(2, dtype=np.int64))
    for number in range(len(_OPERATIONS)):
        if _metric_change(_OPERATIONS[number], metric) < _SAME_METRIC:
            value = _order_parameter(raw, _OPERATIONS[number])
            # Equal sums differ by rounding, which turning the pattern changes.
            if value > largest + 1e-6:
                best, largest = number, value
    if best < 0:
        return raw
    turned = np.zeros_like(raw)
    for h in range(-reach, reach + 1):
        for k in range(-reach, reach + 1):
            i, j = _image(_OPERATIONS[best], h, k)
            if abs(i) <= reach and abs(j) <= reach:
                turned[reach + h, reach + k] = raw[reach + i, reach + j]
    return turned


@numba.njit(cache=True, nogil=True)
def _image(operation, h, k):  # type: ignore[no-untyped-def]
    return (
        operation[0, 0] * h + operation[0, 1] * k,
        operation[1, 0] * h + operation[1, 1] * k,
    )


@numba.njit(cache=True, nogil=True)
def _order_parameter(raw, operation):  # type: ignore[no-untyped-def]
    reach, value = _ARRAY_REACH, 0.0
    for k in range(_MAP_REACH + 1):
        for h in range(-_MAP_REACH, _MAP_REACH + 1):
            if k == 0 and h <= 0:
                continue
            i, j = _image(operation, h, k)
            weight = (h * h - k * k + 0.3 * h * k) / (h * h + k * k)
            weight += 0.1 * np.cos(1.7 * h + 2.9 * k)
            value += raw[reach + i, reach + j] * weight
    return value


@numba.njit(cache=True, nogil=True)
def _length_squared(h, k, metric):  # type: ignore[no-untyped-def]
    return h * h * metric[0] + k * k * metric[1] + 2 * h * k * metric[2]


@numba.njit(cache=True, nogil=True)
def _symmetry(raw, metric, farthest, out, at):  # type: ignore[no-untyped-def]
    reach = _ARRAY_REACH
    # Points near the edge of what is seen map to others that are beyond it. The share is no ratio
    # of small squares, which rounding would decide.
    largest = 0.7937 * farthest**2
    for operation in _OPERATIONS:
        change = _metric_change(operation, metric)
        out[at], out[at + 1] = np.exp(-change / _TIGHT), np.exp(-change / _LOOSE)
        apart, both, apart_squared, both_squared = 0.0, 1e-9, 0.0, 1e-9
        if change < _NO_SYMMETRY:
            for h in range(-reach, reach + 1):
                for k in range(reach + 1):
                    i, j = _image(operation, h, k)
                    if abs(i) > reach or abs(j) > reach:
                        continue
                    one, other = raw[reach + h, reach + k], raw[reach + i, reach + j]
                    if one + other > 0 and _length_squared(h, k, metric) <= largest:
                        apart += abs(one - other)
                        both += one + other
                        apart_squared += abs(one * one - other * other)
                        both_squared += one * one + other * other
            out[at + 2] = 1 - apart / both
            out[at + 3] = 1 - apart_squared / both_squared
        at += 4
    return at


@numba.njit(cache=True, nogil=True)
def _rows(amplitude, metric, farthest, out, at):  # type: ignore[no-untyped-def]
    reach = _ARRAY_REACH
    sums, numbers, largest = np.zeros(6), np.zeros(6), np.zeros(3)
    for row in _ROWS:
        sums[:], numbers[:], largest[:] = 0.0, 1e-9, 0.0
        n_points = 0
        for t in range(1, reach + 1):
            h, k = t * row[0], t * row[1]
            is_beyond = abs(h) > reach or abs(k) > reach
            if is_beyond or _length_squared(h, k, metric) > 1.0001 * farthest**2:
                break
            value = amplitude[reach + h, reach + k]
            n_points += 1
            halves = 0 if t % 2 else (1 if t % 4 else 2)
            thirds = 3 if t % 3 else 4
            for kind in (halves, thirds):
                sums[kind] += value
                numbers[kind] += 1
            if t % 6:
                sums[5] += value
                numbers[5] += 1
            if t % 2:
                largest[0] = max(largest[0], value)
            if t % 4:
                largest[1] = max(largest[1], value)
            if t % 3:
                largest[2] = max(largest[2], value)
        out[at : at + 6] = sums / numbers
        out[at + 6 : at + 9] = largest
        out[at + 9] = np.log(n_points + 1.0)
        at += 10
    return at


@numba.njit(cache=True, nogil=True)
def _classes(amplitude, metric, farthest, out, at):  # type: ignore[no-untyped-def]
    """Return where the next block starts, and the share of points that are visible."""
    reach = _ARRAY_REACH
    sums, visible, numbers = np.zeros(10), np.zeros(10), np.zeros(10)
    for h in range(-reach, reach + 1):
        for k in range(reach + 1):
            is_other_half = k == 0 and h <= 0
            if is_other_half or _length_squared(h, k, metric) > 1.0001 * farthest**2:
                continue
            value = amplitude[reach + h, reach + k]
            for place in (2 * (h % 2) + k % 2, 4 + (h + k) % 3, 7 + (h - k) % 3):
                sums[place] += value
                visible[place] += value > 0
                numbers[place] += 1
    for place in range(10):
        n_points = max(numbers[place], 1.0)
        out[at] = sums[place] / n_points
        out[at + 1] = visible[place] / n_points
        out[at + 2] = np.log(numbers[place] + 1) / 5
        at += 3
    return at, visible[:4].sum() / max(numbers[:4].sum(), 1.0)


@numba.njit(cache=True, nogil=True)
def _map(amplitude, out, at):  # type: ignore[no-untyped-def]
    for k in range(_MAP_REACH + 1):
        for h in range(-_MAP_REACH if k else 1, _MAP_REACH + 1):
            out[at] = amplitude[_ARRAY_REACH + h, _ARRAY_REACH + k]
            at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _statistics(amplitude, metric, farthest, out, at):  # type: ignore[no-untyped-def]
    """Fill moments of the intensity, divided by its mean in shells of equal area."""
    reach = _ARRAY_REACH
    n_most = (2 * reach + 1) * (reach + 1)
    intensity, shell = np.empty(n_most), np.empty(n_most, dtype=np.int64)
    totals, numbers, n = np.zeros(_N_SHELLS), np.zeros(_N_SHELLS), 0
    for h in range(-reach, reach + 1):
        for k in range(reach + 1):
            squared = _length_squared(h, k, metric)
            is_other_half = k == 0 and h <= 0
            # A little inside of the edge, and of those of shells: rounding must not decide.
            share = squared / farthest**2 + 1e-4
            if is_other_half or share >= 1:
                continue
            intensity[n] = amplitude[reach + h, reach + k] ** 4
            shell[n] = int(_N_SHELLS * share)
            totals[shell[n]] += intensity[n]
            numbers[shell[n]] += 1
            n += 1
    moments = np.zeros(10)
    n_points, n_visible = 0, 0
    for i in range(n):
        if numbers[shell[i]] < 5 or totals[shell[i]] <= 0:
            continue
        z = intensity[i] * numbers[shell[i]] / totals[shell[i]]
        of_point = np.array([abs(z - 1), np.sqrt(z), min(z * z, 20.0)])
        moments[:3] += of_point
        moments[3] += z < 0.02
        moments[4] += z < 0.1
        moments[5] += z < 0.3
        n_points += 1
        if z > 0:
            moments[7:] += of_point
            n_visible += 1
    moments[:6] /= max(n_points, 1)
    moments[6] = np.log(n_points + 1.0)
    moments[7:] /= max(n_visible, 1)
    out[at : at + 10] = moments
