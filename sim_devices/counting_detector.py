"""Detectors on an arm: one that counts at an angle, and one that sees a strip of angles."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

import numpy as np

from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.counting import (
    SCINTILLATION_COUNTER,
    SILICON_STRIPS,
    Counters,
    counted,
)
from phasepilot.sim_devices.exposing_detector import ExposingDetector
from phasepilot.sim_devices.faults import CountingFault
from phasepilot.sim_devices.positioner import number_key
from phasepilot.sim_devices.rate_curve import Scatterer
from phasepilot.sim_devices.sample import FloatArray

_UNITS = {"n_channels": "", "saturation_counts": "counts", "dark_rate_per_s": "1/s"}


class HasPosition(Protocol):
    """What carries a detector."""

    @property
    def position(self) -> float:
        """2-theta in degree."""


class CountingDetector(ExposingDetector):
    """Counts what a sample scatters into windows about the position of an arm.

    Counts are those of the arm's place and the sample's state when the exposure ends. Reads
    ``NAME_exposure_s``, which is set as ``detector.exposure_s``, and what the subclass says. Its
    configuration holds ``NAME_wavelength_angstrom`` and the properties of its counters.

    Parameters
    ----------
    arm : HasPosition
        What carries it.
    sample : Scatterer
        What stands in the beam.
    counters : Counters, optional
        What it is made of.
    name, rng, clock, fault_at
        As of `ExposingDetector`.
    """

    DEFAULT_COUNTERS: ClassVar[Counters]

    def __init__(
        self,
        *,
        name: str,
        arm: HasPosition,
        sample: Scatterer,
        rng: np.random.Generator,
        clock: Clock,
        counters: Counters | None = None,
        fault_at: Mapping[int, CountingFault] | None = None,
        **ophyd_arguments: Any,
    ) -> None:
        self.counters = counters or self.DEFAULT_COUNTERS
        super().__init__(
            name=name,
            rng=rng,
            clock=clock,
            readout_s=self.counters.readout_s,
            fault_at=fault_at,
            **ophyd_arguments,
        )
        self.sample = sample
        self._arm = arm
        self._centres_deg = arm.position + self.counters.offsets_deg
        # Nothing has been measured before the first exposure.
        self._counts = np.full(self._centres_deg.shape, np.nan)

    def expected_counts(self, arm_deg: float, exposure_s: float) -> FloatArray:
        """Return the mean of what reaches the counters with the arm there, before dead time."""
        return self._true_rate(arm_deg + self.counters.offsets_deg) * exposure_s

    def properties(self) -> dict[str, tuple[float, str]]:
        """Return the wavelength and what the counters are."""
        counters = {
            key: (value, _UNITS.get(key, key.rsplit("_", 1)[-1]))
            for key, value in asdict(self.counters).items()
        }
        return {"wavelength_angstrom": (self.sample.wavelength_angstrom, "angstrom"), **counters}

    def count(self, exposure_s: float, fault: CountingFault | None) -> None:
        """Count at the place where the arm is now."""
        self._centres_deg = self._arm.position + self.counters.offsets_deg
        is_dark = fault is CountingFault.DROPPED_BEAM
        rate = self._dark_rate if is_dark else self._true_rate(self._centres_deg)
        counts = counted(rate, exposure_s, counters=self.counters, rng=self._rng)
        dead = {CountingFault.ZEROS: 0.0, CountingFault.NAN: np.nan}
        self._counts = np.full(counts.shape, dead[fault]) if fault in dead else counts

    def _true_rate(self, centres_deg: FloatArray) -> FloatArray:
        curve = self.sample.rate_curve()
        return curve.in_windows(centres_deg, self.counters.window_deg) + self._dark_rate

    @property
    def _dark_rate(self) -> FloatArray:
        return np.full(self.counters.n_channels, self.counters.dark_rate_per_s)


class PointDetector(CountingDetector):
    """One counter behind a receiving slit. Reads ``NAME_counts`` and ``NAME_exposure_s``."""

    DEFAULT_COUNTERS = SCINTILLATION_COUNTER

    def frame(self) -> dict[str, Any]:
        """Return the counts."""
        return {"counts": float(self._counts[0])}

    def frame_keys(self) -> dict[str, dict[str, Any]]:
        """Return the data key of the counts."""
        return {"counts": number_key(f"{self.name}_counts", "counts")}

    @property
    def hints(self) -> dict[str, list[str]]:
        """What BestEffortCallback plots."""
        return {"fields": [f"{self.name}_counts"]}


class StripDetector(CountingDetector):
    """A row of counters about the arm's position, which see a window of angles in one exposure.

    Reads ``NAME_two_theta_deg`` and ``NAME_intensity``, both of shape (n_channels,), and
    ``NAME_exposure_s``.
    """

    DEFAULT_COUNTERS = SILICON_STRIPS

    def frame(self) -> dict[str, Any]:
        """Return angles and counts."""
        return {"two_theta_deg": self._centres_deg, "intensity": self._counts}

    def frame_keys(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of angles and counts."""
        units = {"two_theta_deg": "deg", "intensity": "counts"}
        return {
            key: {
                "source": f"SIM:{self.name}_{key}",
                "dtype": "array",
                "dtype_numpy": "<f8",
                "shape": [self.counters.n_channels],
                "units": unit,
            }
            for key, unit in units.items()
        }

    @property
    def hints(self) -> dict[str, list[str]]:
        """Nothing that fits one point a frame."""
        return {"fields": []}
