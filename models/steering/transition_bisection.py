"""Halving the interval between the last frame of the old phase and the first with the new one."""

import math
from dataclasses import dataclass, field

from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.transition_reading import (
    ReferencePhase,
    reading,
    usable_phase,
)
from phasepilot.models.steering.transition_settings import TransitionBisectionSettings
from phasepilot.models.suggestion import Action, Suggestion


@dataclass(frozen=True, slots=True)
class Bracket:
    """What the search remembers.

    Attributes
    ----------
    old, new : float
        Ways from the start to the last frame without and the first with the new phase; NaN before
        there is one.
    reference : ReferencePhase
    """

    old: float = math.nan
    new: float = math.nan
    reference: ReferencePhase = field(default_factory=ReferencePhase)


@dataclass(frozen=True, slots=True)
class TransitionBisection:
    """The search for an onset by bisection, where going back is allowed; a `Policy`.

    Until the new phase is seen, the search goes towards the end of the range. Suggestions give
    the next value of the axis as both ends of the region, and the way there as the step. One
    false alarm misleads it: `TransitionInformation` weighs what it reads.
    """

    settings: TransitionBisectionSettings

    def first_state(self) -> Bracket:
        """Return that nothing is known."""
        return Bracket()

    def advise(self, state: Bracket, sight: Sight) -> tuple[Suggestion, Bracket]:
        """Return where to go next, or to stop."""
        phase = usable_phase(sight)
        if phase is None:
            told = "the frame or the axis tells nothing; keep the nominal step"
            return Suggestion(Action.CONTINUE, told), state
        now = self.settings.travelled(sight.axis_value)
        read = reading(phase, state.reference, self.settings.excess_midpoint)
        reference = state.reference.after(phase)
        if read.is_seen:
            following = Bracket(state.old, min(now, _or(state.new, now)), reference)
        else:
            following = Bracket(max(now, _or(state.old, now)), state.new, reference)
        return self._suggest(following, now), following

    def _suggest(self, state: Bracket, now: float) -> Suggestion:
        settings = self.settings
        old, new = _or(state.old, 0.0), _or(state.new, settings.range)
        width = new - old
        if width <= settings.tolerance:
            ends = sorted((settings.axis_value(old), settings.axis_value(new)))
            told = f"the onset is between {ends[0]:.4g} and {ends[1]:.4g}, as well as asked; stop"
            return Suggestion(Action.STOP, told)
        if math.isnan(state.new):
            target, told = settings.range, "the new phase is not seen yet; go towards the end"
        else:
            target, told = (old + new) / 2, f"the onset is within {width:.3g}; halve that"
        if settings.max_step is not None:
            target = now + math.copysign(min(abs(target - now), settings.max_step), target - now)
        if abs(target - now) < settings.tolerance * 1e-6:
            return Suggestion(Action.STOP, "the end of the range shows no new phase; stop")
        place = settings.axis_value(target)
        return Suggestion(
            Action.MOVE,
            f"{told}, at {place:.4g}",
            step=abs(target - now),
            region_start=place,
            region_stop=place,
            cost_s=settings.cost.seconds(target - now),
        )


def _or(value: float, instead: float) -> float:
    return instead if math.isnan(value) else value
