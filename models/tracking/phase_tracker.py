"""Following one sample from frame to frame: strain, and whether its phases have changed.

The tracker is a pure function from a state and a frame to the next state. States are immutable, so
going back to an earlier frame (a paused scan repeats some) is going back to its state.
"""

import math
from dataclasses import replace

import numpy as np

from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.tracking.change_statistic import (
    alarm_level,
    change_probability,
)
from phasepilot.models.tracking.components import (
    Component,
    averaged,
    declared_bins,
    frame_of,
)
from phasepilot.models.tracking.first_lines import FirstLines
from phasepilot.models.tracking.frame_judgement import Judged, judged_frame
from phasepilot.models.tracking.left_over import near_lines
from phasepilot.models.tracking.line_shift import LineShift
from phasepilot.models.tracking.motion import (
    MotionSums,
    components_of,
    first_sums,
    is_learned,
    summed,
)
from phasepilot.models.tracking.phase_state import PhaseState, SeenIn, Stage, TrackerSettings
from phasepilot.models.tracking.tracker_state import TrackerState, Travel
from phasepilot.models.tracking.watched_lines import lost_share

# Significance from which bins are suspected of a new line and not averaged into the reference, and
# from which they count as one.
_SUSPICIOUS = 2.5
_SIGNIFICANT = 4.0


def advance(
    state: TrackerState | None,
    pattern: PreparedPattern,
    *,
    seq_num: int,
    axis_value: float,
    settings: TrackerSettings,
) -> TrackerState:
    """Return the state after one more frame; `state` is None before the first."""
    if state is None:
        return _first(pattern, axis_value, Stage.STABLE, settings)
    if _is_beam_lost(state, pattern, settings):
        return replace(state, phase=replace(state.phase, is_beam_lost=True))
    judged = judged_frame(state, pattern, axis_value, settings)
    phase = _phase_state(state, judged, pattern, seq_num, settings)
    following = _following(state, judged, phase, pattern, axis_value, settings)
    if phase.stage is not Stage.CHANGING:
        return _with_better_reference(following, judged)
    if following.n_established >= settings.established_frames or (
        following.n_settled >= settings.settled_frames
    ):
        return _established(following, pattern, axis_value, settings)
    if following.n_quiet >= settings.quiet_frames:
        quiet = replace(phase, stage=state.stage_before, changed_since_seq_num=0)
        return replace(following, phase=quiet, n_quiet=0)
    return following


def _first(
    pattern: PreparedPattern, axis_value: float, stage: Stage, settings: TrackerSettings
) -> TrackerState:
    frame = frame_of(pattern, declared_bins(pattern.grid, settings))
    phase = PhaseState(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, stage, 0)
    return TrackerState(
        phase=phase,
        components=(Component(frame.lines, frame.is_measured, 0.0, 1.0),),
        sums=first_sums(frame),
        noise=None,
        memory=None,
        axis_value=axis_value,
        travel=Travel(),
        total_intensity=float(pattern.intensity.sum()),
        line_intensity=float(pattern.signal.sum()),
        first_lines=FirstLines(frame.lines, frame.background),
    )


def _is_beam_lost(state: TrackerState, pattern: PreparedPattern, settings: TrackerSettings) -> bool:
    """Return whether lines, or lines and background together, are all but gone."""
    ratio = settings.lost_beam_ratio
    return bool(
        pattern.signal.sum() < ratio * state.line_intensity
        or pattern.intensity.sum() < ratio * state.total_intensity
    )


def _phase_state(
    state: TrackerState,
    judged: Judged,
    pattern: PreparedPattern,
    seq_num: int,
    settings: TrackerSettings,
) -> PhaseState:
    width = pattern.grid.bin_width
    strain = math.expm1(-judged.shift.bins * width)
    level = alarm_level(settings.false_alarms_per_10000_frames)
    seen_in, statistic = judged.evidence.strongest
    probability = change_probability(statistic, level, settings.frames_between_changes)
    is_learning = state.n_frames < settings.learning_frames
    was = state.phase
    is_changing = was.stage is Stage.CHANGING or (
        probability >= settings.alarm_probability and not is_learning
    )
    # What is suspected while lines are still told apart may turn out to be where a change began.
    is_suspected = is_changing or probability > 0.05
    if was.changed_since_seq_num:
        seen_in = was.seen_in
    return PhaseState(
        strain=strain,
        strain_uncertainty=judged.shift.uncertainty_bins * width,
        volume_ratio=(1 + strain) ** 3,
        excess=statistic,
        change_probability=1.0 if was.stage is Stage.CHANGING else probability,
        new_phase_fraction=_new_fraction(judged, seen_in if is_changing else SeenIn.NEW_LINES),
        stage=Stage.CHANGING if is_changing else was.stage,
        changed_since_seq_num=(was.changed_since_seq_num or seq_num) if is_suspected else 0,
        seen_in=seen_in,
    )


