"""A diamond anvil cell: a positioner of pressure that lags behind its set point."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from phasepilot.sim_devices.clock import ThreadedClock
from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.positioner import SimulatedPositioner, number_key
from phasepilot.sim_devices.travel import Approach, Path


class PressedSample(Protocol):
    """What a cell needs of the sample that it presses."""

    pressure_gpa: float

    def move_to(self, pressure_gpa: float) -> None:
        """Change the pressure monotonically to this one."""


class DiamondAnvilCell(SimulatedPositioner):
    """A cell whose membrane presses a sample.

    Reads ``NAME_pressure_gpa``, the ruby gauge (true pressure and its noise), and
    ``NAME_setpoint_gpa``. `position` is the true pressure.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    sample : PressedSample
        Taken along the true pressure, so that its hysteresis sees what the sample sees.
    rng : numpy.random.Generator
        Noise of the gauge.
    time_constant_s, tolerance_gpa : float
        Of the approach; a move is done once within the tolerance.
    limits_gpa : tuple of float
        Lowest and highest set point.
    gauge_noise_gpa, noisy_gauge_gpa : float
        Standard deviation of a reading, and the same under `MoveFault.NOISY_READBACK`.
    timeout_s : float
        When a stuck move is given up.
    fault_at : mapping of int to MoveFault, optional
        See `phasepilot.sim_devices.faults`.
    clock, sleep : callable
        Seconds since the epoch, and how to wait; the two must agree.
    """

    def __init__(
        self,
        *,
        name: str,
        sample: PressedSample,
        rng: np.random.Generator,
        time_constant_s: float = 0.05,
        tolerance_gpa: float = 0.005,
        limits_gpa: tuple[float, float] = (0.0, 30.0),
        gauge_noise_gpa: float = 0.01,
        noisy_gauge_gpa: float = 0.5,
        timeout_s: float = 10.0,
        fault_at: Mapping[int, MoveFault] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(
            name=name,
            quantity="pressure_gpa",
            unit="GPa",
            start=sample.pressure_gpa,
            limits=limits_gpa,
            rng=rng,
            clock=ThreadedClock(clock, sleep),
            readback_noise=gauge_noise_gpa,
            noisy_readback=noisy_gauge_gpa,
            timeout_s=timeout_s,
            fault_at=fault_at,
            **ophyd_arguments,
        )
        self.sample = sample
        self.time_constant_s = time_constant_s
        self.tolerance_gpa = tolerance_gpa

    @property
    def setpoint_gpa(self) -> float:
        """The pressure that was asked for; after a stop, the pressure that was held."""
        return self._setpoint

    def follow(self) -> float:
        """Bring the sample to the pressure of this moment, and return it."""
        with self._lock:
            pressure_gpa = super().follow()
            self.sample.move_to(pressure_gpa)
            return pressure_gpa

    def path_to(self, target: float, start: float) -> Path:
        """Return the way from one pressure to another that begins now."""
        return Approach(start, target, self._clock(), self.time_constant_s, self.tolerance_gpa)

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Return what the cell was built with."""
        values = {
            "time_constant_s": self.time_constant_s,
            "tolerance_gpa": self.tolerance_gpa,
            "gauge_noise_gpa": self.readback_noise,
        }
        return {
            f"{self.name}_{key}": {"value": value, "timestamp": self._clock()}
            for key, value in values.items()
        }

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read_configuration`."""
        units = {"time_constant_s": "s", "tolerance_gpa": "GPa", "gauge_noise_gpa": "GPa"}
        return {
            f"{self.name}_{key}": number_key(f"{self.name}_{key}", unit)
            for key, unit in units.items()
        }
