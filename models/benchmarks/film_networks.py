"""The a-CNN on films, and the maps that explain its answers."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.benchmarks.classifier_training import (
    Schedule,
    binary_cross_entropy_of_softmax,
    class_probabilities,
    train_classifier,
)
from phasepilot.models.benchmarks.film_methods import N_BATCHES
from phasepilot.models.explanation.class_activation import (
    average_class_activation_map,
    class_activation_maps,
    receptive_field,
    spread_over_bins,
)
from phasepilot.models.networks.acnn import STEPS, Acnn

SCHEDULE = Schedule(
    n_epochs=N_BATCHES,
    batch_size=64,
    n_batches=N_BATCHES,
    loss=binary_cross_entropy_of_softmax,
)
# What one place of the last maps sees.
_PLACE = int(np.prod(STEPS))


def film_inputs(patterns: FloatArray) -> Float32Array:
    """Return patterns with nothing behind them up to a whole number of places of the network.

    Without it the network would not see the end, and nothing at all of fewer points than 120. The
    authors' program pads every layer.
    """
    missing = -patterns.shape[1] % _PLACE
    return np.pad(patterns, ((0, 0), (0, missing))).astype(np.float32)


def trained_acnn(patterns: FloatArray, classes: IntArray, *, seed: int) -> Acnn:
    """Return the a-CNN, trained for as many classes as the highest number says."""
    n_classes = int(classes.max()) + 1
    network = train_classifier(
        lambda: Acnn(1, n_classes), film_inputs(patterns), classes, schedule=SCHEDULE, seed=seed
    )
    assert isinstance(network, Acnn)
    return network


@dataclass(frozen=True, slots=True)
class ExplainedFilms:
    """What the network answers for films, and where it looks.

    Attributes
    ----------
    answer : ndarray of int, shape (n_films,)
    maps : ndarray, shape (n_films, n_points)
        Class activation map of each film for what was answered, equations 4 and 5.
    average : ndarray, shape (n_classes, n_points)
        Mean map of each class over its training patterns, equation 6; not a number for a class
        without any.
    """

    answer: IntArray
    maps: FloatArray
    average: FloatArray

    def likeness(self) -> FloatArray:
        """Return how each map correlates with each class's average, (n_films, n_classes)."""
        return np.asarray(_unit(self.maps) @ _unit(self.average).T)


def explained_films(
    network: Acnn, train: FloatArray, classes: IntArray, test: FloatArray
) -> ExplainedFilms:
    """Return the answers of a trained network for some films, with the maps that explain them."""
    inputs, asked = film_inputs(train), film_inputs(test)[:, None]
    answer = class_probabilities(network, film_inputs(test)).argmax(axis=1)
    field, n_points = receptive_field(network.convolutions), inputs.shape[1]
    n_classes = network.class_layer.out_features
    average = np.full((n_classes, n_points), np.nan)
    for of_class in np.unique(classes).tolist():
        row = average_class_activation_map(network, inputs[:, None], classes, of_class)
        average[of_class] = spread_over_bins(row, field, n_points)
    maps = spread_over_bins(class_activation_maps(network, asked, answer), field, n_points)
    return ExplainedFilms(np.asarray(answer), maps, average)


def _unit(rows: FloatArray) -> FloatArray:
    # What all places have in common says nothing of where the network looks.
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
