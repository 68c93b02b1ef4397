"""Following one sample from frame to frame: strain, and whether its phases have changed.

The tracker is a pure function from a state and a frame to the next state. States are immutable, so
going back to an earlier frame (a paused scan repeats some) is going back to its state.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.tracking.left_over import LeftOver, explain
from phasepilot.models.tracking.line_shift import LineShift, measure_shift, moved


class Stage(StrEnum):
    """Where the sample stands."""

    STABLE = "stable"
    CHANGING = "changing"
    ESTABLISHED = "established"


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """What the tracker takes for granted.

    Attributes
    ----------
    frames_between_changes : float
        How many frames pass between phase changes on average: the prior of the change detector.
    max_strain_step : float
        Largest strain between two frames.
    excess_midpoint : float
        Significance of an unexplained line at which change and no change are equally likely.
    alarm_probability : float
        From this probability on the sample counts as changing.
    established_fraction : float
        Share of intensity in new lines from which the new phase counts as established.
    established_frames : int
        For how many frames running.
    lost_beam_ratio : float
        Below this share of the reference's intensity a frame is not believed.
    """

    frames_between_changes: float = 100.0
    max_strain_step: float = 0.012
    excess_midpoint: float = 9.0
    alarm_probability: float = 0.5
    established_fraction: float = 0.9
    established_frames: int = 2
    lost_beam_ratio: float = 0.03


@dataclass(frozen=True, slots=True)
class PhaseState:
    """What is known of the sample after a frame.

    Attributes
    ----------
    strain : float
        Linear strain of the lattice against the first frame of the current phase; negative when
        compressed. While phases coexist it is the strain of the old one.
    strain_uncertainty : float
        One standard deviation.
    volume_ratio : float
        V / V0 against that frame, (1 + strain)^3.
    excess : float
        Most significant unexplained line, in standard deviations.
    change_probability : float
        Probability that a phase change has begun.
    new_phase_fraction : float
        Share of the line intensity in lines that the old phase does not have.
    stage : Stage
    changed_since_seq_num : int
        Frame since which the change is seen; 0 when there is none.
    is_beam_lost : bool
        The frame had so little intensity that it was passed over.
    """

    strain: float
    strain_uncertainty: float
    volume_ratio: float
    excess: float
    change_probability: float
    new_phase_fraction: float
    stage: Stage
    changed_since_seq_num: int
    is_beam_lost: bool = False


@dataclass(frozen=True, slots=True)
class TrackerState:
    """All that the tracker remembers; see `advance`."""

    phase: PhaseState
    reference: FloatArray
    n_averaged: int
    shift_bins: float
    shift_rate: float
    axis_value: float
    log_odds: float
    n_established: int
    total_intensity: float


def advance(
    state: TrackerState | None,
    pattern: PreparedPattern,
    *,
    seq_num: int,
    axis_value: float,
    settings: TrackerSettings,
) -> TrackerState:
    """Return the state after one more frame; `state` is None before the first."""
    signal = pattern.signal
    if state is None:
        return _first(signal, float(pattern.intensity.sum()), axis_value, settings)
    total = float(pattern.intensity.sum())
    if _is_beam_lost(state, signal, total, settings):
        return replace(state, phase=replace(state.phase, is_beam_lost=True))
    shift = _track_shift(state, signal, pattern, axis_value, settings)
    moved_reference = moved(state.reference, shift.bins)
    background = np.maximum(pattern.intensity - signal, 0.0)
    is_changing = state.phase.stage is Stage.CHANGING
    left = explain(
        signal, background, pattern.is_measured, moved_reference, is_changing=is_changing
    )
    log_odds = _next_log_odds(state.log_odds, left.excess, settings)
    phase = _phase_state(state, shift, left, log_odds, pattern, seq_num, settings)
    following = replace(
        state,
        phase=phase,
        shift_bins=shift.bins,
        shift_rate=_rate(state, shift, axis_value),
        axis_value=axis_value,
        log_odds=log_odds,
        n_established=_count_established(state, phase, settings),
        total_intensity=total,
    )
    if following.n_established >= settings.established_frames:
        return _established(following, signal, settings)
    if phase.stage is not Stage.CHANGING and left.excess < settings.excess_midpoint - 1.0:
        return _with_better_reference(following, signal, shift.bins, left.amplitude)
    return following


def _is_beam_lost(
    state: TrackerState, signal: FloatArray, total: float, settings: TrackerSettings
) -> bool:
    """Return whether lines, or lines and background together, are all but gone."""
    ratio = settings.lost_beam_ratio
    return bool(
        signal.sum() < ratio * state.reference.sum() or total < ratio * state.total_intensity
    )


def _first(
    signal: FloatArray, total: float, axis_value: float, settings: TrackerSettings
) -> TrackerState:
    phase = PhaseState(0.0, 0.0, 1.0, 0.0, _probability(_prior(settings)), 0.0, Stage.STABLE, 0)
    return TrackerState(phase, signal, 1, 0.0, 0.0, axis_value, _prior(settings), 0, total)


def _track_shift(
    state: TrackerState,
    signal: FloatArray,
    pattern: PreparedPattern,
    axis_value: float,
    settings: TrackerSettings,
) -> LineShift:
    """Return the shift of the known phases; by extrapolation once too little of them is left."""
    travel = axis_value - state.axis_value
    expected = state.shift_bins + (state.shift_rate * travel if math.isfinite(travel) else 0.0)
    reach = settings.max_strain_step / pattern.grid.bin_width
    if state.phase.stage is Stage.CHANGING:
        if state.phase.new_phase_fraction > 0.7:
            return LineShift(expected, math.nan)
        # Lines of the new phase must not catch the old ones: stay near where they were heading.
        reach = max(2.0, reach / 6)
    return measure_shift(
        signal, state.reference, expected_bins=expected, reach_bins=max(2, round(reach))
    )


def _rate(state: TrackerState, shift: LineShift, axis_value: float) -> float:
    """Return the running shift per unit of the scanned axis; 0 while the axis stands still."""
    travel = axis_value - state.axis_value
    if not math.isfinite(travel) or travel == 0.0 or not math.isfinite(shift.uncertainty_bins):
        return state.shift_rate
    rate = (shift.bins - state.shift_bins) / travel
    return rate if state.shift_rate == 0.0 else 0.5 * (rate + state.shift_rate)


def _prior(settings: TrackerSettings) -> float:
    return -math.log(max(settings.frames_between_changes - 1.0, 1.0))


def _next_log_odds(log_odds: float, excess: float, settings: TrackerSettings) -> float:
    """Return the log odds of a change after one more frame (a CUSUM with the prior as its floor).

    A frame far beyond the midpoint speaks for a change, one below it against; both are bounded,
    so that no single frame settles it for good.
    """
    evidence = min(6.0, max(-1.5, 0.8 * (excess - settings.excess_midpoint)))
    return min(12.0, max(_prior(settings), log_odds + evidence))


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))


def _phase_state(
    state: TrackerState,
    shift: LineShift,
    left: LeftOver,
    log_odds: float,
    pattern: PreparedPattern,
    seq_num: int,
    settings: TrackerSettings,
) -> PhaseState:
    width = pattern.grid.bin_width
    strain = math.expm1(-shift.bins * width)
    probability = _probability(log_odds)
    was = state.phase
    is_changing = was.stage is Stage.CHANGING or probability >= settings.alarm_probability
    is_above_floor = log_odds > _prior(settings)
    return PhaseState(
        strain=strain,
        strain_uncertainty=shift.uncertainty_bins * width,
        volume_ratio=(1 + strain) ** 3,
        excess=left.excess,
        change_probability=1.0 if was.stage is Stage.CHANGING else probability,
        new_phase_fraction=left.new_fraction,
        stage=Stage.CHANGING if is_changing else was.stage,
        changed_since_seq_num=(was.changed_since_seq_num or seq_num)
        if is_changing or is_above_floor
        else 0,
    )


def _count_established(state: TrackerState, phase: PhaseState, settings: TrackerSettings) -> int:
    is_new = phase.new_phase_fraction >= settings.established_fraction
    return state.n_established + 1 if phase.stage is Stage.CHANGING and is_new else 0


def _established(
    state: TrackerState, signal: FloatArray, settings: TrackerSettings
) -> TrackerState:
    """Return the state that follows the new phase from this frame on."""
    phase = replace(
        state.phase,
        strain=0.0,
        strain_uncertainty=0.0,
        volume_ratio=1.0,
        stage=Stage.ESTABLISHED,
    )
    return replace(_first(signal, state.total_intensity, state.axis_value, settings), phase=phase)


def _with_better_reference(
    state: TrackerState, signal: FloatArray, shift_bins: float, amplitude: float
) -> TrackerState:
    """Return the state with this frame averaged into the reference, at the reference's strain."""
    if amplitude <= 0.0:
        return state
    n_averaged = min(state.n_averaged + 1, 10)
    back = moved(signal, -shift_bins) / amplitude
    reference = state.reference + (back - state.reference) / n_averaged
    return replace(state, reference=reference, n_averaged=n_averaged)
