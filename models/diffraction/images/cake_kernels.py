"""Inner loops of `cake_drawing`, compiled by numba."""

import math

import numba
import numpy as np

# A spot ends after this many standard deviations: roots of roots still show a step there.
_REACH = 4.2
# A mosaic block turned further than this many standard deviations is not there.
_MOSAIC_CUT = 3.0
# Sine of theta where 2-theta is 150 degree.
_HIGHEST_SINE = math.sin(math.radians(75))


@numba.njit(cache=True, nogil=True)
def _splat(cake, x, y, length, weight, log_start, log_step, blur, size, arc):  # type: ignore[no-untyped-def]
    """Add a Gaussian of that weight at the azimuth and ln q of a reflection."""
    n_chi, n_bins = cake.shape
    place_q = (math.log(2 * math.pi * length) - log_start) / log_step - 0.5
    # Rows of an image count downwards, so that its azimuth runs clockwise as seen from the source.
    place_chi = (math.atan2(-y, x) / (2 * math.pi) + 0.5) * n_chi - 0.5
    relative = size / length
    sigma_q = math.sqrt(blur * blur + (relative / log_step) ** 2)
    turn = (relative * relative + arc * arc) * (n_chi / (2 * math.pi)) ** 2
    sigma_chi = min(math.sqrt(blur * blur + turn), n_chi / 7.0)
    first_q = max(0, math.ceil(place_q - _REACH * sigma_q))
    last_q = min(n_bins - 1, math.floor(place_q + _REACH * sigma_q))
    if first_q > last_q:
        return
    scale = weight / (2 * math.pi * sigma_q * sigma_chi)
    along = np.empty(last_q - first_q + 1, dtype=np.float32)
    for k in range(first_q, last_q + 1):
        along[k - first_q] = math.exp(-0.5 * ((k - place_q) / sigma_q) ** 2)
    first_chi = math.ceil(place_chi - _REACH * sigma_chi)
    last_chi = math.floor(place_chi + _REACH * sigma_chi)
    for chi in range(first_chi, last_chi + 1):
        height = np.float32(scale * math.exp(-0.5 * ((chi - place_chi) / sigma_chi) ** 2))
        row = chi % n_chi
        for k in range(along.size):
            cake[row, first_q + k] += height * along[k]


@numba.njit(cache=True, nogil=True)
def add_layer(  # type: ignore[no-untyped-def]
    cake, vectors, intensity, turn, thickness, log_start, log_step, blur, size, arc
):
    """Add the reflections near the plane across the beam."""
    for k in range(vectors.shape[0]):
        h0, h1, h2 = vectors[k, 0], vectors[k, 1], vectors[k, 2]
        z = turn[2, 0] * h0 + turn[2, 1] * h1 + turn[2, 2] * h2
        if abs(z) > thickness:
            continue
        x = turn[0, 0] * h0 + turn[0, 1] * h1 + turn[0, 2] * h2
        y = turn[1, 0] * h0 + turn[1, 1] * h1 + turn[1, 2] * h2
        length = math.sqrt(x * x + y * y + z * z)
        for sign in (1.0, -1.0):
            _splat(
                cake,
                sign * x,
                sign * y,
                length,
                intensity[k],
                log_start,
                log_step,
                blur,
                size,
                arc,
            )


@numba.njit(cache=True, nogil=True)
def add_zone(  # type: ignore[no-untyped-def]
    cake,
    hkl,
    intensity,
    reciprocal,
    axis,
    turn,
    log_start,
    log_step,
    blur,
    size,
    arc,
    wavelength,
    power,
    b_square,
    contrast,
):
    """Add the reflections of one zone, with their radial factors."""
    # Up to a scale, a + b + c of the direct lattice are cross products of the reciprocal one.
    z = (
        axis[0] * np.cross(reciprocal[1], reciprocal[2])
        + axis[1] * np.cross(reciprocal[2], reciprocal[0])
        + axis[2] * np.cross(reciprocal[0], reciprocal[1])
    )
    volume = (reciprocal[0] * np.cross(reciprocal[1], reciprocal[2])).sum()
    z = z / math.sqrt((z * z).sum()) * (1.0 if volume > 0 else -1.0)
    other = np.zeros(3)
    other[np.abs(z).argmin()] = 1.0
    x = np.cross(other, z)
    x = x / math.sqrt((x * x).sum())
    y = np.cross(z, x)
    to_x, to_y = reciprocal @ x, reciprocal @ y
    cosine, sine = math.cos(turn), math.sin(turn)
    for k in range(hkl.shape[0]):
        h0, h1, h2 = np.int64(hkl[k, 0]), np.int64(hkl[k, 1]), np.int64(hkl[k, 2])
        if h0 * axis[0] + h1 * axis[1] + h2 * axis[2] != 0:
            continue
        first = h0 * to_x[0] + h1 * to_x[1] + h2 * to_x[2]
        second = h0 * to_y[0] + h1 * to_y[1] + h2 * to_y[2]
        squared = first * first + second * second
        length = math.sqrt(squared)
        weight = intensity[k]
        if contrast != 1.0:
            weight = weight**contrast
        if power != 0.0:
            weight *= length**power
        if b_square != 0.0:
            weight *= math.exp(-b_square * squared / 2)
        if wavelength > 0.0:
            sin_theta = min(wavelength * length / 2, _HIGHEST_SINE)
            square = sin_theta * sin_theta
            twice = 1 - 2 * square
            weight *= (1 + twice * twice) / (math.sqrt(1 - square) * square)
        across = cosine * first + sine * second
        up = cosine * second - sine * first
        _splat(cake, across, up, length, weight, log_start, log_step, blur, size, arc)
        _splat(cake, -across, -up, length, weight, log_start, log_step, blur, size, arc)


