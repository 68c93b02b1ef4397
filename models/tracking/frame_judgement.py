"""One frame judged against all that is known of the run: where lines lie, and what is left over."""

import math
from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.tracking.change_statistic import Evidence, change_statistic
from phasepilot.models.tracking.components import (
    Component,
    Explanation,
    Frame,
    beside_declared,
    declared_bins,
    explain,
    frame_of,
    weakest_amplitude,
)
from phasepilot.models.tracking.first_lines import FirstLines, beyond_first, with_frame
from phasepilot.models.tracking.left_over import (
    Noise,
    highest_lines,
    next_noise,
    remembered,
    significance,
    standardised,
)
from phasepilot.models.tracking.line_shift import LineShift, SeenLines, measure_shift, shifted
from phasepilot.models.tracking.motion import least_left
from phasepilot.models.tracking.phase_state import Stage, TrackerSettings
from phasepilot.models.tracking.tracker_state import TrackerState
from phasepilot.models.tracking.watched_lines import (
    LineChanges,
    WatchedLines,
    grain_scatter,
    line_changes,
    watched,
    with_changing_frame,
)
from phasepilot.models.tracking.watched_lines import with_frame as watched_with

# Variance, in bins, of a companion about its nominal ratio from one frame to the next.
_COMPANION_SCATTER = 0.02
# Until lines of others are told apart from the sample's, these move by no more than this.
_HARDLY_MOVED_BINS = 1.5


@dataclass(frozen=True, slots=True)
class Judged:
    """One frame judged against the known lines."""

    frame: Frame
    shift: LineShift
    components: tuple[Component, ...]
    explanation: Explanation
    noise: Noise
    memory: FloatArray
    score: FloatArray
    evidence: Evidence
    first_lines: FirstLines | None
    watch: WatchedLines | None


def judged_frame(
    state: TrackerState, pattern: PreparedPattern, axis_value: float, settings: TrackerSettings
) -> Judged:
    """Return what a frame shows; nothing is learned from it yet but the noise."""
    frame = frame_of(pattern, declared_bins(pattern.grid, settings))
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
        noise = next_noise(noise, frame, explanation, grain_scatter(state.watch))
    amplitude = float(explanation.amplitudes[0])
    first_lines = state.first_lines
    if not is_changing:
        first_lines = with_frame(first_lines, frame, shift.bins, amplitude)
    beyond = beyond_first(explanation.left, first_lines, shift.bins, amplitude)
    is_beside = beside_declared(pattern.grid, settings)
    beyond = np.where(is_beside, np.minimum(beyond, 0.0), beyond)
    score = significance(
        frame, replace(explanation, left=beyond), noise, grain_scatter(state.watch)
    )
    moved_bins = shift.bins - state.components[0].shift_bins
    memory = remembered(state.memory, score, moved_bins)
    new_lines = change_statistic(
        highest_lines(standardised(memory, explanation.is_covered), n_lines=3)
    )
    watch = _watched(state, frame, explanation, shift.bins, settings)
    is_told_apart = state.sums is None or abs(shift.bins) < _HARDLY_MOVED_BINS
    evidence = Evidence(new_lines, line_changes(watch) if is_told_apart else LineChanges())
    return Judged(
        frame, shift, components, explanation, noise, memory, score, evidence, first_lines, watch
    )


def _watched(
    state: TrackerState,
    frame: Frame,
    explanation: Explanation,
    shift_bins: float,
    settings: TrackerSettings,
) -> WatchedLines | None:
    """Return the sample's lines as watched; from the end of the learning on, if it has any."""
    watch = state.watch
    if watch is None and state.n_frames >= settings.learning_frames:
        watch = watched(state.components[0], frame)
    if watch is None:
        return None
    if state.phase.stage is Stage.CHANGING:
        return with_changing_frame(watch, frame, explanation, shift_bins)
    return watched_with(watch, frame, explanation, shift_bins)


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
        SeenLines(frame.lines - others, frame.is_measured),
        SeenLines(sample.lines, sample.is_known),
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
            SeenLines(frame.lines - (total - drawn[k]), frame.is_measured),
            SeenLines(one.lines, one.is_known),
            expected_bins=one.shift_bins,
            reach_bins=2,
        )
        # Few counts: a measurement that knows no better than the prediction is not followed.
        weight = _COMPANION_SCATTER / (_COMPANION_SCATTER + found.uncertainty_bins**2)
        if math.isfinite(found.uncertainty_bins):
            step = weight * (found.bins - one.shift_bins)
            moved[k] = replace(one, shift_bins=one.shift_bins + min(max(step, -1.0), 1.0))
    return tuple(moved)
