"""Measure many samples on a stage, each no longer than needed, in the order that teaches most."""

import logging
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg, RunEngineControlException

from phasepilot.models.suggestion import Action
from phasepilot.plans.advisor import Advisor, InferringAdvisor, inferred_now
from phasepilot.plans.decision import DecidedBy, Decision, Obedience, is_absent
from phasepilot.plans.dwell import DwellLimits, devices_to_read, restoring_dwell
from phasepilot.plans.exposures import ExposureLimits, exposures
from phasepilot.plans.late_failures import ended_together
from phasepilot.plans.override import Override
from phasepilot.plans.sample_positions import SamplePosition, check_samples
from phasepilot.plans.screening_result import (
    Outcome,
    OutcomeRecorder,
    SampleOutcome,
    ScreeningResult,
)
from phasepilot.plans.steered_run import closed_run, names_of, reason_of
from phasepilot.plans.steering import Steering

logger = logging.getLogger(__name__)

SUMMARY_RUN_KEY = "screening"


def screening_loop(
    detectors: Sequence[Readable[Any]],
    stage: Sequence[Movable[Any]],
    samples: Sequence[SamplePosition],
    *,
    max_exposures: int,
    dwell_s: float,
    dwell: Movable[Any] | None = None,
    min_dwell_s: float | None = None,
    max_dwell_s: float | None = None,
    max_exposure_s: float = math.inf,
    max_time_s: float = math.inf,
    max_failures_in_a_row: int = 5,
    advisor: Advisor | None = None,
    override: Override | None = None,
    obedience: Obedience = Obedience.OBEY,
    advice_timeout_s: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, ScreeningResult]:
    """Take up to `max_exposures` of each sample, one run a sample, and one run that lists them.

    Advice to stop settles a sample, to move settles it and names the next, to end settles it and
    ends the loop; to expose sets the next exposure; to continue takes another one. Without advice
    each sample gets all its exposures, in the order given. A sample on which a device fails is
    reported and skipped. What an advisor makes of samples that were not measured
    (`phasepilot.plans.advisor.InferringAdvisor`) is recorded as inferred.

    Parameters
    ----------
    detectors : list of Readable
        Read at each exposure with the stage, in the stream ``primary`` of the sample's run.
    stage : list of Movable
        The axes of the stage, as positions list them.
    samples : list of SamplePosition
        In the order of the plain loop; see `grid_of_samples` and `wafer_of_samples`.
    max_exposures : int
        Of one sample.
    dwell_s, dwell, min_dwell_s, max_dwell_s
        As in `count_until_confident`.
    max_exposure_s : float
        Sum of the exposures of one sample: its dose.
    max_time_s : float
        Of the whole loop, by the clock: no sample begins without the time for an exposure, and
        no further exposure that would end later.
    max_failures_in_a_row : int
        After so many, it is not the samples: the loop ends.
    advisor, override, obedience, advice_timeout_s
        See `phasepilot.plans.steering.Steering`. ``override.stop()`` ends the loop; a suggestion
        to stop ends the sample, to end the loop.
    md : mapping, optional
        Goes into the start document of every run.

    Yields
    ------
    Msg

    Returns
    -------
    ScreeningResult
        All that a map needs; ``RunEngine(call_returns_result=True)`` hands it on.
    """
    check_samples(samples, len(stage))
    limits = ExposureLimits(
        DwellLimits.for_signal(dwell, dwell_s, min_dwell_s=min_dwell_s, max_dwell_s=max_dwell_s),
        max_exposures,
        max_exposure_s,
        max_time_s,
    )
    steering = Steering(advisor, override=override, obedience=obedience, timeout_s=advice_timeout_s)
    devices = devices_to_read(detectors, *stage, dwell)
    shared = {
        "plan_name": "screening_loop",
        "detectors": names_of(detectors),
        "motors": names_of(stage),
        "plan_args": {**limits.plan_args(), "max_failures_in_a_row": max_failures_in_a_row},
        **steering.metadata(),
        **(md or {}),
    }
    loop = _Screening(devices, stage, dwell, limits, steering, clock, shared)
    body = loop.all_samples(samples, max_failures_in_a_row)
    result: ScreeningResult = yield from restoring_dwell(bpp.stage_wrapper(body, devices), dwell)
    return result


