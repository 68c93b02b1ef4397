"""What a scan may turn out to show, and how probable each is after what was counted."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.special import logsumexp

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.pattern import two_theta_from_q
from phasepilot.models.steering.counting import count_log_likelihood
from phasepilot.models.steering.policy import Sight

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ModelError:
    """How wrong expectations are, all relative.

    Attributes
    ----------
    lines : float
        Of the intensity of lines in a cell: texture, structures, line shapes.
    floor : float
        Of the mean of the strongest cells, everywhere: impurities, lines beside their place.
    background : float
        Of the background in a cell.
    unknown : float
        Of the intensity of lines in a cell if the phases are unknown.
    temperature : float
        Log likelihoods are divided by this: errors of neighbouring cells are not independent. 2
        made stated and found errors equal on simulated look-alikes.
    largest_misfit : float
        They are divided further by how much worse than expected even the best hypothesis fits, at
        most by this; 1 for expectations that are exact.
    """

    lines: float = 0.3
    floor: float = 0.01
    background: float = 0.01
    unknown: float = 3.0
    temperature: float = 2.0
    largest_misfit: float = math.inf


@dataclass(frozen=True, slots=True)
class ScanAxis:
    """Where expectations are held: points on an even axis, a fixed number of them to a cell.

    Attributes
    ----------
    start_deg, stop_deg : float
        Of two-theta, the outer edges of the first and the last cell.
    point_deg : float
    points_per_cell : int
    """

    start_deg: float
    stop_deg: float
    point_deg: float = 0.02
    points_per_cell: int = 10

    @property
    def cell_deg(self) -> float:
        """Width of a cell."""
        return self.point_deg * self.points_per_cell

    @property
    def n_cells(self) -> int:
        """Whole cells from start to stop."""
        return int((self.stop_deg - self.start_deg) / self.cell_deg + 1e-6)

    @property
    def two_theta_deg(self) -> FloatArray:
        """The points, shape (n_cells * points_per_cell,)."""
        n_points = self.n_cells * self.points_per_cell
        return np.asarray(
            self.start_deg + (np.arange(n_points) + 0.5) * self.point_deg, dtype=np.float64
        )

    def cell_of(self, two_theta_deg: FloatArray) -> IntArray:
        """Return the cell of each angle; -1 or `n_cells` outside."""
        cells = np.floor((two_theta_deg - self.start_deg) / self.cell_deg)
        return np.asarray(np.clip(cells, -1, self.n_cells).astype(np.int64))

    def point_of(self, two_theta_deg: FloatArray) -> IntArray:
        """Return the point nearest to each angle."""
        points = np.floor((two_theta_deg - self.start_deg) / self.point_deg)
        return np.asarray(
            np.clip(points, 0, self.n_cells * self.points_per_cell - 1).astype(np.int64)
        )


@dataclass(frozen=True, slots=True)
class CellCounts:
    """What was counted so far.

    Attributes
    ----------
    two_theta_deg, counts, exposure_s : ndarray, shape (n_points,)
        Of the measured points within the axis, sorted.
    cell : ndarray of int, shape (n_points,)
    """

    axis: ScanAxis
    two_theta_deg: FloatArray
    counts: FloatArray
    exposure_s: FloatArray
    cell: IntArray

    def summed(self, of_points: FloatArray) -> FloatArray:
        """Return sums over each cell, shape (..., n_cells) of values (..., n_points)."""
        sums = np.zeros((*of_points.shape[:-1], self.axis.n_cells))
        if self.cell.size:
            first = np.flatnonzero(np.diff(self.cell, prepend=-2))
            sums[..., self.cell[first]] = np.add.reduceat(of_points, first, axis=-1)
        return sums

    @property
    def exposure_of_cells_s(self) -> FloatArray:
        """Counting time of all points of each cell."""
        return self.summed(self.exposure_s)


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """What may be there, each adjusted to the measured part; the last is `UNKNOWN`.

    Attributes
    ----------
    names : tuple of str
        Phases joined by " + ".
    log_prior : ndarray, shape (n_hypotheses,)
    signal_per_s : ndarray, shape (n_hypotheses, n_points)
        Counts a second that lines are expected to give on the points of the axis.
    background_per_s : ndarray, shape (n_points,)
    """

    axis: ScanAxis
    names: tuple[str, ...]
    log_prior: FloatArray
    signal_per_s: FloatArray
    background_per_s: FloatArray


@dataclass(frozen=True, slots=True)
class Judgement:
    """How probable hypotheses are after what was counted; the improbable are left out.

    Attributes
    ----------
    hypotheses : Hypotheses
        The most probable first, `UNKNOWN` last.
    probability : ndarray, shape (n_hypotheses,)
        Adds up to 1.
    unexplained : float
        Share of the counts above background by which the best hypothesis is off, beyond what
        counting noise would make of it; NaN before anything was counted.
    """

    hypotheses: Hypotheses
    probability: FloatArray
    unexplained: float

    @property
    def best(self) -> int:
        """Index of the most probable hypothesis."""
        return int(self.probability.argmax())

    @property
    def best_name(self) -> str:
        """Its name."""
        return self.hypotheses.names[self.best]


class HypothesisSource(Protocol):
    """Whatever knows what may be there and what each would show."""

    @property
    def axis(self) -> ScanAxis:
        """The angles that can be reached."""
        ...

    @property
    def error(self) -> ModelError:
        """How wrong its expectations are."""
        ...

    def hypotheses(self, counted: CellCounts, sight: Sight) -> Hypotheses:
        """Return the hypotheses adjusted to what was counted."""
        ...


def counted_cells(sight: Sight, axis: ScanAxis) -> CellCounts:
    """Return what a sight shows on the axis; nothing if it has no pattern.

    The wavelength turns q of the pattern back to angles.
    """
    pattern, exposure = sight.pattern, sight.exposure_s
    if pattern is None or exposure is None or pattern.wavelength_angstrom is None:
        nothing = np.zeros(0)
        return CellCounts(axis, nothing, nothing, nothing, np.zeros(0, dtype=np.int64))
    angles = two_theta_from_q(pattern.q_per_angstrom, pattern.wavelength_angstrom)
    cell = axis.cell_of(np.where(np.isfinite(angles), angles, -1e9))
    used = pattern.is_measured & (cell >= 0) & (cell < axis.n_cells) & (exposure > 0)
    return CellCounts(axis, angles[used], pattern.intensity[used], exposure[used], cell[used])


def rate_variance(hypotheses: Hypotheses, error: ModelError) -> FloatArray:
    """Return the variance of the expected rate of each cell, shape (n_hypotheses, n_cells).

    Times the square of the exposure it is that of expected counts.
    """
    axis = hypotheses.axis
    lines = hypotheses.signal_per_s.reshape(-1, axis.n_cells, axis.points_per_cell).mean(axis=2)
    background = hypotheses.background_per_s.reshape(-1, axis.points_per_cell).mean(axis=1)
    # A line that is a little broader, or beside its place, is wrong in the next cell too.
    around = maximum_filter1d(lines, 3, axis=1)
    # The strongest cells, not the strongest one: a wrong spike must not hide everything else.
    strong = np.quantile(lines, 0.98, axis=1, keepdims=True)
    variance = (error.lines * around) ** 2 + (error.floor * strong) ** 2
    # Whatever is there, its lines are somewhere: only their places are unknown.
    variance[-1] = (error.unknown * lines[-1]) ** 2
    return np.asarray(variance + (error.background * background) ** 2)


def judged(
    hypotheses: Hypotheses,
    counted: CellCounts,
    error: ModelError,
    *,
    n_kept: int = 30,
    least_probability: float = 1e-4,
) -> Judgement:
    """Return the posterior over hypotheses, pruned to the most probable."""
    points = hypotheses.axis.point_of(counted.two_theta_deg)
    counts = counted.summed(counted.counts)
    signal = counted.summed(hypotheses.signal_per_s[:, points] * counted.exposure_s)
    background = counted.summed(hypotheses.background_per_s[points] * counted.exposure_s)
    exposure = counted.exposure_of_cells_s
    variance = rate_variance(hypotheses, error) * exposure**2
    is_counted = exposure > 0
    likelihood = count_log_likelihood(counts, signal + background, variance)
    summed = likelihood[:, is_counted].sum(axis=1)
    likeliest = int(summed[:-1].argmax())
    expected = (signal[likeliest] + background)[is_counted]
    misfit = _misfit(counts[is_counted], expected, variance[likeliest][is_counted])
    temperature = error.temperature * min(misfit, error.largest_misfit)
    evidence = summed / temperature + hypotheses.log_prior
    evidence = _joined_by_name(evidence, hypotheses.names)
    probability = np.exp(evidence - logsumexp(evidence))
    order = np.argsort(-probability[:-1], kind="stable")[: n_kept - 1]
    order = order[(probability[order] >= least_probability) | (np.arange(order.size) < 2)]
    kept = np.append(order, probability.size - 1)
    best = signal[int(probability[:-1].argmax())]
    return Judgement(
        Hypotheses(
            hypotheses.axis,
            tuple(hypotheses.names[k] for k in kept),
            hypotheses.log_prior[kept],
            hypotheses.signal_per_s[kept],
            hypotheses.background_per_s,
        ),
        probability[kept] / probability[kept].sum(),
        _unexplained(counts[is_counted], best[is_counted], background[is_counted]),
    )


def _misfit(counts: FloatArray, expected: FloatArray, variance: FloatArray) -> float:
    """Return the mean square of the deviations over what is expected of it, at least 1.

    What even the best hypothesis misses is no evidence between hypotheses: errors are larger than
    was thought, as when several measurements of one quantity scatter too much (Birge, Phys. Rev.
    40, 207 (1932)).
    """
    if not counts.size:
        return 1.0
    usual = np.maximum(expected + variance, 1e-9)
    return max(1.0, float(((counts - expected) ** 2 / usual).mean()))


def _joined_by_name(evidence: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """Return the evidence of each name, all at its best hypothesis and none at the others.

    Two structures of a compound are one answer, whichever of them it is.
    """
    best: dict[str, int] = {}
    for k, name in enumerate(names):
        if name not in best or evidence[k] > evidence[best[name]]:
            best[name] = k
    joined = np.full(evidence.size, -np.inf)
    which = np.array([best[name] for name in names])
    np.logaddexp.at(joined, which, evidence)
    return joined


def _unexplained(counts: FloatArray, signal: FloatArray, background: FloatArray) -> float:
    """Return the share of the intensity above background that is off, less what noise makes off."""
    above = np.maximum(counts - background, 0.0).sum()
    if above <= 0:
        return float("nan")
    expected = signal + background
    off = np.abs(counts - expected).sum() - np.sqrt(2 / np.pi * expected).sum()
    return float(np.clip(off / 2 / above, 0.0, 1.0))
