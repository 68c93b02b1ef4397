"""The arm of a diffractometer that carries a detector around the sample."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.positioner import SimulatedPositioner
from phasepilot.sim_devices.travel import Path, Travel


class TwoThetaArm(SimulatedPositioner):
    """A motor in 2-theta. Reads ``NAME_two_theta_deg`` and ``NAME_setpoint_deg``.

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
        Of a move. The defaults are usual of laboratory goniometers.
    encoder_noise_deg, noisy_encoder_deg : float
        Standard deviation of a reading, and the same under `MoveFault.NOISY_READBACK`.
    timeout_s : float
        When a stuck move is given up.
    fault_at : mapping of int to MoveFault, optional
        See `phasepilot.sim_devices.faults`.
    """

    def __init__(
        self,
        *,
        name: str,
        rng: np.random.Generator,
        clock: Clock,
        start_deg: float = 10.0,
        limits_deg: tuple[float, float] = (5.0, 150.0),
        velocity_deg_per_s: float = 2.0,
        settle_time_s: float = 0.1,
        encoder_noise_deg: float = 0.0,
        noisy_encoder_deg: float = 0.05,
        timeout_s: float = 60.0,
        fault_at: Mapping[int, MoveFault] | None = None,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(
            name=name,
            quantity="two_theta_deg",
            unit="deg",
            start=start_deg,
            limits=limits_deg,
            rng=rng,
            clock=clock,
            readback_noise=encoder_noise_deg,
            noisy_readback=noisy_encoder_deg,
            timeout_s=timeout_s,
            fault_at=fault_at,
            **ophyd_arguments,
        )
        self.velocity_deg_per_s = velocity_deg_per_s
        self.settle_time_s = settle_time_s

    def path_to(self, target: float, start: float) -> Path:
        """Return the way from one position to another that begins now."""
        now = self._clock()
        return Travel(start, target, now, self.velocity_deg_per_s, self.settle_time_s)
