"""Put the agent into any plan: ask it after each event, record, and let it end the plan."""

from collections.abc import Callable, Generator, Sequence
from functools import wraps
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.utils import Msg, RequestStop

from phasepilot.models.suggestion import Action
from phasepilot.plans.decision import Decision, Limit
from phasepilot.plans.steering import Steering

Plan = Generator[Msg, Any, Any]
Obey = Callable[[Decision], Plan]


class AdvisedStop(RequestStop):
    """Ends the plan inside `advised_wrapper`, and nothing around it."""


def end_when_told(decision: Decision) -> Plan:
    """End the wrapped plan on advice to stop; other advice is on record, and left to the plan.

    Raises
    ------
    AdvisedStop

    Yields
    ------
    Msg
    """
    if decision.suggestion.action in (Action.STOP, Action.END):
        raise AdvisedStop(decision.suggestion.reason)
    yield from ()


def advised_wrapper(
    plan: Plan,
    steering: Steering,
    detectors: Sequence[Any],
    *,
    obey: Obey = end_when_told,
    limit: Limit | None = None,
    stream: str = "primary",
) -> Plan:
    """Ask after each event of a plan that holds one of these detectors, in each of its runs.

    Events that flyers or monitors make are not asked about.

    Parameters
    ----------
    plan : generator
        Such as ``bp.scan([detector], motor, 0, 1, 11)``.
    steering : Steering
        Whom to ask, and who may overrule.
    obey : callable
        Gets each `Decision` and gives messages that follow it, such as
        ``lambda decision: bps.mv(detector.exposure_s, decision.suggestion.dwell_s)``; what is
        given replaces ending the plan, see `end_when_told`.
    limit : callable, optional
        Bends a suggestion to what the plan allows before it is recorded as done.

    Yields
    ------
    Msg

    Returns
    -------
    Any
        What the plan returns; the uid of its last run when advice ended it.
    """
    watch = _Watch(steering, detectors, obey, limit, stream)
    try:
        return (yield from bpp.plan_mutator(plan, watch.after))
    except AdvisedStop:
        return watch.last_run_uid


def advised_decorator(
    steering: Steering, detectors: Sequence[Any], **options: Any
) -> Callable[[Callable[..., Plan]], Callable[..., Plan]]:
    """Return the decorator that puts `advised_wrapper` around a plan function."""

    def decorate(plan_function: Callable[..., Plan]) -> Callable[..., Plan]:
        @wraps(plan_function)
        def advised(*args: Any, **kwargs: Any) -> Plan:
            return (
                yield from advised_wrapper(
                    plan_function(*args, **kwargs), steering, detectors, **options
                )
            )

        return advised

    return decorate


class _Watch:
    """Follows the messages of a plan and adds a decision after each event."""

    def __init__(
        self,
        steering: Steering,
        detectors: Sequence[Any],
        obey: Obey,
        limit: Limit | None,
        stream: str,
    ) -> None:
        self.last_run_uid = ""
        self._steering = steering
        self._detectors = detectors
        self._obey = obey
        self._limit = limit
        self._stream = stream
        self._run_uids: dict[Any, str] = {}
        self._n_events: dict[Any, int] = {}
        self._bundling = ""
        self._has_detector = False

    def after(self, msg: Msg) -> tuple[Plan | None, Plan | None]:
        """Return what replaces and what follows a message, as `bpp.plan_mutator` wants it."""
        if msg.command == "open_run":
            return self._opening(msg), None
        if msg.command == "create":
            self._bundling = msg.kwargs.get("name", "primary")
            self._has_detector = False
        elif msg.command == "read":
            self._has_detector |= any(msg.obj is detector for detector in self._detectors)
        elif msg.command == "save" and self._bundling == self._stream:
            self._n_events[msg.run] = self._n_events.get(msg.run, 0) + 1
            if self._has_detector:
                return None, self._deciding(msg.run)
        return None, None

    def _opening(self, msg: Msg) -> Plan:
        run_uid = yield msg
        self.last_run_uid = self._run_uids[msg.run] = run_uid
        self._n_events[msg.run] = 0
        return run_uid

    def _deciding(self, run_key: Any) -> Plan:
        deciding = self._steering.decide(
            self._run_uids[run_key],
            self._n_events[run_key],
            limit=self._limit,
            stream=self._stream,
        )
        if run_key is not None:
            deciding = bpp.set_run_key_wrapper(deciding, run_key)
        decision = yield from deciding
        yield from self._obey(decision)
