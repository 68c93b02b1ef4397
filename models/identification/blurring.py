"""One curve blurred by several Gaussians: one transform there, one back for each width.

The kernels are those of `scipy.ndimage.gaussian_filter1d`, cut off at the same place, and the
results are its results up to rounding. Convolving in place takes several times longer for the
widths at which lines are sought.
"""

from functools import lru_cache

import numpy as np
from scipy import fft

from phasepilot.models.arrays import Array, FloatArray

_NOTHING = 1e-12


def blurred_before_zeros(
    curve: FloatArray, sigmas: tuple[float, ...], *, truncate: float
) -> FloatArray:
    """Return the curve at each width, shape (n_sigmas, n_bins); beyond its ends it is 0."""
    return _convolved(curve, curve.size, 0, sigmas, truncate)


def blurred_in_mirrors(
    curve: FloatArray, sigmas: tuple[float, ...], *, truncate: float
) -> FloatArray:
    """Return the curve at each width, shape (n_sigmas, n_bins); its ends are mirrors."""
    radius = max(_radius(sigma, truncate) for sigma in sigmas)
    return _convolved(np.pad(curve, radius, "symmetric"), curve.size, radius, sigmas, truncate)


def _convolved(
    padded: FloatArray, n_bins: int, first: int, sigmas: tuple[float, ...], truncate: float
) -> FloatArray:
    reach = max(_radius(sigma, truncate) for sigma in sigmas)
    n_padded = int(fft.next_fast_len(padded.size + reach, real=True))
    kernels = _kernel_transforms(sigmas, truncate, n_padded)
    found = fft.irfft(fft.rfft(padded, n_padded) * kernels, n_padded, axis=1)
    blurred: FloatArray = found[:, first : first + n_bins]
    # What rounding leaves where there is nothing.
    blurred[blurred < _NOTHING * blurred.max(axis=1, keepdims=True)] = 0.0
    return blurred


def _radius(sigma: float, truncate: float) -> int:
    return int(truncate * sigma + 0.5)


@lru_cache(maxsize=32)
def _kernel_transforms(sigmas: tuple[float, ...], truncate: float, n_padded: int) -> Array:
    """Return the transforms of the kernels; real, since they are symmetric."""
    distance = np.minimum(np.arange(n_padded), n_padded - np.arange(n_padded))
    kernels = np.exp(-0.5 * (distance / np.array(sigmas)[:, None]) ** 2)
    kernels *= distance <= np.array([[_radius(sigma, truncate)] for sigma in sigmas])
    return fft.rfft(kernels / kernels.sum(axis=1, keepdims=True), axis=1).real
