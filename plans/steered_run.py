"""One run around the points of a plan: staged, opened, and closed with the reason it ended."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import FailedStatus, Msg

from phasepilot.plans.decision import Decision

# Measures, given the uid of the run, and returns the decision on which it ended.
Points = Callable[[str], Generator[Msg, Any, Decision]]


def staged_run(
    devices: Sequence[Readable[Any]], metadata: Mapping[str, Any], points: Points
) -> Generator[Msg, Any, str]:
    """Stage, measure in one run, unstage; return the uid of the run.

    Yields
    ------
    Msg
    """

    def one_run() -> Generator[Msg, Any, str]:
        run_uid, _ = yield from closed_run(metadata, points)
        return run_uid

    run_uid: str = yield from bpp.stage_wrapper(one_run(), devices)
    return run_uid


def closed_run(
    metadata: Mapping[str, Any], points: Points
) -> Generator[Msg, Any, tuple[str, Decision]]:
    """Open a run, measure and close it, whatever happens; its stop document says why it ended.

    Yields
    ------
    Msg
    """
    run_uid: str = yield from bps.open_run(dict(metadata))

    try:
        # Nothing before this is taken again after a pause.
        yield from bps.checkpoint()
        decision = yield from points(run_uid)
    except Exception as error:
        # As bluesky's run_wrapper does: the run says why it ended.
        status = getattr(error, "exit_status", "fail")
        yield from bps.close_run(exit_status=status, reason=reason_of(error))
        raise
    told = f"{decision.decided_by.value}: {decision.suggestion.reason}"
    yield from bps.close_run(exit_status="success", reason=told)
    yield from bps.checkpoint()
    return run_uid, decision


def reason_of(error: Exception) -> str:
    """Return what failed, in words; a failed status itself only says that it failed."""
    cause = error.__cause__ if isinstance(error, FailedStatus) else None
    return f"{type(cause).__name__}: {cause}" if cause else f"{type(error).__name__}: {error}"


def names_of(devices: Sequence[Any]) -> list[str]:
    """Return the names of those devices that have one."""
    return [device.name for device in devices if hasattr(device, "name")]


def dimensions_of(*axes: Any) -> list[Any]:
    """Return what BestEffortCallback plots against."""
    found = [getattr(axis, "hints", {}).get("fields", []) for axis in axes]
    return [(fields, "primary") for fields in found if fields]


def set_budgets(**budgets: float) -> dict[str, float]:
    """Return those budgets that are set: JSON, and so a start document, knows no infinity."""
    return {name: value for name, value in budgets.items() if math.isfinite(value)}
