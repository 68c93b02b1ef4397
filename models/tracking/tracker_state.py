"""What the tracker remembers from frame to frame."""

from dataclasses import dataclass

from phasepilot.models.arrays import FloatArray
from phasepilot.models.tracking.change_statistic import Evidence
from phasepilot.models.tracking.components import Component
from phasepilot.models.tracking.first_lines import FirstLines
from phasepilot.models.tracking.left_over import Noise
from phasepilot.models.tracking.motion import MotionSums
from phasepilot.models.tracking.phase_state import PhaseState, Stage
from phasepilot.models.tracking.watched_lines import WatchedLines


@dataclass(frozen=True, slots=True)
class Travel:
    """Recent steps of axis times shift, and of the axis squared.

    Their ratio bears a gauge whose scatter is as large as its steps.
    """

    joint: float = 0.0
    squared: float = 0.0

    @property
    def rate(self) -> float:
        """Shift in bins for each unit of the scanned axis; 0 while it stands still."""
        return self.joint / self.squared if self.squared > 0 else 0.0


@dataclass(frozen=True, slots=True)
class TrackerState:
    """All that the tracker remembers; see `phase_tracker.advance`.

    Attributes
    ----------
    components : tuple of Component
        The sample's lines first, then those with a strain of their own.
    sums : MotionSums or None
        While it is being learned which lines are which.
    memory : ndarray or None
        Running mean of the significance of what is left over.
    n_frames, n_averaged : int
        Frames since the current phase was taken as the reference, and those averaged into it.
    n_established, n_quiet, n_settled : int
        For how many frames running the new phase has been nearly all, nothing has been left over,
        and the fraction has stayed as it was at `settled_fraction`.
    """

    phase: PhaseState
    components: tuple[Component, ...]
    sums: MotionSums | None
    noise: Noise | None
    memory: FloatArray | None
    axis_value: float
    travel: Travel
    total_intensity: float
    line_intensity: float
    stage_before: Stage = Stage.STABLE
    n_frames: int = 1
    n_averaged: int = 1
    n_established: int = 0
    n_quiet: int = 0
    n_settled: int = 0
    settled_fraction: float = 0.0
    first_lines: FirstLines | None = None
    watch: WatchedLines | None = None
    evidence: Evidence | None = None
