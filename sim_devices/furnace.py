"""A furnace or cryostat: a positioner of temperature that ramps and lags."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ophyd import Component, Kind, Signal

from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.heated_sample import HeatedSample
from phasepilot.sim_devices.positioner import SimulatedPositioner
from phasepilot.sim_devices.rate_curve import RateCurve
from phasepilot.sim_devices.travel import LaggedRamp, Path

DEFAULT_RAMP_RATE_K_PER_S = 0.5


class Furnace(SimulatedPositioner):
    """Heats and cools a sample along ramps, without overshoot.

    Reads ``NAME_temperature_k``, the thermocouple (true temperature and its noise), and
    ``NAME_setpoint_k``. ``furnace.ramp_rate_k_per_s`` is set for the moves that follow, and stands
    in the configuration. `position` is the true temperature. A detector takes the furnace as its
    sample.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    sample : HeatedSample
        Taken along the true temperature, so that its hysteresis sees what the sample sees.
    rng : numpy.random.Generator
        Noise of the thermocouple.
    clock : Clock
    time_constant_s : float
        How slowly the sample follows the set point.
    tolerance_k : float
        A move is done once within it.
    limits_k : tuple of float
        Lowest and highest set point.
    thermocouple_noise_k, noisy_thermocouple_k : float
        Standard deviation of a reading, and the same under `MoveFault.NOISY_READBACK`.
    timeout_s : float
        When a stuck move is given up.
    fault_at : mapping of int to MoveFault, optional
        See `phasepilot.sim_devices.faults`.
    """

    ramp_rate_k_per_s = Component(Signal, value=DEFAULT_RAMP_RATE_K_PER_S, kind=Kind.config)

    def __init__(
        self,
        *,
        name: str,
        sample: HeatedSample,
        rng: np.random.Generator,
        clock: Clock,
        time_constant_s: float = 20.0,
        tolerance_k: float = 0.1,
        limits_k: tuple[float, float] = (80.0, 1900.0),
        thermocouple_noise_k: float = 0.05,
        noisy_thermocouple_k: float = 5.0,
        timeout_s: float = 3600.0,
        fault_at: Mapping[int, MoveFault] | None = None,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(
            name=name,
            quantity="temperature_k",
            unit="K",
            start=sample.temperature_k,
            limits=limits_k,
            rng=rng,
            clock=clock,
            readback_noise=thermocouple_noise_k,
            noisy_readback=noisy_thermocouple_k,
            timeout_s=timeout_s,
            fault_at=fault_at,
            **ophyd_arguments,
        )
        self.sample = sample
        self.time_constant_s = time_constant_s
        self.tolerance_k = tolerance_k

    @property
    def wavelength_angstrom(self) -> float:
        """Wavelength of the beam."""
        return self.sample.wavelength_angstrom

    def rate_curve(self) -> RateCurve:
        """Return what the sample scatters at the temperature of this moment."""
        self.follow()
        return self.sample.rate_curve()

    def follow(self) -> float:
        """Bring the sample to the temperature of this moment, and return it."""
        with self._lock:
            temperature_k = super().follow()
            self.sample.move_to(temperature_k)
            return temperature_k

    def check_value(self, target: float) -> None:
        """Raise LimitError or ValueError unless the furnace may be set to this temperature."""
        super().check_value(target)
        rate = self.ramp_rate_k_per_s.get()
        if not 0 < rate < np.inf:
            raise ValueError(
                f"{self.name}_ramp_rate_k_per_s must be positive, but is {rate:g};"
                " set the ramp rate before the temperature."
            )

    def path_to(self, target: float, start: float) -> Path:
        """Return the way from one temperature to another that begins now."""
        rate = float(self.ramp_rate_k_per_s.get())
        return LaggedRamp(
            start, target, self._clock(), rate, self.time_constant_s, self.tolerance_k
        )
