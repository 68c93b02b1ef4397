"""The one way in which every plan here asks, is overruled, falls back and puts it on record."""

import logging
from collections.abc import Generator, Mapping
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import Msg

from phasepilot.models.suggestion import Action, Advice, Suggestion
from phasepilot.plans.advice_recorder import AdviceRecorder
from phasepilot.plans.advisor import Advisor, advice_now, wait_for_advice
from phasepilot.plans.decision import DecidedBy, Decision, Limit, Obedience, decide
from phasepilot.plans.override import Order, Override

logger = logging.getLogger(__name__)


class Steering:
    """Asks the advisor after a frame and returns what the plan goes by.

    Parameters
    ----------
    advisor : Advisor, optional
        For instance a `phasepilot.agent.PhaseAgent`, which must be subscribed to the RunEngine.
    override : Override, optional
        Through which a person may veto, replace or stop.
    obedience : Obedience
        Whether suggestions are followed, or only shown and recorded.
    timeout_s : float
        How long to wait for advice after a frame; later than that, the plan goes on without.
    """

    def __init__(
        self,
        advisor: Advisor | None = None,
        *,
        override: Override | None = None,
        obedience: Obedience = Obedience.OBEY,
        timeout_s: float = 2.0,
    ) -> None:
        self.advisor = advisor
        self.override = override
        self.obedience = obedience
        self.timeout_s = timeout_s
        self._recorder = AdviceRecorder({**_settings(advisor), "obedience": obedience.value})

    @property
    def is_asking(self) -> bool:
        """Whether anyone may be asked; without, nothing is recorded and the plan is the plain one.

        In advise-only mode, too, decisions are asked for and recorded.
        """
        return self.advisor is not None or self.override is not None

    @property
    def stop_order(self) -> Order | None:
        """The order of a person to end the plan that was not yet followed."""
        pending = self.override.pending if self.override else None
        return pending if pending is not None and pending.ends_plan else None

    def metadata(self) -> dict[str, Any]:
        """Return what the start document says of the steering."""
        return {
            "is_steered": self.advisor is not None and self.obedience is Obedience.OBEY,
            "obedience": self.obedience.value,
            "advice_timeout_s": self.timeout_s,
            "without_advice": "the plan goes on in its non-adaptive form",
        }

    def decide(
        self, run_uid: str, seq_num: int, *, limit: Limit | None = None, stream: str = "primary"
    ) -> Generator[Msg, Any, Decision]:
        """Wait for the advice on a frame, record the decision in the stream ``agent``, return it.

        Ends with a checkpoint. Until that, a pause makes the RunEngine take the frame and the
        decision again, and the plan must obey what stands in the record; so decide nothing
        else between the frame and the return of this.

        Parameters
        ----------
        limit : callable, optional
            Bends a suggestion to the limits of the plan; what it returns is recorded as done.

        Yields
        ------
        Msg
        """
        if not self.is_asking:
            yield from bps.checkpoint()
            plain = Suggestion(Action.CONTINUE, "nobody is asked")
            done = limit(plain) if limit else plain
            return Decision(Advice.none(seq_num, "nobody is asked"), done, DecidedBy.PLAN)
        self._recorder.source = lambda: self._decision(run_uid, stream, seq_num, limit)
        if self.advisor is not None:
            yield from wait_for_advice(
                self.advisor, run_uid, stream, seq_num, timeout_s=self.timeout_s
            )
        yield from bps.trigger_and_read([self._recorder], name="agent")
        yield from bps.checkpoint()
        decision = self._recorder.latest
        self._conclude(decision)
        return decision

    def _decision(self, run_uid: str, stream: str, seq_num: int, limit: Limit | None) -> Decision:
        if self.advisor is None:
            advice = Advice.none(seq_num, "there is no advisor")
        else:
            advice = advice_now(self.advisor, run_uid, stream, seq_num, timeout_s=self.timeout_s)
        order = self.override.pending if self.override else None
        return decide(advice, order=order, obedience=self.obedience, limit=limit)

    def settle(self, order: Order) -> None:
        """Have an order forgotten that was followed; `decide` does so itself."""
        if self.override is not None:
            self.override.settle(order)

    def _conclude(self, decision: Decision) -> None:
        if decision.order is not None:
            self.settle(decision.order)
        is_silent = decision.decided_by is DecidedBy.FALLBACK and self.advisor is not None
        logger.log(
            logging.WARNING if is_silent else logging.INFO,
            "frame %d: %s, decided by %s: %s (advice: %s, %s)",
            decision.advice.frame_seq_num,
            decision.suggestion.action.value,
            decision.decided_by.value,
            decision.suggestion.reason,
            decision.advice.action,
            decision.advice.reason,
        )


def _settings(advisor: Advisor | None) -> Mapping[str, str | float | int]:
    if advisor is None:
        return {}
    try:
        return dict(advisor.settings())
    except Exception as error:  # the record then says so; the scan is not the place to fail
        return {"agent_problem": f"settings could not be read ({type(error).__name__}: {error})"}
