"""Drive a sample along an axis in steps that an advisor may halve, double and end."""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg

from phasepilot.models.suggestion import Action, Advice
from phasepilot.plans.advice_recorder import AdviceRecorder
from phasepilot.plans.advisor import Advisor, advice_now, wait_for_advice

# Part of a step that is not worth a frame of its own.
_SLIVER = 1e-3


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """The limits that no advice can move.

    Attributes
    ----------
    start, stop : float
        Range of the axis; its direction is from `start` to `stop` and never back.
    nominal_step, min_step, max_step : float
        Step without advice, and the smallest and largest with it; all above 0.
    max_points : int
    """

    start: float
    stop: float
    nominal_step: float
    min_step: float
    max_step: float
    max_points: int

    def __post_init__(self) -> None:
        if not 0 < self.min_step <= self.nominal_step <= self.max_step < math.inf:
            raise ValueError(
                f"steps must obey 0 < min_step <= step <= max_step, but are {self.min_step:g},"
                f" {self.nominal_step:g} and {self.max_step:g}; the direction comes from start and"
                " stop."
            )
        if self.max_points < 1:
            raise ValueError(f"max_points must be at least 1, but is {self.max_points}.")

    def next_position(self, position: float, advice: Advice | None) -> float | None:
        """Return where to go next, or None when the scan is over."""
        if position == self.stop:
            return None
        step = self.nominal_step
        if advice is not None:
            if advice.action == Action.STOP:
                return None
            if math.isfinite(advice.step):
                step = min(max(advice.step, self.min_step), self.max_step)
        direction = math.copysign(1.0, self.stop - self.start)
        # Rounded: sums of 0.1 should read 0.3, and an archived set point should too.
        target = round(position + direction * step, 9)
        # Rounded steps add up to just short of the end; a sliver more is not worth a frame.
        is_last = direction * (self.stop - target) <= _SLIVER * step
        return self.stop if is_last else target


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
    advice_timeout_s: float = 2.0,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Step `axis` from `start` to `stop`, reading `detectors`; obey the advisor within limits.

    Without an advisor, or with one that is late, silent or failing, this is the plain scan in
    equal steps. With one, what it saw and decided is recorded in the stream ``agent`` of the run.

    Parameters
    ----------
    detectors : list of Readable
        Read at each point together with the axis, in the stream ``primary``.
    axis : Movable
        What drives the sample, such as the pressure of a diamond anvil cell; read if readable.
    step : float
        Step without advice, in units of the axis.
    advisor : Advisor, optional
        For instance a `phasepilot.agent.PhaseAgent`, which must be subscribed to the RunEngine.
    min_step, max_step : float, optional
        Limits of advised steps; an eighth of `step`, and `step`, if not given.
    max_points : int
        The scan ends after this many points whatever the advice.
    advice_timeout_s : float
        How long to wait for advice at each point.
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
    )
    devices = [*detectors, axis] if isinstance(axis, Readable) else list(detectors)
    metadata = {
        "plan_name": "compression_scan",
        "detectors": [detector.name for detector in detectors],
        "motors": [axis.name] if isinstance(axis, Readable) else [],
        "plan_args": {
            "start": start,
            "stop": stop,
            "step": step,
            "min_step": limits.min_step,
            "max_step": limits.max_step,
            "max_points": max_points,
            "advice_timeout_s": advice_timeout_s,
        },
        "is_steered": advisor is not None,
        "hints": {"dimensions": _dimensions(axis)},
        **(md or {}),
    }

    @bpp.stage_decorator(devices)
    def staged() -> Generator[Msg, Any, str]:
        opened: str = yield from bps.open_run(metadata)
        points = (
            _plain_points(devices, axis, limits)
            if advisor is None
            else _advised_points(devices, axis, limits, advisor, opened, advice_timeout_s)
        )
        yield from bpp.contingency_wrapper(
            points, except_plan=_close_failed, else_plan=bps.close_run
        )
        return opened

    run_uid: str = yield from staged()
    return run_uid


def _plain_points(
    devices: Sequence[Readable[Any]], axis: Movable[Any], limits: ScanLimits
) -> Generator[Msg, Any, None]:
    position = limits.start
    for _ in range(limits.max_points):
        yield from bps.checkpoint()
        yield from bps.mv(axis, position)
        yield from bps.trigger_and_read(devices)
        target = limits.next_position(position, None)
        if target is None:
            return
        position = target


def _advised_points(
    devices: Sequence[Readable[Any]],
    axis: Movable[Any],
    limits: ScanLimits,
    advisor: Advisor,
    run_uid: str,
    timeout_s: float,
) -> Generator[Msg, Any, None]:
    recorder = AdviceRecorder(_settings(advisor))
    position = limits.start
    yield from bps.checkpoint()
    for seq_num in range(1, limits.max_points + 1):
        recorder.source = _asking(advisor, run_uid, seq_num, timeout_s)
        yield from bps.mv(axis, position)
        yield from bps.trigger_and_read(devices)
        yield from wait_for_advice(advisor, run_uid, "primary", seq_num, timeout_s=timeout_s)
        yield from bps.trigger_and_read([recorder], name="agent")
        # Decided only after the checkpoint: until then a pause makes the RunEngine take this
        # frame and its advice again, and the plan must obey what stands in the record.
        yield from bps.checkpoint()
        target = limits.next_position(position, recorder.latest)
        if target is None:
            return
        position = target


def _asking(advisor: Advisor, run_uid: str, seq_num: int, timeout_s: float) -> Any:
    return lambda: advice_now(advisor, run_uid, "primary", seq_num, timeout_s=timeout_s)


def _settings(advisor: Advisor) -> Mapping[str, str | float | int]:
    try:
        return advisor.settings()
    except Exception as error:  # the record then says so; the scan is not the place to fail
        return {"agent_problem": f"settings could not be read ({type(error).__name__}: {error})"}


def _close_failed(error: Exception) -> Generator[Msg, Any, None]:
    # As bluesky's run_wrapper does: the run says why it ended.
    yield from bps.close_run(exit_status=getattr(error, "exit_status", "fail"), reason=str(error))


def _dimensions(axis: Movable[Any]) -> list[Any]:
    fields = getattr(axis, "hints", {}).get("fields", [])
    return [(fields, "primary")] if fields else []
