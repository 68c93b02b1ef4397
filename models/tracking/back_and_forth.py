"""Tracking where the axis goes back and forth, so that the frame before may show another phase.

The tracker follows a sample that is driven one way. Where a search jumps about a reversible
transition, each frame is instead judged against the last one that showed no change.
"""

from dataclasses import replace

from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.tracking.change_statistic import alarm_level
from phasepilot.models.tracking.phase_state import PhaseState, Stage, TrackerSettings
from phasepilot.models.tracking.phase_tracker import advance
from phasepilot.models.tracking.tracker_state import TrackerState


def advance_from_unchanged(
    unchanged: TrackerState | None,
    pattern: PreparedPattern,
    *,
    seq_num: int,
    axis_value: float,
    settings: TrackerSettings,
) -> tuple[PhaseState, TrackerState]:
    """Return what a frame shows, and the state that the next one is judged against.

    Parameters
    ----------
    unchanged : TrackerState or None
        As returned for the frame before; None for the first.

    Notes
    -----
    The new phase never becomes the reference: a search must always know which phase is the old.
    """
    if unchanged is not None:
        # A search looks where the old phase is known; it takes too few frames to wait for lines
        # that come out from under others.
        unchanged = replace(unchanged, first_lines=None)
    lasting = replace(settings, established_frames=1_000_000, settled_frames=1_000_000)
    state = advance(unchanged, pattern, seq_num=seq_num, axis_value=axis_value, settings=lasting)
    if state.phase.is_beam_lost and unchanged is not None:
        return state.phase, unchanged
    level = alarm_level(settings.false_alarms_per_10000_frames)
    if state.phase.stage is Stage.STABLE and state.phase.excess < level:
        return state.phase, state
    # Once more, as changing: only then are lines that lie on each other shared out with care.
    known = state if unchanged is None else unchanged
    changing = replace(state, phase=replace(state.phase, stage=Stage.CHANGING))
    again = advance(changing, pattern, seq_num=seq_num, axis_value=axis_value, settings=lasting)
    return again.phase, known
