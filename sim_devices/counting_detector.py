"""Detectors on an arm: one that counts at an angle, and one that sees a strip of angles."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np
from ophyd import Component, Device, Kind, Signal
from ophyd.status import Status

from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.counting import (
    SCINTILLATION_COUNTER,
    SILICON_STRIPS,
    Counters,
    counted,
)
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


class CountingDetector(Device):  # type: ignore[misc]  # ophyd carries no types
    """Counts what a sample scatters into windows about the position of an arm.

    Counts are those of the arm's place and the sample's state when the exposure ends. Reads
    ``NAME_exposure_s``, which is set as ``detector.exposure_s``, and what the subclass says. Its
    configuration holds ``NAME_wavelength_angstrom`` and the properties of its counters.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    arm : HasPosition
        What carries it.
    sample : Scatterer
        What stands in the beam.
    rng : numpy.random.Generator
        Counting statistics.
    clock : Clock
    counters : Counters, optional
        What it is made of.
    fault_at : mapping of int to CountingFault, optional
        Which exposures go wrong; see `phasepilot.sim_devices.faults`.
    """

    DEFAULT_COUNTERS: ClassVar[Counters]
    exposure_s = Component(Signal, value=1.0, kind=Kind.normal)

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
        super().__init__(name=name, **ophyd_arguments)
        self.sample = sample
        self.counters = counters or self.DEFAULT_COUNTERS
        self.fault_at: Mapping[int, CountingFault] = fault_at or {}
        self._arm = arm
        self._rng = rng
        self._clock = clock
        self._exposure_number = 0
        self._centres_deg = arm.position + self.counters.offsets_deg
        # Nothing has been measured before the first exposure.
        self._counts = np.full(self._centres_deg.shape, np.nan)
        self._is_missing = False
        self._exposed_at = clock()

    @abstractmethod
    def frame(self, centres_deg: FloatArray, counts: FloatArray) -> dict[str, Any]:
        """Return the values of the last exposure by the end of their field's name."""

    @abstractmethod
    def frame_keys(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `frame`."""

    def expected_counts(self, arm_deg: float, exposure_s: float) -> FloatArray:
        """Return the mean of what reaches the counters with the arm there, before dead time."""
        return self._true_rate(arm_deg + self.counters.offsets_deg) * exposure_s

    def stage(self) -> list[object]:
        """Make ready for a run; exposures are counted from here."""
        staged: list[object] = super().stage()
        self._exposure_number = 0
        return staged

    def trigger(self) -> Status:
        """Start an exposure; raise ValueError unless it lasts longer than nothing."""
        exposure_s = float(self.exposure_s.get())
        if not 0 < exposure_s < np.inf:
            raise ValueError(
                f"{self.name}_exposure_s must be positive, but is {exposure_s:g};"
                " set the exposure before the trigger."
            )
        self._exposure_number += 1
        fault = self.fault_at.get(self._exposure_number)
        status = Status(self)
        duration_s = exposure_s + self.counters.readout_s
        self._clock.call_after(duration_s, partial(self._expose, status, exposure_s, fault))
        return status

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the last exposure; NaN before the first."""
        reading = dict(super().read())
        if not self._is_missing:
            for key, value in self.frame(self._centres_deg, self._counts).items():
                reading[f"{self.name}_{key}"] = {"value": value, "timestamp": self._exposed_at}
        return reading

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read`, as they are when nothing fails."""
        exposure_key = f"{self.name}_exposure_s"
        frame = {f"{self.name}_{key}": kind for key, kind in self.frame_keys().items()}
        return {exposure_key: number_key(exposure_key, "s"), **frame}

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the wavelength and what the counters are."""
        values = {"wavelength_angstrom": self.sample.wavelength_angstrom, **asdict(self.counters)}
        now = self._clock()
        return {
            f"{self.name}_{key}": {"value": value, "timestamp": now}
            for key, value in values.items()
        }

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read_configuration`."""
        keys = ("wavelength_angstrom", *asdict(self.counters))
        units = {key: _UNITS.get(key, key.rsplit("_", 1)[-1]) for key in keys}
        return {
            f"{self.name}_{key}": number_key(f"{self.name}_{key}", unit)
            for key, unit in units.items()
        }

    def _true_rate(self, centres_deg: FloatArray) -> FloatArray:
        curve = self.sample.rate_curve()
        return curve.in_windows(centres_deg, self.counters.window_deg) + self._dark_rate

    @property
    def _dark_rate(self) -> FloatArray:
        return np.full(self.counters.n_channels, self.counters.dark_rate_per_s)

    def _expose(self, status: Status, exposure_s: float, fault: CountingFault | None) -> None:
        try:
            self._take_frame(exposure_s, fault)
        except Exception as error:
            # A clock has no plan to raise into; the status takes the error there.
            status.set_exception(error)
            return
        status.set_finished()

    def _take_frame(self, exposure_s: float, fault: CountingFault | None) -> None:
        if fault is CountingFault.ERROR:
            raise RuntimeError(
                f"{self.name} should have counted for {exposure_s:g} s, but does not answer;"
                " restart it, or go on without it."
            )
        self._centres_deg = self._arm.position + self.counters.offsets_deg
        is_dark = fault is CountingFault.DROPPED_BEAM
        rate = self._dark_rate if is_dark else self._true_rate(self._centres_deg)
        counts = counted(rate, exposure_s, counters=self.counters, rng=self._rng)
        dead = {CountingFault.ZEROS: 0.0, CountingFault.NAN: np.nan}
        self._counts = np.full(counts.shape, dead[fault]) if fault in dead else counts
        self._is_missing = fault is CountingFault.MISSING
        self._exposed_at = self._clock()


class PointDetector(CountingDetector):
    """One counter behind a receiving slit. Reads ``NAME_counts`` and ``NAME_exposure_s``."""

    DEFAULT_COUNTERS = SCINTILLATION_COUNTER

    def frame(self, centres_deg: FloatArray, counts: FloatArray) -> dict[str, Any]:
        """Return the counts."""
        return {"counts": float(counts[0])}

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

    def frame(self, centres_deg: FloatArray, counts: FloatArray) -> dict[str, Any]:
        """Return angles and counts."""
        return {"two_theta_deg": centres_deg, "intensity": counts}

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
