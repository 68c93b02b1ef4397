"""Following one sample from frame to frame: strain, and whether its phases have changed.

The tracker is a pure function from a state and a frame to the next state. States are immutable, so
going back to an earlier frame (a paused scan repeats some) is going back to its state.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.tracking.change_statistic import (
    alarm_level,
    change_probability,
    change_statistic,
)
from phasepilot.models.tracking.components import (
    Component,
    Explanation,
    Frame,
    averaged,
    declared_bins,
    explain,
    frame_of,
    weakest_amplitude,
)
from phasepilot.models.tracking.first_lines import FirstLines, beyond_first, with_frame
from phasepilot.models.tracking.left_over import (
    Noise,
    highest_lines,
    near_lines,
    next_noise,
    remembered,
    significance,
    standardised,
)
from phasepilot.models.tracking.line_shift import LineShift, measure_shift, shifted
from phasepilot.models.tracking.motion import (
    MotionSums,
    components_of,
    first_sums,
    is_learned,
    least_left,
    summed,
)
from phasepilot.models.tracking.phase_state import PhaseState, Stage, TrackerSettings

# Significance from which bins are suspected of a new line and not averaged into the reference, and
# from which they count as one.
_SUSPICIOUS = 2.5
_SIGNIFICANT = 4.0
# Variance, in bins, of a companion about its nominal ratio from one frame to the next.
_COMPANION_SCATTER = 0.02


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
    """All that the tracker remembers; see `advance`.

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


@dataclass(frozen=True, slots=True)
class _Judged:
    """One frame judged against the known lines."""

    frame: Frame
    shift: LineShift
    components: tuple[Component, ...]
    explanation: Explanation
    noise: Noise
    memory: FloatArray
    score: FloatArray
    statistic: float
    first_lines: FirstLines | None


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
    judged = _judged(state, pattern, axis_value, settings)
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
    frame = frame_of(pattern, declared_bins(pattern, settings))
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


def _judged(
    state: TrackerState, pattern: PreparedPattern, axis_value: float, settings: TrackerSettings
) -> _Judged:
    frame = frame_of(pattern, declared_bins(pattern, settings))
    is_changing = state.phase.stage is Stage.CHANGING
    shift = _track_shift(state, frame, pattern, axis_value, settings)
    components = _moved(state, frame, shift)
    weakest = weakest_amplitude(frame, components) if is_changing else None
    explanation = explain(frame, components, sample_amplitude=weakest)
    if state.sums is not None and not is_changing:
        amplitude = float(explanation.amplitudes[0])
        left = least_left(explanation.left, frame, state.sums, shift.bins, amplitude)
        explanation = replace(explanation, left=left)
    noise = state.noise
    if noise is None or not is_changing:
        noise = next_noise(noise, frame, explanation)
    amplitude = float(explanation.amplitudes[0])
    first_lines = state.first_lines
    if not is_changing:
        first_lines = with_frame(first_lines, frame, shift.bins, amplitude)
    beyond = beyond_first(explanation.left, first_lines, shift.bins, amplitude)
    score = significance(frame, replace(explanation, left=beyond), noise)
    moved_bins = shift.bins - state.components[0].shift_bins
    memory = remembered(state.memory, score, moved_bins)
    statistic = change_statistic(highest_lines(standardised(memory, explanation.is_covered)))
    return _Judged(
        frame, shift, components, explanation, noise, memory, score, statistic, first_lines
    )


def _track_shift(
    state: TrackerState,
    frame: Frame,
    pattern: PreparedPattern,
    axis_value: float,
    settings: TrackerSettings,
) -> LineShift:
    """Return the shift of the sample's lines; by extrapolation once too little of them is left."""
    sample = state.components[0]
    travel = axis_value - state.axis_value
    reach = settings.max_strain_step / pattern.grid.bin_width
    ahead = state.travel.rate * travel if math.isfinite(travel) else 0.0
    expected = sample.shift_bins + min(max(ahead, -reach), reach)
    if state.phase.stage is Stage.CHANGING:
        if state.phase.new_phase_fraction > 0.7:
            return LineShift(expected, math.nan)
        # Lines of the new phase must not catch the old ones: stay near where they were heading.
        reach = max(2.0, reach / 6)
    others = sum(
        (shifted(one.lines, one.shift_bins) for one in state.components[1:]),
        start=np.zeros_like(frame.lines),
    )
    return measure_shift(
        frame.lines - others,
        sample.lines,
        expected_bins=expected,
        reach_bins=max(2, round(reach)),
    )


