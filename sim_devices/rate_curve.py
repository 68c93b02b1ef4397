"""What a sample scatters, as detectors ask for it: counts a second in a window of angles."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from phasepilot.sim_devices.sample import FloatArray


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Count rate against angle, added up once so that any window is two interpolations.

    Attributes
    ----------
    two_theta_edges_deg : ndarray, shape (n_bins + 1,)
        Edges of the bins it was computed on, increasing.
    cumulative_per_s : ndarray, shape (n_bins + 1,)
        Counts a second between the first edge and each.
    """

    two_theta_edges_deg: FloatArray
    cumulative_per_s: FloatArray

    def in_windows(self, centre_deg: FloatArray, width_deg: float) -> FloatArray:
        """Return counts a second in windows about each centre; beyond the bins there are none.

        Examples
        --------
        >>> curve = rate_curve(np.array([0.0, 1.0, 2.0]), np.array([10.0, 30.0]))
        >>> curve.in_windows(np.array([0.5, 1.0, 2.0]), 1.0).tolist()
        [10.0, 20.0, 15.0]
        """
        half = width_deg / 2
        above, below = (
            np.interp(centre_deg + shift, self.two_theta_edges_deg, self.cumulative_per_s)
            for shift in (half, -half)
        )
        return np.asarray(above - below, dtype=np.float64)


def rate_curve(two_theta_edges_deg: FloatArray, rates_per_s: FloatArray) -> RateCurve:
    """Return the curve of counts a second in each bin."""
    return RateCurve(two_theta_edges_deg, np.concatenate([[0.0], np.cumsum(rates_per_s)]))


class Scatterer(Protocol):
    """Anything that stands in the beam."""

    @property
    def wavelength_angstrom(self) -> float:
        """Wavelength of the beam that it stands in."""

    def rate_curve(self) -> RateCurve:
        """Return what it scatters now."""


@dataclass(frozen=True, slots=True)
class StillSample:
    """A sample that does not change."""

    curve: RateCurve
    wavelength_angstrom: float

    def rate_curve(self) -> RateCurve:
        """Return what it scatters."""
        return self.curve
