"""Exposure after exposure of one sample, until its answer is settled or its budget is spent."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg

from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.decision import Decision
from phasepilot.plans.dwell import DwellLimits
from phasepilot.plans.steered_run import set_budgets
from phasepilot.plans.steering import Steering


@dataclass(slots=True)
class Spent:
    """What one sample has cost so far.

    Attributes
    ----------
    dwell_s : float
        Of the last exposure.
    n_exposures : int
    exposure_s : float
        Sum of all exposures.
    """

    dwell_s: float
    n_exposures: int = 0
    exposure_s: float = 0.0

    def add(self, dwell_s: float) -> None:
        """Count an exposure in."""
        self.dwell_s = dwell_s
        self.n_exposures += 1
        self.exposure_s += dwell_s


@dataclass(frozen=True, slots=True)
class ExposureLimits:
    """The limits that no advice can move, for one sample.

    Attributes
    ----------
    dwell : DwellLimits
    max_exposures : int
    max_exposure_s : float
        Of all exposures together: the dose.
    max_time_s : float
        No exposure begins that would end later by the clock.
    targets : frozenset of str
        Samples that may be gone to from here.
    """

    dwell: DwellLimits
    max_exposures: int
    max_exposure_s: float
    max_time_s: float
    targets: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.max_exposures < 1:
            raise ValueError(
                f"max_exposures must be at least 1, but is {self.max_exposures}; without"
                " advice, so many are taken."
            )

    def limited(self, asked: Suggestion, spent: Spent, *, elapsed_s: float) -> Suggestion:
        """Return what is done next: another exposure and how long, a move, or a stop."""
        if asked.action in (Action.STOP, Action.END):
            return asked
        if asked.action is Action.MOVE and self.targets:
            if asked.target in self.targets or not asked.target:
                return asked
            asked = replace(
                asked,
                action=Action.CONTINUE,
                reason=f"no sample {asked.target!r} is left to go to",
                target="",
            )
        # Without an opinion the next exposure is as long as the last.
        next_s = self.dwell.within(spent.dwell_s if math.isnan(asked.dwell_s) else asked.dwell_s)
        reason = self._refusal(spent, next_s, elapsed_s)
        if reason:
            return replace(asked, action=Action.STOP, reason=reason)
        # Here any other action means: once more.
        action = Action.EXPOSE if asked.action is Action.EXPOSE else Action.CONTINUE
        return replace(asked, action=action, dwell_s=next_s)

    def plan_args(self) -> dict[str, float]:
        """Return the limits as start documents hold them."""
        return {
            "max_exposures": self.max_exposures,
            "dwell_s": self.dwell.nominal_s,
            "min_dwell_s": self.dwell.min_s,
            "max_dwell_s": self.dwell.max_s,
            **set_budgets(max_exposure_s=self.max_exposure_s, max_time_s=self.max_time_s),
        }

    def _refusal(self, spent: Spent, next_s: float, elapsed_s: float) -> str:
        if spent.n_exposures >= self.max_exposures:
            return f"all {self.max_exposures} exposures are taken"
        if spent.exposure_s + next_s > self.max_exposure_s:
            return f"another {next_s:g} s would exceed the dose of {self.max_exposure_s:g} s"
        if elapsed_s + next_s > self.max_time_s:
            return f"another {next_s:g} s would exceed the time of {self.max_time_s:g} s"
        return ""


def exposures(
    devices: Sequence[Readable[Any]],
    dwell: Movable[Any] | None,
    limits: ExposureLimits,
    steering: Steering,
    clock: Callable[[], float],
    run_uid: str,
) -> Generator[Msg, Any, Decision]:
    """Expose, ask, and so on; return the decision that ended it: a stop, a move or the end.

    Yields
    ------
    Msg
    """
    began_s = clock()
    spent = Spent(limits.dwell.nominal_s)

    def limit(asked: Suggestion) -> Suggestion:
        return limits.limited(asked, spent, elapsed_s=clock() - began_s)

    dwell_s = limits.dwell.nominal_s
    while True:
        yield from bps.checkpoint()
        if dwell is not None:
            yield from bps.mv(dwell, dwell_s)
        yield from bps.trigger_and_read(devices)
        spent.add(dwell_s)
        decision = yield from steering.decide(run_uid, spent.n_exposures, limit=limit)
        if decision.suggestion.action in (Action.STOP, Action.MOVE, Action.END):
            return decision
        dwell_s = decision.suggestion.dwell_s
