"""Smooth scattering under the lines, in units of the highest line."""

from functools import cache

import numpy as np
from array_api_compat import array_namespace

from phasepilot.models.arrays import Array, FloatArray


def chebyshev_background(coefficients: Array, n_bins: int) -> Array:
    """Return a Chebyshev series over the range of the pattern, lifted to be nowhere below 0.

    Parameters
    ----------
    coefficients : array, shape (n_patterns, n_terms)
        Of T_0, T_1, ... on the range taken as -1 to 1.

    Returns
    -------
    array, shape (n_patterns, n_bins)
    """
    xp = array_namespace(coefficients)
    terms = xp.asarray(
        _chebyshev_terms(coefficients.shape[1], n_bins),
        dtype=coefficients.dtype,
        device=coefficients.device,
    )
    series = coefficients @ terms
    return series - xp.clip(xp.min(series, axis=1, keepdims=True), None, 0.0)


@cache
def _chebyshev_terms(n_terms: int, n_bins: int) -> FloatArray:
    x = np.linspace(-1.0, 1.0, n_bins)
    return np.ascontiguousarray(np.polynomial.chebyshev.chebvander(x, n_terms - 1).T)


def air_scatter(two_theta_deg: Array, decay_deg: Array) -> Array:
    """Return scattering of the air path, falling off with angle: exp(-2theta / decay).

    The form is empirical; what matters is that it rises steeply towards the beam stop.
    """
    xp = array_namespace(two_theta_deg)
    return xp.exp(-two_theta_deg / decay_deg)


def amorphous_hump(q_per_angstrom: Array, position: Array, width: Array) -> Array:
    """Return the broad maximum of a glass or a liquid, a Gaussian in q of height 1.

    Parameters
    ----------
    position, width : array
        Centre and standard deviation in 1/angstrom. Silica glass peaks near 1.5, most pressure
        media and polymers between 1 and 3 (the first sharp diffraction peak).
    """
    xp = array_namespace(q_per_angstrom)
    return xp.exp(-0.5 * ((q_per_angstrom - position) / width) ** 2)
