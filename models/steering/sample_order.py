"""Which sample of a library next, how long to expose it, and when it is enough.

Every action is scored by the drop of the bound on the probability of error that it is expected to
bring for each second of moving, settling, counting and reading out. Counts lower the bound of a
sample exponentially with exposure (each pair of labels by its Bhattacharyya coefficient, which is
``exp(-rate * exposure)``); how fast is learned, from all samples and then from the sample itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from pydantic import Field

from phasepilot.models.arrays import FloatArray
from phasepilot.models.steering.sample_belief import (
    Neighbours,
    SampleEvidence,
    SampleMap,
    SampleSite,
    sample_map,
)
from phasepilot.models.steering.scan import Strict
from phasepilot.models.suggestion import Action, Suggestion

# Below this a bound is as good as zero; what is beyond says nothing of the speed of counting.
_LEAST_BOUND = 1e-6
_NOTHING_FOUND = SampleEvidence()


class ScreeningCost(Strict):
    """What a sample takes beside its exposure, in seconds.

    Attributes
    ----------
    speed_mm_per_s : float
        Of each axis of the stage; they move together.
    settle_s : float
        After a move.
    readout_s : float
        After each exposure.
    """

    speed_mm_per_s: float = Field(default=5.0, gt=0)
    settle_s: float = Field(default=0.5, ge=0)
    readout_s: float = Field(default=0.05, ge=0)

    def move_s(self, start: SampleSite | None, end: SampleSite) -> float:
        """Return the seconds from one sample to another, with settling.

        Examples
        --------
        >>> here, there = SampleSite("a", (0.0, 0.0)), SampleSite("b", (5.0, 10.0))
        >>> ScreeningCost(speed_mm_per_s=5.0, settle_s=0.5).move_s(here, there)
        2.5
        """
        if start is None:
            return self.settle_s
        ways = (abs(a - b) for a, b in zip(start.position_mm, end.position_mm, strict=True))
        return max(ways) / self.speed_mm_per_s + self.settle_s


class SampleOrderSettings(Strict):
    """How samples are ordered, and when each is left.

    Attributes
    ----------
    order : {"information", "raster", "random"}
        Where to go next: to what lowers the bound most for each second, on in the order given, or
        anywhere.
    neighbour_length_mm : float or None
        Over which labels change from sample to sample; None: each sample stands alone.
    composition_length : float
        The same, in the unit of composition.
    share_unlike : float
        Share of samples that are not what their neighbours make of them.
    lone_labels : tuple of str
        Labels that say nothing of neighbours.
    labels : tuple of str
        Labels that may occur, where they are known beforehand.
    largest_error : float
        A sample is left when its probability of being named wrongly is at most this.
    first_dwell_s : float
        The first exposure of each sample.
    min_dwell_s, max_dwell_s : float
        Of further ones.
    max_exposure_s : float
        Of one sample: then it is left as it is.
    least_gain_per_s : float
        What time is worth: nothing that lowers the bound by less each second is measured.
    budget_s : float
        For all samples.
    seed : int
        Of the random order.
    """

    order: Literal["information", "raster", "random"] = "information"
    neighbour_length_mm: float | None = Field(default=None, gt=0)
    composition_length: float = Field(default=0.1, gt=0)
    share_unlike: float = Field(default=0.1, gt=0, lt=1)
    lone_labels: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    largest_error: float = Field(default=0.05, gt=0, lt=1)
    first_dwell_s: float = Field(default=1.0, gt=0)
    min_dwell_s: float = Field(default=0.5, gt=0)
    max_dwell_s: float = Field(default=30.0, gt=0)
    max_exposure_s: float = Field(default=120.0, gt=0)
    least_gain_per_s: float = Field(default=1e-3, ge=0)
    budget_s: float = Field(default=math.inf, gt=0)
    seed: int = 0
    cost: ScreeningCost = ScreeningCost()

    @property
    def neighbours(self) -> Neighbours | None:
        """How far samples speak for one another; None if they do not."""
        if self.neighbour_length_mm is None:
            return None
        return Neighbours(
            self.neighbour_length_mm,
            self.composition_length,
            self.share_unlike,
            frozenset(self.lone_labels),
        )


@dataclass(frozen=True, slots=True)
class ScreeningState:
    """What is known when a suggestion is due.

    Attributes
    ----------
    sites : tuple of SampleSite
        In the order of the raster.
    evidence : mapping of str to SampleEvidence
        By name of the sample; samples that were not exposed may be missing.
    here : str
        Name of the sample in the beam; empty before the first.
    elapsed_s : float
        Since the screening began.
    """

    sites: tuple[SampleSite, ...]
    evidence: Mapping[str, SampleEvidence] = field(default_factory=dict)
    here: str = ""
    elapsed_s: float = 0.0

    def of(self, site: SampleSite) -> SampleEvidence:
        """Return what was found of a sample."""
        return self.evidence.get(site.name, _NOTHING_FOUND)


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """The rule; `advise` is a function of its argument alone."""

    settings: SampleOrderSettings

    def known(self, state: ScreeningState) -> SampleMap:
        """Return what is known of all samples, each by itself and by its neighbours."""
        settings = self.settings
        return sample_map(state.sites, state.evidence, settings.neighbours, labels=settings.labels)

    def advise(self, state: ScreeningState) -> Suggestion:
        """Return to expose the present sample, to move to another, or to stop."""
        return self.advise_on(state, self.known(state))

    def advise_on(self, state: ScreeningState, known: SampleMap) -> Suggestion:
        """Return the same, where what is known has been worked out already."""
        scores = _Scores.of(state, known, self.settings)
        row = scores.row_of(state.here)
        if state.elapsed_s >= self.settings.budget_s:
            told = f"the budget of {self.settings.budget_s:g} s is used"
            return _leaving(Action.STOP, told, known, scores, row)
        reason = f"{state.here} failed" if row is not None else ""
        if row is not None and state.of(state.sites[row]).is_open:
            exposed = scores.exposed(row)
            reason = self._why_to_leave(state, known, row, exposed)
            if not reason:
                answer, probability = known.answer(row)
                return replace(exposed, answer=answer, answer_probability=probability)
        return self._next(state, known, scores, row, reason)

    def _why_to_leave(
        self, state: ScreeningState, known: SampleMap, row: int, exposed: Suggestion
    ) -> str:
        """Return why another exposure of the present sample does not pay; empty if it does."""
        answer, probability = known.answer(row)
        said = f"{state.here} is {answer} at {probability:.1%}"
        spent_s = state.of(state.sites[row]).exposure_s
        if spent_s > 0 and 1 - probability <= self.settings.largest_error:
            return said
        if spent_s >= self.settings.max_exposure_s:
            return f"{said}, and all {self.settings.max_exposure_s:g} s are spent"
        if exposed.gain_per_s < self.settings.least_gain_per_s:
            return f"{said}, and more counts would not pay ({exposed.gain_per_s:.2g}/s)"
        return ""

    def _next(
        self,
        state: ScreeningState,
        known: SampleMap,
        scores: "_Scores",
        row: int | None,
        reason: str,
    ) -> Suggestion:
        told = f"{reason}: " if reason else ""
        candidates = [
            k
            for k, site in enumerate(state.sites)
            if k != row and state.of(site).is_open and state.of(site).exposure_s == 0
        ]
        if not candidates:
            return _leaving(Action.STOP, f"{told}no sample is left", known, scores, row)
        chosen, best_gain = self._chosen(candidates, scores, row)
        if best_gain < self.settings.least_gain_per_s:
            said = f"{told}no other sample is worth the time"
            return _leaving(Action.STOP, said, known, scores, row)
        move = scores.moved(chosen, row)
        said = f"{told}go to {move.target}, {self._because(move)}"
        return _leaving(Action.MOVE, said, known, scores, row, going=move)

    def _chosen(
        self, candidates: list[int], scores: "_Scores", row: int | None
    ) -> tuple[int, float]:
        """Return where to go next, and the largest gain of all."""
        gains = np.array([scores.moved_gain_per_s(k, row) for k in candidates])
        if self.settings.order == "information":
            return candidates[int(gains.argmax())], float(gains.max())
        if self.settings.order == "random":
            n_sites = len(scores.state.sites)
            ranks = np.random.default_rng(self.settings.seed).permutation(n_sites)
            return min(candidates, key=lambda k: int(ranks[k])), float(gains.max())
        return candidates[0], float(gains.max())

    def _because(self, move: Suggestion) -> str:
        if self.settings.order != "information":
            return f"the next of the {self.settings.order} order"
        return f"where {move.gain_per_s:.2g} of the bound is expected to fall each second"


@dataclass(frozen=True, slots=True)
class _Scores:
    """Bounds of all samples and how fast counting lowers them, and what actions would bring."""

    state: ScreeningState
    settings: SampleOrderSettings
    bound: FloatArray
    drop: FloatArray
    usual_rate_per_s: float

    @classmethod
    def of(
        cls, state: ScreeningState, known: SampleMap, settings: SampleOrderSettings
    ) -> "_Scores":
        before, bound = _bounds(known.prior), _bounds(known.posterior)
        drop = np.log(np.maximum(before, _LEAST_BOUND) / np.maximum(bound, _LEAST_BOUND))
        exposure = np.array([state.of(site).exposure_s for site in state.sites])
        # As if one sample had fallen by a factor e in the first exposure: to begin somewhere.
        total = 1.0 + float(np.maximum(drop, 0.0)[exposure > 0].sum())
        return cls(
            state, settings, bound, drop, total / (settings.first_dwell_s + float(exposure.sum()))
        )

    def row_of(self, name: str) -> int | None:
        """Return the row of a sample, if there is one of that name."""
        rows = (row for row, site in enumerate(self.state.sites) if site.name == name)
        return next(rows, None)

    def exposed(self, row: int) -> Suggestion:
        """Return what another exposure of the present sample would bring."""
        settings, site = self.settings, self.state.sites[row]
        spent_s = self.state.of(site).exposure_s
        # Its own rate counts from an exposure on that usually lowers the bound by a factor e.
        own_drop = max(float(self.drop[row]), 0.0)
        rate_per_s = (own_drop + 1.0) / (spent_s + 1.0 / self.usual_rate_per_s)
        left_s = max(settings.max_exposure_s - spent_s, settings.min_dwell_s)
        dwell_s = min(self._dwell_s(float(self.bound[row]), rate_per_s), left_s)
        return self._scored(row, Action.EXPOSE, rate_per_s, dwell_s, move_s=0.0)

    def moved(self, row: int, here: int | None) -> Suggestion:
        """Return what going to another sample would bring."""
        move_s, rate_per_s = self._move_s(row, here), self.usual_rate_per_s
        dwell_s = self._dwell_s(float(self.bound[row]), rate_per_s)
        return self._scored(row, Action.MOVE, rate_per_s, dwell_s, move_s=move_s)

    def moved_gain_per_s(self, row: int, here: int | None) -> float:
        """Return the gain of `moved` alone, which is asked for many samples."""
        bound, rate_per_s = float(self.bound[row]), self.usual_rate_per_s
        dwell_s = self._dwell_s(bound, rate_per_s)
        cost_s = self._move_s(row, here) + dwell_s + self.settings.cost.readout_s
        return bound * -math.expm1(-rate_per_s * dwell_s) / cost_s

    def _move_s(self, row: int, here: int | None) -> float:
        sites = self.state.sites
        return self.settings.cost.move_s(None if here is None else sites[here], sites[row])

    def _dwell_s(self, bound: float, rate_per_s: float) -> float:
        """Return how long the bound takes to fall to the error that is allowed."""
        settings = self.settings
        wanted_s = math.log(max(bound / settings.largest_error, 1.0)) / rate_per_s
        return min(max(wanted_s, settings.min_dwell_s), settings.max_dwell_s)

    def _scored(
        self, row: int, action: Action, rate_per_s: float, dwell_s: float, *, move_s: float
    ) -> Suggestion:
        site, bound = self.state.sites[row], float(self.bound[row])
        after = bound * math.exp(-rate_per_s * dwell_s)
        cost_s = move_s + dwell_s + self.settings.cost.readout_s
        return Suggestion(
            action,
            f"expose {site.name} for {dwell_s:.2g} s: its error bound of {bound:.2g} should fall to"
            f" {after:.2g}",
            dwell_s=dwell_s,
            target=site.name if action is Action.MOVE else "",
            gain_per_s=(bound - after) / cost_s,
            error_bound=bound,
            expected_error_bound=after,
            cost_s=cost_s,
        )


def _bounds(probabilities: FloatArray) -> FloatArray:
    """Return `phasepilot.models.steering.counting.error_bound` of each row."""
    roots = np.sqrt(probabilities).sum(axis=1)
    return np.asarray(np.maximum(0.0, (roots**2 - probabilities.sum(axis=1)) / 2))


def _leaving(
    action: Action,
    reason: str,
    known: SampleMap,
    scores: _Scores,
    row: int | None,
    *,
    going: Suggestion | None = None,
) -> Suggestion:
    """Return the suggestion to leave a sample, with the answer on it."""
    answer, probability = ("", math.nan) if row is None else known.answer(row)
    return Suggestion(
        action,
        reason,
        target="" if going is None else going.target,
        gain_per_s=math.nan if going is None else going.gain_per_s,
        cost_s=0.0 if going is None else going.cost_s,
        error_bound=math.nan if row is None else float(scores.bound[row]),
        answer=answer,
        answer_probability=probability,
    )
