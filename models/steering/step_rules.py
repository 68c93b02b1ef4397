"""Rules of the literature that choose a step beforehand, or halve and double it.

References
----------
Oviedo et al., npj Comput. Mater. 5, 60 (2019), doi:10.1038/s41524-019-0196-x, "Impact of data
coarsening": points are dropped until the classifier's accuracy falls below 85 %, which happens
beyond 0.16 degree, and time goes as the inverse of the step.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import ModelsError
from phasepilot.models.steering.hypotheses import HypothesisSource
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.scan import (
    Belief,
    ScanSettings,
    ScanState,
    believed,
    is_explained,
    over_budget,
    stop,
    window,
)
from phasepilot.models.suggestion import Action, Suggestion


def coarsest_step(steps_deg: FloatArray, accuracies: FloatArray, least_accuracy: float) -> float:
    """Return the coarsest step before accuracy first falls below the least.

    Raises
    ------
    ModelsError
        If even the finest step is not accurate enough.

    Examples
    --------
    >>> steps = np.array([0.04, 0.08, 0.16, 0.32])
    >>> coarsest_step(steps, np.array([0.89, 0.88, 0.86, 0.80]), least_accuracy=0.85)
    0.16
    """
    order = np.argsort(steps_deg)
    is_enough = accuracies[order] >= least_accuracy
    n_enough = int(np.argmin(is_enough)) if not is_enough.all() else is_enough.size
    if n_enough == 0:
        raise ModelsError(
            f"a step must be accurate enough, but the finest, {steps_deg[order][0]:g} degree, has"
            f" an accuracy of {accuracies[order][0]:g} and not {least_accuracy:g}; measure finer."
        )
    return float(steps_deg[order][n_enough - 1])


class FixedScanSettings(ScanSettings):
    """One pass from `start_deg` to `reach_deg`, and no decision."""

    policy: Literal["fixed"] = "fixed"


class CoarseScanSettings(ScanSettings):
    """Oviedo's fixed coarse step: one pass from `start_deg` to `reach_deg`."""

    policy: Literal["coarse"] = "coarse"
    step_deg: float = Field(default=0.16, gt=0)


class ThresholdSettings(ScanSettings):
    """The whole range again and again until the best hypothesis has `1 - largest_error`."""

    policy: Literal["threshold"] = "threshold"


class DoublingSettings(ScanSettings):
    """A scan from `start_deg` to `reach_deg` in windows, whose step is doubled and halved.

    Attributes
    ----------
    window_deg : float
    smallest_step_deg, largest_step_deg : float
    n_sure : int
        After so many sights in a row with an error bound up to `largest_error` the step is
        doubled; it is halved when the bound is above `unsure_error`.
    unsure_error : float
    """

    policy: Literal["doubling"] = "doubling"
    window_deg: float = Field(default=5.0, gt=0)
    smallest_step_deg: float = Field(default=0.01, gt=0)
    largest_step_deg: float = Field(default=0.16, gt=0)
    n_sure: int = Field(default=2, ge=1)
    unsure_error: float = Field(default=0.2, gt=0)


@dataclass(frozen=True, slots=True)
class FixedScan:
    """The scan that is measured without an advisor, and its answer at the end."""

    settings: FixedScanSettings | CoarseScanSettings
    source: HypothesisSource

    def first_state(self) -> ScanState:
        """Return the state before the scan."""
        return ScanState()

    def advise(self, state: ScanState, sight: Sight) -> tuple[Suggestion, ScanState]:
        """Return the whole range first, and then to stop."""
        after = ScanState(n_passes=state.n_passes + 1)
        if sight.pattern is None:
            return _whole_range(self.settings, "scan the whole range once"), after
        belief = believed(self.source, sight)
        return stop(f"the range is measured: {belief.said}", belief), after


@dataclass(frozen=True, slots=True)
class ThresholdScan:
    """Passes over the whole range until the largest probability is large enough."""

    settings: ThresholdSettings
    source: HypothesisSource

    def first_state(self) -> ScanState:
        """Return the state before the scan."""
        return ScanState()

    def advise(self, state: ScanState, sight: Sight) -> tuple[Suggestion, ScanState]:
        """Return another pass, or to stop."""
        after = ScanState(n_passes=state.n_passes + 1)
        if sight.pattern is None:
            return _whole_range(self.settings, "scan the whole range"), after
        belief = believed(self.source, sight)
        ended = over_budget(belief, sight, self.settings)
        if ended is not None:
            return ended, after
        wrong = belief.probability_of_error
        if wrong <= self.settings.largest_error and is_explained(belief, self.settings):
            return stop(f"sure enough: {belief.said}", belief), after
        again = f"{belief.said}, not yet {1 - self.settings.largest_error:.1%}: scan again"
        return _whole_range(self.settings, again, Action.EXPOSE, belief), after


@dataclass(frozen=True, slots=True)
class DoublingScan:
    """Coarsening as an action: additive caution, multiplicative steps."""

    settings: DoublingSettings
    source: HypothesisSource

    def first_state(self) -> ScanState:
        """Return the state before the scan: the first step."""
        return ScanState(step_deg=self.settings.step_deg, reached_deg=self.settings.start_deg)

    def advise(self, state: ScanState, sight: Sight) -> tuple[Suggestion, ScanState]:
        """Return the next window with a finer, equal or coarser step."""
        settings = self.settings
        if sight.pattern is None:
            return self._next(state, Action.CONTINUE, "begin with the first step", None)
        belief = believed(self.source, sight)
        ended = over_budget(belief, sight, settings)
        if ended is not None:
            return ended, state
        if state.reached_deg >= settings.reach_deg - 1e-9:
            return stop(f"the range is measured: {belief.said}", belief), state
        bound = belief.error_bound
        if bound > settings.unsure_error:
            finer = max(state.step_deg / 2, settings.smallest_step_deg)
            told = f"{belief.said}, an error bound of {bound:.2g} is too high: halve the step"
            return self._next(_with(state, finer, 0), Action.REFINE, told, belief)
        n_sure = state.n_sure + 1 if bound <= settings.largest_error else 0
        if n_sure >= settings.n_sure:
            coarser = min(state.step_deg * 2, settings.largest_step_deg)
            told = f"{belief.said} for {n_sure} windows in a row: double the step"
            return self._next(_with(state, coarser, 0), Action.COARSEN, told, belief)
        told = f"{belief.said}: keep the step"
        return self._next(_with(state, state.step_deg, n_sure), Action.CONTINUE, told, belief)

    def _next(
        self, state: ScanState, action: Action, told: str, belief: Belief | None
    ) -> tuple[Suggestion, ScanState]:
        start = state.reached_deg
        end = min(start + self.settings.window_deg, self.settings.reach_deg)
        measured = (start, end, state.step_deg, self.settings.dwell_s)
        suggestion = window(action, told, self.settings, measured, belief=belief)
        after = ScanState(state.n_passes + 1, end, state.step_deg, n_sure=state.n_sure)
        return suggestion, after


def _with(state: ScanState, step_deg: float, n_sure: int) -> ScanState:
    return ScanState(state.n_passes, state.reached_deg, step_deg, n_sure=n_sure)


def _whole_range(
    settings: ScanSettings,
    reason: str,
    action: Action = Action.CONTINUE,
    belief: Belief | None = None,
) -> Suggestion:
    measured = (settings.start_deg, settings.reach_deg, settings.step_deg, settings.dwell_s)
    return window(action, reason, settings, measured, belief=belief)
