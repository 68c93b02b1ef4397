"""What all rules for two-theta scans share: the range, the cost, how a scan begins and ends."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from phasepilot.models.arrays import FloatArray
from phasepilot.models.steering.counting import error_bound
from phasepilot.models.steering.hypotheses import (
    UNKNOWN,
    CellCounts,
    HypothesisSource,
    Judgement,
    counted_cells,
    judged,
)
from phasepilot.models.steering.policy import Sight
from phasepilot.models.suggestion import Action, Suggestion


class Strict(BaseModel):
    """Settings: frozen, and nothing that is not known."""

    # JSON has no infinity, and a record must come back as it was.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class ScanCost(Strict):
    """What measuring takes, in seconds.

    Attributes
    ----------
    speed_deg_per_s : float
        Of the arm between windows.
    settle_s : float
        Before each window.
    readout_s : float
        After each point.
    dose_weight : float
        What a second of beam costs the sample, in seconds.
    """

    speed_deg_per_s: float = Field(default=10.0, gt=0)
    settle_s: float = Field(default=0.5, ge=0)
    readout_s: float = Field(default=0.0, ge=0)
    dose_weight: float = Field(default=0.0, ge=0)

    def seconds(
        self,
        start_deg: FloatArray | float,
        width_deg: FloatArray | float,
        step_deg: float,
        dwell_s: float,
        position_deg: float,
    ) -> FloatArray:
        """Return what a window costs from where the arm stands (NaN: it need not move).

        Examples
        --------
        >>> cost = ScanCost(speed_deg_per_s=10, settle_s=1, readout_s=0.1)
        >>> round(float(cost.seconds(20.0, 2.0, 1.0, 0.4, position_deg=10.0)), 6)
        3.0
        """
        way = 0.0 if math.isnan(position_deg) else np.abs(np.asarray(start_deg) - position_deg)
        n_points = np.round(np.asarray(width_deg) / step_deg)
        a_point = dwell_s * (1 + self.dose_weight) + self.readout_s
        return np.asarray(way / self.speed_deg_per_s + self.settle_s + n_points * a_point)


class ScanSettings(Strict):
    """What every rule is told.

    Attributes
    ----------
    start_deg, stop_deg : float
        Of the first pass, in two-theta.
    reach_deg : float
        How far the scan may be extended.
    step_deg, dwell_s : float
        Of the first pass.
    largest_error : float
        The scan ends when the probability of being wrong is at most this.
    largest_unexplained : float
        No answer that leaves a larger share of the intensity unexplained is settled.
    budget_s : float
        The scan ends after so long.
    max_phases : int
        Phases that a sample may be a mixture of.
    least_share : float
        Share of the intensity from which a phase counts as present.
    """

    start_deg: float = 10.0
    stop_deg: float = 60.0
    reach_deg: float = 100.0
    step_deg: float = Field(default=0.02, gt=0)
    dwell_s: float = Field(default=0.01, gt=0)
    largest_error: float = Field(default=0.05, gt=0, lt=1)
    largest_unexplained: float = Field(default=0.5, gt=0, le=1)
    budget_s: float = Field(default=math.inf, gt=0)
    max_phases: int = Field(default=1, ge=1, le=4)
    least_share: float = Field(default=0.02, ge=0, lt=0.5)
    cost: ScanCost = ScanCost()


@dataclass(frozen=True, slots=True)
class ScanState:
    """What a rule of scans remembers.

    Attributes
    ----------
    n_passes : int
        Windows that were suggested.
    reached_deg : float
        End of the range that was scanned.
    step_deg : float
        The present step.
    rescanned : tuple of (float, float)
        Windows that were measured again.
    n_sure : int
        Sights in a row that settled the answer.
    """

    n_passes: int = 0
    reached_deg: float = math.nan
    step_deg: float = math.nan
    rescanned: tuple[tuple[float, float], ...] = ()
    n_sure: int = 0


@dataclass(frozen=True, slots=True)
class Belief:
    """What was counted, what it says, and how far it can be believed.

    Attributes
    ----------
    error_bound : float
        Sum over pairs of hypotheses of sqrt(p_a p_b).
    """

    counted: CellCounts
    judgement: Judgement
    error_bound: float

    @property
    def probability_of_error(self) -> float:
        """What is left for all other hypotheses."""
        return float(1 - self.judgement.probability[self.judgement.best])

    @property
    def columns(self) -> dict[str, Any]:
        """What a suggestion says of it."""
        return {
            "error_bound": self.error_bound,
            "answer": self.judgement.best_name,
            "answer_probability": 1 - self.probability_of_error,
        }

    @property
    def said(self) -> str:
        """The best hypothesis and its probability, for a sentence."""
        return f"{self.judgement.best_name} at {1 - self.probability_of_error:.1%}"


def believed(source: HypothesisSource, sight: Sight) -> Belief:
    """Return what a sight says of the hypotheses."""
    counted = counted_cells(sight, source.axis)
    judgement = judged(source.hypotheses(counted, sight), counted, source.error)
    return Belief(counted, judgement, error_bound(judgement.probability))


def is_explained(belief: Belief, settings: ScanSettings) -> bool:
    """Return whether the best hypothesis is a known one and accounts for the intensity."""
    judgement = belief.judgement
    return (
        judgement.best_name != UNKNOWN and not judgement.unexplained > settings.largest_unexplained
    )


def first_pass(settings: ScanSettings) -> Suggestion:
    """Return the suggestion to scan the first range."""
    return window(
        Action.CONTINUE,
        "nothing is measured yet: scan the first range fast",
        settings,
        (settings.start_deg, settings.stop_deg, settings.step_deg, settings.dwell_s),
    )


def window(
    action: Action,
    reason: str,
    settings: ScanSettings,
    measured: tuple[float, float, float, float],
    *,
    position_deg: float = math.nan,
    belief: Belief | None = None,
) -> Suggestion:
    """Return the suggestion to measure a window: start, stop, step and dwell."""
    start, stop, step, dwell = measured
    cost = float(settings.cost.seconds(start, stop - start, step, dwell, position_deg))
    return Suggestion(
        action,
        reason,
        step=step,
        region_start=start,
        region_stop=stop,
        dwell_s=dwell,
        cost_s=cost,
        **({} if belief is None else belief.columns),
    )


def stop(reason: str, belief: Belief) -> Suggestion:
    """Return the suggestion to end the scan."""
    return Suggestion(Action.STOP, reason, cost_s=0.0, **belief.columns)


def over_budget(belief: Belief, sight: Sight, settings: ScanSettings) -> Suggestion | None:
    """Return the suggestion to stop if the time is up."""
    if sight.elapsed_s < settings.budget_s:
        return None
    return stop(
        f"the budget of {settings.budget_s:.0f} s is used; the best answer so far is {belief.said}",
        belief,
    )
