"""What known lines add to a frame: groups that move together, each by a strain of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.tracking.line_shift import moved_mask, shifted, slope_of
from phasepilot.models.tracking.phase_state import TrackerSettings

# How many frames the reference is averaged over: long where there is only noise, but lines of
# axes that yield differently must be followed.
_MOST_AVERAGED = 20
_LINES_AVERAGED = 6
# Unexplained lines that stay are taken for known ones after about this many frames.
_FRAMES_UNTIL_KNOWN = 30
_OFFSET_BINS = 151
# A line and its surroundings, and how far beside the others it may lie, both in bins.
_DISPLACED_BINS = 11
_DISPLACEMENT_BINS = 1.0
_CROSSED_BINS = 14


@dataclass(frozen=True, slots=True)
class Component:
    """Lines that move together, in the coordinates of the frame in which they were first seen.

    Attributes
    ----------
    lines : ndarray, shape (n_bins,)
        Intensity above background, averaged; noise may leave it below 0.
    is_known : ndarray of bool, shape (n_bins,)
        Where something has been measured.
    shift_bins : float
        How far they have moved on ln q since.
    ratio : float
        Nominal ratio of their strain to that of the sample: 1, 0 for what stays where it is.
    """

    lines: FloatArray
    is_known: BoolArray
    shift_bins: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame on the grid: what stands above the background, noise and all, and the background.

    Attributes
    ----------
    lines, background : ndarray, shape (n_bins,)
        0 where unmeasured; `lines` is not cut off at 0, so that noise averages out.
    is_measured : ndarray of bool, shape (n_bins,)
    """

    lines: FloatArray
    background: FloatArray
    is_measured: BoolArray


def frame_of(pattern: PreparedPattern, is_declared: BoolArray) -> Frame:
    """Return the frame of a prepared pattern.

    Preparation cuts the signal off at 0; the smooth background is interpolated to where it did.

    Parameters
    ----------
    is_declared : ndarray of bool, shape (n_bins,)
        Bins to leave out of account, as if they had not been measured.
    """
    is_above = np.flatnonzero((pattern.signal > 0) & pattern.is_measured)
    if not is_above.size:
        background = np.where(pattern.is_measured, pattern.intensity, 0.0)
    else:
        below = pattern.intensity[is_above] - pattern.signal[is_above]
        background = np.interp(np.arange(pattern.signal.size), is_above, np.maximum(below, 0.0))
        background *= pattern.is_measured
    is_measured = pattern.is_measured & ~is_declared
    return Frame((pattern.intensity - background) * is_measured, background, is_measured)


@lru_cache(maxsize=8)
def declared_bins(grid: LogQGrid, settings: TrackerSettings) -> BoolArray:
    """Return the bins around lines that the user said to leave out of account; read-only."""
    log_q = np.log(grid.q_per_angstrom)
    is_declared = np.zeros(log_q.size, dtype=bool)
    for d_spacing_angstrom in settings.declared_d_spacings_angstrom:
        centre = math.log(2 * math.pi / d_spacing_angstrom)
        is_declared |= np.abs(log_q - centre) < settings.declared_tolerance
    is_declared.setflags(write=False)
    return is_declared


@lru_cache(maxsize=8)
def beside_declared(grid: LogQGrid, settings: TrackerSettings) -> BoolArray:
    """Return the bins around declared lines where known ones come out again; read-only.

    Lines of axes that yield differently are not where they were expected after crossing.
    """
    is_declared = declared_bins(grid, settings)
    is_beside = np.asarray(maximum_filter1d(is_declared, 2 * _CROSSED_BINS + 1)) & ~is_declared
    is_beside.setflags(write=False)
    return is_beside


@dataclass(frozen=True, slots=True)
class Explanation:
    """A frame as known lines explain it.

    Attributes
    ----------
    amplitudes : ndarray, shape (n_components,)
        Strength of each component against its reference.
    parts : ndarray, shape (n_components, n_bins)
        What each adds.
    left : ndarray, shape (n_bins,)
        What is left of the lines, without slow offsets and without what lines do that moved a
        little apart from the others; 0 where unmeasured or never seen before.
    displaced : ndarray, shape (n_bins,)
        What those lines do: axes of a crystal yield differently.
    is_covered : ndarray of bool, shape (n_bins,)
        Where the references say what is to be expected.
    """

    amplitudes: FloatArray
    parts: FloatArray
    left: FloatArray
    displaced: FloatArray
    is_covered: BoolArray

    @property
    def expected(self) -> FloatArray:
        """Intensity that is explained, never below 0."""
        return np.asarray(np.maximum(self.parts.sum(axis=0), 0.0))


def explain(
    frame: Frame, components: Sequence[Component], *, sample_amplitude: float | None = None
) -> Explanation:
    """Return the frame as the components, at their shifts, explain it.

    The beam scales all of them alike; changes of a single line are learned with time.

    Parameters
    ----------
    sample_amplitude : float, optional
        Of the first component, where it fades by itself; see `weakest_amplitude`.
    """
    drawn = np.stack([shifted(one.lines, one.shift_bins) for one in components])
    is_covered = frame.is_measured.copy()
    for one in components:
        # Lines that move faster than the sample's come into view where its own are known.
        if one.ratio >= 1.0:
            is_covered &= moved_mask(one.is_known, one.shift_bins)
    if sample_amplitude is None:
        amplitudes = np.full(len(drawn), _amplitude(frame, frame.lines, drawn, is_covered))
    else:
        rest = frame.lines - sample_amplitude * drawn[0]
        others = _amplitude(frame, rest, drawn[1:], is_covered)
        amplitudes = np.array([sample_amplitude] + [others] * (len(drawn) - 1))
    parts = amplitudes[:, None] * drawn
    total = parts.sum(axis=0)
    left = np.where(is_covered, frame.lines - total, 0.0)
    expected = np.maximum(total, 0.0)
    left -= _offset(left, expected, frame, is_covered)
    displaced = _displaced(left, expected, frame) * is_covered
    return Explanation(amplitudes, parts, left - displaced, displaced, is_covered)


