"""What all detectors have in common that expose and then hand over counts: times and faults."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from ophyd import Component, Device, Kind, Signal
from ophyd.status import Status

from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.faults import CountingFault
from phasepilot.sim_devices.positioner import number_key


class ExposingDetector(Device):  # type: ignore[misc]  # ophyd carries no types
    """Exposes for a time and reads out; a subclass says what it counts.

    Reads ``NAME_exposure_s``, which is set as ``detector.exposure_s``, and what the subclass says.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    rng : numpy.random.Generator
        Counting statistics.
    clock : Clock
    readout_s : float
        What an exposure takes beyond itself.
    fault_at : mapping of int to CountingFault, optional
        Which exposures go wrong; see `phasepilot.sim_devices.faults`.
    """

    exposure_s = Component(Signal, value=1.0, kind=Kind.normal)

    def __init__(
        self,
        *,
        name: str,
        rng: np.random.Generator,
        clock: Clock,
        readout_s: float,
        fault_at: Mapping[int, CountingFault] | None = None,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(name=name, **ophyd_arguments)
        self.fault_at: Mapping[int, CountingFault] = fault_at or {}
        self._rng = rng
        self._clock = clock
        self._readout_s = readout_s
        self._exposure_number = 0
        self._is_missing = False
        self._exposed_at = clock()

    @abstractmethod
    def frame(self) -> dict[str, Any]:
        """Return the values of the last exposure by the end of their field's name."""

    @abstractmethod
    def frame_keys(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `frame`."""

    @abstractmethod
    def properties(self) -> dict[str, tuple[float, str]]:
        """Return what the configuration holds: number and unit by the end of the field's name."""

    @abstractmethod
    def count(self, exposure_s: float, fault: CountingFault | None) -> None:
        """Take what has come in an exposure that ends now."""

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
        duration_s = exposure_s + self._readout_s
        self._clock.call_after(duration_s, partial(self._expose, status, exposure_s, fault))
        return status

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the last exposure; NaN before the first."""
        reading = dict(super().read())
        if not self._is_missing:
            for key, value in self.frame().items():
                reading[f"{self.name}_{key}"] = {"value": value, "timestamp": self._exposed_at}
        return reading

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read`, as they are when nothing fails."""
        exposure_key = f"{self.name}_exposure_s"
        frame = {f"{self.name}_{key}": kind for key, kind in self.frame_keys().items()}
        return {exposure_key: number_key(exposure_key, "s"), **frame}

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Return what `properties` holds."""
        now = self._clock()
        return {
            f"{self.name}_{key}": {"value": value, "timestamp": now}
            for key, (value, _) in self.properties().items()
        }

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read_configuration`."""
        return {
            f"{self.name}_{key}": number_key(f"{self.name}_{key}", unit)
            for key, (_, unit) in self.properties().items()
        }

    def _expose(self, status: Status, exposure_s: float, fault: CountingFault | None) -> None:
        try:
            if fault is CountingFault.ERROR:
                raise RuntimeError(
                    f"{self.name} should have counted for {exposure_s:g} s, but does not answer;"
                    " restart it, or go on without it."
                )
            self.count(exposure_s, fault)
            self._is_missing = fault is CountingFault.MISSING
            self._exposed_at = self._clock()
        except Exception as error:
            # A clock has no plan to raise into; the status takes the error there.
            status.set_exception(error)
            return
        status.set_finished()
