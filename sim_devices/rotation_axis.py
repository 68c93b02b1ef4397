"""The axis that turns a sample in the beam."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.positioner import SimulatedPositioner
from phasepilot.sim_devices.travel import Path, Travel


class RotationAxis(SimulatedPositioner):
    """A motor about the vertical. Reads ``NAME_angle_deg`` and ``NAME_setpoint_deg``.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    rng : numpy.random.Generator
        Noise of the encoder.
    clock : Clock
    start_deg : float
        Where it stands.
    limits_deg : tuple of float
        Lowest and highest set point.
    velocity_deg_per_s, settle_time_s : float
        Of a move.
    fault_at : mapping of int to MoveFault, optional
        See `phasepilot.sim_devices.faults`.
    """

    def __init__(
        self,
        *,
        name: str,
        rng: np.random.Generator,
        clock: Clock,
        start_deg: float = 0.0,
        limits_deg: tuple[float, float] = (-180.0, 180.0),
        velocity_deg_per_s: float = 20.0,
        settle_time_s: float = 0.3,
        fault_at: Mapping[int, MoveFault] | None = None,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(
            name=name,
            quantity="angle_deg",
            unit="deg",
            start=start_deg,
            limits=limits_deg,
            rng=rng,
            clock=clock,
            readback_noise=0.0,
            noisy_readback=0.5,
            timeout_s=60.0,
            fault_at=fault_at,
            **ophyd_arguments,
        )
        self.velocity_deg_per_s = velocity_deg_per_s
        self.settle_time_s = settle_time_s

    def path_to(self, target: float, start: float) -> Path:
        """Return the way from one angle to another that begins now."""
        now = self._clock()
        return Travel(start, target, now, self.velocity_deg_per_s, self.settle_time_s)
