"""The two-dimensional lattice that the spots of one zone lie on.

Spots are taken from the innermost outwards. One that lies between the points of the lattice so far
makes that finer, if a small fraction of its cell explains where it is: an approximate greatest
common divisor in the plane. After each spot the lattice is fitted anew by least squares, so that
the error of a short vector is not multiplied by the index of a far spot.
"""

from dataclasses import dataclass

import numba
import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.errors import PatternError

# Standard error of a coordinate of computed spots, in 1/angstrom; not 0, since cells are rounded.
COMPUTED_SPOT_ERROR = 5e-4
# A spot this many standard errors from a point of the lattice does not belong to it.
FARTHEST_ERRORS = 4.0
# Spots have at most this denominator in the cell of those nearer to the beam.
_LARGEST_DENOMINATOR = 12
# A fraction counts only if a spot anywhere would have it with less than this chance.
_LARGEST_CHANCE = 0.5
# Where fewer spots than this share have their Friedel mate, all of them are taken instead.
_LEAST_SHARE_OF_PAIRS = 1 / 3


@dataclass(frozen=True, slots=True)
class SpotLattice:
    """A Gauss-reduced lattice and the places of spots on it.

    Attributes
    ----------
    basis_per_angstrom : ndarray, shape (2, 2)
        Rows a and b: the shortest vector and the shortest beside it, at an angle of 60 to 90
        degree.
    indices : ndarray of int, shape (n_spots, 2)
        The point h a + k b next to each spot.
    is_indexed : ndarray of bool, shape (n_spots,)
        False for stray spots, which lie on no point.
    """

    basis_per_angstrom: FloatArray
    indices: IntArray
    is_indexed: BoolArray


def spot_lattice(
    x_per_angstrom: FloatArray,
    y_per_angstrom: FloatArray,
    *,
    position_error_per_angstrom: float = COMPUTED_SPOT_ERROR,
) -> SpotLattice:
    """Return the coarsest lattice through the direct beam on which the spots lie.

    Spots whose Friedel mate is seen too decide, where these are a third or more: hardly ever do
    two stray spots lie opposite to each other.

    Parameters
    ----------
    x_per_angstrom, y_per_angstrom : ndarray, shape (n_spots,)
        Coordinates from the direct beam; spots may be missing.
    position_error_per_angstrom : float
        Standard error of a coordinate.

    Raises
    ------
    PatternError
        If fewer than two spots are seen, or all lie on one line through the beam.

    Examples
    --------
    >>> x, y = np.array([0.2, 0.4, -0.1, 0.1]), np.array([0.0, 0.0, 0.3, 0.3])
    >>> spot_lattice(x, y).basis_per_angstrom.round(6)
    array([[ 0.2,  0. ],
           [ 0.1, -0.3]])
    """
    xy = np.ascontiguousarray(np.stack([x_per_angstrom, y_per_angstrom], axis=1))
    basis = np.zeros((2, 2))
    if not find_basis(xy, position_error_per_angstrom, basis):
        raise PatternError(
            "a lattice in the plane needs spots in two directions from the beam, but the"
            f" {len(xy)} that came lie on one line through it; take a longer exposure or turn the"
            " crystal."
        )
    indices, is_indexed = np.zeros((len(xy), 2), dtype=np.int64), np.zeros(len(xy), dtype=bool)
    index_spots(xy, position_error_per_angstrom, basis, indices, is_indexed)
    return SpotLattice(basis, indices, is_indexed)


@numba.njit(cache=True, nogil=True)
def find_basis(xy, error, basis):  # type: ignore[no-untyped-def]
    """Fill rows a and b from spots of shape (n_spots, 2); return whether there are both."""
    vectors = _deciding_vectors(xy, error)
    n_used = _rank_two(vectors, error, basis)
    if n_used == 0:
        return False
    normal, moments = np.zeros((2, 2)), np.zeros((2, 2))
    _sums(vectors[:n_used], error, basis, normal, moments)
    for i in range(n_used, len(vectors)):
        h, k, distance = _place(vectors[i, 0], vectors[i, 1], basis)
        # Far out, few short spots do not yet say well where a point is.
        if distance > FARTHEST_ERRORS * error * np.sqrt(1 + _leverage(h, k, normal)):
            if _refine(vectors[i], error, basis):
                _sums(vectors[: i + 1], error, basis, normal, moments)
            continue
        _add(h, k, vectors[i], normal, moments)
        _solve(normal, moments, basis)
    _reduce(basis)
    # What was passed over before the lattice was fine enough may belong to it now.
    for _ in range(2):
        _sums(vectors, error, basis, normal, moments)
        _reduce(basis)
    return True