def _displaced(left: FloatArray, expected: FloatArray, frame: Frame) -> FloatArray:
    """Return what of the rest is explained by lines that lie a little beside where they should.

    A displacement d of a line e adds -d de/dx; d is found for the surroundings of each bin, by
    least squares with a prior of a bin, so that noise moves no weak line.
    """
    slope = -slope_of(expected)
    variance = (expected + frame.background) / (_DISPLACED_BINS * _DISPLACEMENT_BINS**2)
    joint = uniform_filter1d(left * slope, _DISPLACED_BINS)
    squared = uniform_filter1d(slope**2 + variance, _DISPLACED_BINS)
    displacement = np.clip(joint / np.maximum(squared, 1e-12), -1.5, 1.5)
    return np.asarray(displacement * slope)


def _amplitude(frame: Frame, lines: FloatArray, drawn: FloatArray, is_covered: BoolArray) -> float:
    """Return the strength of all drawn lines together that fits best, above 0."""
    if not len(drawn):
        return 1.0
    model = np.maximum(drawn.sum(axis=0), 0.0)
    # Relative errors of texture and interpolation rule where there are many counts.
    weight = is_covered / (model + frame.background + 0.01 * model.max(initial=0.0) + 1e-9)
    norm = float((weight * model) @ model)
    return max(float((weight * model) @ lines) / norm, 1e-6) if norm > 0 else 1e-6


def weakest_amplitude(frame: Frame, components: Sequence[Component]) -> float:
    """Return how much of the sample its *weakest* lines allow, at most what all of them suggest.

    While phases coexist, lines of the new one may lie on lines of the old one.
    """
    drawn = [np.maximum(shifted(one.lines, one.shift_bins), 0.0) for one in components]
    others = np.sum(drawn[1:], axis=0) if len(drawn) > 1 else np.zeros_like(drawn[0])
    is_line = (drawn[0] > 0.05 * drawn[0].max(initial=0.0)) & (others < 0.2 * drawn[0])
    is_line &= frame.is_measured
    if not is_line.any():
        return 0.0
    ratio = (frame.lines - others)[is_line] / drawn[0][is_line]
    all_lines = _amplitude(frame, frame.lines, np.stack(drawn), frame.is_measured)
    return min(max(0.0, float(np.quantile(ratio, 0.25))), all_lines)


def averaged(
    components: Sequence[Component],
    frame: Frame,
    explanation: Explanation,
    is_suspicious: BoolArray,
    *,
    n_averaged: int,
) -> tuple[Component, ...]:
    """Return the components with this frame averaged in.

    What is left over is shared out as the components share what was expected. What looks like a new
    line is hardly learned; where nothing was ever measured, the frame is taken as it is.
    """
    height = maximum_filter1d(explanation.expected, _DISPLACED_BINS)
    is_held = is_suspicious & (explanation.left > 0.5 * height)
    is_line = height > 3 * np.sqrt(frame.background + height)
    weight = np.where(
        is_line, 1 / min(n_averaged + 1, _LINES_AVERAGED), 1 / min(n_averaged + 1, _MOST_AVERAGED)
    )
    weight = np.where(is_held, 1 / _FRAMES_UNTIL_KNOWN, weight)
    change = weight * (explanation.left + explanation.displaced)
    positive = np.maximum(explanation.parts, 0.0)
    positive[0] += 1e-9 + 1e-3 * positive.max(initial=0.0)
    shares = positive / positive.sum(axis=0)
    learned = []
    for component, share, amplitude in zip(components, shares, explanation.amplitudes, strict=True):
        lines = component.lines
        if amplitude > 0.05:
            step = share * change / amplitude
            lines = lines + shifted(step, -component.shift_bins)
        learned.append(replace(component, lines=lines))
    learned[0] = _extended(learned[0], frame, explanation)
    return tuple(learned)


def _extended(sample: Component, frame: Frame, explanation: Explanation) -> Component:
    """Return the sample's lines where they came into view for the first time, too."""
    amplitude = explanation.amplitudes[0]
    is_new = moved_mask(frame.is_measured, -sample.shift_bins) & ~sample.is_known
    if not is_new.any() or amplitude <= 0.05:
        return sample
    others = explanation.parts[1:].sum(axis=0)
    back = shifted((frame.lines - others) * frame.is_measured, -sample.shift_bins) / amplitude
    lines = np.where(is_new, back, sample.lines)
    return replace(sample, lines=lines, is_known=sample.is_known | is_new)


def _offset(
    left: FloatArray, expected: FloatArray, frame: Frame, is_covered: BoolArray
) -> FloatArray:
    """Return what is left over wide stretches: the background's own error, not lines."""
    limit = 3 * np.sqrt(frame.background + expected) + 0.02 * expected
    inside = uniform_filter1d(np.clip(left, -limit, limit), _OFFSET_BINS, mode="constant")
    share = uniform_filter1d(is_covered.astype(np.float64), _OFFSET_BINS, mode="constant")
    return np.where(is_covered, inside / np.maximum(share, 0.1), 0.0)
