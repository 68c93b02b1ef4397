"""What a frame says about the share of the new phase, as a search for its onset needs it."""

import math
from dataclasses import dataclass

from phasepilot.models.steering.policy import Sight
from phasepilot.models.tracking.phase_state import PhaseState, Stage

# Where the new phase is the tracker's reference, less than this share of it may be none at all.
_TRACE = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """One frame's word on the new phase.

    Attributes
    ----------
    is_seen : bool
        Some of the new phase is there.
    fraction : float
        How much, 0 to 1; 0 when nothing is seen.
    """

    is_seen: bool
    fraction: float


@dataclass(frozen=True, slots=True)
class ReferencePhase:
    """Which phase the tracker calls known: it follows the new one once that is established.

    Attributes
    ----------
    is_new : bool
        The tracker's reference is the phase that is searched for. A line it cannot explain is
        then one of the old phase.
    was_established : bool
        The last frame's stage, to see the tracker change its reference.
    """

    is_new: bool = False
    was_established: bool = False

    def after(self, phase: PhaseState) -> "ReferencePhase":
        """Return what the reference is in the next frame."""
        is_established = phase.stage is Stage.ESTABLISHED
        has_changed = is_established and not self.was_established
        return ReferencePhase(self.is_new != has_changed, is_established)


def usable_phase(sight: Sight) -> PhaseState | None:
    """Return what the tracker says, or None where it or the axis has nothing to say."""
    if sight.phase is None or sight.phase.is_beam_lost or not math.isfinite(sight.axis_value):
        return None
    return sight.phase


def reading(phase: PhaseState, reference: ReferencePhase, excess_midpoint: float) -> Reading:
    """Return what the frame says of the new phase.

    Examples
    --------
    >>> from phasepilot.models.tracking.phase_state import PhaseState, Stage
    >>> phase = PhaseState(0.0, 1e-5, 1.0, 40.0, 0.9, 0.25, Stage.CHANGING, 7)
    >>> reading(phase, ReferencePhase(), 9.0)
    Reading(is_seen=True, fraction=0.25)
    """
    has_unexplained_line = phase.excess >= excess_midpoint
    unexplained = phase.new_phase_fraction if has_unexplained_line else 0.0
    if phase.stage is Stage.ESTABLISHED and not reference.was_established:
        # The frame that established a phase still speaks of the reference before it.
        return Reading(not reference.is_new, 0.0 if reference.is_new else 1.0)
    if reference.is_new:
        fraction = 1.0 - unexplained
        return Reading(fraction > _TRACE, fraction)
    return Reading(has_unexplained_line, unexplained)
