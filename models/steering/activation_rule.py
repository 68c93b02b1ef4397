"""The rule of AdaptiveXRD: measure again where the two best answers look at different places.

Written from the description in Szymanski et al., npj Comput. Mater. 9, 31 (2023),
doi:10.1038/s41524-023-00984-y, not from their code. A fast scan to 60 degree; windows where the
class activations of the two most probable answers differ by more than a quarter are measured again
slowly; then the range is extended by 10 degree with a fast scan, and so on, until the answer is
sure enough. What differs:

- Confidence is the posterior that all rules here share, not the share of votes of an ensemble with
  dropout averaged over ranges, which is not calibrated.
- A class activation map is what a place adds to a class's score. The score here is that of a
  template, so the activation is the root of the expected counts, smoothed as wide as the paper's
  maps are. A network's map would speak of crystal systems and space groups, which is what ours
  names; candidates of one space group would look alike to it.
- Counts of a window that is measured again are added, not scaled to the old maximum.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.ndimage import gaussian_filter1d

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.steering.hypotheses import HypothesisSource, Judgement
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.scan import (
    Belief,
    ScanSettings,
    ScanState,
    believed,
    first_pass,
    over_budget,
    stop,
    window,
)
from phasepilot.models.suggestion import Action, Suggestion

Window = tuple[float, float]


class ActivationSettings(ScanSettings):
    """The numbers of the paper.

    Attributes
    ----------
    slow_step_deg, slow_dwell_s : float
        Of windows that are measured again.
    difference : float
        Of two activations, each scaled to 1, from which a place is measured again.
    merge_deg, smallest_window_deg : float
        Windows this near are joined; smaller ones are left out.
    extension_deg : float
    smoothing_deg : float
        Standard deviation of the Gaussian that makes activations as wide as those of a network.
    """

    policy: Literal["activation"] = "activation"
    slow_step_deg: float = Field(default=0.01, gt=0)
    slow_dwell_s: float = Field(default=0.2, gt=0)
    difference: float = Field(default=0.25, gt=0, lt=1)
    merge_deg: float = 5.0
    smallest_window_deg: float = 5.0
    extension_deg: float = Field(default=10.0, gt=0)
    smoothing_deg: float = 1.0


@dataclass(frozen=True, slots=True)
class ActivationRule:
    """The rule; what it remembers are the windows it measured again and how far it came."""

    settings: ActivationSettings
    source: HypothesisSource

    def first_state(self) -> ScanState:
        """Return the state before the first scan."""
        return ScanState(reached_deg=self.settings.stop_deg)

    def advise(self, state: ScanState, sight: Sight) -> tuple[Suggestion, ScanState]:
        """Return the next window: one to measure again, or an extension; or to stop."""
        after = replace(state, n_passes=state.n_passes + 1)
        if sight.pattern is None:
            return first_pass(self.settings), after
        belief = believed(self.source, sight)
        ended = over_budget(belief, sight, self.settings)
        if ended is not None:
            return ended, after
        if belief.probability_of_error <= self.settings.largest_error:
            return stop(f"sure enough: {belief.said}", belief), after
        left = self._windows_left(belief.judgement, state)
        if left:
            return self._again(left[0], after, belief)
        return self._extended(after, belief)

    def _windows_left(self, judgement: Judgement, state: ScanState) -> list[Window]:
        settings = self.settings
        axis = judgement.hypotheses.axis
        difference = activation_difference(judgement, settings.smoothing_deg, state.reached_deg)
        angles = np.asarray(
            axis.start_deg + (np.arange(difference.size) + 0.5) * axis.cell_deg, dtype=np.float64
        )
        is_done = np.zeros(angles.size, dtype=bool)
        for start, end in state.rescanned:
            is_done |= (angles >= start) & (angles < end)
        is_wanted = difference > settings.difference
        whole = windows_of(angles, is_wanted, axis.cell_deg, settings.merge_deg)
        is_wanted = np.zeros(angles.size, dtype=bool)
        for start, end in whole:
            if end - start >= settings.smallest_window_deg - 1e-9:
                is_wanted |= (angles >= start) & (angles < end)
        return windows_of(angles, is_wanted & ~is_done, axis.cell_deg, 0.0)

    def _again(
        self, where: Window, state: ScanState, belief: Belief
    ) -> tuple[Suggestion, ScanState]:
        settings = self.settings
        told = (
            f"{belief.said}: measure {where[0]:.1f} to {where[1]:.1f} degree again slowly, where"
            f" it and the next answer, {_second(belief.judgement)}, rest on different lines"
        )
        measured = (*where, settings.slow_step_deg, settings.slow_dwell_s)
        suggestion = window(Action.REFINE, told, settings, measured, belief=belief)
        return suggestion, replace(state, rescanned=(*state.rescanned, where))

    def _extended(self, state: ScanState, belief: Belief) -> tuple[Suggestion, ScanState]:
        settings, reached = self.settings, state.reached_deg
        if reached >= settings.reach_deg - 1e-9:
            told = f"all windows and the whole range are measured; the best answer is {belief.said}"
            return stop(told, belief), state
        end = min(reached + settings.extension_deg, settings.reach_deg)
        told = f"{belief.said}, and no window is left: extend the scan to {end:g} degree"
        measured = (reached, end, settings.step_deg, settings.dwell_s)
        suggestion = window(Action.EXTEND, told, settings, measured, belief=belief)
        return suggestion, replace(state, reached_deg=end)


def activation_difference(
    judgement: Judgement, smoothing_deg: float, reached_deg: float
) -> FloatArray:
    """Return how differently the two best hypotheses use each cell up to an angle, 0 to 1."""
    axis = judgement.hypotheses.axis
    n_cells = int(np.clip(axis.cell_of(np.array([reached_deg - 1e-9]))[0] + 1, 1, axis.n_cells))
    signal = judgement.hypotheses.signal_per_s[:2]
    cells = np.sqrt(signal.reshape(2, -1, axis.points_per_cell).mean(axis=2))[:, :n_cells]
    smooth = gaussian_filter1d(cells, smoothing_deg / axis.cell_deg, axis=1)
    low, high = smooth.min(axis=1, keepdims=True), smooth.max(axis=1, keepdims=True)
    scaled = (smooth - low) / np.maximum(high - low, 1e-12)
    return np.asarray(np.abs(scaled[0] - scaled[1]))


def windows_of(
    angles_deg: FloatArray, is_wanted: BoolArray, cell_deg: float, merge_deg: float
) -> list[Window]:
    """Return runs of wanted cells as windows, runs no further apart than `merge_deg` as one.

    Examples
    --------
    >>> angles = np.arange(6) + 0.5
    >>> wanted = np.array([1, 0, 1, 0, 0, 1], dtype=bool)
    >>> windows_of(angles, wanted, 1.0, 1.0)
    [(0.0, 3.0), (5.0, 6.0)]
    """
    found: list[Window] = []
    for angle in angles_deg[np.asarray(is_wanted, dtype=bool)].tolist():
        start, end = angle - cell_deg / 2, angle + cell_deg / 2
        if found and start - found[-1][1] <= merge_deg + 1e-9:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return [(round(start, 6), round(end, 6)) for start, end in found]


def _second(judgement: Judgement) -> str:
    order = np.argsort(-judgement.probability, kind="stable")
    return judgement.hypotheses.names[int(order[1])]
