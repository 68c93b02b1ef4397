"""How far all lines have moved on ln q: the strain, measured by correlation."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import shift as shifted_by_spline

from phasepilot.models.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class LineShift:
    """A translation on the ln q axis.

    Attributes
    ----------
    bins : float
        How far the lines lie above those of the reference, in bins.
    uncertainty_bins : float
        One standard deviation from the scatter of what is left over.
    """

    bins: float
    uncertainty_bins: float


def moved(reference: FloatArray, bins: float) -> FloatArray:
    """Return the reference moved by any number of bins (cubic spline), never below 0."""
    moved_by_spline = shifted_by_spline(reference, bins, order=3, mode="nearest")
    return np.asarray(np.maximum(moved_by_spline, 0.0))


def measure_shift(
    signal: FloatArray, reference: FloatArray, *, expected_bins: float, reach_bins: int
) -> LineShift:
    """Return the shift of the signal against the reference, within `reach_bins` of the expected.

    The nearest whole bin maximises the correlation of the square roots, which counting noise
    disturbs evenly; Gauss-Newton steps on the same roots then find the fraction.

    Parameters
    ----------
    signal, reference : ndarray, shape (n_bins,)
        Intensity above background.
    """
    root, root_reference = np.sqrt(signal), np.sqrt(reference)
    centre = round(expected_bins)
    padded = np.pad(root, reach_bins + abs(centre))
    window = padded[abs(centre) + centre :][: root.size + 2 * reach_bins]
    correlation = np.correlate(window, root_reference, mode="valid")
    bins = float(centre + int(correlation.argmax()) - reach_bins)
    return _refined(root, root_reference, bins)


def _refined(root: FloatArray, root_reference: FloatArray, bins: float) -> LineShift:
    slope_squared = noise = 0.0
    for _ in range(3):
        model = moved(root_reference, bins)
        slope = np.gradient(model)
        norm = float(model @ model)
        if norm == 0.0:
            break
        amplitude = float(root @ model) / norm
        left_over = root - amplitude * model
        slope_squared = amplitude**2 * float(slope @ slope)
        if slope_squared == 0.0:
            break
        # The model moves against its slope; a step is never larger than the whole-bin search left.
        step = -amplitude * float(slope @ left_over) / slope_squared
        bins += float(np.clip(step, -0.7, 0.7))
        noise = float(np.mean(left_over**2))
    uncertainty = float(np.sqrt(noise / slope_squared)) if slope_squared > 0 else float("inf")
    return LineShift(bins, uncertainty)
