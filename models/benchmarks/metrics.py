"""Measures of right answers, of stated confidence, and how sure a measure itself is.

All take and give plain arrays; shares run from 0 to 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import Figure

N_RESAMPLES = 1000
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a 95 % interval."""

    low: float
    high: float


def bootstrap_interval(statistic: Callable[[IntArray], float], n_items: int) -> Interval:
    """Return the 95 % percentile bootstrap interval of a statistic of chosen items.

    Parameters
    ----------
    statistic : callable
        Takes indices of items, some of them repeatedly, and gives the statistic of those.

    References
    ----------
    Efron, Ann. Statist. 7, 1 (1979), doi:10.1214/aos/1176344552.
    """
    # Always the same resamples: the interval is no further source of chance.
    rng = np.random.default_rng(0)
    values = [statistic(rng.integers(n_items, size=n_items)) for _ in range(N_RESAMPLES)]
    low, high = np.quantile(values, _INTERVAL)
    return Interval(float(low), float(high))


def two_sample_interval(
    statistic: Callable[[FloatArray, FloatArray], float], first: FloatArray, second: FloatArray
) -> Interval:
    """Return the same of a statistic of two samples, each resampled by itself."""
    rng = np.random.default_rng(0)
    values = [
        statistic(rng.choice(first, first.size), rng.choice(second, second.size))
        for _ in range(N_RESAMPLES)
    ]
    low, high = np.quantile(values, _INTERVAL)
    return Interval(float(low), float(high))


def figure_of_items(
    name: str, scores: ArrayLike, meaning: str, *, anchor: str = "", goal: str = ""
) -> Figure:
    """Return the mean score of items as a figure, with its bootstrap interval.

    Parameters
    ----------
    scores : array_like, shape (n_items,) or (n_seeds, n_items)
        With seeds, the same items were scored once a seed, NaN where a seed left one out: the
        interval is that of the items' mean scores, the spread that of the seeds' means.
    """
    rows = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    rows = rows[:, ~np.isnan(rows).all(axis=0)]
    per_item, per_seed = np.nanmean(rows, axis=0), np.nanmean(rows, axis=1)
    interval = bootstrap_interval(lambda chosen: float(per_item[chosen].mean()), per_item.size)
    value, spread = float(per_seed.mean()), _spread(per_seed)
    return Figure(name, value, meaning, interval.low, interval.high, spread, anchor, goal)


def figure_of_seeds(
    name: str,
    scores_of_seeds: Sequence[FloatArray],
    meaning: str,
    *,
    anchor: str = "",
    goal: str = "",
) -> Figure:
    """Return the mean of the seeds' mean scores as a figure, when every seed has items of its own.

    The interval is that of all items together.
    """
    means = np.array([scores.mean() for scores in scores_of_seeds])
    pooled = np.concatenate(scores_of_seeds).astype(np.float64)
    interval = bootstrap_interval(lambda chosen: float(pooled[chosen].mean()), pooled.size)
    value, spread = float(means.mean()), _spread(means)
    return Figure(name, value, meaning, interval.low, interval.high, spread, anchor, goal)


def _spread(means: FloatArray) -> float | None:
    return float(means.std(ddof=1)) if means.size > 1 else None


def is_within_top(probabilities: FloatArray, truth: IntArray, n_best: int) -> BoolArray:
    """Return whether the true class is among the most probable, shape (n_items,).

    Parameters
    ----------
    probabilities : ndarray, shape (n_items, n_classes)
    truth : ndarray of int, shape (n_items,)
        Index of the true class.

    Examples
    --------
    >>> is_within_top(np.array([[0.5, 0.3, 0.2]]), np.array([1]), 2)
    array([ True])
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :n_best]
    return np.asarray((best == truth[:, None]).any(axis=1))


def macro_f1(truth: IntArray, answer: IntArray) -> float:
    """Return the mean over the classes that occur in `truth` of the F1 score.

    F1 = 2 TP / (2 TP + FP + FN); a class that is never answered rightly scores 0.

    Examples
    --------
    >>> macro_f1(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])).__round__(4)
    0.7333
    """
    n_classes = int(max(truth.max(), answer.max())) + 1
    right = np.bincount(truth[truth == answer], minlength=n_classes)
    n_true = np.bincount(truth, minlength=n_classes)
    n_answered = np.bincount(answer, minlength=n_classes)
    present = n_true > 0
    return float((2 * right[present] / (n_true + n_answered)[present]).mean())


def calibration_error(confidence: FloatArray, is_right: BoolArray, *, n_bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal numbers of items.

    The mean over items of how far the share of right answers in the item's bin lies from the mean
    confidence there.

    References
    ----------
    Naeini, Cooper & Hauskrecht, AAAI 29, 2901 (2015); bins of equal mass as in Nixon et al.,
    arXiv:1904.01685.
    """
    order = np.argsort(confidence, kind="stable")
    gaps = [
        abs(float(is_right[part].sum() - confidence[part].sum()))
        for part in np.array_split(order, n_bins)
    ]
    return sum(gaps) / confidence.size


def risk_coverage(confidence: FloatArray, is_right: BoolArray) -> FloatArray:
    """Return the share of wrong answers among the k surest, k = 1 to n_items.

    Examples
    --------
    >>> risk_coverage(np.array([0.9, 0.1, 0.5]), np.array([True, False, True])).round(2)
    array([0.  , 0.  , 0.33])
    """
    wrong = ~is_right[np.argsort(-confidence, kind="stable")]
    return np.asarray(np.cumsum(wrong) / np.arange(1, wrong.size + 1))


def area_under_risk_coverage(confidence: FloatArray, is_right: BoolArray) -> float:
    """Return the mean of the risk over all coverages; 0 is best.

    References
    ----------
    Geifman, Uziel & El-Yaniv, arXiv:1805.08206, section 2.
    """
    return float(risk_coverage(confidence, is_right).mean())


def accuracy_at_coverage(confidence: FloatArray, is_right: BoolArray, coverage: float) -> float:
    """Return the share of right answers among that share of the items, the surest ones.

    Examples
    --------
    >>> accuracy_at_coverage(np.array([0.9, 0.2, 0.8, 0.1]), np.array([1, 0, 0, 1]) == 1, 0.5)
    0.5
    """
    n_kept = max(1, round(coverage * confidence.size))
    return float(1 - risk_coverage(confidence, is_right)[n_kept - 1])


def area_under_roc(unusual: FloatArray, usual: FloatArray) -> float:
    """Return the probability that an unusual item scores higher than a usual one; ties count half.

    Parameters
    ----------
    unusual, usual : ndarray, shape (n_unusual,), (n_usual,)
        Scores that should be high and low.

    References
    ----------
    Hanley & McNeil, Radiology 143, 29 (1982), doi:10.1148/radiology.143.1.7063747.

    Examples
    --------
    >>> area_under_roc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    ranks = rankdata(np.concatenate([unusual, usual]))[: unusual.size]
    n_below = ranks.sum() - unusual.size * (unusual.size + 1) / 2
    return float(n_below / (unusual.size * usual.size))


def false_positive_rate(unusual: FloatArray, usual: FloatArray, *, found: float = 0.95) -> float:
    """Return the share of usual items that score as high as is needed to find 95 % of the unusual.

    Examples
    --------
    >>> false_positive_rate(np.array([0.9, 0.8]), np.array([0.85, 0.1, 0.2, 0.3]))
    0.25
    """
    n_found = int(np.ceil(found * unusual.size))
    threshold = np.sort(unusual)[::-1][n_found - 1]
    return float((usual >= threshold).mean())