@numba.njit(cache=True, nogil=True)
def add_sphere(  # type: ignore[no-untyped-def]
    cake,
    vectors,
    intensity,
    turns,
    weights,
    wavelength,
    mosaicity,
    log_start,
    log_step,
    blur,
    size,
    arc,
):
    """Add what mosaic crystals bring onto the Ewald sphere."""
    reach = _MOSAIC_CUT * mosaicity
    for k in range(vectors.shape[0]):
        h0, h1, h2 = vectors[k, 0], vectors[k, 1], vectors[k, 2]
        length = math.sqrt(h0 * h0 + h1 * h1 + h2 * h2)
        sine = wavelength * length / 2
        if sine >= 0.99:
            continue
        theta = math.asin(sine)
        lorentz = intensity[k] / math.sin(2 * theta)
        for crystal in range(turns.shape[0]):
            turn = turns[crystal]
            z = turn[2, 0] * h0 + turn[2, 1] * h1 + turn[2, 2] * h2
            for sign in (1.0, -1.0):
                # Sines differ by less than their angles: nothing is missed.
                if abs(sign * z / length - sine) > reach:
                    continue
                off = math.asin(max(-1.0, min(1.0, sign * z / length))) - theta
                if abs(off) > reach:
                    continue
                x = sign * (turn[0, 0] * h0 + turn[0, 1] * h1 + turn[0, 2] * h2)
                y = sign * (turn[1, 0] * h0 + turn[1, 1] * h1 + turn[1, 2] * h2)
                weight = weights[crystal] * lorentz * math.exp(-0.5 * (off / mosaicity) ** 2)
                _splat(cake, x, y, length, weight, log_start, log_step, blur, size, arc)


@numba.njit(cache=True, nogil=True)
def add_rings(  # type: ignore[no-untyped-def]
    cake,
    vectors,
    lengths,
    intensity,
    ring,
    speckle,
    axis,
    axis_chi,
    axis_to_beam,
    spread,
    wavelength,
    log_start,
    log_step,
    blur,
    size,
):
    """Add the rings of a powder."""
    n_chi, n_bins = cake.shape
    around = np.ones(n_chi)
    for k in range(vectors.shape[0]):
        length = lengths[k]
        sine = wavelength * length / 2
        if sine >= 0.99:
            continue
        theta = math.asin(sine)
        weight = 2 * intensity[k] / (math.sin(2 * theta) * sine) / n_chi
        place_q = (math.log(2 * math.pi * length) - log_start) / log_step - 0.5
        sigma_q = math.sqrt(blur * blur + (size / length / log_step) ** 2)
        first_q = max(0, math.ceil(place_q - _REACH * sigma_q))
        last_q = min(n_bins - 1, math.floor(place_q + _REACH * sigma_q))
        if first_q > last_q:
            continue
        if spread < 3:
            cosine = (
                vectors[k, 0] * axis[0] + vectors[k, 1] * axis[1] + vectors[k, 2] * axis[2]
            ) / length
            leaning = math.acos(max(-1.0, min(1.0, cosine)))
            # Poles of one reflection lie on a cone: the nearer to its axis, the denser.
            dense = 1 / max(math.sin(leaning), 0.5 * spread)
            for chi in range(n_chi):
                azimuth = 2 * math.pi * ((chi + 0.5) / n_chi - 0.5) - axis_chi
                pole = math.sin(axis_to_beam) * math.cos(theta) * math.cos(azimuth) - math.cos(
                    axis_to_beam
                ) * math.sin(theta)
                off = math.acos(max(-1.0, min(1.0, pole)))
                around[chi] = dense * (
                    math.exp(-0.5 * ((off - leaning) / spread) ** 2)
                    + math.exp(-0.5 * ((math.pi - off - leaning) / spread) ** 2)
                )
        for j in range(first_q, last_q + 1):
            height = (
                weight
                * math.exp(-0.5 * ((j - place_q) / sigma_q) ** 2)
                / (sigma_q * math.sqrt(2 * math.pi))
            )
            for chi in range(n_chi):
                cake[chi, j] += height * around[chi] * speckle[ring[k], chi]
