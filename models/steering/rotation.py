"""Where to turn a crystal next, by the expected gain per second, and when to stop.

The answer after several orientations is a fused posterior; the bound on the probability of error
is what it leaves to all answers but the best. Evidence of independent views multiplies, so that the
bound falls exponentially with their number (Chernoff), at a rate that is learned as images come in.
A view near one that was taken, or half a turn from it, is worth only the part of it that is new;
one far away costs the way. The next angle is the one where the bound falls most per second.
"""

import math
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.rotation_settings import RotationSettings
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS, Action, Suggestion

# Half a turn shows the Friedel mates of all reflections.
_HALF_TURN_DEG = 180.0
# Rates are kept within what a crystal may do, so that one lucky image neither ends the search by
# itself nor one without news makes all angles look alike.
_RATES = (0.02, 5.0)
_LEAST_BOUND = 1e-12
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
    first_bound : float
        Bound on the probability of error after the first view; NaN before.
    first_n_new : float
        `n_new` at that view.
    """

    angles_deg: tuple[float, ...] = ()
    n_new: float = 0.0
    first_bound: float = math.nan
    first_n_new: float = 0.0


@dataclass(frozen=True, slots=True)
class RotationRule:
    """The search for orientations that settle the symmetry; a `Policy`.

    Suggestions give the next angle as both ends of the region.
    """

    settings: RotationSettings

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
        following = Views(
            (*state.angles_deg, now),
            state.n_new + novelty,
            state.first_bound,
            state.first_n_new,
        )
        if sight.estimate is None:
            # Nothing seen here: elsewhere something may be.
            return self._next(following, now, _unknown_bound(self.settings.level), ""), following
        bound, answer = _error_bound(sight.estimate, self.settings.level)
        if math.isnan(following.first_bound):
            following = Views(following.angles_deg, following.n_new, bound, following.n_new)
        if bound <= self.settings.largest_error:
            told = (
                f"{answer} is settled: an error is less probable than"
                f" {self.settings.largest_error:g}, after {len(following.angles_deg)} images"
            )
            return _stop(told, bound, answer), following
        return self._next(following, now, bound, answer), following

    def rate(self, state: Views, bound: float) -> float:
        """Return by how many factors of e another independent view should lower the bound."""
        settings = self.settings
        if math.isnan(state.first_bound):
            return settings.first_rate
        fallen = math.log(max(state.first_bound, _LEAST_BOUND) / max(bound, _LEAST_BOUND))
        known = settings.rate_images * settings.first_rate + fallen
        rate = known / (settings.rate_images + state.n_new - state.first_n_new)
        return min(max(rate, _RATES[0]), _RATES[1])

    def gains_per_s(self, state: Views, now_deg: float, bound: float) -> FloatArray:
        """Return the drop of the bound expected per second at each of `settings.angles_deg`."""
        angles = self.settings.angles_deg
        news = self._novelty(angles, state.angles_deg)
        drop = bound * -np.expm1(-self.rate(state, bound) * news)
        seconds = [self.settings.cost.seconds(float(angle) - now_deg) for angle in angles]
        return np.asarray(drop / np.array(seconds))

    def _next(self, state: Views, now: float, bound: float, answer: str) -> Suggestion:
        settings = self.settings
        if len(state.angles_deg) >= settings.max_images:
            return _stop(f"all {settings.max_images} images are taken", bound, answer)
        if state.n_new >= settings.least_views and self._least_bound(state, bound) > (
            settings.largest_error
        ):
            told = (
                f"the views that are left in the range would hardly bring the error, now"
                f" {bound:.2g}, below {settings.largest_error:g}; stop"
            )
            return _stop(told, bound, answer)
        gains = self.gains_per_s(state, now, bound)
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
            answer=answer,
            answer_probability=1 - bound if answer else math.nan,
        )

    def _least_bound(self, state: Views, bound: float) -> float:
        """Return what the bound would come to if all of the range were seen."""
        # Angles twice the width of a view apart show nearly nothing of each other.
        stride = max(1, round(2 * self.settings.view_width_deg / self.settings.grid_deg))
        left = float(self._novelty(self.settings.angles_deg[::stride], state.angles_deg).sum())
        return bound * math.exp(-self.rate(state, bound) * left)

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


def _stop(told: str, bound: float, answer: str) -> Suggestion:
    return Suggestion(
        Action.STOP,
        told,
        error_bound=bound,
        answer=answer,
        answer_probability=1 - bound if answer else math.nan,
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


def _unknown_bound(level: str) -> float:
    n_answers = {"crystal_system": 7, "extinction_class": 97, "space_group": 230}[level]
    return 1 - 1 / n_answers
