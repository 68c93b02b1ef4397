"""Where the onset of a transition may be: a belief over onset, width and course of the change.

Lengths are ways from the start of the search (see `SearchSettings.travelled`). The new phase's
share is 0 up to the onset and grows to 1 over the width, evenly or along a sigmoid; the courses are
given equal chances, as kinetics are seldom known. How much of a share a frame shows is a matter of
the sample's lines: one unknown power for all of its frames, so that looking again does not make it
known. Onsets are told apart in cells of the wanted tolerance, each of four grid points; one more
cell stands for "not within the range".
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.steering.transition_reading import Reading
from phasepilot.models.steering.transition_settings import (
    DetectionModel,
    TransitionInformationSettings,
)

_POINTS_PER_CELL = 4
_N_WIDTHS = 9
# From an even growth to one along a smooth step.
_COURSES = (0.0, 0.5, 1.0)
# Hypotheses less likely than this, of the most likely one, do not decide where to look.
_LEAST_LIKELY = 1e-4
_N_SHARES = 101
_FRACTION_EDGES = np.linspace(0, 1, 9)
# A reported share may have nothing to do with the true one this often (overlapping lines).
_OUTLIERS = 0.02


@dataclass(frozen=True, slots=True)
class Onsets:
    """The hypotheses, one an entry of each array, shape (n_hypotheses,).

    Attributes
    ----------
    onset, width : ndarray
    sigmoid : ndarray
        Course of the change: 0 even, 1 along a smooth step.
    exponent : ndarray
        Power of the share that is shown; see `DetectionModel`.
    cell : ndarray of int
        Sorted index of the cell that holds the onset.
    prior : ndarray
        Sums to 1.
    n_cells : int
    """

    onset: FloatArray
    width: FloatArray
    sigmoid: FloatArray
    exponent: FloatArray
    cell: IntArray
    prior: FloatArray
    n_cells: int

    def shown(self, places: FloatArray) -> FloatArray:
        """Return the new phase's share of intensity at each place, (n_places, n_hypotheses)."""
        way = (np.asarray(places)[:, None] - self.onset) / np.maximum(self.width, 1e-12)
        way = np.clip(way, 0.0, 1.0)
        grown = way * (1 + self.sigmoid * (way * (3 - 2 * way) - 1))
        return np.asarray(grown**self.exponent)

    def of_cells(self, probability: FloatArray) -> FloatArray:
        """Return the sum over each cell, shape (..., n_cells), of shape (..., n_hypotheses)."""
        # Hypotheses are sorted by onset, so that those of a cell stand side by side.
        starts = np.searchsorted(self.cell, np.arange(self.n_cells))
        return np.asarray(np.add.reduceat(probability, starts, axis=-1))