@numba.njit(cache=True, nogil=True)
def index_spots(xy, error, basis, indices, is_indexed):  # type: ignore[no-untyped-def]
    """Fill the point next to each spot, and whether the spot lies on it."""
    for i in range(len(xy)):
        h, k, distance = _place(xy[i, 0], xy[i, 1], basis)
        indices[i, 0], indices[i, 1] = h, k
        is_indexed[i] = distance <= FARTHEST_ERRORS * error and (h != 0 or k != 0)


@numba.njit(cache=True, nogil=True)
def _deciding_vectors(xy, error):  # type: ignore[no-untyped-def]
    """Return the vectors of Friedel pairs, or of all spots where pairs are rare; shortest first."""
    length = np.sqrt(xy[:, 0] ** 2 + xy[:, 1] ** 2)
    order = np.argsort(length)
    reach = FARTHEST_ERRORS * error
    n, n_all, n_pairs = len(xy), 0, 0
    every, pairs, is_taken = np.empty((n, 2)), np.empty((n, 2)), np.zeros(n, dtype=np.bool_)
    for place in range(n):
        i = order[place]
        if length[i] <= reach:
            continue
        every[n_all] = xy[i]
        n_all += 1
        if is_taken[i]:
            continue
        mate, nearest = -1, reach
        for later in range(place + 1, n):
            j = order[later]
            if length[j] - length[i] > reach:
                break
            apart = np.hypot(xy[i, 0] + xy[j, 0], xy[i, 1] + xy[j, 1])
            if not is_taken[j] and apart <= nearest:
                mate, nearest = j, apart
        if mate >= 0:
            is_taken[i] = is_taken[mate] = True
            pairs[n_pairs] = 0.5 * (xy[i] - xy[mate])
            n_pairs += 1
    if n_pairs >= 2 and 2 * n_pairs >= _LEAST_SHARE_OF_PAIRS * n_all:
        return pairs[:n_pairs]
    return every[:n_all]


@numba.njit(cache=True, nogil=True)
def _rank_two(vectors, error, basis):  # type: ignore[no-untyped-def]
    """Fill a first basis; return how many vectors were used for it, 0 if all are on one line."""
    if len(vectors) == 0:
        return 0
    a, n_on_line, reach = vectors[0].copy(), 1, FARTHEST_ERRORS * error
    squares, moments = 1.0, a.copy()
    for i in range(1, len(vectors)):
        v = vectors[i]
        length = np.hypot(a[0], a[1])
        across = abs(a[0] * v[1] - a[1] * v[0]) / length
        along = (a[0] * v[0] + a[1] * v[1]) / length
        if across > reach + abs(along) / length * error:
            basis[0], basis[1] = a, v
            _reduce(basis)
            return i + 1
        fraction = along / length
        away = abs(fraction - np.rint(fraction)) * length
        if away > reach:
            for n in range(2, _LARGEST_DENOMINATOR + 1):
                if abs(n * fraction - np.rint(n * fraction)) * length / n <= reach:
                    if length / n > 2 * reach:
                        a = a / n
                        # Indices of the vectors so far are all multiplied.
                        squares, moments = squares * n * n, moments * n
                    break
        length = np.hypot(a[0], a[1])
        h = np.rint((a[0] * v[0] + a[1] * v[1]) / length**2)
        if abs((a[0] * v[0] + a[1] * v[1]) / length - h * length) <= reach:
            squares, moments = squares + h * h, moments + h * v
            a = moments / squares
        n_on_line += 1
    return 0


@numba.njit(cache=True, nogil=True)
def _place(x, y, basis):  # type: ignore[no-untyped-def]
    """Return h and k of the nearest point (nearly always) and the distance to it."""
    area = basis[0, 0] * basis[1, 1] - basis[0, 1] * basis[1, 0]
    h = np.rint((x * basis[1, 1] - y * basis[1, 0]) / area)
    k = np.rint((basis[0, 0] * y - basis[0, 1] * x) / area)
    dx = x - h * basis[0, 0] - k * basis[1, 0]
    dy = y - h * basis[0, 1] - k * basis[1, 1]
    return int(h), int(k), np.hypot(dx, dy)


