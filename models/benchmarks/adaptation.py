"""Adapts an estimate to a kind of sample by labelled examples, without retraining anything.

Each example votes for its space group, the more the more it looks like the pattern; the
estimator's own answer, weighted by how common the groups are among the examples, counts as some
votes too. How far a vote reaches and what the estimator counts are chosen on the examples alone,
by cross-validation inside them:

    p(g) ~ sum over examples of g of exp(-(1 - cosine) / reach) + votes * q(g)
    q(g) ~ p_zero_shot(g)^sharpness * commonness(g)^trust
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.random import Generator
from scipy.special import softmax

from phasepilot.models.arrays import FloatArray, IntArray

N_SPACE_GROUPS = 230
_REACHES = (0.015, 0.03, 0.06, 0.12)
_VOTES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
_SHARPNESSES = (0.35, 0.7, 1.0, 1.4)
_TRUSTS = (0.0, 0.35, 0.7)
_LOWEST_PROBABILITY = 1e-6
_N_INNER_FOLDS = 4


@dataclass(frozen=True, slots=True)
class Examples:
    """Patterns of which some are used as labelled examples.

    Attributes
    ----------
    zero_shot : ndarray, shape (n_items, 230)
        Probabilities without any examples.
    similarity : ndarray, shape (n_items, n_items)
        Cosine between patterns.
    space_group_index : ndarray of int, shape (n_items,)
    group : ndarray of int, shape (n_items,)
        Items of one group are never on both sides of a split.
    """

    zero_shot: FloatArray
    similarity: FloatArray
    space_group_index: IntArray
    group: IntArray


@dataclass(frozen=True, slots=True)
class Mixing:
    """How examples and estimator are weighed against each other; see the module."""

    reach: float
    votes: float
    sharpness: float
    trust: float


def folds_of_groups(group: IntArray, n_folds: int, rng: Generator) -> IntArray:
    """Return a fold for each item, 0 to n_folds - 1, groups going whole to folds at random.

    Examples
    --------
    >>> folds = folds_of_groups(np.array([7, 7, 3, 5]), 2, np.random.default_rng(0))
    >>> bool(folds[0] == folds[1])
    True
    """
    names, place = np.unique(group, return_inverse=True)
    return np.asarray((rng.permutation(names.size) % n_folds)[place])


def adapted_probabilities(
    examples: Examples, train: IntArray, test: IntArray, rng: Generator
) -> FloatArray:
    """Return the probabilities of space groups of test items, given the labels of training items.

    Parameters
    ----------
    train, test : ndarray of int
        Indices of items; no label of a test item is looked at.

    Returns
    -------
    ndarray, shape (n_test, 230)
    """
    return mixed(examples, train, test, chosen_mixing(examples, train, rng))


def mixed(examples: Examples, train: IntArray, test: IntArray, mixing: Mixing) -> FloatArray:
    """Return the same for a given mixing."""
    votes = _votes(examples, train, test, mixing.reach)
    answer = _answer(examples, train, test, mixing.sharpness, mixing.trust)
    total = votes + mixing.votes * answer
    return np.asarray(total / total.sum(axis=1, keepdims=True))


def chosen_mixing(examples: Examples, train: IntArray, rng: Generator) -> Mixing:
    """Return the mixing that gives left-out training labels the highest probabilities."""
    fold = folds_of_groups(examples.group[train], _N_INNER_FOLDS, rng)
    options = list(product(_REACHES, _VOTES, _SHARPNESSES, _TRUSTS))
    scores = np.zeros(len(options))
    for k in range(_N_INNER_FOLDS):
        inner, left_out = train[fold != k], train[fold == k]
        if inner.size and left_out.size:
            scores += _log_likelihoods(examples, inner, left_out)
    return Mixing(*options[int(scores.argmax())])


def _log_likelihoods(examples: Examples, train: IntArray, test: IntArray) -> FloatArray:
    """Return the log-likelihood of the test labels for each option, in the order of `product`."""
    truth = examples.space_group_index[test]
    rows = np.arange(test.size)
    # Only the true group's share and the sum of all votes enter.
    of_truth, of_all = [], []
    for reach in _REACHES:
        votes = _votes(examples, train, test, reach)
        of_truth.append(votes[rows, truth])
        of_all.append(votes.sum(axis=1))
    answers = [
        _answer(examples, train, test, sharpness, trust)[rows, truth]
        for sharpness, trust in product(_SHARPNESSES, _TRUSTS)
    ]
    weight = np.array(_VOTES)[None, :, None, None]
    numerator = np.array(of_truth)[:, None, None] + weight * np.array(answers)[None, None]
    share = numerator / (np.array(of_all)[:, None, None] + weight)
    return np.asarray(np.log(share).sum(axis=-1).ravel())


def _votes(examples: Examples, train: IntArray, test: IntArray, reach: float) -> FloatArray:
    labels = np.eye(N_SPACE_GROUPS)[examples.space_group_index[train]]
    distance = 1.0 - examples.similarity[np.ix_(test, train)]
    return np.asarray(np.exp(-distance / reach) @ labels)


def _answer(
    examples: Examples, train: IntArray, test: IntArray, sharpness: float, trust: float
) -> FloatArray:
    """Return what the estimator says, given how common groups are; shape (n_test, 230)."""
    # Alike patterns tell once how common their space group is.
    labelled = np.stack([examples.group[train], examples.space_group_index[train]])
    counts = np.bincount(np.unique(labelled, axis=1)[1], minlength=N_SPACE_GROUPS)
    # One more of each: groups without an example are rare, not impossible.
    commonness = np.log((counts + 1) / (counts.sum() + N_SPACE_GROUPS))
    zero_shot = np.log(np.maximum(examples.zero_shot[test], _LOWEST_PROBABILITY))
    return np.asarray(softmax(sharpness * zero_shot + trust * commonness, axis=1))
