"""What a frame shows beyond the phases known so far, after the strain is removed."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from phasepilot.models.arrays import BoolArray, FloatArray

# Line intensities of one phase may differ this much from the reference (texture, grain statistics)
# without being called a change.
MODEL_ERROR = 0.06
_LINE_BINS = 5
# Noise scatters 4096 bins up to about 4 standard deviations; this is beyond it.
_SIGNIFICANT = 5.0


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What the reference does not explain.

    Attributes
    ----------
    amplitude : float
        Scale of the reference in this frame; 1 when nothing changed.
    excess : float
        The most significant unexplained line, in standard deviations of this frame's own noise.
    new_fraction : float
        Share of the line intensity that the reference does not explain, 0 to 1.
    """

    amplitude: float
    excess: float
    new_fraction: float


def explain(
    signal: FloatArray,
    background: FloatArray,
    is_measured: BoolArray,
    reference: FloatArray,
    *,
    is_changing: bool,
) -> LeftOver:
    """Return what is left of the signal when the scaled reference is taken away.

    Parameters
    ----------
    signal, background : ndarray, shape (n_bins,)
        Intensity above background, and the background below it.
    reference : ndarray, shape (n_bins,)
        Intensity of the known phases, already moved to this frame's strain.
    is_changing : bool
        While phases coexist, lines of the new phase may lie on lines of the old one. The old
        phase then counts only as much as its *weakest* lines allow.
    """
    amplitude = (
        _weakest_amplitude(signal, reference)
        if is_changing
        else _least_squares_amplitude(signal, background, reference)
    )
    expected = amplitude * reference
    score = _significance(signal - expected, expected, background, is_measured)
    is_new = maximum_filter1d(score > _SIGNIFICANT, 2 * _LINE_BINS + 1)
    new = float(np.maximum(signal - expected, 0.0)[is_new].sum())
    known = float(expected[is_measured].sum())
    total = new + known
    return LeftOver(amplitude, float(score.max()), new / total if total > 0 else 0.0)


def _least_squares_amplitude(
    signal: FloatArray, background: FloatArray, reference: FloatArray
) -> float:
    weight = 1.0 / (reference + background + 1.0)
    norm = float(np.sum(weight * reference**2))
    return max(0.0, float(np.sum(weight * reference * signal)) / norm) if norm > 0 else 0.0


def _weakest_amplitude(signal: FloatArray, reference: FloatArray) -> float:
    is_line = reference > 0.05 * reference.max(initial=0.0)
    if not is_line.any():
        return 0.0
    return float(np.quantile(signal[is_line] / reference[is_line], 0.25))


def _significance(
    left_over: FloatArray, expected: FloatArray, background: FloatArray, is_measured: BoolArray
) -> FloatArray:
    """Return left-over intensity over a line's width, in standard deviations; 0 where unmeasured.

    Noise is scaled by the scatter of the frame itself, so exposure, gain and averaging into bins
    need not be known.
    """
    root = np.sqrt(expected + background + 1e-6 * (expected + background).max() + 1e-12)
    scatter = _robust_deviation((left_over / root)[is_measured])
    tolerance = MODEL_ERROR * maximum_filter1d(expected, 2 * _LINE_BINS + 1)
    scaled = left_over / np.hypot(max(scatter, 1e-12) * root, tolerance)
    scaled = np.where(is_measured, scaled, 0.0)
    smooth = uniform_filter1d(scaled, _LINE_BINS, mode="constant")
    return np.where(is_measured, smooth / max(_robust_deviation(smooth[is_measured]), 1e-12), 0.0)


def _robust_deviation(values: FloatArray) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
