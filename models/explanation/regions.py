"""The parts of a pattern that speak for or against an answer."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from phasepilot.models.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Region:
    """Neighbouring bins that speak the same way.

    Attributes
    ----------
    start, stop : int
        The first bin, and the first after the last.
    contribution : float
        What the bins add together.
    """

    start: int
    stop: int
    contribution: float


def regions(of_bins: FloatArray, *, smoothing_bins: float) -> list[Region]:
    """Return the regions of an attribution, the strongest first.

    A region ends where the smoothed attribution changes its sign; what it adds is summed from the
    attribution itself, so that the regions add up to it. Bins where the smoothed attribution is 0
    belong to none: nothing was measured there.

    Parameters
    ----------
    of_bins : ndarray, shape (n_bins,)
    smoothing_bins : float
        Standard deviation of the Gaussian that smooths; the flanks of one line, which may speak
        both ways, become one region when it is about as wide as a line.

    Examples
    --------
    >>> of_bins = np.array([0, 1.0, 2.0, -1.0, -0.5, 0, 0, 0, 0, 4.0])
    >>> [(r.start, r.stop, r.contribution) for r in regions(of_bins, smoothing_bins=0.1)]
    [(9, 10, 4.0), (1, 3, 3.0), (3, 5, -1.5)]
    """
    smoothed = gaussian_filter1d(of_bins, smoothing_bins, mode="constant")
    signs = np.sign(smoothed)
    starts = np.flatnonzero(np.diff(signs, prepend=0.0))
    stops = np.append(starts[1:], of_bins.size)
    found = [
        Region(start, stop, float(of_bins[start:stop].sum()))
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        if signs[start]
    ]
    return sorted(found, key=lambda region: -abs(region.contribution))
