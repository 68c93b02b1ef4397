"""How clearly a pattern shows lines, or a hump, above smooth intensity and counting noise.

Everything is in equivalent counts: numbers whose variance is their mean, as of photons. Raw counts
are that already; of scaled intensities the noise between neighbouring points tells the scale.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.ndimage import uniform_filter1d

from phasepilot.models.arrays import FloatArray
from phasepilot.models.pattern import Pattern

# Between which box widths lines are sought, in 1/angstrom: those of a good beamline are 0.005 wide
# (FWHM), those of crystallites of 5 nm 0.11.
_NARROWEST_BOX, _BROADEST_BOX = 0.003, 0.1
# Standard deviation in 1/angstrom of the narrowest hump that counts as amorphous. A Gaussian of
# standard deviation s stands (box / s)^4 / 2 of its height above the cubic through its flanks.
_NARROWEST_HUMP = 0.2
_HUMP_BOXES = (0.3, 0.5, 0.8)
_HUMP_STEP = 0.02
# Boxes with fewer counts are not tested: their noise is too skewed for any threshold to be safe.
_MIN_COUNTS = 3.0
# Noise that is estimated from the pattern itself is taken a little larger: its scatter would else
# double the rate of false lines or more.
_CAUTION = 1.25
# A quarter of standard normal deviates lie within 0.3186 of 0.
_QUARTER = 0.3186**2


@dataclass(frozen=True, slots=True)
class Contrast:
    """The clearest feature of a pattern.

    Attributes
    ----------
    deviations : float
        Its height over what its neighbourhood predicts, in standard deviations of the noise.
    n_tested : int
        At how many places and widths it was sought.
    """

    deviations: float
    n_tested: int


@dataclass(frozen=True, slots=True)
class EquivalentCounts:
    """A pattern in counts, evenly spaced.

    Attributes
    ----------
    counts : ndarray, shape (n_points,)
        Not negative; unmeasured points bridged.
    step_per_angstrom : float
        The mean distance of points in q.
    """

    counts: FloatArray
    step_per_angstrom: float

    def halved(self) -> Self:
        """Return the sums of pairs of points."""
        n_even = self.counts.size // 2 * 2
        sums = self.counts[:n_even:2] + self.counts[1:n_even:2]
        return type(self)(sums, 2 * self.step_per_angstrom)

    def summed(self, widest_step: float) -> Self:
        """Return the sums of as many points as fit that step, or the pattern if no two do."""
        cells = self
        while 2 * cells.step_per_angstrom <= widest_step and cells.counts.size > 1:
            cells = cells.halved()
        return cells


def equivalent_counts(pattern: Pattern) -> EquivalentCounts:
    """Return the pattern in counts whose variance is their mean.

    Whole numbers are taken as counts, unless their maximum is 100, 1000 or another power of ten,
    as normalised files have it.
    """
    q, intensity = _evenly_measured(pattern)
    step = float(q[-1] - q[0]) / (q.size - 1)
    counts = _in_counts(intensity, step)
    if step < _NARROWEST_BOX:
        # No line is one point wide here, but hot pixels are.
        beside = np.maximum(counts[:-2], counts[2:])
        counts = np.concatenate(
            [counts[:1], np.minimum(counts[1:-1], beside + 5 * np.sqrt(beside) + 8), counts[-1:]]
        )
    return EquivalentCounts(counts, step)


def line_contrast(pattern: EquivalentCounts) -> Contrast:
    """Return the clearest line: what rises above a cubic through its neighbourhood.

    Boxes of many widths, from a point to 0.1 1/angstrom, are compared with the cubic through the
    two boxes on either side, by their square roots, whose noise is the same at all counts. Smooth
    backgrounds leave nothing, since cubics follow them; what the narrowest hump would leave is
    allowed for.
    """
    height = _height_of_humps(pattern)
    cells = pattern.summed(_NARROWEST_BOX / 2)
    # Only on coarse steps is a line no wider than a point.
    is_coarse = cells.step_per_angstrom > _NARROWEST_BOX
    best = _line_in_boxes(cells, 1, height) if is_coarse else Contrast(0.0, 0)
    while 2 * cells.step_per_angstrom <= _BROADEST_BOX and cells.counts.size >= 10:
        found = _line_in_boxes(cells, 2, height)
        best = Contrast(max(best.deviations, found.deviations), best.n_tested + found.n_tested)
        cells = cells.halved()
    return best


def hump_contrast(pattern: EquivalentCounts) -> Contrast:
    """Return the clearest hump: a wide box above the straight line through those beside it.

    Backgrounds that fall towards high angles curve the other way.
    """
    cells = pattern.summed(_HUMP_STEP)
    cumulative = np.concatenate([[0.0], np.cumsum(cells.counts)])
    best, n_tested = 0.0, 0
    for box in _HUMP_BOXES:
        width = round(box / cells.step_per_angstrom)
        if width < 1 or 3 * width > cells.counts.size:
            continue
        sums = cumulative[width:] - cumulative[:-width]
        middle, beside = sums[width:-width], (sums[2 * width :] + sums[: -2 * width]) / 2
        rise = 2 * (np.sqrt(middle + 0.375) - np.sqrt(1.02 * beside + 0.375)) / np.sqrt(1.5)
        best = max(best, float(rise.max()))
        n_tested += cells.counts.size // width
    return Contrast(best, n_tested)


def _line_in_boxes(pattern: EquivalentCounts, n_cells: int, height: float) -> Contrast:
    """Return the clearest line in boxes of one or two cells."""
    cells = pattern.counts
    boxes = cells if n_cells == 1 else cells[1:] + cells[:-1]
    if boxes.size < 4 * n_cells + 1 or float(boxes.mean()) < _MIN_COUNTS:
        return Contrast(0.0, 0)
    width = n_cells * pattern.step_per_angstrom
    near = boxes[n_cells : -3 * n_cells] + boxes[3 * n_cells : -n_cells]
    far = boxes[: -4 * n_cells] + boxes[4 * n_cells :]
    middle = boxes[2 * n_cells : -2 * n_cells]
    allowed = 0.5 * min(width / _NARROWEST_HUMP, 1.0) ** 4 * width * height
    # Where noise takes the cubic far below its neighbours, half their mean is expected.
    expected = np.maximum((4 * near - far) / 6, (near + far) / 8) + allowed
    # Of a sum S, 2 sqrt(S + 3/8) has variance 1 (Anscombe 1948); the cubic adds 34/36.
    rise = 2 * (np.sqrt(middle + 0.375) - np.sqrt(expected + 0.375)) / np.sqrt(35 / 18)
    return Contrast(max(float(rise.max()), 0.0), middle.size)


def _height_of_humps(pattern: EquivalentCounts) -> float:
    """Return what the highest hump has above the lowest part, in counts per 1/angstrom."""
    cells = pattern.summed(_HUMP_BOXES[0])
    density = cells.counts / cells.step_per_angstrom
    return float(density.max() - density.min())


def _evenly_measured(pattern: Pattern) -> tuple[FloatArray, FloatArray]:
    """Return q and intensity of measured points, gaps between them bridged."""
    if pattern.is_measured.all():
        return pattern.q_per_angstrom, pattern.intensity
    places = np.flatnonzero(pattern.is_measured)
    # Of a coarse scan on a fine axis every k-th point is measured.
    stride = int(np.median(np.diff(places)))
    between = slice(places[0], places[-1] + 1, max(stride, 1))
    q, intensity = pattern.q_per_angstrom[between], pattern.intensity[between].copy()
    missing = ~pattern.is_measured[between]
    known = pattern.q_per_angstrom[places]
    bridges = np.interp(q[missing], known, pattern.intensity[places])
    has_fractions = bool((pattern.intensity[places] % 1 != 0).any())
    # Counts stay whole numbers.
    intensity[missing] = bridges if has_fractions else np.rint(bridges)
    return q, intensity


def _in_counts(intensity: FloatArray, step: float) -> FloatArray:
    highest = float(intensity.max())
    is_normalised = highest >= 100 and np.log10(highest).is_integer()
    if not is_normalised and bool((intensity == np.rint(intensity)).all()):
        return np.maximum(intensity, 0.0)
    return _scaled_to_counts(intensity, step)


def _scaled_to_counts(intensity: FloatArray, step: float) -> FloatArray:
    """Return scaled intensities in counts, by the noise of each point against its neighbours."""
    # Some thousand points tell the noise.
    at = np.arange(1, intensity.size - 1, max(1, intensity.size // 3000))
    squared = (intensity[at] - (intensity[at - 1] + intensity[at + 1]) / 2) ** 2 / 1.5
    noise_variance = _lowest_quarter(squared) / _QUARTER
    # Where many points are 0, the lowest of the others is one count.
    is_sparse = noise_variance == 0 or float((intensity == 0).mean()) > 0.1
    one_count = float(intensity[intensity > 0].min()) if is_sparse else 0.0
    if noise_variance == 0:
        return np.maximum(intensity, 0.0) / one_count
    # What had its background subtracted lies lower than its noise: lifted until it does not.
    shift = max(np.sqrt(noise_variance) - float(np.median(intensity[at])), 0.0)
    lifted = np.maximum(intensity + shift, 0.0)
    # The variance of Poisson noise follows the mean, here over the width of a line.
    n_mean = min(2 * max(1, round(_BROADEST_BOX / step / 2)) + 1, intensity.size)
    mean = uniform_filter1d(lifted, n_mean)[at]
    relative = squared / np.maximum(mean, np.sqrt(noise_variance))
    intensity_per_count = _CAUTION * _lowest_quarter(relative) / _QUARTER
    return np.asarray(lifted / max(intensity_per_count, one_count))


def _lowest_quarter(values: FloatArray) -> float:
    """Return the value that a quarter lies below: on coarse steps lines reach most points."""
    n_quarter = values.size // 4
    return float(np.partition(values, n_quarter)[n_quarter])
