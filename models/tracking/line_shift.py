"""How far all lines have moved on ln q: the strain, measured by correlation."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from phasepilot.models.arrays import FloatArray

# About a line and its surroundings.
_PULL_BINS = 15
_CONVERGED_BINS = 1e-3
_NODES = np.arange(-2, 4)
_IS_OWN_NODE = np.eye(_NODES.size, dtype=bool)
_TAP_SCALES = np.where(_IS_OWN_NODE, 1.0, _NODES[:, None] - _NODES).prod(axis=1)


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
    """Return the reference moved by any number of bins, never below 0; see `shifted`."""
    return np.asarray(np.maximum(shifted(reference, bins), 0.0))


def shifted(reference: FloatArray, bins: float) -> FloatArray:
    """Return the reference moved by any number of bins; its ends are continued.

    Six-point Lagrange interpolation: for one common shift it is a filter of six taps.
    """
    whole = math.floor(bins)
    fraction = bins - whole
    # Tap k is the product of (fraction - node) over the other nodes, over its value at node k.
    factors = np.where(_IS_OWN_NODE, 1.0, fraction - _NODES)
    taps = factors.prod(axis=1) / _TAP_SCALES
    n_bins = reference.size
    reach = abs(whole) + 3
    padded = np.empty(n_bins + 2 * reach)
    padded[:reach], padded[reach : reach + n_bins] = reference[0], reference
    padded[reach + n_bins :] = reference[-1]
    # Output i is the reference at i - bins: the nodes lie at i - whole - node.
    start = reach - whole - 3
    return np.convolve(padded[start : start + n_bins + 5], taps, mode="valid")


def slope_of(values: FloatArray) -> FloatArray:
    """Return the central differences, 0 at the ends."""
    slope = np.zeros_like(values)
    np.subtract(values[2:], values[:-2], out=slope[1:-1])
    slope *= 0.5
    return slope


def measure_shift(
    signal: FloatArray, reference: FloatArray, *, expected_bins: float, reach_bins: int
) -> LineShift:
    """Return the shift of the signal against the reference, within `reach_bins` of the expected.

    The nearest whole bin maximises the correlation of the square roots, which counting noise
    disturbs evenly; Gauss-Newton steps on the same roots then find the fraction.

    Parameters
    ----------
    signal, reference : ndarray, shape (n_bins,)
        Intensity above background; what noise leaves below 0 counts as 0.
    """
    root = np.sqrt(np.maximum(signal, 0.0))
    root_reference = np.sqrt(np.maximum(reference, 0.0))
    centre = round(expected_bins)
    padded = np.pad(root, reach_bins + abs(centre))
    window = padded[abs(centre) + centre :][: root.size + 2 * reach_bins]
    correlation = np.correlate(window, root_reference, mode="valid")
    bins = float(centre + int(correlation.argmax()) - reach_bins)
    found = _refined(root, root_reference, bins)
    least, most = centre - reach_bins - 1.0, centre + reach_bins + 1.0
    return LineShift(min(max(found.bins, least), most), found.uncertainty_bins)


def _refined(root: FloatArray, root_reference: FloatArray, bins: float) -> LineShift:
    uncertainty = math.inf
    for _ in range(3):
        model = moved(root_reference, bins)
        norm = float(model @ model)
        if norm == 0.0:
            break
        amplitude = float(root @ model) / norm
        slope = amplitude * slope_of(model)
        slope_squared = float(slope @ slope)
        if slope_squared == 0.0:
            break
        # The model moves against its slope; a step is never larger than the whole-bin search left.
        pulls = slope * (root - amplitude * model)
        step = float(np.clip(pulls.sum() / slope_squared, -0.7, 0.7))
        bins -= step
        # Scatter differs from bin to bin, so each counts with its own residual (White's estimator).
        uncertainty = math.sqrt(float(pulls @ pulls)) / slope_squared
        if abs(step) < _CONVERGED_BINS:
            break
    return LineShift(bins + _median_pull(root, root_reference, bins), uncertainty)


def _median_pull(root: FloatArray, root_reference: FloatArray, bins: float) -> float:
    """Return how far most lines still are from the reference: those with another strain are few.

    Least squares follows every line; the median over lines, by their weight, only the majority.
    """
    model = moved(root_reference, bins)
    slope = slope_of(model)
    weight = uniform_filter1d(slope**2, _PULL_BINS)
    is_line = weight > 0.01 * weight.max(initial=0.0)
    if not is_line.any():
        return 0.0
    amplitude = float(root @ model) / max(float(model @ model), 1e-300)
    pull = -uniform_filter1d(slope * (root - amplitude * model), _PULL_BINS)[is_line]
    found = pull / weight[is_line] / max(amplitude, 1e-300)
    order = np.argsort(found)
    total = np.cumsum(weight[is_line][order])
    middle = int(np.searchsorted(total, total[-1] / 2))
    return float(np.clip(found[order][middle], -1.0, 1.0))
