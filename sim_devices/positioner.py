"""What everything that can be set to a position has in common: moves, stops, limits, faults."""

import threading
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from ophyd import Device
from ophyd.status import Status
from ophyd.utils.errors import LimitError

from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.travel import Path, Rest


class SimulatedPositioner(Device):  # type: ignore[misc]  # ophyd carries no types
    """A device with one position; a subclass says how it gets from one to another.

    Reads ``NAME_QUANTITY``, the true position and its noise, and ``NAME_setpoint_UNIT``. `position`
    is the true one.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    quantity, unit : str
        Of the readback, e.g. ``"two_theta_deg"`` and ``"deg"``.
    start : float
        Where it stands.
    limits : tuple of float
        Lowest and highest set point.
    rng : numpy.random.Generator
        Noise of the readback.
    clock : Clock
    readback_noise : float
        Standard deviation of a reading.
    noisy_readback : float
        The same under `MoveFault.NOISY_READBACK`.
    timeout_s : float
        When a stuck move is given up.
    fault_at : mapping of int to MoveFault, optional
        Which moves go wrong; see `phasepilot.sim_devices.faults`.
    """

    def __init__(
        self,
        *,
        name: str,
        quantity: str,
        unit: str,
        start: float,
        limits: tuple[float, float],
        rng: np.random.Generator,
        clock: Clock,
        readback_noise: float,
        noisy_readback: float,
        timeout_s: float,
        fault_at: Mapping[int, MoveFault] | None = None,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(name=name, **ophyd_arguments)
        self.fault_at: Mapping[int, MoveFault] = fault_at or {}
        self.limits = limits
        self.egu = unit
        self.timeout_s = timeout_s
        self.readback_noise = readback_noise
        self.noisy_readback = noisy_readback
        self._quantity = quantity
        self._rng = rng
        self._clock = clock
        self._lock = threading.RLock()
        self._n_moves = 0
        self._fault: MoveFault | None = None
        self._moving: Status | None = None
        self._path: Path = Rest(start)
        self._setpoint = start

    @abstractmethod
    def path_to(self, target: float, start: float) -> Path:
        """Return the way from one position to another that begins now."""

    @property
    def readback_key(self) -> str:
        """Name of the field that holds the position."""
        return f"{self.name}_{self._quantity}"

    @property
    def setpoint_key(self) -> str:
        """Name of the field that holds the position asked for."""
        return f"{self.name}_setpoint_{self._unit_suffix}"

    @property
    def _unit_suffix(self) -> str:
        return self.egu.lower()

    @property
    def position(self) -> float:
        """The true position now, without the noise of the readback."""
        return self.follow()

    def follow(self) -> float:
        """Bring along what hangs on the position, and return it."""
        with self._lock:
            return self._path.position(self._clock())

    def stage(self) -> list[object]:
        """Make ready for a run; moves are counted from here."""
        staged: list[object] = super().stage()
        self._n_moves = 0
        return staged

    def check_value(self, target: float) -> None:
        """Raise LimitError unless the device may be set to this position."""
        low, high = self.limits
        if not low <= target <= high:
            raise LimitError(
                f"{self.name} may be set from {low:g} to {high:g} {self.egu}, but was asked for"
                f" {target:g}; check the scan, or give {self.name} other limits."
            )

    def set(self, target: float) -> Status:
        """Start a move; its status is done once it has arrived and settled."""
        self.check_value(target)
        status = Status(self)
        with self._lock:
            start = self.follow()
            self._n_moves += 1
            self._fault = self.fault_at.get(self._n_moves)
            interrupted, self._moving = self._moving, status
            self._setpoint = float(target)
            is_stuck = self._fault is MoveFault.STUCK
            self._path = Rest(start) if is_stuck else self.path_to(self._setpoint, start)
            duration_s = self._path.duration_s
        if interrupted is not None:
            interrupted.set_exception(
                RuntimeError(
                    f"{self.name} was set to {target:g} {self.egu} before it had arrived;"
                    " wait for a move before the next one."
                )
            )
        if is_stuck:
            self._clock.call_after(self.timeout_s, partial(self._give_up, status))
        else:
            self._clock.call_after(duration_s, partial(self._arrive, status))
        return status

    def stop(self, *, success: bool = False) -> None:
        """Hold the present position; a move under way ends as failed, or done if `success`."""
        super().stop(success=success)
        status = self._held()
        if status is None:
            return
        if success:
            status.set_finished()
            return
        status.set_exception(
            RuntimeError(f"{self.name} was stopped at {self._setpoint:.3f} {self.egu}.")
        )

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the readback and the set point."""
        position = self.follow()
        is_noisy = self._fault is MoveFault.NOISY_READBACK
        noise = self.noisy_readback if is_noisy else self.readback_noise
        now = self._clock()
        return {
            **super().read(),
            self.readback_key: {
                "value": position + noise * self._rng.standard_normal(),
                "timestamp": now,
            },
            self.setpoint_key: {"value": self._setpoint, "timestamp": now},
        }

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read`."""
        low, high = self.limits
        limits = {"control": {"low": low, "high": high}}
        keys = (self.readback_key, self.setpoint_key)
        numbers = {key: {**number_key(key, self.egu), "limits": limits} for key in keys}
        return {**super().describe(), **numbers}

    @property
    def hints(self) -> dict[str, list[str]]:
        """The axis that BestEffortCallback plots against."""
        return {"fields": [self.readback_key]}

    def _held(self) -> Status | None:
        """Hold the present position, and return the status of the move that this ends."""
        with self._lock:
            status, self._moving = self._moving, None
            if status is not None:
                self._setpoint = self.follow()
                self._path = Rest(self._setpoint)
            return status

    def _arrive(self, status: Status) -> None:
        with self._lock:
            is_current = self._moving is status
            if not is_current:
                return
            self._moving = None
            # Clocks are coarse: one that is a tick behind must not leave the device short.
            self._path = Rest(self._setpoint)
            self.follow()
        status.set_finished()

    def _give_up(self, status: Status) -> None:
        with self._lock:
            is_current = self._moving is status
            if not is_current:
                return
            self._moving = None
            position = self.follow()
        status.set_exception(
            TimeoutError(
                f"{self.name} should have arrived at {self._setpoint:g} {self.egu} within"
                f" {self.timeout_s:g} s, but stands at {position:g}; see what blocks it, or go on"
                " with another position."
            )
        )


def number_key(key: str, units: str) -> dict[str, Any]:
    """Return the data key of a single number."""
    return {
        "source": f"SIM:{key}",
        "dtype": "number",
        "dtype_numpy": "<f8",
        "shape": [],
        "units": units,
        "precision": 4,
    }
