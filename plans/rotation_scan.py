"""Turn a sample in the beam, to the angles that are advised, until its symmetry is settled."""

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg

from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.advisor import Advisor
from phasepilot.plans.decision import Decision, Obedience
from phasepilot.plans.dwell import devices_to_read
from phasepilot.plans.override import Override
from phasepilot.plans.steered_run import dimensions_of, names_of, set_budgets, staged_run
from phasepilot.plans.steering import Steering


@dataclass(frozen=True, slots=True)
class RotationLimits:
    """The limits that no advice can move.

    Attributes
    ----------
    start, stop : float
        Range of the axis, in its unit; the scan begins at `start`.
    step : float
        Of the scan without advice, which goes from `start` to `stop`.
    max_points : int
    max_time_s : float
    """

    start: float
    stop: float
    step: float
    max_points: int
    max_time_s: float

    def __post_init__(self) -> None:
        if not (0 < self.step < math.inf and self.max_points > 0):
            raise ValueError(
                f"step and max_points must be above 0, but are {self.step:g} and"
                f" {self.max_points}; the direction comes from start and stop."
            )

    def limited(self, asked: Suggestion, n_points: int, *, elapsed_s: float) -> Suggestion:
        """Return what is done: the next angle as both ends of the region, or a stop.

        A suggestion asks for an angle by a region of no width; without one, the plain scan goes on.
        """
        if asked.action is Action.STOP:
            return asked
        if n_points >= self.max_points:
            return replace(asked, action=Action.STOP, reason=f"all {n_points} images are taken")
        if elapsed_s >= self.max_time_s:
            told = f"the time of {self.max_time_s:g} s is spent"
            return replace(asked, action=Action.STOP, reason=told)
        if math.isfinite(asked.region_start) and asked.region_start == asked.region_stop:
            low, high = sorted((self.start, self.stop))
            place = min(max(asked.region_start, low), high)
        else:
            travelled = n_points * self.step
            if travelled > abs(self.stop - self.start) * (1 + 1e-9):
                told = "the end of the range is reached"
                return replace(asked, action=Action.STOP, reason=told)
            place = self.start + math.copysign(travelled, self.stop - self.start)
        # Rounded: an archived set point should read 0.3 and not 0.30000000000000004.
        place = round(place, 9)
        return replace(asked, region_start=place, region_stop=place)


def rotation_scan(
    detectors: Sequence[Readable[Any]],
    axis: Movable[Any],
    start: float,
    stop: float,
    *,
    step: float,
    advisor: Advisor | None = None,
    max_points: int = 1000,
    max_time_s: float = math.inf,
    override: Override | None = None,
    obedience: Obedience = Obedience.OBEY,
    advice_timeout_s: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Take an image at `start`, then where the advisor says, until it says stop.

    Without an advisor, or with one that is late, silent or failing, this is the plain scan in equal
    steps to `stop`. With one, what it saw and what was done is recorded in the stream ``agent``.

    Parameters
    ----------
    detectors : list of Readable
        Read at each angle together with the axis, in the stream ``primary``.
    axis : Movable
        What turns the sample.
    step : float
        Step without advice, in units of the axis.
    advisor : Advisor, optional
        For instance a `phasepilot.agent.PhaseAgent`, which must be subscribed to the RunEngine.
    max_points : int
    max_time_s : float
        Images, and time of the clock, after which the scan ends whatever the advice.
    override, obedience, advice_timeout_s
        See `phasepilot.plans.steering.Steering`.
    md : mapping, optional

    Yields
    ------
    Msg

    Returns
    -------
    str
        The uid of the run.
    """
    limits = RotationLimits(start, stop, step, max_points, max_time_s)
    steering = Steering(advisor, override=override, obedience=obedience, timeout_s=advice_timeout_s)
    devices = devices_to_read(detectors, axis)
    metadata = {
        "plan_name": "rotation_scan",
        "detectors": names_of(detectors),
        "motors": names_of([axis]) if isinstance(axis, Readable) else [],
        "plan_args": {
            "start": start,
            "stop": stop,
            "step": step,
            "max_points": max_points,
            **set_budgets(max_time_s=max_time_s),
        },
        "hints": {"dimensions": dimensions_of(axis)},
        **steering.metadata(),
        **(md or {}),
    }
    points = partial(_points, devices, axis, limits, steering, clock)
    run_uid: str = yield from staged_run(devices, metadata, points)
    return run_uid


def _points(
    devices: Sequence[Readable[Any]],
    axis: Movable[Any],
    limits: RotationLimits,
    steering: Steering,
    clock: Callable[[], float],
    run_uid: str,
) -> Generator[Msg, Any, Decision]:
    began_s, place, n_points = clock(), limits.start, 0
    while True:
        yield from bps.checkpoint()
        yield from bps.mv(axis, place)
        yield from bps.trigger_and_read(devices)
        n_points += 1
        limit = partial(_limited, limits, n_points, clock() - began_s)
        decision = yield from steering.decide(run_uid, n_points, limit=limit)
        if decision.suggestion.action is Action.STOP:
            return decision
        place = decision.suggestion.region_start


def _limited(
    limits: RotationLimits, n_points: int, elapsed_s: float, asked: Suggestion
) -> Suggestion:
    return limits.limited(asked, n_points, elapsed_s=elapsed_s)
