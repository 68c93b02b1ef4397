"""Scan a 2-theta arm fast and coarse, then measure where the advisor says it pays."""

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg

from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.advisor import Advisor
from phasepilot.plans.decision import Decision, Obedience
from phasepilot.plans.dwell import DwellLimits, devices_to_read, dwell_move, restoring_dwell
from phasepilot.plans.override import Override
from phasepilot.plans.steered_run import dimensions_of, names_of, set_budgets, staged_run
from phasepilot.plans.steering import Steering
from phasepilot.plans.two_theta_limits import Measured, TwoThetaLimits


def adaptive_two_theta_scan(
    detectors: Sequence[Readable[Any]],
    arm: Movable[Any],
    start: float,
    stop: float,
    *,
    step: float,
    dwell_s: float,
    dwell: Movable[Any] | None = None,
    coarse_step: float | None = None,
    coarse_dwell_s: float | None = None,
    min_step: float | None = None,
    max_step: float | None = None,
    min_dwell_s: float | None = None,
    max_dwell_s: float | None = None,
    reach: tuple[float, float] | None = None,
    max_points: int = 10_000,
    max_exposure_s: float = math.inf,
    max_time_s: float = math.inf,
    advisor: Advisor | None = None,
    override: Override | None = None,
    obedience: Obedience = Obedience.OBEY,
    advice_timeout_s: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Measure one growing pattern, pass by pass: a coarse one first, then as advised.

    All points stand in the stream ``primary`` of one run. After each pass the advice on its last
    point is awaited and the decision recorded in the stream ``agent``: refine, extend and expose
    measure their region, coarsen and continue go on with the plain scan, which is the whole range
    at `step` less what was counted long enough before; stop ends. Without an advisor, or with one
    that is late, silent or failing, this is that plain scan.

    Parameters
    ----------
    detectors : list of Readable
        A point or strip detector; read at each point with the arm and the counting time.
    arm : Movable
        Every pass moves it in the direction from `start` to `stop`.
    step, dwell_s : float
        Of the plain scan, in the unit of the arm and in seconds.
    dwell : Movable, optional
        What sets the counting time, such as ``detector.exposure_s``; put back at the end. Without
        it every point is counted as the detector does, and `dwell_s` says how long that is.
    coarse_step, coarse_dwell_s : float, optional
        Of the first pass of a steered scan; four times `step`, and `dwell_s`, if not given.
    min_step, max_step, min_dwell_s, max_dwell_s : float, optional
        Limits of advised passes; a quarter of `step`, `coarse_step`, a tenth of `dwell_s` and
        ten times `dwell_s` if not given.
    reach : tuple of float, optional
        Lowest and highest position that advice may ask for; the range if not given.
    max_points, max_exposure_s, max_time_s
        Of the whole scan, whatever the advice: points, sum of counting times, time of the clock.
    advisor, override, obedience, advice_timeout_s
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
    coarse = 4 * step if coarse_step is None else coarse_step
    limits = TwoThetaLimits(
        start=start,
        stop=stop,
        reach=(min(start, stop), max(start, stop)) if reach is None else reach,
        step=step,
        coarse_step=coarse,
        min_step=step / 4 if min_step is None else min_step,
        max_step=coarse if max_step is None else max_step,
        dwell=DwellLimits.for_signal(
            dwell, dwell_s, min_dwell_s=min_dwell_s, max_dwell_s=max_dwell_s
        ),
        coarse_dwell_s=dwell_s if coarse_dwell_s is None else coarse_dwell_s,
        max_points=max_points,
        max_exposure_s=max_exposure_s,
        max_time_s=max_time_s,
    )
    steering = Steering(advisor, override=override, obedience=obedience, timeout_s=advice_timeout_s)
    devices = devices_to_read(detectors, arm, dwell)
    metadata = {
        "plan_name": "adaptive_two_theta_scan",
        "detectors": names_of(detectors),
        "motors": names_of([arm]),
        "plan_args": _plan_args(limits),
        "hints": {"dimensions": dimensions_of(arm)},
        **steering.metadata(),
        **(md or {}),
    }
    passes = partial(_passes, devices, arm, dwell, limits, steering, clock)
    run_uid: str = yield from restoring_dwell(staged_run(devices, metadata, passes), dwell)
    return run_uid


def _passes(
    devices: Sequence[Readable[Any]],
    arm: Movable[Any],
    dwell: Movable[Any] | None,
    limits: TwoThetaLimits,
    steering: Steering,
    clock: Callable[[], float],
    run_uid: str,
) -> Generator[Msg, Any, Decision]:
    began_s = clock()
    measured = Measured(limits.step)

    def limit(asked: Suggestion) -> Suggestion:
        return limits.limited(asked, measured, elapsed_s=clock() - began_s)

    current = (
        limits.first_pass(
            measured, step=limits.coarse_step, dwell_s=limits.dwell.within(limits.coarse_dwell_s)
        )
        if steering.is_asking
        else limits.first_pass(measured, step=limits.step, dwell_s=limits.dwell.nominal_s)
    )
    while True:
        if current.action is Action.COARSEN:
            measured.plain_step = current.step
        for index, position in enumerate(limits.positions(current, measured)):
            yield from bps.checkpoint()
            is_over = bool(steering.stop_order) or clock() - began_s >= limits.max_time_s
            if index and is_over:
                break
            yield from bps.mv(arm, position, *dwell_move(dwell, current.dwell_s))
            yield from bps.trigger_and_read(devices)
            measured.add(position, current.dwell_s)
        decision = yield from steering.decide(run_uid, measured.n_points, limit=limit)
        if decision.suggestion.action is Action.STOP:
            return decision
        current = decision.suggestion


def _plan_args(limits: TwoThetaLimits) -> dict[str, Any]:
    return {
        "start": limits.start,
        "stop": limits.stop,
        "reach": list(limits.reach),
        "step": limits.step,
        "coarse_step": limits.coarse_step,
        "min_step": limits.min_step,
        "max_step": limits.max_step,
        "dwell_s": limits.dwell.nominal_s,
        "coarse_dwell_s": limits.coarse_dwell_s,
        "min_dwell_s": limits.dwell.min_s,
        "max_dwell_s": limits.dwell.max_s,
        "max_points": limits.max_points,
        **set_budgets(max_exposure_s=limits.max_exposure_s, max_time_s=limits.max_time_s),
    }
