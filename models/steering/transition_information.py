"""Where to look next for the onset of a transition, by what a frame there tells per second.

Where the sample goes back to its old phase, the next value of the axis is the one whose frame tells
most of the onset for each second of moving, settling and counting: coarse steps where the onset is
not, halving where it may be. Where hysteresis forbids going back, what is passed is lost: the next
step is then the largest after which the onset could still be known as well as asked, from the share
of the new phase in the frames that follow; once the new phase is seen, information per second
decides again, ahead only. ANDiE (McDannald et al. 2022) steered
neutron diffraction by the same idea.

The error is to name the wrong cell of the wanted tolerance. Its probability is bounded by half the
entropy of the cells in bits (Hellman and Raviv 1970), which is what the suggestions carry: their
`gain_per_s` is half the expected information per second.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.transition_belief import (
    OnsetInterval,
    Onsets,
    entropy_bits,
    information_bits,
    likelihood,
    lost_width,
    onset_interval,
    onsets,
)
from phasepilot.models.steering.transition_reading import (
    ReferencePhase,
    reading,
    usable_phase,
)
from phasepilot.models.steering.transition_settings import TransitionInformationSettings
from phasepilot.models.suggestion import Action, Suggestion

# A frame that is expected to tell less than this is not worth its time, whatever time is worth.
_NO_NEWS_BITS = 0.02
_N_CANDIDATES = 48
# Frames that a one-way step may count on behind it, to tell where the change began.
_N_FOLLOWING = 3
_COEXISTENCE_PARTS = 2


@dataclass(frozen=True, slots=True)
class SearchState:
    """What the search remembers.

    Attributes
    ----------
    posterior : ndarray, shape (n_hypotheses,)
        Of the hypotheses of `onsets`.
    reference : ReferencePhase
    """

    posterior: FloatArray
    reference: ReferencePhase = field(default_factory=ReferencePhase)


@dataclass(frozen=True)
class TransitionInformation:
    """The search for an onset by information per second; a `Policy`.

    Suggestions give the next value of the axis itself as both ends of the region, and the way
    there, without sign, as the step.
    """

    settings: TransitionInformationSettings

    @cached_property
    def _hypotheses(self) -> Onsets:
        return onsets(self.settings)

    def first_state(self) -> SearchState:
        """Return the prior."""
        return SearchState(self._hypotheses.prior)

    def interval(self, state: SearchState) -> OnsetInterval:
        """Return where the onset is, in values of the axis."""
        found = onset_interval(state.posterior, self._hypotheses)
        ends = [self.settings.axis_value(end) for end in (found.low, found.high)]
        return OnsetInterval(min(ends), max(ends), self.settings.axis_value(found.centre))

    def advise(self, state: SearchState, sight: Sight) -> tuple[Suggestion, SearchState]:
        """Return where to go next, or to stop."""
        if usable_phase(sight) is None:
            told = "the frame or the axis tells nothing; keep the nominal step"
            return Suggestion(Action.CONTINUE, told), state
        following = self.learnt(state, sight)
        return self._suggest(following, self.settings.travelled(sight.axis_value)), following

    def learnt(self, state: SearchState, sight: Sight) -> SearchState:
        """Return what is believed after a frame, wherever it was decided to take it."""
        phase = usable_phase(sight)
        if phase is None:
            return state
        now = self.settings.travelled(sight.axis_value)
        detection = self.settings.detection
        read = reading(phase, state.reference, detection.excess_midpoint)
        evidence = likelihood(read, now, self._hypotheses, detection)
        posterior = state.posterior * evidence
        return replace(
            state,
            posterior=posterior / posterior.sum(),
            reference=state.reference.after(phase),
        )

    def _suggest(self, state: SearchState, now: float) -> Suggestion:
        found = onset_interval(state.posterior, self._hypotheses)
        bound = min(1.0, entropy_bits(state.posterior, self._hypotheses) / 2)
        if found.width <= self.settings.tolerance:
            centre = self.settings.axis_value(found.centre)
            told = f"the onset is at {centre:.4g} within {found.width:.2g}, as well as asked; stop"
            return Suggestion(Action.STOP, told, error_bound=bound, expected_error_bound=bound)
        is_ahead_only = not self.settings.return_is_allowed
        if is_ahead_only and self._chance_behind(state, now) < 0.5:
            return self._one_way_step(state, now, bound)
        return self._most_telling(state, now, bound)

    def _chance_behind(self, state: SearchState, now: float) -> float:
        return float(state.posterior[self._hypotheses.onset <= now].sum())

    def _reach(self, now: float) -> float:
        """Return how far ahead the next frame may be."""
        left = max(0.0, self.settings.range - now)
        return min(left, self.settings.max_step or left)

    def _candidates(self, now: float) -> FloatArray:
        """Return the places that may be next, nearest first."""
        least = self.settings.tolerance / 4
        ahead = _ways(least, self._reach(now))
        if not self.settings.return_is_allowed:
            return now + ahead
        back = _ways(least, min(now, self.settings.max_step or now))
        places = np.concatenate([now + ahead, now - back])
        return np.asarray(places[np.argsort(np.abs(places - now), kind="stable")])

    def _most_telling(self, state: SearchState, now: float, bound: float) -> Suggestion:
        places = self._candidates(now)
        if places.size == 0:
            return _nothing_left("the end of the range is reached", bound)
        detection = self.settings.detection
        bits = information_bits(state.posterior, places, self._hypotheses, detection)
        seconds = np.array([self.settings.cost.seconds(place - now) for place in places])
        best = int(np.argmax(bits / seconds))
        gain = bits[best] / seconds[best] / 2
        if bits[best] < _NO_NEWS_BITS or gain < self.settings.min_gain_per_s:
            told = (
                f"the best frame would tell {bits[best]:.3f} bit of the onset in"
                f" {seconds[best]:.3g} s, which does not pay"
            )
            return _nothing_left(told, bound)
        reason = f"a frame there tells {bits[best]:.2f} bit of the onset in {seconds[best]:.3g} s"
        return self._go(state, now, float(places[best]), float(bits[best]), reason)

    def _one_way_step(self, state: SearchState, now: float, bound: float) -> Suggestion:
        """Return the largest step after which the onset could still be known as well as asked."""
        places = self._candidates(now)
        if places.size == 0:
            return _nothing_left("the end of the range is reached and nothing changed", bound)
        place, width = self._farthest_harmless(state, now, places)
        bits = information_bits(
            state.posterior, np.array([place]), self._hypotheses, self.settings.detection
        )
        reason = (
            f"an onset between would be known within {width:.2g} and there is no way back,"
            f" {self.settings.tolerance:.2g} is asked"
        )
        return self._go(state, now, place, float(bits[0]), reason)

    def _farthest_harmless(
        self, state: SearchState, now: float, places: FloatArray
    ) -> tuple[float, float]:
        settings = self.settings
        spacing = max(settings.tolerance, settings.min_width / _COEXISTENCE_PARTS)
        best = (float(places[0]), math.nan)
        for place in places:
            ahead = place + spacing * np.arange(1 + _N_FOLLOWING)
            width, chance = lost_width(
                state.posterior, ahead, now, self._hypotheses, settings.detection.fraction_error
            )
            # Where the onset is less likely than anywhere, its interval may be wider in return.
            usual = (place - now) / max(settings.range - now, 1e-12)
            if width > settings.tolerance * max(1.0, usual / max(chance, 1e-12)):
                # The smallest step is taken even so: there is no smaller.
                return best if math.isfinite(best[1]) else (best[0], width)
            best = (float(place), width)
        return best

    def _go(
        self, state: SearchState, now: float, place: float, bits: float, reason: str
    ) -> Suggestion:
        target = self.settings.axis_value(place)
        seconds = self.settings.cost.seconds(place - now)
        entropy = entropy_bits(state.posterior, self._hypotheses)
        verb = "go on" if place > now else "go back"
        return Suggestion(
            Action.MOVE,
            f"{verb} to {target:.4g}: {reason}",
            step=abs(place - now),
            region_start=target,
            region_stop=target,
            gain_per_s=bits / 2 / seconds,
            error_bound=min(1.0, entropy / 2),
            expected_error_bound=min(1.0, max(0.0, entropy - bits) / 2),
            cost_s=seconds,
        )


def _ways(least: float, reach: float) -> FloatArray:
    """Return ways to go, up to the reach; the last one may be shorter than the least."""
    if reach <= 1e-9:
        return np.empty(0)
    if reach <= least:
        return np.array([reach])
    return np.union1d(
        np.geomspace(least, reach, _N_CANDIDATES // 2),
        np.linspace(least, reach, _N_CANDIDATES // 2),
    )


def _nothing_left(reason: str, bound: float) -> Suggestion:
    told = f"{reason}; stop"
    return Suggestion(Action.STOP, told, error_bound=bound, expected_error_bound=bound)