class _Screening:
    """What the steps of the loop share."""

    def __init__(
        self,
        devices: Sequence[Readable[Any]],
        stage: Sequence[Movable[Any]],
        dwell: Movable[Any] | None,
        limits: ExposureLimits,
        steering: Steering,
        clock: Callable[[], float],
        metadata: Mapping[str, Any],
    ) -> None:
        self._devices = devices
        self._stage = stage
        self._dwell = dwell
        self._limits = limits
        self._steering = steering
        self._clock = clock
        self._metadata = metadata
        self._began_s = clock()
        self._recorder = OutcomeRecorder()

    def all_samples(
        self, samples: Sequence[SamplePosition], max_failures_in_a_row: int
    ) -> Generator[Msg, Any, ScreeningResult]:
        metadata = {
            **self._metadata,
            "purpose": "screening summary",
            "samples": {sample.name: list(sample.position) for sample in samples},
        }
        summary_uid = yield from _in_summary(bps.open_run(metadata))
        yield from bps.checkpoint()
        outcomes: list[SampleOutcome] = []
        try:
            reason = yield from self._visits(samples, summary_uid, outcomes, max_failures_in_a_row)
            yield from self._infer(samples, outcomes)
        except Exception as error:
            status = getattr(error, "exit_status", "fail")
            yield from _in_summary(bps.close_run(exit_status=status, reason=reason_of(error)))
            raise
        yield from _in_summary(bps.close_run(exit_status="success", reason=reason))
        yield from bps.checkpoint()
        known = {outcome.sample.name for outcome in outcomes}
        left = [sample for sample in samples if sample.name not in known]
        missed = (SampleOutcome(sample, Outcome.NOT_REACHED, reason) for sample in left)
        return ScreeningResult(summary_uid, tuple(chain(outcomes, missed)), reason)

    def _visits(
        self,
        samples: Sequence[SamplePosition],
        summary_uid: str,
        outcomes: list[SampleOutcome],
        max_failures_in_a_row: int,
    ) -> Generator[Msg, Any, str]:
        left = {sample.name: sample for sample in samples}
        self._began_s = self._clock()
        target, n_failures = "", 0
        while left:
            order = self._steering.stop_order
            if order is not None:
                self._steering.settle(order)
                return f"a person ended it: {order.suggestion.reason}"
            if self._time_left_s() < self._limits.dwell.nominal_s:
                return f"the time of {self._limits.max_time_s:g} s is spent"
            sample = left.pop(target if target in left else next(iter(left)))
            outcome, decision = yield from self._visit(sample, summary_uid, frozenset(left))
            yield from self._record(outcome, outcomes)
            if decision is not None and decision.ends_plan:
                return f"a person ended it: {decision.suggestion.reason}"
            if decision is not None and decision.suggestion.action is Action.END:
                return f"the advisor ended it: {decision.suggestion.reason}"
            target = decision.suggestion.target if decision is not None else ""
            n_failures = n_failures + 1 if outcome.outcome is Outcome.FAILED else 0
            if n_failures >= max_failures_in_a_row:
                return f"{n_failures} samples failed one after another: {outcome.reason}"
        return "all samples were visited"

    def _infer(
        self, samples: Sequence[SamplePosition], outcomes: list[SampleOutcome]
    ) -> Generator[Msg, Any, None]:
        """Record what the advisor, if it is obeyed, makes of samples that were not measured."""
        advisor = self._steering.advisor
        is_obeyed = self._steering.obedience is Obedience.OBEY
        if not is_obeyed or not isinstance(advisor, InferringAdvisor):
            return
        visited = {outcome.sample.name for outcome in outcomes}
        for sample in samples:
            if sample.name in visited:
                continue
            advice = inferred_now(advisor, sample.name)
            if advice.answer:
                told = SampleOutcome(sample, Outcome.INFERRED, advice.reason, advice=advice)
                yield from self._record(told, outcomes)

    def _record(
        self, outcome: SampleOutcome, outcomes: list[SampleOutcome]
    ) -> Generator[Msg, Any, None]:
        outcomes.append(outcome)
        self._recorder.latest = outcome
        yield from _in_summary(bps.trigger_and_read([self._recorder]))
        yield from bps.checkpoint()

    def _visit(
        self, sample: SamplePosition, summary_uid: str, targets: frozenset[str]
    ) -> Generator[Msg, Any, tuple[SampleOutcome, Decision | None]]:
        run_uid = ""

        def moved_and_exposed(uid: str) -> Generator[Msg, Any, Decision]:
            # In the run, so that a stage that fails leaves a run that says so.
            yield from bps.mv(*chain(*zip(self._stage, sample.position, strict=True)))
            limits = replace(self._limits, max_time_s=self._time_left_s(), targets=targets)
            return (
                yield from exposures(
                    self._devices, self._dwell, limits, self._steering, self._clock, uid
                )
            )

        def points(uid: str) -> Generator[Msg, Any, Decision]:
            nonlocal run_uid
            run_uid = uid
            decision: Decision = yield from ended_together(moved_and_exposed(uid))
            return decision

        metadata = {
            **self._metadata,
            "sample_name": sample.name,
            "sample_position": list(sample.position),
            "screening_uid": summary_uid,
        }
        try:
            _, decision = yield from closed_run(metadata, points)
        except RunEngineControlException:
            raise  # a person aborts or stops the plan, and not a sample
        except Exception as error:  # whatever a device does, the other samples are still there
            told = reason_of(error)
            logger.warning("sample %s failed and is skipped: %s", sample.name, told)
            yield from bps.checkpoint()
            return SampleOutcome(sample, Outcome.FAILED, told, run_uid), None
        return _outcome(sample, run_uid, decision), decision

    def _time_left_s(self) -> float:
        return self._limits.max_time_s - (self._clock() - self._began_s)


def _outcome(sample: SamplePosition, run_uid: str, decision: Decision) -> SampleOutcome:
    advice, reason = decision.advice, decision.suggestion.reason
    if is_absent(advice):
        told = f"{reason}; {advice.problem}"
        return SampleOutcome(sample, Outcome.UNJUDGED, told, run_uid)
    is_settled = decision.decided_by is not DecidedBy.PLAN and decision.suggestion.action in (
        Action.STOP,
        Action.MOVE,
        Action.END,
    )
    kind = Outcome.SETTLED if is_settled else Outcome.MEASURED
    return SampleOutcome(sample, kind, reason, run_uid, advice)


_in_summary = partial(bpp.set_run_key_wrapper, run=SUMMARY_RUN_KEY)
