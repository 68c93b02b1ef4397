"""From count rates to what counters show: dead time, dark counts, chance, saturation."""

from dataclasses import dataclass

import numpy as np

from phasepilot.sim_devices.sample import FloatArray


@dataclass(frozen=True, slots=True)
class Counters:
    """A row of equal counters side by side, or a single one.

    Attributes
    ----------
    n_channels : int
        How many.
    window_deg : float
        Angle that each sees, which is also the distance to the next.
    dead_time_s : float
        For which a counter is blind after each count, non-paralysable.
    saturation_counts : float
        The most that a counter shows.
    dark_rate_per_s : float
        Counts of each counter without any beam.
    readout_s : float
        What an exposure takes beyond itself.
    """

    n_channels: int
    window_deg: float
    dead_time_s: float
    saturation_counts: float
    dark_rate_per_s: float
    readout_s: float

    @property
    def offsets_deg(self) -> FloatArray:
        """Where each looks, from the middle of the row, shape (n_channels,)."""
        steps = np.arange(self.n_channels, dtype=np.float64) - (self.n_channels - 1) / 2
        return np.asarray(steps * self.window_deg)


# Assumed, of the usual size: a scintillation counter behind a slit, and a silicon strip detector.
SCINTILLATION_COUNTER = Counters(
    n_channels=1,
    window_deg=0.05,
    dead_time_s=1e-6,
    saturation_counts=2.0**24,
    dark_rate_per_s=0.5,
    readout_s=0.0,
)
SILICON_STRIPS = Counters(
    n_channels=256,
    window_deg=0.01,
    dead_time_s=1e-7,
    saturation_counts=2.0**24,
    dark_rate_per_s=0.01,
    readout_s=0.05,
)


def recorded_rate(true_rate_per_s: FloatArray, dead_time_s: float) -> FloatArray:
    """Return the rate that a counter records which is blind for a while after each count.

    Non-paralysable: what arrives in the dead time does not prolong it, m = n / (1 + n tau).

    Examples
    --------
    >>> recorded_rate(np.array([1e3, 1e6]), dead_time_s=1e-6).round(1).tolist()
    [999.0, 500000.0]
    """
    return true_rate_per_s / (1 + true_rate_per_s * dead_time_s)


def counted(
    true_rate_per_s: FloatArray, exposure_s: float, *, counters: Counters, rng: np.random.Generator
) -> FloatArray:
    """Return what the counters show after an exposure.

    Counts are Poisson about the recorded rate. Where dead time matters a real counter scatters
    less, by 1 / (1 + n tau) in the standard deviation.
    """
    counts = rng.poisson(recorded_rate(true_rate_per_s, counters.dead_time_s) * exposure_s)
    return np.minimum(counts, counters.saturation_counts).astype(np.float64)
