"""Drive a sample along an axis, such as pressure or temperature, in steps as advised."""

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg

from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.advisor import Advisor
from phasepilot.plans.axis_guard import AxisGuard, reading_of
from phasepilot.plans.decision import Decision, Obedience
from phasepilot.plans.dwell import devices_to_read
from phasepilot.plans.override import Override
from phasepilot.plans.scan_limits import Progress, ReturnLimits, ScanLimits
from phasepilot.plans.steered_run import dimensions_of, names_of, set_budgets, staged_run
from phasepilot.plans.steering import Steering


def compression_scan(
    detectors: Sequence[Readable[Any]],
    axis: Movable[Any],
    start: float,
    stop: float,
    *,
    step: float,
    advisor: Advisor | None = None,
    min_step: float | None = None,
    max_step: float | None = None,
    max_points: int = 1000,
    returns: ReturnLimits | None = None,
    guard: AxisGuard | None = None,
    override: Override | None = None,
    obedience: Obedience = Obedience.OBEY,
    advice_timeout_s: float = 2.0,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Step `axis` from `start` to `stop`, reading `detectors`; obey the advisor within limits.

    Without an advisor, or with one that is late, silent or failing, this is the plain scan in
    equal steps. With one, what it saw and what was done is recorded in the stream ``agent`` of
    the run. Advice is a step, or the next place as a region of no width.

    Parameters
    ----------
    detectors : list of Readable
        Read at each point together with the axis, in the stream ``primary``.
    axis : Movable
        What drives the sample, such as the pressure of a diamond anvil cell or the temperature of
        a furnace; read if readable.
    step : float
        Step without advice, in units of the axis.
    advisor : Advisor, optional
        For instance a `phasepilot.agent.PhaseAgent`, which must be subscribed to the RunEngine.
    min_step, max_step : float, optional
        Limits of advised steps; an eighth of `step`, and `step`, if not given.
    max_points : int
        The scan ends after this many points whatever the advice.
    returns : ReturnLimits, optional
        How far and how often advice may take the axis back, to bisect a transition that has no
        hysteresis. Without it the scan goes one way.
    guard : AxisGuard, optional
        Highest value and rate of the axis.
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
    limits = ScanLimits(
        start,
        stop,
        step,
        step / 8 if min_step is None else min_step,
        step if max_step is None else max_step,
        max_points,
        returns,
    )
    guard = guard or AxisGuard()
    guard.check_range(start, stop)
    steering = Steering(advisor, override=override, obedience=obedience, timeout_s=advice_timeout_s)
    devices = devices_to_read(detectors, axis)
    metadata = {
        "plan_name": "compression_scan",
        "detectors": names_of(detectors),
        "motors": names_of([axis]) if isinstance(axis, Readable) else [],
        "plan_args": _plan_args(limits, guard),
        "hints": {"dimensions": dimensions_of(axis)},
        **steering.metadata(),
        **(md or {}),
    }
    points = partial(_points, devices, axis, limits, guard, steering)
    run_uid: str = yield from staged_run(devices, metadata, points)
    return run_uid


def _points(
    devices: Sequence[Readable[Any]],
    axis: Movable[Any],
    limits: ScanLimits,
    guard: AxisGuard,
    steering: Steering,
    run_uid: str,
) -> Generator[Msg, Any, Decision]:
    progress = Progress(limits.start, limits.start)
    while True:
        yield from guard.move(axis, progress.position)
        readings = yield from bps.trigger_and_read(devices)
        limit = partial(_limited, limits, guard, progress, reading_of(axis, readings))
        decision = yield from steering.decide(run_uid, progress.n_points, limit=limit)
        if decision.suggestion.action is Action.STOP:
            return decision
        progress = limits.moved(progress, decision.suggestion.region_stop)


def _limited(
    limits: ScanLimits, guard: AxisGuard, progress: Progress, reading: float, asked: Suggestion
) -> Suggestion:
    return guard.limited(limits.limited(asked, progress), reading)


def _plan_args(limits: ScanLimits, guard: AxisGuard) -> dict[str, Any]:
    returns = limits.returns
    return {
        "start": limits.start,
        "stop": limits.stop,
        "step": limits.nominal_step,
        "min_step": limits.min_step,
        "max_step": limits.max_step,
        "max_points": limits.max_points,
        "max_return_distance": returns.max_distance if returns else 0.0,
        "max_returns": returns.max_returns if returns else 0,
        **set_budgets(max_value=guard.max_value, max_rate_per_s=guard.max_rate_per_s),
    }
