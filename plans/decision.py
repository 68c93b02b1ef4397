"""What a plan goes by after a frame, who decided it, and the columns that put it on record."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from phasepilot.models.suggestion import Action, Advice, Suggestion
from phasepilot.plans.override import Order

# Fills in what a suggestion leaves open and bends it to the limits of the plan. The action comes
# back changed only where the plan refuses.
Limit = Callable[[Suggestion], Suggestion]


class DecidedBy(StrEnum):
    """Whose word the plan goes by."""

    ADVISOR = "advisor"
    PERSON = "person"
    FALLBACK = "fallback"
    PLAN = "plan"


class Obedience(StrEnum):
    """What a plan does with suggestions."""

    OBEY = "obey"
    ADVISE_ONLY = "advise only"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the plan goes by after a frame.

    Attributes
    ----------
    advice : Advice
        What the advisor said, followed or not.
    suggestion : Suggestion
        What is done, exactly: after the limits of the plan, with nothing left open.
    decided_by : DecidedBy
        The plan itself, where its limits left nothing of what was asked for, or in advise-only
        mode; fallback, where no advice came.
    is_limited : bool
        Whether the limits changed a number that was asked for.
    order : Order or None
        The order of a person that was followed.
    """

    advice: Advice
    suggestion: Suggestion
    decided_by: DecidedBy
    is_limited: bool = False
    order: Order | None = None

    @property
    def ends_plan(self) -> bool:
        """Whether a person ended the whole plan."""
        return self.order is not None and self.order.ends_plan

    def values(self) -> dict[str, Any]:
        """Return the columns by name: those of the advice, and those of the plan."""
        done = self.suggestion
        return {
            **self.advice.values(),
            "decided_by": self.decided_by.value,
            "obeyed": self.decided_by is DecidedBy.ADVISOR,
            "limited": self.is_limited,
            "decided_action": done.action.value,
            "decided_reason": done.reason,
            "decided_step": done.step,
            "decided_region_start": done.region_start,
            "decided_region_stop": done.region_stop,
            "decided_dwell_s": done.dwell_s,
            "decided_target": done.target,
        }


_PLAN_COLUMNS = {
    "decided_by": "string",
    "obeyed": "boolean",
    "limited": "boolean",
    "decided_action": "string",
    "decided_reason": "string",
    "decided_step": "number",
    "decided_region_start": "number",
    "decided_region_stop": "number",
    "decided_dwell_s": "number",
    "decided_target": "string",
}


def decision_data_keys(source: str) -> dict[str, Mapping[str, Any]]:
    """Return event-model data keys of the columns that the plan adds to those of the advice."""
    numpy_types = {"number": "<f8", "boolean": "|b1"}
    keys: dict[str, Mapping[str, Any]] = {}
    for name, dtype in _PLAN_COLUMNS.items():
        units = "s" if name.endswith("_s") else ""
        key = {"source": source, "dtype": dtype, "shape": [], "units": units}
        if dtype in numpy_types:
            key["dtype_numpy"] = numpy_types[dtype]
        keys[name] = key
    return keys


def decide(
    advice: Advice, *, order: Order | None, obedience: Obedience, limit: Limit | None
) -> Decision:
    """Return what is done: a person before the advisor, and the limits before both."""
    asked, decided_by = _asked(advice, order, obedience)
    done = limit(asked) if limit else asked
    if done.action != asked.action and not (order and order.ends_plan):
        decided_by = DecidedBy.PLAN
    return Decision(advice, done, decided_by, _is_limited(asked, done), order)


def _asked(
    advice: Advice, order: Order | None, obedience: Obedience
) -> tuple[Suggestion, DecidedBy]:
    if order is not None:
        return order.suggestion, DecidedBy.PERSON
    if is_absent(advice):
        return advice.suggestion, DecidedBy.FALLBACK
    if obedience is Obedience.ADVISE_ONLY:
        told = "advise only: go on as without advice"
        return Suggestion(Action.CONTINUE, told), DecidedBy.PLAN
    return advice.suggestion, DecidedBy.ADVISOR


def is_absent(advice: Advice) -> bool:
    """Return whether this stands for advice that never came, and not for a word to continue."""
    absent = Advice.none(advice.frame_seq_num, advice.problem)
    return bool(advice.problem) and advice.reason == absent.reason


def _is_limited(asked: Suggestion, done: Suggestion) -> bool:
    for column in fields(Suggestion):
        before, after = getattr(asked, column.name), getattr(done, column.name)
        # Positions are rounded, so a step that was kept may differ in its last digits.
        is_asked = isinstance(before, int | float) and math.isfinite(before)
        if is_asked and not math.isclose(before, after, rel_tol=1e-6):
            return True
    return False
