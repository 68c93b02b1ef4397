"""How far all lines have moved on ln q: the strain, measured by correlation."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from phasepilot.models.arrays import BoolArray, FloatArray

# About a line and its surroundings.
_PULL_BINS = 15
_CONVERGED_BINS = 1e-3
# Next to where nothing is known, after interpolation.
_SPOILT_BINS = 12
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


def moved_mask(mask: BoolArray, bins: float) -> BoolArray:
    """Return the mask moved, without the bins next to its ends, which interpolation spoils."""
    whole = round(bins)
    inner = uniform_filter1d(mask.astype(np.float64), 2 * _SPOILT_BINS + 1, mode="constant") > 0.999
    out = np.zeros_like(mask)
    if whole >= 0:
        out[whole:] = inner[: inner.size - whole]
    else:
        out[:whole] = inner[-whole:]
    return out


@dataclass(frozen=True, slots=True)
class SeenLines:
    """Intensity above background, and in which bins there is any knowledge of it.

    A line that moves out of these would seem to stand still if it were held to be 0 there.
    """

    lines: FloatArray
    is_seen: BoolArray


def measure_shift(
    signal: SeenLines, reference: SeenLines, *, expected_bins: float, reach_bins: int
) -> LineShift:
    """Return the shift of the signal against the reference, within `reach_bins` of the expected.

    The nearest whole bin maximises the correlation of the square roots, which counting noise
    disturbs evenly; Gauss-Newton steps on the same roots then find the fraction. What noise leaves
    below 0 counts as 0.
    """
    root = np.sqrt(np.maximum(signal.lines, 0.0)) * signal.is_seen
    root_reference = np.sqrt(np.maximum(reference.lines, 0.0))
    is_known = moved_mask(reference.is_seen, 0.0)
    centre = round(expected_bins)

    def at_each_shift(of_signal: FloatArray, of_reference: FloatArray) -> FloatArray:
        padded = np.pad(of_signal, reach_bins + abs(centre))
        window = padded[abs(centre) + centre :][: root.size + 2 * reach_bins]
        return np.correlate(window, of_reference, mode="valid")

    joint = at_each_shift(root, root_reference * is_known)
    of_signal = at_each_shift(root**2, is_known.astype(np.float64))
    of_reference = at_each_shift(signal.is_seen.astype(np.float64), root_reference**2 * is_known)
    likeness = joint / np.sqrt(np.maximum(of_signal * of_reference, 1e-300))
    bins = float(centre + int(likeness.argmax()) - reach_bins)
    found = _refined(root, signal.is_seen, root_reference, reference.is_seen, bins)
    least, most = centre - reach_bins - 1.0, centre + reach_bins + 1.0
    return LineShift(min(max(found.bins, least), most), found.uncertainty_bins)


def _refined(
    root: FloatArray,
    is_seen: BoolArray,
    root_reference: FloatArray,
    is_known: BoolArray,
    bins: float,
) -> LineShift:
    uncertainty = math.inf
    for _ in range(3):
        is_common = is_seen & moved_mask(is_known, bins)
        model = moved(root_reference, bins)
        slope = slope_of(model) * is_common
        model *= is_common
        norm = float(model @ model)
        if norm == 0.0:
            break
        amplitude = float(root @ model) / norm
        slope *= amplitude
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
    is_common = is_seen & moved_mask(is_known, bins)
    return LineShift(bins + _median_pull(root, root_reference, is_common, bins), uncertainty)


def _median_pull(
    root: FloatArray, root_reference: FloatArray, is_common: BoolArray, bins: float
) -> float:
    """Return how far most lines still are from the reference: those with another strain are few.

    Least squares follows every line; the median over lines, by their weight, only the majority.
    """
    model = moved(root_reference, bins)
    slope = slope_of(model) * is_common
    model *= is_common
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
