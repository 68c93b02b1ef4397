"""How a person takes the next decision away from the advisor while a plan runs."""

import threading
from dataclasses import dataclass

from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.suggestion_check import checked


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants instead of the next suggestion.

    Attributes
    ----------
    suggestion : Suggestion
        What the plan is to go by, within its limits; to continue after a veto.
    ends_plan : bool
        Whether the whole plan is to end, and not only the sample or range in hand.
    """

    suggestion: Suggestion
    ends_plan: bool = False


class Override:
    """Hand it to a plan and call it from another thread, or from IPython while the plan runs.

    The newest order replaces one that was not yet followed. An order holds for one decision. One
    given when no decision is to come stays for the next plan that has this override, unless it is
    withdrawn.

    Examples
    --------
    >>> override = Override()
    >>> override.veto("that line is the gasket")
    >>> override.pending.suggestion.reason
    'vetoed: that line is the gasket'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: Order | None = None

    @property
    def pending(self) -> Order | None:
        """The order that the next decision follows."""
        return self._pending

    def veto(self, reason: str) -> None:
        """Have the next suggestion set aside; the plan goes on there as it would without advice."""
        self._give(Order(Suggestion(Action.CONTINUE, f"vetoed: {reason}")))

    def next(self, suggestion: Suggestion) -> None:
        """Have this followed instead of the next suggestion, within the limits of the plan."""
        self._give(Order(checked(suggestion)))

    def stop(self, reason: str = "a person ended the plan") -> None:
        """End the plan after the point that is being measured, and close its run properly."""
        self._give(Order(Suggestion(Action.STOP, reason), ends_plan=True))

    def withdraw(self) -> None:
        """Take back an order that was not yet followed."""
        with self._lock:
            self._pending = None

    def settle(self, order: Order) -> None:
        """Forget an order that was followed; a newer one stays. Called by the plan."""
        with self._lock:
            if self._pending is order:
                self._pending = None

    def _give(self, order: Order) -> None:
        with self._lock:
            self._pending = order