def _moved(state: TrackerState, frame: Frame, shift: LineShift) -> tuple[Component, ...]:
    """Return the components where this frame shows them.

    Once companions are learned, each is measured: its strain keeps no exact ratio to the sample's.
    """
    sample, *others = state.components
    change = shift.bins - sample.shift_bins
    moved = [replace(sample, shift_bins=shift.bins)]
    moved += [replace(one, shift_bins=one.shift_bins + one.ratio * change) for one in others]
    if state.sums is not None or state.phase.stage is Stage.CHANGING:
        return tuple(moved)
    drawn = [np.maximum(shifted(one.lines, one.shift_bins), 0.0) for one in moved]
    total = np.sum(drawn, axis=0)
    for k, one in enumerate(moved[1:], start=1):
        if one.ratio == 0.0:
            continue
        found = measure_shift(
            frame.lines - (total - drawn[k]),
            one.lines,
            expected_bins=one.shift_bins,
            reach_bins=2,
        )
        # Few counts: a measurement that knows no better than the prediction is not followed.
        weight = _COMPANION_SCATTER / (_COMPANION_SCATTER + found.uncertainty_bins**2)
        if math.isfinite(found.uncertainty_bins):
            step = weight * (found.bins - one.shift_bins)
            moved[k] = replace(one, shift_bins=one.shift_bins + min(max(step, -1.0), 1.0))
    return tuple(moved)


def _phase_state(
    state: TrackerState,
    judged: _Judged,
    pattern: PreparedPattern,
    seq_num: int,
    settings: TrackerSettings,
) -> PhaseState:
    width = pattern.grid.bin_width
    strain = math.expm1(-judged.shift.bins * width)
    level = alarm_level(settings.false_alarms_per_10000_frames)
    probability = change_probability(judged.statistic, level, settings.frames_between_changes)
    is_learning = state.n_frames < settings.learning_frames
    was = state.phase
    is_changing = was.stage is Stage.CHANGING or (
        probability >= settings.alarm_probability and not is_learning
    )
    is_suspected = is_changing or (probability > 0.05 and not is_learning)
    return PhaseState(
        strain=strain,
        strain_uncertainty=judged.shift.uncertainty_bins * width,
        volume_ratio=(1 + strain) ** 3,
        excess=judged.statistic,
        change_probability=1.0 if was.stage is Stage.CHANGING else probability,
        new_phase_fraction=_new_fraction(judged),
        stage=Stage.CHANGING if is_changing else was.stage,
        changed_since_seq_num=(was.changed_since_seq_num or seq_num) if is_suspected else 0,
    )


def _new_fraction(judged: _Judged) -> float:
    """Return the share of line intensity, companions left out, that nothing known explains."""
    left = judged.explanation.left
    is_new = near_lines(judged.score, _SIGNIFICANT)
    new = float(np.maximum(left, 0.0)[is_new].sum())
    known = float(np.maximum(judged.explanation.parts[0], 0.0).sum())
    return new / (new + known) if new > 0 else 0.0


def _following(
    state: TrackerState,
    judged: _Judged,
    phase: PhaseState,
    pattern: PreparedPattern,
    axis_value: float,
    settings: TrackerSettings,
) -> TrackerState:
    is_changing = phase.stage is Stage.CHANGING
    is_new = is_changing and phase.new_phase_fraction >= settings.established_fraction
    is_quiet = is_changing and phase.new_phase_fraction < 0.01
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


def _with_better_reference(state: TrackerState, judged: _Judged) -> TrackerState:
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


def _with_motion_learned(state: TrackerState, sums: MotionSums, judged: _Judged) -> TrackerState:
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
    return replace(state, components=components, sums=None, n_averaged=n_averaged)
