"""The known lines themselves: whether they fade, change their ratios, or broaden and split.

What a phase transition does without bringing new lines shows in how the strengths and widths of
known lines differ from what they were some frames ago. Drifts of texture, dose, crystallite size
and background are slower, and the beam scales everything alike.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.tracking.components import Component, Explanation, Frame
from phasepilot.models.tracking.line_shift import moved_mask

_MOST_LINES = 16
# A line must be this strong, against the strongest and against its noise, to be watched.
_FAINTEST = 0.02
_CLEAREST = 12.0
# Half widths in bins: of a line with its surroundings, and of its middle.
_HALF_BINS = 12.0
_MIDDLE_BINS = 3.0
_APART_BINS = 10
_ALONE_BINS = 30
_DISTURBING = 0.1
# How far a line may lie from where it is expected, and how fast that is followed.
_FOLLOWED = 0.3
_FARTHEST_STEP_BINS = 0.5
# Frames whose mean is compared with the mean of earlier ones, those left out between, and the most.
_RECENT = 3
_GAP = 4
_MOST_FRAMES = 32
_FEWEST_EARLIER = 8
# What drifts and imperfect subtraction do to a logarithm meanwhile.
_FADING_TOLERANCE = 0.10
_RATIO_TOLERANCE = 0.10
_WIDTH_TOLERANCE = 0.05
_LEAST_SCATTER = 0.005
_FEWEST_LINES = 3
# A strength is not followed below this share of what it was.
_GONE = 0.03


@dataclass(frozen=True, slots=True)
class WatchedLines:
    """The sample's strong lines over the last frames.

    Attributes
    ----------
    centres : ndarray, shape (n_lines,)
        In bins, where the lines lay in the first frame of the current phase, followed slowly.
    strength : ndarray, shape (n_lines,)
        Of the reference.
    history : ndarray, shape (n_frames, 1 + 2 n_lines)
        Logarithms: lines over background, strength of each line, share of it in its middle.
    scatter : ndarray, shape (1 + 2 n_lines,)
        One standard deviation of a frame, from differences of successive ones.
    """

    centres: FloatArray
    strength: FloatArray
    history: FloatArray
    scatter: FloatArray


@dataclass(frozen=True, slots=True)
class LineChanges:
    """How much known lines differ from earlier frames; each about 1 or less where nothing happens.

    Attributes
    ----------
    fading : float
        All lines together against the background, in standard deviations.
    ratios, widths : float
        Root mean square over lines, in standard deviations, without the quarter that differs most.
    """

    fading: float = 0.0
    ratios: float = 0.0
    widths: float = 0.0


def watched(sample: Component, frame: Frame) -> WatchedLines | None:
    """Return the lines of the sample to watch from now on; None where too few stand out."""
    smooth = uniform_filter1d(sample.lines, 5)
    highest = maximum_filter1d(smooth, 2 * _APART_BINS + 1)
    level = uniform_filter1d(frame.background, 5)
    clear = _CLEAREST * np.sqrt(np.maximum(smooth + level, 0.0) / 5)
    is_top = (smooth == highest) & (smooth > _FAINTEST * smooth.max(initial=0.0)) & (smooth > clear)
    margin = math.ceil(2 * _HALF_BINS)
    # Of a line at the edge of what is known there is more than was seen.
    is_top &= moved_mask(sample.is_known, 0.0)
    is_top[:margin] = is_top[-margin:] = False
    tops = _alone_first(np.flatnonzero(is_top), smooth)[:_MOST_LINES]
    if tops.size < _FEWEST_LINES:
        return None
    centres = tops.astype(np.float64)
    window = _window(centres, sample.lines.size)
    strength = (sample.lines[window.bins] * window.share(_HALF_BINS)).sum(axis=1)
    nothing = np.empty((0, 1 + 2 * tops.size))
    return WatchedLines(centres, np.maximum(strength, 1e-12), nothing, nothing.sum(axis=0))


def _alone_first(tops: IntArray, smooth: FloatArray) -> IntArray:
    """Return the lines that stand alone, the strongest first; with others only if these are few.

    Axes that yield differently make neighbours meet.
    """
    tops = tops[np.argsort(-smooth[tops])]
    is_near = np.abs(tops[:, None] - tops) < _ALONE_BINS
    others = np.where(is_near & ~np.eye(tops.size, dtype=bool), smooth[tops], 0.0)
    is_alone = others.max(axis=1, initial=0.0) < _DISTURBING * smooth[tops]
    n_alone = int(is_alone.sum())
    ordered = np.concatenate([tops[is_alone], tops[~is_alone]])
    return ordered[: max(n_alone, _FEWEST_LINES + 1)]


def with_frame(
    watch: WatchedLines, frame: Frame, explanation: Explanation, shift_bins: float
) -> WatchedLines:
    """Return the watched lines with one more frame."""
    row, moved_bins = _measured(watch, frame, explanation, shift_bins)
    history = np.concatenate([watch.history[1 - _MOST_FRAMES :], row[None]])
    step = np.clip(_FOLLOWED * moved_bins, -_FARTHEST_STEP_BINS, _FARTHEST_STEP_BINS)
    scatter = _scatter(history, watch.strength.size)
    return replace(watch, centres=watch.centres + step, history=history, scatter=scatter)


def with_changing_frame(
    watch: WatchedLines, frame: Frame, explanation: Explanation, shift_bins: float
) -> WatchedLines:
    """Return the same while phases change: what was before the change stays to compare with."""
    row, _ = _measured(watch, frame, explanation, shift_bins)
    latest = np.concatenate([watch.history[1 - _RECENT :], row[None]])
    return replace(watch, history=np.concatenate([watch.history[:-_RECENT], latest]))


def _measured(
    watch: WatchedLines, frame: Frame, explanation: Explanation, shift_bins: float
) -> tuple[FloatArray, FloatArray]:
    """Return a row of the history, and by how many bins the lines lie beside their centres."""
    window = _window(watch.centres + shift_bins, frame.lines.size)
    lines = frame.lines[window.bins] - explanation.parts[1:, window.bins].sum(axis=0)
    amplitude = max(float(explanation.amplitudes[0]), 1e-6)
    around = lines * window.share(_HALF_BINS)
    total = np.maximum(around.sum(axis=1), _GONE * amplitude * watch.strength)
    middle = np.maximum((lines * window.share(_MIDDLE_BINS)).sum(axis=1), _GONE * total)
    is_seen = frame.is_measured[window.bins].all(axis=1)
    strength, width = np.log(total), np.log(middle / total)
    if len(watch.history):
        _, strength_before, width_before = _parts(watch, watch.history[-1])
        # What is hidden does what the others do.
        step = strength - strength_before
        common = float(np.median(step[is_seen])) if is_seen.any() else 0.0
        strength = np.where(is_seen, strength, strength_before + common)
        width = np.where(is_seen, width, width_before)
    background = float(frame.background.sum()) + 1e-9
    row = np.concatenate([[np.log(np.exp(strength).sum() / background)], strength, width])
    beside = (around * window.from_centre).sum(axis=1) / total
    return row, np.where(is_seen, beside, 0.0)


@dataclass(frozen=True, slots=True)
class _Window:
    """The bins around lines, shape (n_lines, n_window), and how far from a line they lie."""

    bins: IntArray
    from_centre: FloatArray

    def share(self, half_bins: float) -> FloatArray:
        """Return how much of each bin lies within half a width of the line."""
        return np.asarray(np.clip(half_bins + 0.5 - np.abs(self.from_centre), 0.0, 1.0))


def _window(centres: FloatArray, n_bins: int) -> _Window:
    half = math.ceil(_HALF_BINS) + 1
    bins = np.rint(centres).astype(int)[:, None] + np.arange(-half, half + 1)
    return _Window(np.clip(bins, 0, n_bins - 1), bins - centres[:, None])


def _parts(watch: WatchedLines, row: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    n_lines = watch.strength.size
    return float(row[0]), row[1 : 1 + n_lines], row[1 + n_lines :]


def lost_share(watch: WatchedLines | None) -> float:
    """Return how much of the lines, against the background, has gone since the earlier frames."""
    if watch is None or len(watch.history) <= _GAP + _RECENT:
        return 0.0
    earlier = watch.history[: -_RECENT - _GAP, 0].mean()
    return max(0.0, 1 - math.exp(float(watch.history[-1, 0] - earlier)))


def line_changes(watch: WatchedLines | None) -> LineChanges:
    """Return how far the last frames are from the earlier ones."""
    if watch is None or len(watch.history) < _FEWEST_EARLIER + _GAP + _RECENT:
        return LineChanges()
    recent = watch.history[-_RECENT:].mean(axis=0)
    earlier = watch.history[: -_RECENT - _GAP]
    change = recent - earlier.mean(axis=0)
    variance = watch.scatter**2 * (1 / _RECENT + 1 / len(earlier))
    total, strength, width = _parts(watch, change)
    of_total, of_strength, of_width = _parts(watch, variance)
    centred, broader = strength - np.median(strength), np.maximum(-width, 0.0)
    return LineChanges(
        fading=max(0.0, -total / math.sqrt(of_total + _FADING_TOLERANCE**2)),
        ratios=_typical(centred / np.sqrt(of_strength + _RATIO_TOLERANCE**2)),
        widths=_typical(broader / np.sqrt(of_width + _WIDTH_TOLERANCE**2)),
    )


def grain_scatter(watch: WatchedLines | None) -> float:
    """Return how much the steadier lines scatter from frame to frame, relative; 0 if unknown."""
    if watch is None or len(watch.history) < _FEWEST_EARLIER:
        return 0.0
    _, of_strength, _ = _parts(watch, watch.scatter)
    return float(np.quantile(of_strength, 0.25))


def _scatter(history: FloatArray, n_lines: int) -> FloatArray:
    steps = np.diff(history, axis=0)
    if not len(steps):
        return np.full(history.shape[1], _LEAST_SCATTER)
    strengths = steps[:, 1 : 1 + n_lines]
    strengths -= np.median(strengths, axis=1, keepdims=True)
    typical = np.sort(np.abs(steps), axis=0)[len(steps) // 2]
    return np.asarray(np.maximum(1.4826 / math.sqrt(2) * typical, _LEAST_SCATTER))


def _typical(deviations: FloatArray) -> float:
    """Return the root mean square without the largest quarter: lines of others may cross some."""
    squared = np.sort(deviations**2)[: deviations.size - math.ceil(deviations.size / 4)]
    return float(math.sqrt(squared.mean()))
