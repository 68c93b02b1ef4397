"""What a plan needs of an agent, and how it asks without ever hanging."""

import asyncio
import logging
from collections.abc import Generator, Mapping
from concurrent.futures import Future
from typing import Any, Protocol, runtime_checkable

import bluesky.plan_stubs as bps
from bluesky.utils import Msg

from phasepilot.models.suggestion import Advice
from phasepilot.plans.suggestion_check import checked

logger = logging.getLogger(__name__)


class Advisor(Protocol):
    """Anything that gives advice on frames, such as `phasepilot.agent.PhaseAgent`."""

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        """Return the future advice on a frame; the newest one, when a frame was repeated."""
        ...

    def settings(self) -> Mapping[str, str | float | int]:
        """Return what goes on record beside the advice: version, model, configuration."""
        ...


@runtime_checkable
class InferringAdvisor(Protocol):
    """An advisor that also knows something of samples that were not measured."""

    def inferred(self, sample: str) -> Advice:
        """Return what a sample is taken to be, as the answer; no answer where nothing is known."""
        ...


def await_suggestion(
    advisor: Advisor, run_uid: str, stream: str, seq_num: int, *, timeout_s: float
) -> Generator[Msg, Any, Advice]:
    """Wait inside the RunEngine's loop, at most `timeout_s`, and return the advice on a frame.

    Late, failed or absent advice comes back as advice to continue that says why. Nothing raises.

    Yields
    ------
    Msg
        ``wait_for``
    """
    yield from wait_for_advice(advisor, run_uid, stream, seq_num, timeout_s=timeout_s)
    return advice_now(advisor, run_uid, stream, seq_num, timeout_s=timeout_s)


def wait_for_advice(
    advisor: Advisor, run_uid: str, stream: str, seq_num: int, *, timeout_s: float
) -> Generator[Msg, Any, None]:
    """Wait until the advice on a frame is there, at most `timeout_s`; nothing raises.

    Yields
    ------
    Msg
        ``wait_for``
    """

    # Asked anew each time the message is processed: after a pause the RunEngine repeats it for
    # the repeated frame. asyncio.wait, unlike wait_for, does not raise into the plan on time-out.
    async def until_known() -> None:
        try:
            future = advisor.advice(run_uid, stream, seq_num)
            await asyncio.wait({asyncio.wrap_future(future)}, timeout=timeout_s)
        except Exception:  # an advisor may fail in any way; the scan goes on without it
            logger.exception("the advisor failed on frame %d", seq_num)

    yield from bps.wait_for([until_known])


def advice_now(
    advisor: Advisor, run_uid: str, stream: str, seq_num: int, *, timeout_s: float
) -> Advice:
    """Return the advice on a frame as it stands, or none with the reason."""
    try:
        future = advisor.advice(run_uid, stream, seq_num)
        if not future.done():
            return Advice.none(seq_num, f"the advisor did not answer within {timeout_s:g} s")
        advice = future.result()
        checked(advice.suggestion)
        return advice
    except Exception as error:  # an advisor may fail in any way; the scan goes on without it
        return Advice.none(seq_num, f"the advisor failed ({type(error).__name__}: {error})")


def inferred_now(advisor: InferringAdvisor, sample: str) -> Advice:
    """Return what a sample that was not measured is taken to be; nothing raises."""
    try:
        return advisor.inferred(sample)
    except Exception as error:  # an advisor may fail in any way; the loop ends without it
        logger.exception("the advisor failed on sample %s", sample)
        return Advice.none(0, f"the advisor failed ({type(error).__name__}: {error})")