@numba.njit(cache=True, nogil=True)
def _refine(v, error, basis):  # type: ignore[no-untyped-def]
    """Make the lattice finer so that it holds a vector; return whether a small fraction does."""
    a, b = basis[0], basis[1]
    area = a[0] * b[1] - a[1] * b[0]
    f, g = (v[0] * b[1] - v[1] * b[0]) / area, (a[0] * v[1] - a[1] * v[0]) / area
    reach = FARTHEST_ERRORS * error
    for n in range(2, _LARGEST_DENOMINATOR + 1):
        # Points so dense explain any spot.
        if np.pi * (n * reach) ** 2 > _LARGEST_CHANCE * abs(area):
            return False
        p, q = np.rint(n * f), np.rint(n * g)
        dx = v[0] - (p * a[0] + q * b[0]) / n
        dy = v[1] - (p * a[1] + q * b[1]) / n
        if np.hypot(dx, dy) > reach:
            continue
        finer = np.empty((2, 2))
        _with_fraction(int(p), int(q), n, basis, finer)
        basis[:] = finer
        _reduce(basis)
        return True
    return False


@numba.njit(cache=True, nogil=True)
def _with_fraction(p, q, n, basis, finer):  # type: ignore[no-untyped-def]
    """Fill a basis of the lattice that a, b and (p a + q b) / n generate (its Hermite form)."""
    step, multiple = n, 0
    for s in range(1, n):
        if 0 < (s * q) % n < step:
            step, multiple = (s * q) % n, s
    # Of the multiples of the fraction, those without a part along b are multiples of this one.
    along = (n // step * p) % n
    first = _greatest_divisor(along, n)
    finer[0] = first * basis[0] / n
    finer[1] = (((multiple * p) % n) * basis[0] + step * basis[1]) / n


@numba.njit(cache=True, nogil=True)
def _greatest_divisor(one, other):  # type: ignore[no-untyped-def]
    while other:
        one, other = other, one % other
    return one


@numba.njit(cache=True, nogil=True)
def _reduce(basis):  # type: ignore[no-untyped-def]
    """Reduce by Gauss: |a| <= |b|, 0 <= a.b <= a.a / 2."""
    for _ in range(64):
        aa = basis[0, 0] ** 2 + basis[0, 1] ** 2
        bb = basis[1, 0] ** 2 + basis[1, 1] ** 2
        if aa > bb:
            for i in range(2):
                basis[0, i], basis[1, i] = basis[1, i], basis[0, i]
            aa = bb
        shift = np.rint((basis[0, 0] * basis[1, 0] + basis[0, 1] * basis[1, 1]) / aa)
        if shift == 0:
            break
        for i in range(2):
            basis[1, i] -= shift * basis[0, i]
    if basis[0, 0] ** 2 + basis[0, 1] ** 2 > basis[1, 0] ** 2 + basis[1, 1] ** 2:
        for i in range(2):
            basis[0, i], basis[1, i] = basis[1, i], basis[0, i]
    if basis[0, 0] * basis[1, 0] + basis[0, 1] * basis[1, 1] < 0:
        for i in range(2):
            basis[1, i] = -basis[1, i]


@numba.njit(cache=True, nogil=True)
def _sums(vectors, error, basis, normal, moments):  # type: ignore[no-untyped-def]
    """Fill the normal equations of the vectors on the lattice anew, and fit it to them."""
    normal[:] = 0.0
    moments[:] = 0.0
    for i in range(len(vectors)):
        h, k, distance = _place(vectors[i, 0], vectors[i, 1], basis)
        if distance <= FARTHEST_ERRORS * error:
            _add(h, k, vectors[i], normal, moments)
    _solve(normal, moments, basis)


@numba.njit(cache=True, nogil=True)
def _add(h, k, vector, normal, moments):  # type: ignore[no-untyped-def]
    normal[0, 0] += h * h
    normal[0, 1] += h * k
    normal[1, 1] += k * k
    for i in range(2):
        moments[0, i] += h * vector[i]
        moments[1, i] += k * vector[i]


@numba.njit(cache=True, nogil=True)
def _leverage(h, k, normal):  # type: ignore[no-untyped-def]
    """Return the variance of a point of the fitted lattice, against that of a spot."""
    determinant = normal[0, 0] * normal[1, 1] - normal[0, 1] ** 2
    if determinant <= 0:
        return 0.0
    squares = h * h * normal[1, 1] + k * k * normal[0, 0] - 2 * h * k * normal[0, 1]
    return squares / determinant


@numba.njit(cache=True, nogil=True)
def _solve(normal, moments, basis):  # type: ignore[no-untyped-def]
    """Fit the basis, unless all indices lie on one line."""
    determinant = normal[0, 0] * normal[1, 1] - normal[0, 1] ** 2
    if determinant <= 0:
        return
    for i in range(2):
        first, second = moments[0, i], moments[1, i]
        basis[0, i] = (first * normal[1, 1] - second * normal[0, 1]) / determinant
        basis[1, i] = (second * normal[0, 0] - first * normal[0, 1]) / determinant