def _new_fraction(judged: Judged, seen_in: SeenIn) -> float:
    """Return the share of line intensity, companions left out, that nothing known explains.

    Where lines fade, it is the share of them that is lost.
    """
    if seen_in is SeenIn.FADING:
        return lost_share(judged.watch)
    left = judged.explanation.left
    is_new = near_lines(judged.score, _SIGNIFICANT)
    new = float(np.maximum(left, 0.0)[is_new].sum())
    known = float(np.maximum(judged.explanation.parts[0], 0.0).sum())
    return new / (new + known) if new > 0 else 0.0


def _following(
    state: TrackerState,
    judged: Judged,
    phase: PhaseState,
    pattern: PreparedPattern,
    axis_value: float,
    settings: TrackerSettings,
) -> TrackerState:
    is_changing = phase.stage is Stage.CHANGING
    is_new = is_changing and phase.new_phase_fraction >= settings.established_fraction
    level = alarm_level(settings.false_alarms_per_10000_frames)
    is_quiet = is_changing and phase.new_phase_fraction < 0.01 and phase.excess < level
    is_settled = is_changing and abs(phase.new_phase_fraction - state.settled_fraction) < 0.03
    return replace(
        state,
        phase=phase,
        components=judged.components,
        noise=judged.noise,
        memory=judged.memory,
        axis_value=axis_value,
        travel=_travelled(state, judged.shift, axis_value),
        total_intensity=float(pattern.intensity.sum()),
        line_intensity=float(pattern.signal.sum()),
        stage_before=state.stage_before if is_changing else phase.stage,
        n_frames=state.n_frames + 1,
        n_established=state.n_established + 1 if is_new else 0,
        n_quiet=state.n_quiet + 1 if is_quiet else 0,
        n_settled=state.n_settled + 1 if is_settled else 0,
        settled_fraction=state.settled_fraction if is_settled else phase.new_phase_fraction,
        first_lines=judged.first_lines,
        watch=judged.watch,
        evidence=judged.evidence,
    )


def _travelled(state: TrackerState, shift: LineShift, axis_value: float) -> Travel:
    """Return how shift and axis go together, with this step; no step where either is unknown."""
    axis_step = axis_value - state.axis_value
    shift_step = shift.bins - state.components[0].shift_bins
    if not (math.isfinite(axis_step) and math.isfinite(shift.uncertainty_bins)):
        return state.travel
    return Travel(
        0.8 * state.travel.joint + axis_step * shift_step,
        0.8 * state.travel.squared + axis_step**2,
    )


def _established(
    state: TrackerState, pattern: PreparedPattern, axis_value: float, settings: TrackerSettings
) -> TrackerState:
    """Return the state that follows what the frame shows from now on."""
    fresh = _first(pattern, axis_value, Stage.ESTABLISHED, settings)
    phase = replace(
        state.phase,
        strain=0.0,
        strain_uncertainty=0.0,
        volume_ratio=1.0,
        stage=Stage.ESTABLISHED,
    )
    return replace(fresh, phase=phase, stage_before=Stage.ESTABLISHED)


def _with_better_reference(state: TrackerState, judged: Judged) -> TrackerState:
    """Return the state with this frame averaged into the references."""
    if state.sums is not None:
        return _with_motion_learned(state, state.sums, judged)
    is_suspicious = near_lines(judged.score, _SUSPICIOUS)
    components = averaged(
        state.components,
        judged.frame,
        judged.explanation,
        is_suspicious,
        n_averaged=state.n_averaged,
    )
    return replace(state, components=components, n_averaged=state.n_averaged + 1)


def _with_motion_learned(state: TrackerState, sums: MotionSums, judged: Judged) -> TrackerState:
    """Return the state that knows better which lines move with the sample."""
    explanation, frame = judged.explanation, judged.frame
    amplitude = float(explanation.amplitudes[0])
    if amplitude < 0.05:
        return state
    is_usable = explanation.is_covered & ~near_lines(judged.score, _SIGNIFICANT)
    lines = np.where(is_usable, frame.lines, explanation.parts.sum(axis=0)) / amplitude
    dispersion = float(np.median(judged.noise.dispersion))
    shift_bins = judged.shift.bins
    following = summed(sums, lines, frame.background / amplitude, shift_bins, dispersion)
    components = components_of(following, shift_bins)
    if not is_learned(following, shift_bins):
        return replace(state, components=components, sums=following)
    n_averaged = following.n_frames
    # Lines of others may have been watched as the sample's: start again.
    return replace(state, components=components, sums=None, n_averaged=n_averaged, watch=None)
