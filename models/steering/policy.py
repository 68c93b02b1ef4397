"""What every rule of steering is given and gives: a sight of the experiment, and a suggestion."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from phasepilot.models.arrays import FloatArray
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.pattern import Pattern
from phasepilot.models.suggestion import Suggestion
from phasepilot.models.tracking.phase_state import PhaseState

State = TypeVar("State")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known when a suggestion is due; None where it is not.

    Attributes
    ----------
    seq_num : int
        Of the frame that was taken last.
    axis_value : float
        Reading of the scanned axis, such as a pressure; NaN when it has none.
    elapsed_s : float
        Seconds since the run began, by the time stamps of its documents.
    pattern : Pattern or None
        All that was measured of the present sample and state, in counts.
    exposure_s : ndarray, shape (n_points,), or None
        Counting time of each point of the pattern.
    phase : PhaseState or None
        What the tracker says.
    estimate : PhaseEstimate or None
        What network and search say.
    """

    seq_num: int
    axis_value: float
    elapsed_s: float
    pattern: Pattern | None = None
    exposure_s: FloatArray | None = None
    phase: PhaseState | None = None
    estimate: PhaseEstimate | None = None


class Policy(Protocol[State]):
    """A rule with a memory; `advise` is a function of its arguments alone."""

    def first_state(self) -> State:
        """Return what the rule remembers before the first frame; states are immutable."""
        ...

    def advise(self, state: State, sight: Sight) -> tuple[Suggestion, State]:
        """Return what to do next and what to remember."""
        ...
