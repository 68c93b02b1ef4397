"""A classifier whose probabilities are exactly right: its labels are drawn from them."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import softmax

from phasepilot.models.arrays import FloatArray, IntArray

Answers = tuple[FloatArray, IntArray]


@pytest.fixture(scope="session")
def perfect_answers() -> Callable[..., Answers]:
    """Return a function that gives logits, and labels drawn from their softmax."""

    def answers(n_patterns: int, n_classes: int, *, seed: int) -> Answers:
        rng = np.random.default_rng(seed)
        logits = 2 * rng.normal(size=(n_patterns, n_classes))
        cumulative = softmax(logits, axis=1).cumsum(axis=1)
        labels = (rng.random((n_patterns, 1)) > cumulative).sum(axis=1)
        return logits, np.minimum(labels, n_classes - 1)

    return answers
