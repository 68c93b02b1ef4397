"""From expected intensity to what a detector writes down: counts, faults, range and step."""

from array_api_compat import array_namespace

from phasepilot.models.arrays import Array
from phasepilot.models.diffraction.powder.backend import Backend


def counted(expected: Array, peak_counts: Array, backend: Backend) -> Array:
    """Return Poisson counts of an intensity whose highest bin is 1.

    Parameters
    ----------
    expected : array, shape (n_patterns, n_bins)
        Not negative.
    peak_counts : array, shape (n_patterns, 1)
        Mean counts in a bin of intensity 1; infinite for a measurement without noise, which
        comes back as it was.
    """
    xp = backend.xp
    is_noisy = xp.isfinite(peak_counts)
    if not bool(xp.any(is_noisy)):
        return expected
    exposure = xp.where(is_noisy, peak_counts, xp.ones_like(peak_counts))
    counts = backend.poisson(expected * exposure)
    return counts if bool(xp.all(is_noisy)) else xp.where(is_noisy, counts, expected)


def faulty_bins(shape: tuple[int, int], fraction: Array, backend: Backend) -> Array:
    """Return which bins are faulty, each with the probability `fraction`, shape (n_patterns, 1)."""
    return backend.uniform(shape) < fraction


def saturated(counts: Array, limit: Array) -> Array:
    """Return the counts that a detector shows which cannot count beyond `limit`."""
    return array_namespace(counts).minimum(counts, limit)


def cropped(n_bins: int, first_fraction: Array, last_fraction: Array) -> Array:
    """Return which bins lie between two fractions of the range, shape (n_patterns, n_bins)."""
    xp = array_namespace(first_fraction)
    places = (xp.arange(n_bins, device=first_fraction.device)[None, :] + 0.5) / n_bins
    return (places >= first_fraction) & (places <= last_fraction)


def coarsened(intensity: Array, factor: Array) -> tuple[Array, Array]:
    """Return the pattern as known from every k-th bin, straight lines between, and which bins.

    Parameters
    ----------
    intensity : array, shape (n_patterns, n_bins)
    factor : array of int, shape (n_patterns, 1)
        k; 1 leaves the pattern as it is.

    Returns
    -------
    intensity : array, shape (n_patterns, n_bins)
        Behind the last measured bin its value goes on.
    is_point : array of bool, shape (n_patterns, n_bins)
        The bins that were measured.

    References
    ----------
    Oviedo et al., npj Comput. Mater. 5, 60 (2019), doi:10.1038/s41524-019-0196-x: the step-size
    study, which drops points.
    """
    xp = array_namespace(intensity)
    n_bins = intensity.shape[1]
    # 32-bit integers divide several times faster.
    numbers = xp.arange(n_bins, dtype=xp.int32, device=intensity.device)[None, :]
    factor = xp.astype(factor, xp.int32)
    rows = xp.nonzero(factor[:, 0] > 1)[0]
    step = factor[rows]
    left = numbers // step * step
    right = xp.minimum(left + step, (n_bins - 1) // step * step)
    part = xp.astype(numbers - left, intensity.dtype) / step
    chosen = intensity[rows]
    known = xp.take_along_axis(chosen, xp.astype(left, xp.int64), axis=1)
    ahead = xp.take_along_axis(chosen, xp.astype(right, xp.int64), axis=1)
    result = xp.asarray(intensity, copy=True)
    result[rows] = known + xp.astype(part, intensity.dtype) * (ahead - known)
    return result, numbers % factor == 0
