"""Known structures against the spots of a turned crystal, whatever its orientation.

How many spots of a line an image shows is Poisson distributed over orientations, with a mean lambda
that multiplicity, mosaicity and strength of the line give. A line is seen with the probability
1 - exp(-lambda): lines that are seen where a candidate has none speak against it, and so do lines
of it that should be seen, over independent views the more. How fast two candidates part, per view,
is the Bhattacharyya exponent of the two; nothing of this needs an orientation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.signal import find_peaks
from scipy.special import softmax

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.diffraction.powder.intensity_factors import debye_waller
from phasepilot.models.diffraction.reflections import DEFAULT_B_SQUARE_ANGSTROM
from phasepilot.models.identification.known_phase import KnownPhase
from phasepilot.models.identification.phase_library import PhaseLibrary
from phasepilot.models.pattern import Pattern, two_theta_from_q
from phasepilot.models.preprocessing.snip import snip

NONE_OF_THEM = "none of the known phases"
# Lines are seen if they stand so many robust standard deviations above what is around them.
_LINE_SIGMA = 8.0
# Chance that a line is seen where no candidate has one, or hidden where one should be.
_ERROR = 0.02
# Lines of one crystal are not independent, and neither strengths nor mosaicity are known well: the
# evidence counts half.
_POWER = 0.5
# Rings beyond this part of the largest angle are cut off by the corners of the detector.
_WHOLE_RINGS = 0.7
_BACKGROUND_PART = 0.015
_NEARBY_BINS = 101
_MAD_PER_SIGMA = 0.6745


@dataclass(frozen=True, slots=True)
class SeenLines:
    """Lines of the pattern of one orientation, each of a spot or several.

    Attributes
    ----------
    q_per_angstrom : ndarray, shape (n_lines,)
    q_limits : tuple of float
        Where lines would have been seen.
    threshold : float
        Height from which a line is seen, relative to the highest.
    """

    q_per_angstrom: FloatArray
    q_limits: tuple[float, float]
    threshold: float


@dataclass(frozen=True, slots=True)
class Belief:
    """What is thought of the candidates, and how fast it will change.

    Attributes
    ----------
    answer : str
        The most probable.
    others : ndarray, shape (n_others,)
        Probability of each of the others.
    rates : ndarray, shape (n_others,)
        By how many factors of e another independent view should lower each.
    """

    answer: str
    others: FloatArray
    rates: FloatArray

    @property
    def bound(self) -> float:
        """Probability that the answer is wrong."""
        return float(self.others.sum())

    def expected_bound(self, news: FloatArray) -> FloatArray:
        """Return the bound after so many more independent views, of the shape of `news`."""
        left = self.others * np.exp(-self.rates * np.asarray(news)[..., None])
        return np.asarray(left.sum(axis=-1))


@dataclass(frozen=True, slots=True, eq=False)
class ViewEvidence:
    """What one orientation says.

    Attributes
    ----------
    log_likelihood : ndarray, shape (n_candidates + 1,)
        The last is of none of them.
    expected_spots : ndarray, shape (n_candidates + 1, n_cells)
        Of a view with the same threshold, by cells of ln q.
    """

    log_likelihood: FloatArray
    expected_spots: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    log_q: FloatArray
    multiplicity: FloatArray
    strength: FloatArray
    cos_theta: FloatArray

    def expected_spots(self, lines: SeenLines, mosaicity_rad: float) -> FloatArray:
        """Return how many visible spots of each line one view shows on average."""
        # A Gaussian mosaic block distribution: how far off the Ewald sphere it is still seen.
        above = np.maximum(self.strength / lines.threshold, 1.0)
        turn = mosaicity_rad * np.sqrt(2 * np.log(above))
        low, high = np.log(lines.q_limits)
        is_seen = (self.log_q > low) & (self.log_q < high)
        return np.asarray(self.multiplicity * turn * self.cos_theta * is_seen)


class SpotCandidates:
    """Known structures that the crystal may be.

    Parameters
    ----------
    library : PhaseLibrary
    wavelength_angstrom : float
    mosaicity_deg : float
        Standard deviation of the orientation within the crystal, roughly.
    tolerance : float
        Relative difference in q up to which a line is that of a structure.
    """

    def __init__(
        self,
        library: PhaseLibrary,
        wavelength_angstrom: float,
        *,
        mosaicity_deg: float,
        tolerance: float,
    ) -> None:
        self.names: Sequence[str] = tuple(phase.name for phase in library.phases)
        self._mosaicity = np.radians(mosaicity_deg)
        self._tolerance = tolerance
        self._candidates = [_candidate(phase, wavelength_angstrom) for phase in library.phases]

    def view(self, pattern: Pattern) -> ViewEvidence | None:
        """Return what the spots of one orientation say; None where no line is seen."""
        lines = seen_lines(pattern)
        if not lines.q_per_angstrom.size:
            return None
        expected = [one.expected_spots(lines, self._mosaicity) for one in self._candidates]
        cells = self._cells(lines, expected)
        evidence = [
            self._evidence(one, spots, lines)
            for one, spots in zip(self._candidates, expected, strict=True)
        ]
        return ViewEvidence(np.array([*evidence, _evidence_of_none(lines, cells)]), cells)

    def belief(self, log_likelihood: FloatArray, latest: ViewEvidence) -> Belief:
        """Return what the evidence of all views amounts to.

        Parameters
        ----------
        log_likelihood : ndarray, shape (n_candidates + 1,)
            Sum over independent views.
        latest : ViewEvidence
            Says what a further view like it would show.
        """
        best = int(log_likelihood.argmax())
        name, others = self.probabilities(log_likelihood)
        rates = _POWER * np.delete(_exponents(latest.expected_spots, best), best)
        return Belief(name, others, rates)

    def probabilities(self, log_likelihood: FloatArray) -> tuple[str, FloatArray]:
        """Return the most probable candidate, and the probability of each other."""
        probabilities = softmax(_POWER * log_likelihood)
        best = int(log_likelihood.argmax())
        return (*self.names, NONE_OF_THEM)[best], np.delete(probabilities, best)

    def _evidence(self, one: _Candidate, expected: FloatArray, lines: SeenLines) -> float:
        """Return ln p of the lines that are seen, and of those that are not."""
        distance = np.abs(np.log(lines.q_per_angstrom)[:, None] - one.log_q)
        is_near = distance < self._tolerance
        at_lines = (is_near * expected).sum(axis=1)
        seen = np.log(-np.expm1(-at_lines) * (1 - _ERROR) + _ERROR)
        unseen = expected[~is_near.any(axis=0)].sum()
        return float(seen.sum() - unseen)

    def _cells(self, lines: SeenLines, expected: list[FloatArray]) -> FloatArray:
        """Return expected spots of a view by cells of ln q, one row a candidate, none of them last.

        None of them has as many spots as the mean of all, anywhere.
        """
        low, high = np.log(lines.q_limits)
        edges = np.arange(low, high + 2 * self._tolerance, 2 * self._tolerance)
        rows = [
            np.histogram(one.log_q, edges, weights=spots)[0]
            for one, spots in zip(self._candidates, expected, strict=True)
        ]
        mean = np.mean([row.sum() for row in rows]) / (edges.size - 1)
        return np.array([*rows, np.full(edges.size - 1, mean)])


def _evidence_of_none(lines: SeenLines, cells: FloatArray) -> float:
    rate = float(cells[-1, 0])
    n_seen = lines.q_per_angstrom.size
    n_unseen = max(cells.shape[1] - n_seen, 0)
    return float(n_seen * np.log(-np.expm1(-rate) + _ERROR) - n_unseen * rate)


def _exponents(cells: FloatArray, best: int) -> FloatArray:
    """Return -ln of the Bhattacharyya coefficient of one view between the best and each."""
    seen = -np.expm1(-cells) * (1 - 2 * _ERROR) + _ERROR
    overlap = np.sqrt(seen * seen[best]) + np.sqrt((1 - seen) * (1 - seen[best]))
    return np.asarray(-np.log(overlap).sum(axis=1))


def _candidate(phase: KnownPhase, wavelength_angstrom: float) -> _Candidate:
    is_reached = phase.q_per_angstrom * wavelength_angstrom < 4 * np.pi
    q, hkl = phase.q_per_angstrom[is_reached], phase.hkl[is_reached]
    multiplicity = _multiplicity(hkl, phase.space_group_number)
    theta = np.radians(two_theta_from_q(q, wavelength_angstrom) / 2)
    damping = debye_waller(q, np.float64(DEFAULT_B_SQUARE_ANGSTROM))
    strength = phase.strength[is_reached] * damping / multiplicity / np.sin(2 * theta)
    return _Candidate(np.log(q), multiplicity, strength / strength.max(), np.cos(theta))


def _multiplicity(hkl: IntArray, space_group_number: int) -> FloatArray:
    """Return how many reflections each family has, both of each Friedel pair."""
    rotations = standard_setting(space_group_number).laue_rotations
    turned = np.einsum("li,rij->lrj", hkl, rotations)
    is_same = (turned == hkl[:, None]).all(axis=2) | (turned == -hkl[:, None]).all(axis=2)
    return np.asarray(2 * len(rotations) / is_same.sum(axis=1))


def seen_lines(pattern: Pattern) -> SeenLines:
    """Return the lines of a pattern, and down to which height they would be seen."""
    known = np.flatnonzero(pattern.is_measured)
    bins = np.arange(pattern.intensity.size)
    profile = np.interp(bins, known, pattern.intensity[known])
    half_window = max(4, round(bins.size * _BACKGROUND_PART))
    smooth = uniform_filter1d(profile, 3, mode="nearest")
    below = np.minimum(snip(smooth[None], half_window)[0], smooth)
    above = profile - below
    usual = median_filter(above, min(_NEARBY_BINS, bins.size), mode="nearest")
    sigma = median_filter(np.abs(above - usual), min(_NEARBY_BINS, bins.size), mode="nearest")
    least = _LINE_SIGMA * np.maximum(sigma / _MAD_PER_SIGMA, 1e-9)
    # What is near the beam stop has no background on both sides.
    low = pattern.q_per_angstrom[min(known[0] + half_window, bins.size - 1)]
    high = pattern.q_per_angstrom[known[-1]]
    limits = (float(low), float(high * _WHOLE_RINGS))
    places, _ = find_peaks(np.where(above - usual > least, above, 0.0), distance=2)
    q = pattern.q_per_angstrom
    places = places[(q[places] > limits[0]) & (q[places] < limits[1])]
    if not places.size:
        return SeenLines(np.zeros(0), limits, 1.0)
    # The middle of each line, over the points on both sides of its top.
    around = places[:, None] + np.arange(-1, 2)
    around = np.clip(around, 0, bins.size - 1)
    weight = np.maximum(above[around], 0)
    centres = (weight * q[around]).sum(axis=1) / weight.sum(axis=1)
    inside = (q > limits[0]) & (q < limits[1])
    threshold = float(np.median(least[inside]) / above[places].max())
    return SeenLines(np.asarray(centres), limits, min(threshold, 1.0))
