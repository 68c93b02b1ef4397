"""What any method has to beat: the commonest class, and the most similar labelled pattern."""

from collections.abc import Sequence

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import network_input, prepare_pattern


def root_patterns(
    patterns: Sequence[Pattern], preprocessing: Preprocessing | None = None
) -> Float32Array:
    """Return the root of each pattern above background, as vectors of length 1.

    Parameters
    ----------
    preprocessing : Preprocessing, optional
        The default one, which takes the square root, unless given.

    Returns
    -------
    ndarray, shape (n_patterns, n_bins)
        A pattern without any signal stays 0.
    """
    steps = preprocessing or Preprocessing()
    rows = np.empty((len(patterns), steps.grid.n_bins), dtype=np.float32)
    for row, pattern in zip(rows, patterns, strict=True):
        row[:] = network_input(prepare_pattern(pattern, steps), steps)[0]
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))


def cosine_similarity(
    first: Float32Array, second: Float32Array, *, max_shift_bins: int = 0
) -> Float32Array:
    """Return the largest cosine between patterns shifted against each other by a few bins.

    On a ln q grid a shift is a strain. What is shifted over the edge is lost.

    Parameters
    ----------
    first, second : ndarray, shape (n_first, n_bins), (n_second, n_bins)
        Vectors of length 1.

    Returns
    -------
    ndarray, shape (n_first, n_second)

    Examples
    --------
    >>> left, right = np.eye(4, dtype=np.float32)[[0]], np.eye(4, dtype=np.float32)[[1]]
    >>> float(cosine_similarity(left, right)[0, 0])
    0.0
    >>> float(cosine_similarity(left, right, max_shift_bins=1)[0, 0])
    1.0
    """
    best = first @ second.T
    for shift in range(1, max_shift_bins + 1):
        np.maximum(best, first[:, shift:] @ second[:, :-shift].T, out=best)
        np.maximum(best, first[:, :-shift] @ second[:, shift:].T, out=best)
    return best


def nearest_labels(similarity: FloatArray | Float32Array, labels: IntArray) -> IntArray:
    """Return for each row the label of its most similar column.

    Parameters
    ----------
    similarity : ndarray, shape (n_items, n_labelled)
    labels : ndarray of int, shape (n_labelled,)

    Examples
    --------
    >>> nearest_labels(np.array([[0.2, 0.9], [0.8, 0.1]]), np.array([225, 62]))
    array([ 62, 225])
    """
    return np.asarray(labels[similarity.argmax(axis=1)])


def commonest(labels: IntArray) -> int:
    """Return the commonest label, of several the smallest.

    Examples
    --------
    >>> commonest(np.array([12, 225, 225, 12, 14]))
    12
    """
    return int(np.bincount(labels).argmax())
