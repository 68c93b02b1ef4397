"""The post's network, trained as the post does it."""

from dataclasses import dataclass

import numpy as np
from numpy.random import default_rng
from torch import nn

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.classifier_training import (
    Schedule,
    class_probabilities,
    train_classifier,
)
from phasepilot.models.benchmarks.tio2_patterns import TWO_THETA_DEG, on_post_axis, simulated
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.networks.tio2_cnn import Tio2Cnn
from phasepilot.models.pattern import Pattern

# The post's numbers.
N_TRAIN, N_VALIDATION = 100, 20
SCHEDULE = Schedule(n_epochs=10, batch_size=32)


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A trained network, and patterns of its classes that it did not see.

    Attributes
    ----------
    network : Module
    validation : tuple of Pattern
    truth : ndarray of int, shape (n_validation,)
        Their classes.
    """

    network: nn.Module
    validation: tuple[Pattern, ...]
    truth: IntArray

    def probabilities(self, patterns: list[Pattern]) -> FloatArray:
        """Return the softmax of each pattern, shape (n_patterns, n_classes)."""
        return class_probabilities(self.network, on_post_axis(patterns))


def trained_network(index: SearchIndex, seed: int) -> TrainedNetwork:
    """Return the post's network for the structures of an index, each a class."""
    n_classes = index.n_structures
    rng = default_rng(seed)
    train = np.repeat(np.arange(n_classes), N_TRAIN)
    held_back = np.repeat(np.arange(n_classes), N_VALIDATION)
    patterns = on_post_axis(simulated(index, train, rng))
    network = train_classifier(
        lambda: Tio2Cnn(TWO_THETA_DEG.size, 1, n_classes),
        patterns,
        train,
        schedule=SCHEDULE,
        seed=seed,
    )
    return TrainedNetwork(network, tuple(simulated(index, held_back, rng)), held_back)
