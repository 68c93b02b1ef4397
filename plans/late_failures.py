"""Let everything that a failed plan has started come to its end, before another plan begins."""

import asyncio
from collections.abc import Generator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import FailedStatus, Msg, RunEngineControlException

_LOOK_EVERY_S = 0.02


def ended_together(
    plan: Generator[Msg, Any, Any], *, patience_s: float = 60.0
) -> Generator[Msg, Any, Any]:
    """Run a plan; when a device fails, wait until its moves and triggers have ended, then raise.

    The RunEngine throws a failure into whatever plan runs at that moment. Of two axes that are
    moved together and both get stuck, the second would fail the next sample, which is innocent.

    Parameters
    ----------
    patience_s : float
        How long to wait at most.

    Yields
    ------
    Msg
    """
    started: list[Any] = []

    def keeping(msg: Msg) -> Generator[Msg, Any, Any]:
        status = yield msg
        started.append(status)
        return status

    def watch(msg: Msg) -> tuple[Generator[Msg, Any, Any] | None, None]:
        return (keeping(msg) if msg.command in ("set", "trigger") else None), None

    try:
        return (yield from bpp.plan_mutator(plan, watch))
    except RunEngineControlException:
        raise
    except Exception:
        yield from _until_ended(started, patience_s)
        raise


def _until_ended(started: list[Any], patience_s: float) -> Generator[Msg, Any, None]:
    async def all_ended() -> None:
        end_s = asyncio.get_running_loop().time() + patience_s
        while asyncio.get_running_loop().time() < end_s:
            # The RunEngine hears of a failure a moment after the status has it.
            await asyncio.sleep(_LOOK_EVERY_S)
            if all(getattr(status, "done", True) for status in started):
                return

    while True:
        try:
            yield from bps.wait_for([all_ended])
            # Failures are thrown at the next message: let them be thrown at this one.
            yield from bps.sleep(_LOOK_EVERY_S)
            return
        except FailedStatus:
            continue  # each status fails at most once
