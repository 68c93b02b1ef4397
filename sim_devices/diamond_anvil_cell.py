"""A diamond anvil cell: a positioner of pressure that lags behind its set point."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ophyd import Device
from ophyd.status import Status
from ophyd.utils.errors import LimitError

from phasepilot.sim_devices.sample import Sample


@dataclass(frozen=True, slots=True)
class Approach:
    """An exponential approach to a set point, which ends on it once within the tolerance.

    The last step onto the set point is what makes a run repeatable to the bit: where the cell
    stands after a move does not depend on how long the computer took.
    """

    start_gpa: float
    target_gpa: float
    start_time_s: float
    time_constant_s: float
    tolerance_gpa: float

    @property
    def duration_s(self) -> float:
        """Time until the pressure is within the tolerance; 0 if it is so from the start."""
        distance = abs(self.target_gpa - self.start_gpa)
        if distance <= self.tolerance_gpa:
            return 0.0
        return self.time_constant_s * math.log(distance / self.tolerance_gpa)

    def pressure_gpa(self, time_s: float) -> float:
        """Return the pressure at this time of the clock."""
        # A clock that is set back must not move the pressure back.
        elapsed = max(0.0, time_s - self.start_time_s)
        if elapsed >= self.duration_s:
            return self.target_gpa
        remaining = math.exp(-elapsed / self.time_constant_s)
        return self.target_gpa + (self.start_gpa - self.target_gpa) * remaining


class DiamondAnvilCell(Device):  # type: ignore[misc]  # ophyd carries no types
    """A cell whose membrane presses a sample.

    Reads ``NAME_pressure_gpa``, the ruby gauge (true pressure and its noise), and
    ``NAME_setpoint_gpa``. `position` is the true pressure.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    sample : Sample
        Taken along the true pressure, so that its hysteresis sees what the sample sees.
    rng : numpy.random.Generator
        Noise of the gauge.
    time_constant_s, tolerance_gpa : float
        Of the approach; a move is done once within the tolerance.
    limits_gpa : tuple of float
        Lowest and highest set point.
    gauge_noise_gpa : float
        Standard deviation of a reading of the gauge.
    clock, sleep : callable
        Seconds since the epoch, and how to wait; the two must agree.
    """

    def __init__(
        self,
        *,
        name: str,
        sample: Sample,
        rng: np.random.Generator,
        time_constant_s: float = 0.05,
        tolerance_gpa: float = 0.005,
        limits_gpa: tuple[float, float] = (0.0, 30.0),
        gauge_noise_gpa: float = 0.01,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(name=name, **ophyd_arguments)
        self.sample = sample
        self.time_constant_s = time_constant_s
        self.tolerance_gpa = tolerance_gpa
        self.gauge_noise_gpa = gauge_noise_gpa
        self.limits = limits_gpa
        self._rng = rng
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.RLock()
        self._moving: Status | None = None
        self._approach = self._approach_to(sample.pressure_gpa)

    @property
    def setpoint_gpa(self) -> float:
        """The pressure that was asked for; after a stop, the pressure that was held."""
        return self._approach.target_gpa

    @property
    def position(self) -> float:
        """The true pressure now, without the gauge's noise."""
        return self.follow()

    @property
    def egu(self) -> str:
        """Unit of the positions."""
        return "GPa"

    def follow(self) -> float:
        """Bring the sample to the pressure of this moment, and return it."""
        with self._lock:
            pressure_gpa = self._approach.pressure_gpa(self._clock())
            self.sample.move_to(pressure_gpa)
            return pressure_gpa

    def check_value(self, pressure_gpa: float) -> None:
        """Raise LimitError unless the cell may be set to this pressure."""
        low, high = self.limits
        if not low <= pressure_gpa <= high:
            raise LimitError(
                f"{self.name} may be set from {low:g} to {high:g} GPa, but was asked for"
                f" {pressure_gpa:g}; check the scan, or give the cell other limits_gpa."
            )

    def set(self, pressure_gpa: float) -> Status:
        """Start a move; its status is done once the pressure is within the tolerance."""
        self.check_value(pressure_gpa)
        status = Status(self)
        with self._lock:
            self.follow()
            interrupted, self._moving = self._moving, status
            self._approach = self._approach_to(pressure_gpa)
            duration_s = self._approach.duration_s
        if interrupted is not None:
            interrupted.set_exception(
                RuntimeError(
                    f"{self.name} was set to {pressure_gpa:g} GPa before it had arrived;"
                    " wait for a move before the next one."
                )
            )
        # The RunEngine's loop must not be held up, so the waiting is done beside it.
        threading.Thread(target=self._arrive, args=(status, duration_s), daemon=True).start()
        return status

    def stop(self, *, success: bool = False) -> None:
        """Hold the present pressure; a move under way ends as failed, or done if `success`."""
        super().stop(success=success)
        with self._lock:
            status, self._moving = self._moving, None
            if status is None:
                return
            pressure_gpa = self.follow()
            self._approach = self._approach_to(pressure_gpa)
        if success:
            status.set_finished()
            return
        status.set_exception(RuntimeError(f"{self.name} was stopped at {pressure_gpa:.3f} GPa."))

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the gauge and the set point."""
        pressure_gpa = self.follow()
        gauge_gpa = pressure_gpa + self.gauge_noise_gpa * self._rng.standard_normal()
        return {
            **super().read(),
            f"{self.name}_pressure_gpa": {"value": gauge_gpa, "timestamp": self._clock()},
            f"{self.name}_setpoint_gpa": {"value": self.setpoint_gpa, "timestamp": self._clock()},
        }

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read`."""
        low, high = self.limits
        limits = {"control": {"low": low, "high": high}}
        return {
            **super().describe(),
            f"{self.name}_pressure_gpa": {**self._number("pressure_gpa", "GPa"), "limits": limits},
            f"{self.name}_setpoint_gpa": {**self._number("setpoint_gpa", "GPa"), "limits": limits},
        }

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Return what the cell was built with."""
        values = {
            "time_constant_s": self.time_constant_s,
            "tolerance_gpa": self.tolerance_gpa,
            "gauge_noise_gpa": self.gauge_noise_gpa,
        }
        return {
            f"{self.name}_{key}": {"value": value, "timestamp": self._clock()}
            for key, value in values.items()
        }

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read_configuration`."""
        units = {"time_constant_s": "s", "tolerance_gpa": "GPa", "gauge_noise_gpa": "GPa"}
        return {f"{self.name}_{key}": self._number(key, unit) for key, unit in units.items()}

    @property
    def hints(self) -> dict[str, list[str]]:
        """The axis that BestEffortCallback plots against."""
        return {"fields": [f"{self.name}_pressure_gpa"]}

    def _number(self, key: str, units: str) -> dict[str, Any]:
        return {
            "source": f"SIM:{self.name}_{key}",
            "dtype": "number",
            "dtype_numpy": "<f8",
            "shape": [],
            "units": units,
            "precision": 3,
        }

    def _approach_to(self, target_gpa: float) -> Approach:
        return Approach(
            start_gpa=self.sample.pressure_gpa,
            target_gpa=target_gpa,
            start_time_s=self._clock(),
            time_constant_s=self.time_constant_s,
            tolerance_gpa=self.tolerance_gpa,
        )

    def _arrive(self, status: Status, duration_s: float) -> None:
        self._sleep(duration_s)
        with self._lock:
            is_current = self._moving is status
            if not is_current:
                return
            self._moving = None
            # Clocks are coarse: one that is a tick behind must not leave the cell short.
            self.sample.move_to(self.setpoint_gpa)
            self._approach = self._approach_to(self.setpoint_gpa)
        status.set_finished()
