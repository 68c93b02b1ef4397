"""What a scan of a 2-theta arm may do, whatever the advice; arithmetic, without any device."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.dwell import DwellLimits

# Positions are rounded, so that sums of 0.01 read 0.03 and meet again in the next pass.
_DECIMALS = 9
# A point that rounding has pushed over the end of its region by this part of a step still counts.
_SLIVER = 1e-6


@dataclass(slots=True)
class Measured:
    """What was measured so far.

    Attributes
    ----------
    dwell_s : dict of float to float
        The longest counting time at each position.
    n_points : int
    exposure_s : float
        Sum of all counting times.
    plain_step : float
        Step of the scan that goes on when there is no advice.
    """

    plain_step: float
    dwell_s: dict[float, float] = field(default_factory=dict)
    n_points: int = 0
    exposure_s: float = 0.0

    def add(self, position: float, dwell_s: float) -> None:
        """Count a point in."""
        self.dwell_s[position] = max(dwell_s, self.dwell_s.get(position, 0.0))
        self.n_points += 1
        self.exposure_s += dwell_s


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoThetaLimits:
    """The limits that no advice can move; positions in the unit of the arm.

    Attributes
    ----------
    start, stop : float
        Range of the plain scan. Every pass runs in its direction.
    reach : tuple of float
        Lowest and highest position that a suggestion may go to; holds the range.
    step, coarse_step : float
        Of the plain scan, and of the first pass of a steered one.
    min_step, max_step : float
        Of passes that were suggested.
    dwell : DwellLimits
    coarse_dwell_s : float
        Counting time in the first pass of a steered scan.
    max_points : int
    max_exposure_s : float
        Of all points together: the dose.
    max_time_s : float
        A pass that runs longer ends where it is.
    """

    start: float
    stop: float
    reach: tuple[float, float]
    step: float
    coarse_step: float
    min_step: float
    max_step: float
    dwell: DwellLimits
    coarse_dwell_s: float
    max_points: int
    max_exposure_s: float
    max_time_s: float

    def __post_init__(self) -> None:
        steps = (self.min_step, self.step, self.coarse_step, self.max_step)
        if not (0 < steps[0] <= steps[1] <= steps[2] <= steps[3] < math.inf):
            told = ", ".join(f"{step:g}" for step in steps)
            raise ValueError(
                "steps must obey 0 < min_step <= step <= coarse_step <= max_step, but are"
                f" {told}; the direction comes from start and stop."
            )
        low, high = min(self.start, self.stop), max(self.start, self.stop)
        if not self.reach[0] <= low < high <= self.reach[1]:
            raise ValueError(
                f"reach must hold the range from {low:g} to {high:g}, but is {self.reach}; give"
                " (lowest, highest)."
            )
        if self.max_points < 1 or self.dwell.within(self.coarse_dwell_s) > self.max_exposure_s:
            raise ValueError(
                f"the scan must be allowed a point, but max_points is {self.max_points} and"
                f" max_exposure_s {self.max_exposure_s:g}; raise them."
            )

    def first_pass(self, measured: Measured, *, step: float, dwell_s: float) -> Suggestion:
        """Return the pass over the whole range with which a scan begins."""
        whole = Suggestion(Action.CONTINUE, "the whole range", step, self.start, self.stop, dwell_s)
        return self._affordable(whole, self.positions(whole, measured), measured)

    def limited(self, asked: Suggestion, measured: Measured, *, elapsed_s: float) -> Suggestion:
        """Return the pass that is measured next, with nothing left open, or a stop."""
        if asked.action is Action.STOP:
            return asked
        if elapsed_s >= self.max_time_s:
            return replace(asked, action=Action.STOP, reason=f"{self.max_time_s:g} s are over")
        wanted = self._window(asked, measured) or self._plain(asked, measured)
        positions = self.positions(wanted, measured)
        if not positions:
            return replace(
                wanted, action=Action.STOP, reason="all of the plain scan has been measured"
            )
        return self._affordable(wanted, positions, measured)

    def positions(self, wanted: Suggestion, measured: Measured) -> list[float]:
        """Return where a limited suggestion measures, in the direction of the scan."""
        places = self._grid(wanted.region_start, wanted.region_stop, wanted.step)
        if wanted.action not in (Action.CONTINUE, Action.COARSEN):
            return list(places)
        # The plain scan goes on: what it has counted long enough is not taken again.
        return [place for place in places if measured.dwell_s.get(place, 0.0) < wanted.dwell_s]

    def _plain(self, asked: Suggestion, measured: Measured) -> Suggestion:
        step, action = measured.plain_step, Action.CONTINUE
        if asked.action is Action.COARSEN:
            larger = asked.step if math.isfinite(asked.step) else 2 * step
            step, action = self._step_within(max(larger, step)), Action.COARSEN
        return replace(
            asked,
            action=action,
            step=step,
            region_start=self.start,
            region_stop=self.stop,
            dwell_s=self.dwell.nominal_s,
        )

    def _window(self, asked: Suggestion, measured: Measured) -> Suggestion | None:
        """Return the suggested window within limits; None where the plain scan goes on."""
        if asked.action not in (Action.REFINE, Action.EXTEND, Action.EXPOSE):
            return None
        edges = asked.region_start, asked.region_stop
        if any(map(math.isnan, edges)):
            if asked.action is Action.EXTEND:
                return None
            edges = self.start, self.stop
        low, high = max(min(edges), self.reach[0]), min(max(edges), self.reach[1])
        if low > high:
            return None
        step = asked.step
        if not math.isfinite(step):
            step = measured.plain_step / (2 if asked.action is Action.REFINE else 1)
        is_upward = self.stop > self.start
        return replace(
            asked,
            step=self._step_within(step),
            region_start=low if is_upward else high,
            region_stop=high if is_upward else low,
            dwell_s=self.dwell.within(asked.dwell_s),
        )

    def _affordable(
        self, wanted: Suggestion, positions: list[float], measured: Measured
    ) -> Suggestion:
        """Return the pass, cut where points or dose run out."""
        dose_left_s = self.max_exposure_s - measured.exposure_s
        n_by_dose = (
            len(positions)
            if math.isinf(dose_left_s)
            else math.floor(dose_left_s / wanted.dwell_s + _SLIVER)
        )
        n_left = min(self.max_points - measured.n_points, n_by_dose)
        if n_left < 1:
            told = f"{measured.n_points} points with {measured.exposure_s:g} s are all allowed"
            return replace(wanted, action=Action.STOP, reason=told)
        if n_left < len(positions):
            return replace(wanted, region_stop=positions[n_left - 1])
        return wanted

    def _step_within(self, step: float) -> float:
        return min(max(step, self.min_step), self.max_step)

    def _grid(self, first: float, last: float, step: float) -> Iterable[float]:
        direction = 1.0 if self.stop > self.start else -1.0
        n_steps = math.floor(abs(last - first) / step + _SLIVER)
        for index in range(n_steps + 1):
            place = round(first + direction * index * step, _DECIMALS)
            yield min(max(place, self.reach[0]), self.reach[1])
