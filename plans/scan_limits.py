"""Where a scan along one axis may go next, whatever the advice; arithmetic, without any device."""

import math
from dataclasses import dataclass, replace

from phasepilot.models.suggestion import Action, Suggestion

# Part of a step that is not worth a frame of its own.
_SLIVER = 1e-3


@dataclass(frozen=True, slots=True)
class ReturnLimits:
    """How far and how often a scan may go back, for instance to bisect a transition.

    Attributes
    ----------
    max_distance : float
        Behind the furthest position reached, in the unit of the axis.
    max_returns : int
    """

    max_distance: float
    max_returns: int

    def __post_init__(self) -> None:
        if not (0 < self.max_distance < math.inf and self.max_returns > 0):
            raise ValueError(
                "ReturnLimits must be positive and finite, but are"
                f" {self.max_distance:g} and {self.max_returns}; leave them out to never go back."
            )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan has come.

    Attributes
    ----------
    position, furthest : float
        Set points of the last point, and of the one nearest to the end so far.
    n_points, n_returns : int
        Points taken, and times gone back.
    """

    position: float
    furthest: float
    n_points: int = 1
    n_returns: int = 0


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """The limits that no advice can move.

    Attributes
    ----------
    start, stop : float
        Range of the axis; its direction is from `start` to `stop`.
    nominal_step, min_step, max_step : float
        Step without advice, and the smallest and largest with it; all above 0. No move goes
        further than `max_step` beyond what was reached before.
    max_points : int
    returns : ReturnLimits or None
        None: never back.
    """

    start: float
    stop: float
    nominal_step: float
    min_step: float
    max_step: float
    max_points: int
    returns: ReturnLimits | None = None

    def __post_init__(self) -> None:
        if not 0 < self.min_step <= self.nominal_step <= self.max_step < math.inf:
            raise ValueError(
                f"steps must obey 0 < min_step <= step <= max_step, but are {self.min_step:g},"
                f" {self.nominal_step:g} and {self.max_step:g}; the direction comes from start and"
                " stop."
            )
        if self.max_points < 1:
            raise ValueError(f"max_points must be at least 1, but is {self.max_points}.")

    def limited(self, asked: Suggestion, progress: Progress) -> Suggestion:
        """Return what is done: `region_start` and `region_stop` both say where to go, or a stop.

        A suggestion asks for a place by a region of no width, and for a step otherwise.
        """
        if asked.action is Action.STOP:
            return asked
        if progress.n_points >= self.max_points:
            told = f"all {self.max_points} points are taken"
            return replace(asked, action=Action.STOP, reason=told)
        if math.isfinite(asked.region_start) and asked.region_start == asked.region_stop:
            target = self._place(asked.region_start, progress)
            if target is None:
                told = f"{asked.region_start:g} may not be gone to from here; go on"
                asked = Suggestion(Action.CONTINUE, told)
                target = self._step(math.nan, progress)
        else:
            target = self._step(asked.step, progress)
        if target is None:
            return replace(asked, action=Action.STOP, reason="the end of the range is reached")
        step = abs(target - progress.position)
        return replace(asked, step=step, region_start=target, region_stop=target)

    def moved(self, progress: Progress, target: float) -> Progress:
        """Return the progress after the next point, at `target`."""
        is_return = self._travelled(target) < self._travelled(progress.position)
        return Progress(
            target,
            max(progress.furthest, target, key=self._travelled),
            progress.n_points + 1,
            progress.n_returns + is_return,
        )

    def _step(self, asked: float, progress: Progress) -> float | None:
        """Return where a step ends; one without opinion goes on from the furthest position."""
        base, step = progress.furthest, self.nominal_step
        if math.isfinite(asked):
            base, step = progress.position, min(max(asked, self.min_step), self.max_step)
        if base == self.stop:
            return None
        target = self._at(self._travelled(base) + step)
        # Rounded steps add up to just short of the end; a sliver more is not worth a frame.
        is_last = self._travelled(self.stop) - self._travelled(target) <= _SLIVER * step
        return self.stop if is_last else target

    def _place(self, asked: float, progress: Progress) -> float | None:
        """Return the place asked for, as near as limits allow; None where it lies too far back."""
        here, furthest = self._travelled(progress.position), self._travelled(progress.furthest)
        low, high = here, min(self._travelled(self.stop), furthest + self.max_step)
        if self.returns is not None and progress.n_returns < self.returns.max_returns:
            low = max(0.0, min(here, furthest - self.returns.max_distance))
        wanted = min(self._travelled(asked), high)
        if abs(wanted - here) < self.min_step * (1 - _SLIVER):
            wanted = here + math.copysign(self.min_step, self._travelled(asked) - here)
        wanted = min(wanted, high)
        if wanted < low or math.isclose(wanted, here, abs_tol=_SLIVER * self.min_step):
            return None
        is_last = self._travelled(self.stop) - wanted <= _SLIVER * self.min_step
        return self.stop if is_last else self._at(wanted)

    def _travelled(self, place: float) -> float:
        return math.copysign(1.0, self.stop - self.start) * (place - self.start)

    def _at(self, travelled: float) -> float:
        # Rounded: sums of 0.1 should read 0.3, and an archived set point should too.
        place = round(self.start + math.copysign(1.0, self.stop - self.start) * travelled, 9)
        return min(max(place, min(self.start, self.stop)), max(self.start, self.stop))
