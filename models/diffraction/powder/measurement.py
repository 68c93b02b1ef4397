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


def faulty_bins(n_bins: int, fraction: Array, backend: Backend) -> Array:
    """Return which bins are faulty, shape (n_patterns, n_bins), with the probability `fraction`.

    Parameters
    ----------
    fraction : array, shape (n_patterns, 1)
    """
    xp = backend.xp
    result = xp.zeros((fraction.shape[0], n_bins), dtype=xp.bool, device=fraction.device)
    # Most patterns have none, and random numbers are dear.
    rows = xp.nonzero(fraction[:, 0] > 0)[0]
    result[rows] = backend.uniform((rows.shape[0], n_bins)) < fraction[rows]
    return result


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
    result = xp.asarray(intensity, copy=True)
    is_point = xp.ones(intensity.shape, dtype=xp.bool, device=intensity.device)
    for step in xp.unique_values(factor).tolist():
        if step > 1:
            rows = xp.nonzero(factor[:, 0] == step)[0]
            result[rows] = _interpolated(intensity[rows], step)
            numbers = xp.arange(n_bins, device=intensity.device)
            is_point[rows] = (numbers % step == 0)[None, :]
    return result, is_point


def _interpolated(intensity: Array, step: int) -> Array:
    """Return straight lines between every `step`-th bin, and a level one after the last."""
    xp = array_namespace(intensity)
    n_bins = intensity.shape[1]
    points = intensity[:, ::step]
    ahead = xp.concat([points[:, 1:], points[:, -1:]], axis=1)
    parts = xp.arange(step, device=intensity.device) / step
    lines = points[:, :, None] + (ahead - points)[:, :, None] * xp.astype(parts, intensity.dtype)
    return xp.reshape(lines, (intensity.shape[0], -1))[:, :n_bins]
