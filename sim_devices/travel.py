"""Where a motor stands while it moves. No device, no clock."""

import math
from dataclasses import dataclass
from typing import Protocol


class Path(Protocol):
    """A monotonic way from one position to another."""

    @property
    def duration_s(self) -> float:
        """Time until the move is done; 0 if there is nothing to do."""

    def position(self, time_s: float) -> float:
        """Return the position at this time of the clock."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Standing still."""

    place: float

    @property
    def duration_s(self) -> float:
        """0."""
        return 0.0

    def position(self, time_s: float) -> float:
        """Return the place, whatever the time."""
        return self.place


@dataclass(frozen=True, slots=True)
class Travel:
    """A move at constant velocity, and the time to settle after it.

    Examples
    --------
    >>> travel = Travel(10.0, 16.0, start_time_s=0.0, velocity_per_s=2.0, settle_time_s=0.5)
    >>> travel.duration_s, travel.position(1.0), travel.position(3.2)
    (3.5, 12.0, 16.0)
    """

    start: float
    target: float
    start_time_s: float
    velocity_per_s: float
    settle_time_s: float

    @property
    def duration_s(self) -> float:
        """Time to travel and settle; 0 if already there."""
        distance = abs(self.target - self.start)
        return distance / self.velocity_per_s + self.settle_time_s if distance else 0.0

    def position(self, time_s: float) -> float:
        """Return the position at this time of the clock."""
        way = self.target - self.start
        travelled = self.velocity_per_s * max(0.0, time_s - self.start_time_s)
        return self.target if travelled >= abs(way) else self.start + math.copysign(travelled, way)


@dataclass(frozen=True, slots=True)
class Approach:
    """An exponential approach to a set point, which ends on it once within the tolerance.

    The last step onto the set point is what makes a run repeatable to the bit: where a device
    stands after a move does not depend on how long the computer took.
    """

    start: float
    target: float
    start_time_s: float
    time_constant_s: float
    tolerance: float

    @property
    def duration_s(self) -> float:
        """Time until the position is within the tolerance; 0 if it is so from the start."""
        distance = abs(self.target - self.start)
        if distance <= self.tolerance:
            return 0.0
        return self.time_constant_s * math.log(distance / self.tolerance)

    def position(self, time_s: float) -> float:
        """Return the position at this time of the clock."""
        # A clock that is set back must not move the device back.
        elapsed = max(0.0, time_s - self.start_time_s)
        if elapsed >= self.duration_s:
            return self.target
        remaining = math.exp(-elapsed / self.time_constant_s)
        return self.target + (self.start - self.target) * remaining


@dataclass(frozen=True, slots=True)
class LaggedRamp:
    """A set point that runs at a constant rate, and a temperature that follows with a lag.

    First-order lag: dT/dt = (set point - T) / time constant, from equilibrium at the start. It
    never overshoots, and ends on the target once within the tolerance of it.

    Examples
    --------
    >>> ramp = LaggedRamp(300.0, 400.0, 0.0, rate_per_s=1.0, time_constant_s=10.0, tolerance=0.1)
    >>> round(ramp.position(100.0), 3), round(ramp.duration_s, 3), ramp.position(200.0)
    (390.0, 146.051, 400.0)
    """

    start: float
    target: float
    start_time_s: float
    rate_per_s: float
    time_constant_s: float
    tolerance: float

    @property
    def _ramp_s(self) -> float:
        return abs(self.target - self.start) / self.rate_per_s

    def _lag(self, elapsed_s: float) -> float:
        """Return how far the temperature is behind the set point while that still runs."""
        return (
            self.rate_per_s * self.time_constant_s * -math.expm1(-elapsed_s / self.time_constant_s)
        )

    @property
    def duration_s(self) -> float:
        """Time until the temperature is within the tolerance; 0 if it is so from the start."""
        if abs(self.target - self.start) <= self.tolerance:
            return 0.0
        ratio = self._lag(self._ramp_s) / self.tolerance
        return self._ramp_s + self.time_constant_s * math.log(max(1.0, ratio))

    def position(self, time_s: float) -> float:
        """Return the temperature at this time of the clock."""
        elapsed_s = max(0.0, time_s - self.start_time_s)
        if elapsed_s >= self.duration_s:
            return self.target
        way = self.target - self.start
        if elapsed_s < self._ramp_s:
            covered = self.rate_per_s * elapsed_s - self._lag(elapsed_s)
            return self.start + math.copysign(covered, way)
        decay = math.exp(-(elapsed_s - self._ramp_s) / self.time_constant_s)
        return self.target - math.copysign(self._lag(self._ramp_s) * decay, way)
