"""Which sample of a library next, how long to expose it, and when all of it is enough.

Every action is scored by how many wrong names it is expected to avoid for each second of moving,
settling, counting and reading out. Counts lower the probability that a sample is named wrongly
exponentially with exposure; how fast is learned, from all samples and then from the sample itself.
A sample that is measured tells of its neighbours, too (`SampleMap.explained`), so that the inside
of a region need not be measured: its samples are inferred, and said to be.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from pydantic import Field

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.steering.sample_belief import (
    Neighbours,
    SampleEvidence,
    SampleMap,
    SampleSite,
    sample_map,
)
from phasepilot.models.steering.scan import Strict
from phasepilot.models.suggestion import Action, Suggestion

# Below this an error is as good as none; what is beyond says nothing of the speed of counting.
_LEAST_ERROR = 1e-4
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
        Where to go next: to what avoids most wrong names for each second, on in the order given, or
        anywhere. None goes where `least_gain_per_s` is not reached.
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
    largest_mean_error : float
        The loop ends when the mean of that over all samples, measured or inferred, is at most this;
        at 0 it goes on as long as it pays.
    first_dwell_s : float
        The first exposure of each sample.
    min_dwell_s, max_dwell_s : float
        Of further ones.
    max_exposure_s : float
        Of one sample: then it is left as it is.
    least_gain_per_s : float
        What time is worth: nothing is measured that avoids fewer wrong names each second. Where
        nothing is left that avoids as many, the loop ends.
    budget_s : float
        For all samples, after which the loop ends.
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
    largest_mean_error: float = Field(default=0.0, ge=0, lt=1)
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
        """Return to expose the present sample, to move to another, or to end the loop."""
        return self.advise_on(state, self.known(state))

    def advise_on(self, state: ScreeningState, known: SampleMap) -> Suggestion:
        """Return the same, where what is known has been worked out already."""
        scores = _Scores.of(state, known, self.settings)
        row = scores.row_of(state.here)
        told = self._why_to_end(state, known)
        if told:
            return _leaving(Action.END, told, known, row)
        reason = f"{state.here} failed" if row is not None else ""
        if row is not None and state.of(state.sites[row]).is_open:
            exposed = scores.exposed(row)
            reason = self._why_to_leave(state, known, row, exposed)
            if not reason:
                answer, probability = known.answer(row)
                return replace(exposed, answer=answer, answer_probability=probability)
        return self._next(state, known, scores, row, reason)

    def _why_to_end(self, state: ScreeningState, known: SampleMap) -> str:
        """Return why no sample is measured any more; empty if some are."""
        budget_s, enough = self.settings.budget_s, self.settings.largest_mean_error
        if state.elapsed_s >= budget_s:
            return f"the budget of {budget_s:g} s is used"
        expected = float(known.error.mean())
        if expected <= enough:
            return f"{expected:.2%} of all names are expected to be wrong, and {enough:.2%} may be"
        return ""

    def _why_to_leave(
        self, state: ScreeningState, known: SampleMap, row: int, exposed: Suggestion
    ) -> str:
        """Return why another exposure of the present sample does not pay; empty if it does."""
        answer, probability = known.answer(row)
        said = f"{state.here} is {answer} at {probability:.1%}"
        own_answer, own_probability = known.own_answer(row)
        if own_answer != answer:
            # An empty spot among sure neighbours must not get their name silently.
            said += (
                f" by its neighbours, while its counts say {own_answer} at {own_probability:.1%}"
            )
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
        left = [
            k
            for k, site in enumerate(state.sites)
            if k != row and state.of(site).is_open and state.of(site).exposure_s == 0
        ]
        if not left:
            return _leaving(Action.END, f"{told}no sample is left", known, row)
        gains = scores.moved_gains_per_s(np.array(left), row)
        if gains.max() < self.settings.least_gain_per_s:
            said = f"{told}no other sample is worth the time, at {gains.max():.2g} wrong names a s"
            return _leaving(Action.END, said, known, row)
        move = scores.moved(self._chosen(left, gains), row)
        said = f"{told}go to {move.target}, {self._because(move)}"
        return _leaving(Action.MOVE, said, known, row, going=move)

    def _chosen(self, left: list[int], gains: FloatArray) -> int:
        """Return where to go next, of those that are worth it."""
        if self.settings.order == "information":
            return left[int(gains.argmax())]
        n_samples = max(left) + 1
        ranks = np.arange(n_samples)
        if self.settings.order == "random":
            ranks = np.random.default_rng(self.settings.seed).permutation(n_samples)
        paid = [k for k, gain in zip(left, gains, strict=True) if self._pays(gain)]
        return min(paid, key=lambda k: int(ranks[k]))

    def _pays(self, gain_per_s: float) -> bool:
        return gain_per_s >= self.settings.least_gain_per_s

    def _because(self, move: Suggestion) -> str:
        if self.settings.order != "information":
            return f"the next of the {self.settings.order} order"
        return f"where {move.gain_per_s:.2g} wrong names are expected to be avoided each second"


@dataclass(frozen=True, slots=True)
class _Scores:
    """How likely each name is wrong, how fast counting lowers that, and what actions would bring.

    Attributes
    ----------
    error : ndarray, shape (n_samples,)
        With the neighbours.
    drop : ndarray, shape (n_samples,)
        By how much counts alone have lowered the logarithm of it.
    told : ndarray, shape (n_samples,)
        Wrong names that knowing a sample for certain would avoid, its own and its neighbours'.
    """

    state: ScreeningState
    settings: SampleOrderSettings
    error: FloatArray
    drop: FloatArray
    told: FloatArray
    usual_rate_per_s: float

    @classmethod
    def of(
        cls, state: ScreeningState, known: SampleMap, settings: SampleOrderSettings
    ) -> "_Scores":
        exposure_s = np.array([state.of(site).exposure_s for site in state.sites])
        is_open = np.array([state.of(site).is_open for site in state.sites])
        unsure = np.maximum(1 - known.own.max(axis=1), _LEAST_ERROR)
        drop = np.maximum(np.log((1 - 1 / known.own.shape[1]) / unsure), 0.0)
        # As if one sample had fallen by a factor e in the first exposure: to begin somewhere.
        total = 1.0 + float(drop[exposure_s > 0].sum())
        rate_per_s = total / (settings.first_dwell_s + float(exposure_s.sum()))
        # What is measured or cannot be gains nothing any more.
        at_stake = known.error * is_open * (exposure_s == 0)
        return cls(state, settings, known.error, drop, at_stake @ known.explained, rate_per_s)

    def row_of(self, name: str) -> int | None:
        """Return the row of a sample, if there is one of that name."""
        rows = (row for row, site in enumerate(self.state.sites) if site.name == name)
        return next(rows, None)

    def exposed(self, row: int) -> Suggestion:
        """Return what another exposure of the present sample would bring."""
        settings, site = self.settings, self.state.sites[row]
        spent_s, error = self.state.of(site).exposure_s, float(self.error[row])
        # Its own rate counts from an exposure on that usually lowers the error by a factor e.
        rate_per_s = (float(self.drop[row]) + 1.0) / (spent_s + 1.0 / self.usual_rate_per_s)
        left_s = max(settings.max_exposure_s - spent_s, settings.min_dwell_s)
        dwell_s = min(float(self._dwell_s(self.error[row], rate_per_s)), left_s)
        avoided = error * -math.expm1(-rate_per_s * dwell_s)
        return self._scored(row, Action.EXPOSE, avoided, dwell_s, dwell_s + settings.cost.readout_s)

    def moved(self, row: int, here: int | None) -> Suggestion:
        """Return what going to another sample would bring."""
        dwell_s = float(self._dwell_s(self.error[row], self.usual_rate_per_s))
        cost_s = self._move_s(row, here) + dwell_s + self.settings.cost.readout_s
        avoided = float(self.told[row]) * -math.expm1(-self.usual_rate_per_s * dwell_s)
        return self._scored(row, Action.MOVE, avoided, dwell_s, cost_s)

    def moved_gains_per_s(self, rows: IntArray, here: int | None) -> FloatArray:
        """Return the gain of `moved` alone, for many samples at once."""
        dwell_s = self._dwell_s(self.error[rows], self.usual_rate_per_s)
        move_s = np.array([self._move_s(row, here) for row in rows.tolist()])
        avoided = self.told[rows] * -np.expm1(-self.usual_rate_per_s * dwell_s)
        return np.asarray(avoided / (move_s + dwell_s + self.settings.cost.readout_s))

    def _move_s(self, row: int, here: int | None) -> float:
        sites = self.state.sites
        return self.settings.cost.move_s(None if here is None else sites[here], sites[row])

    def _dwell_s(self, error: FloatArray, rate_per_s: float) -> FloatArray:
        """Return how long errors take to fall to the one that is allowed."""
        settings = self.settings
        wanted_s = np.log(np.maximum(error / settings.largest_error, 1.0)) / rate_per_s
        return np.clip(wanted_s, settings.min_dwell_s, settings.max_dwell_s)

    def _scored(
        self, row: int, action: Action, avoided: float, dwell_s: float, cost_s: float
    ) -> Suggestion:
        site, error = self.state.sites[row], float(self.error[row])
        return Suggestion(
            action,
            f"expose {site.name} for {dwell_s:.2g} s, which should avoid {avoided:.2g} wrong names",
            dwell_s=dwell_s,
            target=site.name if action is Action.MOVE else "",
            gain_per_s=avoided / cost_s,
            error_bound=error,
            expected_error_bound=max(0.0, error - avoided) if action is Action.EXPOSE else math.nan,
            cost_s=cost_s,
        )


def _leaving(
    action: Action,
    reason: str,
    known: SampleMap,
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
        error_bound=math.nan if row is None else float(known.error[row]),
        answer=answer,
        answer_probability=probability,
    )
