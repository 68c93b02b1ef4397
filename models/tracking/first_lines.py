"""Lines that a run showed from the start: what of them turns up later is nothing new.

A weak line of the cell may begin under a strong one of the sample and come out from under it when
the two move apart. Whatever could have been there at first is not held to be new.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from phasepilot.models.arrays import FloatArray
from phasepilot.models.tracking.components import Frame

# The first frames are averaged while the sample has hardly moved.
_AVERAGED_BINS = 2.0
_MOST_AVERAGED = 8
# Lines move by 0 to 3.2 times the sample's shift.
_FASTEST = 3.2
_MARGIN_BINS = 2
# A line hides under another, without being seen to broaden it, at up to this share of its height.
_HIDDEN_SHARE = 0.3
# Later than this, lines that began under one another have been told apart or averaged in.
_LAST_SHIFT_BINS = 30.0
_LAST_FRAME = 50
_LINE_BINS = 7
_DISTINCT = 3.0
# Variance of a bin over its counts, roughly, when neighbours share counts.
_DISPERSION = 2.5


@dataclass(frozen=True, slots=True)
class FirstLines:
    """Mean of the first frames, scaled to the strength of the very first.

    Attributes
    ----------
    lines, background : ndarray, shape (n_bins,)
    n_averaged, n_frames : int
        Frames in the mean, and frames seen.
    """

    lines: FloatArray
    background: FloatArray
    n_averaged: int = 1
    n_frames: int = 1


def with_frame(
    first: FirstLines | None, frame: Frame, shift_bins: float, amplitude: float
) -> FirstLines | None:
    """Return the first lines after one more frame; None once they are not needed any more."""
    if first is None or abs(shift_bins) > _LAST_SHIFT_BINS or first.n_frames > _LAST_FRAME:
        return None
    following = replace(first, n_frames=first.n_frames + 1)
    is_late = abs(shift_bins) > _AVERAGED_BINS or first.n_averaged >= _MOST_AVERAGED
    if is_late or amplitude < 0.05:
        return following
    n_averaged = first.n_averaged + 1
    return replace(
        following,
        lines=first.lines + (frame.lines / amplitude - first.lines) / n_averaged,
        background=first.background
        + (frame.background / amplitude - first.background) / n_averaged,
        n_averaged=n_averaged,
    )


def beyond_first(
    left: FloatArray, first: FirstLines | None, shift_bins: float, amplitude: float
) -> FloatArray:
    """Return what is left over without what may have hidden under the first lines."""
    if first is None:
        return left
    line = uniform_filter1d(first.lines, _LINE_BINS)
    level = uniform_filter1d(first.background, _LINE_BINS)
    noise = np.sqrt(_DISPERSION * np.maximum(level, 0.0) / (_LINE_BINS * first.n_averaged))
    seen = np.where(line > _DISTINCT * noise, np.maximum(first.lines, 0.0), 0.0)
    # The highest of the bins from which a line may have come: behind this one, as lines move.
    half = math.ceil(_FASTEST * abs(shift_bins) / 2) + _MARGIN_BINS
    reach = maximum_filter1d(seen, 2 * half + 1)
    hidden = np.zeros_like(reach)
    ahead = half - _MARGIN_BINS
    if shift_bins >= 0:
        hidden[ahead:] = reach[: reach.size - ahead]
    else:
        hidden[: reach.size - ahead] = reach[ahead:]
    hidden *= _HIDDEN_SHARE * amplitude
    return np.where(left > 0, np.maximum(left - hidden, 0.0), left)
