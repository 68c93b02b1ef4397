"""What became of each sample of a screening: the rows of its summary run."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from phasepilot.models.suggestion import Advice
from phasepilot.plans.sample_positions import SamplePosition


class Outcome(StrEnum):
    """How the loop left a sample."""

    SETTLED = "settled"
    MEASURED = "measured, not settled"
    INFERRED = "not measured, inferred"
    UNJUDGED = "measured, no usable advice"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class SampleOutcome:
    """What became of one sample.

    Attributes
    ----------
    sample : SamplePosition
    outcome : Outcome
    reason : str
        Why the loop left it, or what failed.
    run_uid : str
        The run with its frames; empty where none was opened.
    advice : Advice or None
        The last on it; None where there is none. Of a sample that was not measured, what the
        advisor takes it to be.
    """

    sample: SamplePosition
    outcome: Outcome
    reason: str
    run_uid: str = ""
    advice: Advice | None = None

    def values(self) -> dict[str, str]:
        """Return the columns of this row by name; the advice in full is in the sample's run."""
        advice = self.advice
        return {
            "sample": self.sample.name,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "run_uid": self.run_uid,
            "answer": advice.answer if advice else "",
            "answer_probability": _told(advice),
            "phases": advice.phases if advice else "",
            "crystal_system": advice.crystal_system if advice else "",
            "verdict": advice.verdict if advice else "",
        }


def _told(advice: Advice | None) -> str:
    is_told = advice is not None and math.isfinite(advice.answer_probability)
    return f"{advice.answer_probability:.4f}" if advice is not None and is_told else ""


@dataclass(frozen=True, slots=True)
class ScreeningResult:
    """What a screening gave.

    Attributes
    ----------
    run_uid : str
        The summary run, with a row for each sample that was gone to, or inferred.
    outcomes : tuple of SampleOutcome
        In the order of measurement; then those not measured.
    reason : str
        Why the loop ended.
    """

    run_uid: str
    outcomes: tuple[SampleOutcome, ...]
    reason: str


class OutcomeRecorder:
    """Reads the outcome of the last sample, in the stream ``primary`` of the summary run."""

    parent = None

    def __init__(self, *, name: str = "screening", clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.latest = SampleOutcome(SamplePosition("", ()), Outcome.NOT_REACHED, "")
        self._clock = clock

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the outcome, one reading a column."""
        now = self._clock()
        return {
            f"{self.name}_{column}": {"value": value, "timestamp": now}
            for column, value in self.latest.values().items()
        }

    def describe(self) -> dict[str, Mapping[str, Any]]:
        """Return the data keys of the columns."""
        key = {"source": "phasepilot", "dtype": "string", "shape": []}
        return {f"{self.name}_{column}": dict(key) for column in self.latest.values()}
