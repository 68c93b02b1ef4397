"""Where to turn a crystal next, by the expected gain per second, and when to stop.

What is weighed are known structures, by the spots of single views (`spot_candidates`); or, without
them, the fused posterior of the networks. The bound on the probability of error is what is left to
all answers but the best. Evidence of independent views multiplies, so that the bound falls
exponentially with their number (Chernoff), at rates that the candidates give, or that are learned
as images come in. A view near one that was taken, or half a turn from it, is worth only the part of
it that is new; one far away costs the way. The next angle is the one where the bound falls most per
second.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.pattern import Pattern
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.rotation_settings import RotationSettings
from phasepilot.models.steering.spot_candidates import Belief, SpotCandidates
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS, Action, Suggestion

# Half a turn shows the Friedel mates of all reflections.
_HALF_TURN_DEG = 180.0
# Rates are kept within what a crystal may do, so that one lucky image neither ends the search by
# itself nor one without news makes all angles look alike.
_RATES = (0.02, 5.0)
_LEAST_BOUND = 1e-12
# Of a view: a range that holds less news is seen.
_NOTHING_LEFT = 0.5
_N_ANSWERS = {"crystal_system": 7, "extinction_class": 97, "space_group": 230}
# Two angles are one where the axis reads them so near to each other.
_SAME_DEG = 1e-3


@dataclass(frozen=True, slots=True)
class Views:
    """What the search remembers.

    Attributes
    ----------
    angles_deg : tuple of float
        Of all images so far.
    n_new : float
        How many independent views they amount to.
    first_bound, first_n_new : float
        Bound on the probability of error at the first estimate, and `n_new` then; NaN before.
    log_likelihood : tuple of float
        Of the candidates, of all views; empty before the first, and without candidates.
    """

    angles_deg: tuple[float, ...] = ()
    n_new: float = 0.0
    first_bound: float = math.nan
    first_n_new: float = math.nan
    log_likelihood: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RotationRule:
    """The search for orientations that settle what the crystal is; a `Policy`.

    Suggestions give the next angle as both ends of the region.

    Attributes
    ----------
    settings : RotationSettings
    candidates : SpotCandidates or None
        Known structures; without them the estimate of the networks is settled.
    """

    settings: RotationSettings
    candidates: SpotCandidates | None = None

    def first_state(self) -> Views:
        """Return that no view was taken."""
        return Views()

    def advise(self, state: Views, sight: Sight) -> tuple[Suggestion, Views]:
        """Return where to turn next, or to stop."""
        now = sight.axis_value
        if not math.isfinite(now):
            told = "the angle of the axis is not known; keep the nominal step"
            return Suggestion(Action.CONTINUE, told), state
        novelty = float(self._novelty(np.array([now]), state.angles_deg)[0])
        state = replace(state, angles_deg=(*state.angles_deg, now), n_new=state.n_new + novelty)
        if self.candidates is None:
            belief, state = self._of_estimate(state, sight.estimate)
        else:
            belief, state = self._of_spots(state, sight.pattern, novelty, self.candidates)
        settings = self.settings
        n_images = len(state.angles_deg)
        if belief.bound <= settings.largest_error:
            told = (
                f"{belief.answer} is settled: an error is less probable than"
                f" {settings.largest_error:g}, after {n_images} images"
            )
            return _stop(told, belief), state
        if n_images >= settings.max_images:
            return _stop(f"all {n_images} images are taken", belief), state
        return self._next(state, now, belief), state

    def gains_per_s(self, state: Views, now_deg: float, belief: Belief) -> FloatArray:
        """Return the drop of the bound expected per second at each of `settings.angles_deg`."""
        angles = self.settings.angles_deg
        news = self._novelty(angles, state.angles_deg)
        seconds = [self.settings.cost.seconds(float(angle) - now_deg) for angle in angles]
        return np.asarray((belief.bound - belief.expected_bound(news)) / np.array(seconds))

    def rate(self, state: Views, bound: float) -> float:
        """Return by how many factors of e another view should lower the bound of an estimate."""
        settings = self.settings
        if math.isnan(state.first_bound):
            return settings.first_rate
        fallen = math.log(max(state.first_bound, _LEAST_BOUND) / max(bound, _LEAST_BOUND))
        known = settings.rate_images * settings.first_rate + fallen
        rate = known / (settings.rate_images + state.n_new - state.first_n_new)
        return min(max(rate, _RATES[0]), _RATES[1])

    def _of_estimate(self, state: Views, estimate: PhaseEstimate | None) -> tuple[Belief, Views]:
        if estimate is None:
            # Nothing seen here: elsewhere something may be.
            return self._nothing_known(1 / _N_ANSWERS[self.settings.level]), state
        bound, answer = _error_bound(estimate, self.settings.level)
        if math.isnan(state.first_bound):
            state = replace(state, first_bound=bound, first_n_new=state.n_new)
        return Belief(answer, np.array([bound]), np.array([self.rate(state, bound)])), state

    def _of_spots(
        self, state: Views, pattern: Pattern | None, novelty: float, candidates: SpotCandidates
    ) -> tuple[Belief, Views]:
        view = None if pattern is None else candidates.view(pattern)
        if view is None:
            return self._seen_before(state, candidates), state
        before = np.array(state.log_likelihood or (0.0,) * view.log_likelihood.size)
        # What other views have shown already is no evidence again.
        total = before + novelty * view.log_likelihood
        state = replace(state, log_likelihood=tuple(total.tolist()))
        return candidates.belief(total, view), state

    def _seen_before(self, state: Views, candidates: SpotCandidates) -> Belief:
        """Return what is thought after an image without lines, which says nothing."""
        if not state.log_likelihood:
            return self._nothing_known(1 / (len(candidates.names) + 1))
        name, others = candidates.probabilities(np.array(state.log_likelihood))
        return Belief(name, others, np.full(others.size, self.settings.first_rate))

    def _nothing_known(self, chance: float) -> Belief:
        return Belief("", np.array([1 - chance]), np.array([self.settings.first_rate]))

    def _next(self, state: Views, now: float, belief: Belief) -> Suggestion:
        settings, bound = self.settings, belief.bound
        if self._is_in_vain(state, belief):
            told = (
                f"the views that are left in the range would hardly bring the error, now"
                f" {bound:.2g}, below {settings.largest_error:g}; stop"
            )
            return _stop(told, belief)
        gains = self.gains_per_s(state, now, belief)
        best = int(gains.argmax())
        angle = float(settings.angles_deg[best])
        cost_s = settings.cost.seconds(angle - now)
        expected = bound - float(gains[best]) * cost_s
        if abs(angle - now) < _SAME_DEG:
            told = "no other angle shows more than this one; count it again"
        else:
            told = f"turn to {angle:g} degree: new there, and the way is worth it"
        return Suggestion(
            Action.MOVE,
            f"{told} (bound on the error {bound:.2g}, expected {expected:.2g})",
            step=abs(angle - now),
            region_start=angle,
            region_stop=angle,
            gain_per_s=float(gains[best]),
            error_bound=bound,
            expected_error_bound=expected,
            cost_s=cost_s,
            answer=belief.answer,
            answer_probability=1 - bound if belief.answer else math.nan,
        )

    def _is_in_vain(self, state: Views, belief: Belief) -> bool:
        """Say whether all that is left of the range would not settle it."""
        settings = self.settings
        if state.n_new < settings.least_views:
            return False
        # Angles twice the width of a view apart show nearly nothing of each other.
        stride = max(1, round(2 * settings.view_width_deg / settings.grid_deg))
        left = float(self._novelty(settings.angles_deg[::stride], state.angles_deg).sum())
        if self.candidates is not None:
            # Views differ much, and the next one may be the one that decides.
            return left < _NOTHING_LEFT
        return float(belief.expected_bound(np.array(left))) > settings.largest_error

    def _novelty(self, angles_deg: FloatArray, taken_deg: tuple[float, ...]) -> FloatArray:
        """Return which part of a view at each angle none of those taken has shown, 0 to 1."""
        if not taken_deg:
            return np.ones(angles_deg.size)
        distance = np.abs(angles_deg[:, None] - np.array(taken_deg))
        if self.settings.has_friedel_pairs:
            distance = np.mod(distance, _HALF_TURN_DEG)
            distance = np.minimum(distance, _HALF_TURN_DEG - distance)
        else:
            distance = np.mod(distance, 2 * _HALF_TURN_DEG)
            distance = np.minimum(distance, 2 * _HALF_TURN_DEG - distance)
        # Half old at the width of a view.
        old = np.exp2(-((distance / self.settings.view_width_deg) ** 2))
        return np.asarray(np.prod(1 - old, axis=1))


def _stop(told: str, belief: Belief) -> Suggestion:
    return Suggestion(
        Action.STOP,
        told,
        error_bound=belief.bound,
        answer=belief.answer,
        answer_probability=1 - belief.bound if belief.answer else math.nan,
    )


def _error_bound(estimate: PhaseEstimate, level: str) -> tuple[float, str]:
    """Return what the estimate leaves to all answers but the best, and that answer."""
    if level == "crystal_system":
        probabilities = estimate.crystal_system_probabilities
        answer = CRYSTAL_SYSTEMS[int(probabilities.argmax())]
    elif level == "extinction_class":
        probabilities = estimate.extinction_class_probabilities
        answer = estimate.extinction_class
    else:
        probabilities = estimate.space_group_probabilities
        answer = f"space group {estimate.space_group_number}"
    return float(1 - probabilities.max()), answer
