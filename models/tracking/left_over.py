"""What a frame shows beyond the known lines, in standard deviations of its own noise."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.tracking.components import Explanation, Frame
from phasepilot.models.tracking.line_shift import shifted

# Line intensities may differ this much from the reference (texture, grain statistics, a fraction of
# a bin of shift) without being called a change.
MODEL_ERROR = 0.06
# Or so many times what they scatter from frame to frame, where rings are spotty.
_GRAINS = 1.5
# What is left over counts in units of this share of the strongest line at least. Weak lines of a
# cell that were taken for the sample's are fainter than a phase that begins.
FAINT_SHARE = 0.004
_LINE_BINS = 7
_N_BLOCKS = 32
_FEWEST_QUIET = 20
# Share of the past in the running mean of the significance: about two frames count.
_MEMORY = 0.4
_NEAR_BINS = 3 * _LINE_BINS
# A strong line's tails and what disturbs the background about it are no lines of their own.
_TAIL_BINS = 70
_TAIL_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Noise:
    """How much a frame scatters about its expectation, learned from the frames themselves.

    Attributes
    ----------
    dispersion : ndarray, shape (n_blocks,)
        Variance of the sum over a line's width, over its expected counts: 1 for counts in
        independent bins, else what averaging, gain and scaling make of it.
    n_frames : int
    """

    dispersion: FloatArray
    n_frames: int


@dataclass(frozen=True, slots=True)
class UnexplainedLine:
    """A maximum of the significance: where, how high, and how much intensity stands in it."""

    bin: int
    significance: float


def next_noise(
    noise: Noise | None, frame: Frame, explanation: Explanation, grain_scatter: float
) -> Noise:
    """Return the noise with one more frame averaged in, by the median over blocks of bins."""
    known = _line_sum(explanation.expected)
    expected = known + _line_sum(frame.background)
    left = _line_sum(explanation.left)
    tolerance = _tolerance(known, grain_scatter)
    previous = 1.0 if noise is None else _per_bin(noise, left.size)
    is_quiet = explanation.is_covered & (expected > 0) & (tolerance**2 < 0.5 * previous * expected)
    ratio = np.where(is_quiet, np.abs(left) / np.sqrt(np.maximum(expected, 1e-12)), np.inf)
    found = (_medians(ratio) / 0.6745) ** 2
    dispersion = _without_gaps(found)
    if noise is None:
        return Noise(dispersion, 1)
    n_frames = min(noise.n_frames + 1, 20)
    mixed = noise.dispersion + (dispersion - noise.dispersion) / n_frames
    return Noise(mixed, n_frames)


def significance(
    frame: Frame, explanation: Explanation, noise: Noise, grain_scatter: float
) -> FloatArray:
    """Return how far each line's width of bins stands above the expected, in standard deviations.

    Square roots keep the tail of low counts Gaussian (Anscombe).
    """
    dispersion = _per_bin(noise, frame.lines.size)
    known = _line_sum(explanation.expected)
    expected = (known + _line_sum(frame.background)) / dispersion
    left = _line_sum(explanation.left) / dispersion
    root = np.sqrt(np.maximum(expected + left, 0.0) + 0.375) - np.sqrt(expected + 0.375)
    faint = FAINT_SHARE * float(known.max(initial=0.0, where=explanation.is_covered))
    tolerance = np.hypot(_tolerance(known, grain_scatter), faint) / dispersion
    scaled = 2 * root / np.sqrt(1 + tolerance**2 / np.maximum(expected, 1e-3))
    return np.where(explanation.is_covered, scaled, 0.0)


def remembered(
    memory: FloatArray | None, significance_now: FloatArray, moved_bins: float
) -> FloatArray:
    """Return the running mean of the significance, which moves with the sample's lines."""
    if memory is None:
        return np.asarray((1 - _MEMORY) * significance_now)
    return np.asarray(_MEMORY * shifted(memory, moved_bins) + (1 - _MEMORY) * significance_now)


def standardised(memory: FloatArray, is_covered: BoolArray) -> FloatArray:
    """Return the running mean in standard deviations of its own scatter, never less than ideal."""
    ideal = np.sqrt((1 - _MEMORY) / (1 + _MEMORY))
    inside = memory[is_covered]
    scatter = 1.4826 * float(np.median(np.abs(inside))) if inside.size else ideal
    return np.where(is_covered, memory / max(scatter, ideal), 0.0)


def highest_lines(score: FloatArray, *, n_lines: int = 2) -> tuple[UnexplainedLine, ...]:
    """Return the highest maxima of the significance that stand apart, highest first."""
    remaining = score.copy()
    found = []
    for _ in range(n_lines):
        top = int(remaining.argmax())
        if remaining[top] <= 0:
            break
        found.append(UnexplainedLine(top, float(remaining[top])))
        near = slice(max(0, top - _TAIL_BINS), top + _TAIL_BINS + 1)
        is_tail = remaining[near] < _TAIL_SHARE * remaining[top]
        remaining[near] = np.where(is_tail, 0.0, remaining[near])
        remaining[max(0, top - _NEAR_BINS) : top + _NEAR_BINS + 1] = 0.0
    return tuple(found)


def near_lines(score: FloatArray, threshold: float) -> BoolArray:
    """Return the bins of lines whose significance exceeds the threshold."""
    return np.asarray(maximum_filter1d(score > threshold, 2 * _LINE_BINS + 1))


def _tolerance(known: FloatArray, grain_scatter: float) -> FloatArray:
    """Return by how much sums over a line's width may differ from those of the known lines."""
    share = max(MODEL_ERROR, _GRAINS * grain_scatter)
    return np.asarray(share * maximum_filter1d(known, 2 * _LINE_BINS + 1))


def _line_sum(values: FloatArray) -> FloatArray:
    return np.asarray(uniform_filter1d(values, _LINE_BINS, mode="constant") * _LINE_BINS)


def _per_bin(noise: Noise, n_bins: int) -> FloatArray:
    centres = (np.arange(_N_BLOCKS) + 0.5) * n_bins / _N_BLOCKS
    return np.asarray(np.interp(np.arange(n_bins), centres, noise.dispersion))


def _medians(values: FloatArray) -> FloatArray:
    """Return the median of the finite values of each block; NaN of blocks that have too few."""
    n_block = -(-values.size // _N_BLOCKS)
    padded = np.full(n_block * _N_BLOCKS, np.inf)
    padded[: values.size] = values
    rows = np.sort(padded.reshape(_N_BLOCKS, n_block), axis=1)
    n_finite = np.isfinite(rows).sum(axis=1)
    middle = rows[np.arange(_N_BLOCKS), np.maximum(n_finite - 1, 0) // 2]
    return np.where(n_finite >= _FEWEST_QUIET, middle, np.nan)


def _without_gaps(found: FloatArray) -> FloatArray:
    """Return the blocks smoothed over neighbours, those without quiet bins filled in."""
    is_found = np.isfinite(found)
    if not is_found.any():
        return np.ones_like(found)
    blocks = np.arange(found.size)
    filled = np.interp(blocks, blocks[is_found], found[is_found])
    smooth = uniform_filter1d(filled, 3, mode="nearest")
    return np.asarray(np.maximum(smooth, 1e-3 * float(np.median(smooth)) + 1e-12))
