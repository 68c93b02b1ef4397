"""Which lines move with the sample and which do not, learned while the sample begins to move.

Lines of a gasket or of the diamonds stay where they are, those of a soft pressure medium move
further than the sample's. Frames are moved back by several ratios of the sample's shift and stacked:
a line is sharp, and the stack scatters least, at the ratio with which it really moves.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from phasepilot.models.arrays import FloatArray
from phasepilot.models.tracking.components import Component, Frame
from phasepilot.models.tracking.line_shift import shifted

# The sample's own ratio comes first.
RATIOS = (1.0, 0.0, 1.5, 2.0, 2.5, 3.0)
# How much worse, in log likelihood, a stack must fit at ratio 1 before another is believed.
_PRIOR = np.array([0.0, -4.0, -8.0, -8.0, -8.0, -8.0])
_WINDOW_BINS = 9
# Neighbouring bins share points of the detector, so their evidence counts less than once.
_EVIDENCE_PER_BIN = 0.4
# Texture and interpolation: relative scatter of a line that stays where it is expected.
_RELATIVE_SCATTER = 0.03
_SHIFT_ENOUGH_BINS = 12.0
_MOST_FRAMES = 60


@dataclass(frozen=True, slots=True)
class MotionStacks:
    """Frames moved back by each ratio: running mean, and sum of squares over their variance."""

    mean: FloatArray
    squares: FloatArray
    n_frames: int
    is_known: FloatArray


def first_stacks(frame: Frame) -> MotionStacks:
    """Return the stacks of the first frame."""
    mean = np.repeat(frame.lines[None], len(RATIOS), axis=0)
    return MotionStacks(mean, np.zeros_like(mean), 1, frame.is_measured.astype(np.float64))


def stacked(
    stacks: MotionStacks, frame: Frame, shift_bins: float, amplitude: float
) -> MotionStacks:
    """Return the stacks with one more frame (Welford's running mean and squares)."""
    n_frames = stacks.n_frames + 1
    mean, squares = stacks.mean.copy(), stacks.squares.copy()
    for k, ratio in enumerate(RATIOS):
        back = shifted(frame.lines, -ratio * shift_bins) / amplitude
        change = back - mean[k]
        mean[k] += change / n_frames
        level = np.maximum(mean[k], 0.0)
        variance = (level + frame.background) / amplitude + (_RELATIVE_SCATTER * level) ** 2 + 1e-9
        squares[k] += change * (back - mean[k]) / variance
    return MotionStacks(mean, squares, n_frames, stacks.is_known)


def is_learned(stacks: MotionStacks, shift_bins: float) -> bool:
    """Return whether the sample has moved far enough to tell all lines apart."""
    return abs(shift_bins) >= _SHIFT_ENOUGH_BINS or stacks.n_frames >= _MOST_FRAMES


def components_of(
    stacks: MotionStacks, shift_bins: float, noise: float
) -> tuple[Component, ...]:
    """Return the sample's lines, those that stay, and those of at most one companion.

    Parameters
    ----------
    noise : float
        Variance of a bin over its counts; not 1 for averaged or scaled data.
    """
    evidence = -0.5 * _EVIDENCE_PER_BIN / max(noise, 1e-9) * stacks.squares
    evidence = uniform_filter1d(evidence, _WINDOW_BINS, axis=1, mode="constant") * _WINDOW_BINS
    evidence += _PRIOR[:, None]
    evidence -= evidence.max(axis=0)
    shares = np.exp(evidence)
    shares /= shares.sum(axis=0)
    intensity = (shares * np.maximum(stacks.mean, 0.0)).sum(axis=1)
    companion = 2 + int(intensity[2:].argmax())
    kept = [0, 1, companion]
    shares[0] += shares.sum(axis=0) - shares[kept].sum(axis=0)
    is_known = stacks.is_known > 0
    return tuple(
        Component(shares[k] * stacks.mean[k], is_known, RATIOS[k] * shift_bins, RATIOS[k])
        for k in kept
    )