def onsets(settings: TransitionInformationSettings) -> Onsets:
    """Return the hypotheses of a search and their prior."""
    spacing = settings.tolerance / _POINTS_PER_CELL
    n_points = round(settings.range / spacing)
    # The point after the range stands for an onset beyond it, or none.
    onset = (np.arange(n_points + 1) + 0.5) * spacing
    onset[-1] = settings.range + settings.max_width
    is_narrow = settings.max_width <= settings.min_width
    widths = np.geomspace(settings.min_width, settings.max_width, 1 if is_narrow else _N_WIDTHS)
    exponents = settings.detection.share_exponents
    grid = np.meshgrid(onset, widths, _COURSES, exponents, indexing="ij")
    weight = np.ones(n_points + 1)
    if settings.expected_onset is not None and settings.expected_onset_deviation is not None:
        centre = settings.travelled(settings.expected_onset)
        away = (onset - centre) / settings.expected_onset_deviation
        # A tenth of the chance stays anywhere: the literature may be of another sample.
        weight = np.exp(-(away**2) / 2)
        weight = 0.9 * weight / max(weight.sum(), 1e-300) + 0.1 / onset.size
    n_each = grid[0].size // onset.size
    cell = np.repeat(np.arange(n_points + 1) // _POINTS_PER_CELL, n_each)
    cell[-n_each:] = cell[-n_each - 1] + 1
    return Onsets(
        grid[0].ravel(),
        grid[1].ravel(),
        grid[2].ravel(),
        grid[3].ravel(),
        cell,
        np.repeat(weight / weight.sum() / n_each, n_each),
        int(cell[-1]) + 1,
    )


def chance_seen(shown: FloatArray, detection: DetectionModel) -> FloatArray:
    """Return the chance that a line of the new phase is seen."""
    best = 1.0 - detection.false_alarm - detection.miss
    stands_out = -np.expm1(-shown / detection.detectable_fraction)
    return np.asarray(detection.false_alarm + best * stands_out)


def likelihood(
    read: Reading, place: float, hypotheses: Onsets, detection: DetectionModel
) -> FloatArray:
    """Return how likely each hypothesis makes a reading, shape (n_hypotheses,)."""
    shown = hypotheses.shown(np.array([place]))[0]
    seen = chance_seen(shown, detection)
    if not read.is_seen:
        return 1.0 - seen
    error = detection.fraction_error
    bell = np.exp(-(((read.fraction - shown) / error) ** 2) / 2) / (error * np.sqrt(2 * np.pi))
    return np.asarray(seen * ((1 - _OUTLIERS) * bell + _OUTLIERS))


@lru_cache(maxsize=8)
def _outcome_table(detection: DetectionModel) -> FloatArray:
    """Return the chance of each reading for shown shares of 0, 0.01 ... 1, (101, n_outcomes).

    Outcomes are "nothing seen" and "seen" with the reported share in each of eight classes.
    """
    shown = np.linspace(0, 1, _N_SHARES)
    seen = chance_seen(shown, detection)
    below = ndtr((_FRACTION_EDGES - shown[:, None]) / detection.fraction_error)
    below[:, 0], below[:, -1] = 0.0, 1.0
    shares = (1 - _OUTLIERS) * np.diff(below) + _OUTLIERS / (_FRACTION_EDGES.size - 1)
    table = np.concatenate([(1 - seen)[:, None], seen[:, None] * shares], axis=1)
    table.setflags(write=False)
    return table


def information_bits(
    posterior: FloatArray, places: FloatArray, hypotheses: Onsets, detection: DetectionModel
) -> FloatArray:
    """Return what a reading at each place is expected to tell of the onset's cell, in bits.

    The mutual information of reading and cell: width and course are averaged over.
    """
    hypotheses, posterior = _likely(hypotheses, posterior)
    # Readings depend on the share alone: adding up each cell's hypotheses by their share first
    # leaves a small table to multiply, instead of every hypothesis by every outcome.
    share = np.rint(hypotheses.shown(places) * (_N_SHARES - 1)).astype(np.int64)
    n_places, n_cells = len(places), hypotheses.n_cells
    row = np.arange(n_places)[:, None] * n_cells + hypotheses.cell
    index = (row * _N_SHARES + share).ravel()
    weight = np.broadcast_to(posterior, share.shape).ravel()
    shares = np.bincount(index, weight, n_places * n_cells * _N_SHARES)
    joint = shares.reshape(n_places, n_cells, _N_SHARES) @ _outcome_table(detection)
    of_cell = joint.sum(axis=2, keepdims=True)
    of_reading = joint.sum(axis=1, keepdims=True)
    independent = np.maximum(of_reading * of_cell, 1e-300)
    terms = np.where(joint > 1e-300, joint * np.log2(np.maximum(joint, 1e-300) / independent), 0.0)
    return np.asarray(np.maximum(terms.sum(axis=(1, 2)), 0.0))


def _likely(hypotheses: Onsets, posterior: FloatArray) -> tuple[Onsets, FloatArray]:
    """Return the hypotheses that count, and their probabilities."""
    kept = np.flatnonzero(posterior > _LEAST_LIKELY * posterior.max())
    one = hypotheses
    likely = replace(
        one,
        onset=one.onset[kept],
        width=one.width[kept],
        sigmoid=one.sigmoid[kept],
        exponent=one.exponent[kept],
        cell=one.cell[kept],
        prior=one.prior[kept],
    )
    return likely, posterior[kept] / posterior[kept].sum()


def entropy_bits(posterior: FloatArray, hypotheses: Onsets) -> float:
    """Return the entropy of the onset's cell."""
    cells = hypotheses.of_cells(posterior)
    cells = cells[cells > 0]
    return float(-(cells * np.log2(cells)).sum())


@dataclass(frozen=True, slots=True)
class OnsetInterval:
    """Where the onset is.

    Attributes
    ----------
    low, high : float
        Ends of the central interval of 95 %; infinite where it reaches out of the range.
    centre : float
        The median, which fewest errors of either sign surround.
    """

    low: float
    high: float
    centre: float

    @property
    def width(self) -> float:
        """Length of the interval."""
        return self.high - self.low


def onset_interval(posterior: FloatArray, hypotheses: Onsets) -> OnsetInterval:
    """Return the interval that holds the onset with 95 % probability."""
    onset, index = np.unique(hypotheses.onset, return_inverse=True)
    mass = np.bincount(index, posterior)
    edges = np.concatenate([[0.0], (onset[1:] + onset[:-1]) / 2])
    edges[-1] = edges[-2] + (edges[1] if edges.size > 2 else 0.0)
    cumulative = np.concatenate([[0.0], np.cumsum(mass)])
    low, centre, high = np.interp([0.025, 0.5, 0.975], cumulative, [*edges, np.inf])
    return OnsetInterval(float(low), float(high), float(centre))


def lost_width(
    posterior: FloatArray, ahead: FloatArray, now: float, hypotheses: Onsets, error: float
) -> tuple[float, float]:
    """Return what frames at `ahead` would leave of an onset between here and the first of them.

    Parameters
    ----------
    ahead : ndarray
        Places of the next frame and of some that follow it; there is no way back.
    error : float
        Standard deviation of the reported share.

    Returns
    -------
    tuple of float
        Expected width of the interval that the onset is known within, as of a uniform
        distribution of the same deviation, if the onset is between; and the chance that it is.
    """
    is_between = (hypotheses.onset > now) & (hypotheses.onset <= ahead[0])
    weight = posterior * is_between
    is_kept = weight > 1e-6 * weight.max(initial=0.0)
    chance = float(weight.sum())
    if chance <= 0:
        return 0.0, 0.0
    onset, weight = hypotheses.onset[is_kept], weight[is_kept] / weight[is_kept].sum()
    shares = hypotheses.shown(ahead)[:, is_kept] / error
    square = (shares**2).sum(axis=0)
    apart = square[:, None] + square - 2 * shares.T @ shares
    alike = np.exp(-np.maximum(apart, 0.0) / 2) * weight
    alike /= alike.sum(axis=1, keepdims=True)
    variance = alike @ onset**2 - (alike @ onset) ** 2
    return float(weight @ np.sqrt(12 * np.maximum(variance, 0.0))), chance
