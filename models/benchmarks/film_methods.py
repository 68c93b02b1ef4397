"""The ten ways to classify films that Oviedo et al. compare, each one function.

Settings that the paper does not give are those of scikit-learn, or said here.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray

# Films may be shifted by 0.8 degree: twenty points of 0.04 degree.
_WARP_DEG = 0.8
# What is warped is thinned to this: a quarter of the time, and lines are wider.
_WARPED_STEP_DEG = 0.08
_N_NEIGHBOURS = 5
_HIDDEN = (256, 128)
_N_EPOCHS_DENSE = 30
# About as many as the authors' program takes: 100 epochs of 4,000 patterns in batches of 128. As
# many of fewer patterns, which would otherwise make a network that has hardly learnt.
N_BATCHES = 3000
_BATCH = 128
# From training patterns, their classes, patterns to classify, step in degree and seed to classes.
Method = Callable[[FloatArray, IntArray, FloatArray, float, int], IntArray]


def naive_bayes(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify by independent normal intensities at every point."""
    from sklearn.naive_bayes import GaussianNB

    return _fitted(GaussianNB(), train, classes, test)


def nearest_neighbours(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify as most of the five nearest patterns, by Euclidean distance."""
    from sklearn.neighbors import KNeighborsClassifier

    return _fitted(KNeighborsClassifier(_N_NEIGHBOURS), train, classes, test)


def warped_neighbours(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify as most of the five nearest patterns, by dynamic time warping."""
    from sklearn.neighbors import KNeighborsClassifier

    from phasepilot.models.benchmarks.time_warping import warped_distances

    every = max(1, round(_WARPED_STEP_DEG / step_deg))
    reach = max(1, round(_WARP_DEG / (step_deg * every)))
    known, asked = train[:, ::every], test[:, ::every]
    model = KNeighborsClassifier(_N_NEIGHBOURS, metric="precomputed")
    # Fitting stores the classes; the distances among the known are never asked for.
    model.fit(np.zeros((len(known), len(known))), classes)
    return np.asarray(model.predict(warped_distances(asked, known, reach)))


def logistic_regression(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify by a linear model of the logits."""
    from sklearn.linear_model import LogisticRegression

    return _fitted(LogisticRegression(max_iter=100), train, classes, test)


def random_forest(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify by a hundred trees of random halves."""
    from sklearn.ensemble import RandomForestClassifier

    return _fitted(RandomForestClassifier(random_state=seed, n_jobs=2), train, classes, test)


def decision_tree(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify by one tree."""
    from sklearn.tree import DecisionTreeClassifier

    return _fitted(DecisionTreeClassifier(random_state=seed), train, classes, test)


def support_vector_machine(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify by a machine with a Gaussian kernel."""
    from sklearn.svm import SVC

    return _fitted(SVC(), train, classes, test)


def gradient_boosting(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify by boosted trees; each sees half of the patterns, each split 35 of the points."""
    from sklearn.ensemble import GradientBoostingClassifier

    # All patterns and points would take minutes a fit.
    model = GradientBoostingClassifier(
        n_estimators=50, subsample=0.5, max_features="sqrt", random_state=seed
    )
    return _fitted(model, train, classes, test)


def dense_network(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify by a network of two dense layers."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        _HIDDEN,
        batch_size=min(_BATCH, len(train)),
        max_iter=_N_EPOCHS_DENSE,
        random_state=seed,
    )
    return _fitted(model, train, classes, test)


def acnn(
    train: FloatArray, classes: IntArray, test: FloatArray, step_deg: float, seed: int
) -> IntArray:
    """Classify by the all-convolutional network."""
    # torch takes a second to import, and is in the train extra.
    from phasepilot.models.benchmarks.classifier_training import class_probabilities
    from phasepilot.models.benchmarks.film_networks import film_inputs, trained_acnn

    network = trained_acnn(train, classes, seed=seed)
    return np.asarray(class_probabilities(network, film_inputs(test)).argmax(axis=1))


METHODS: dict[str, Method] = {
    "naive_bayes": naive_bayes,
    "nearest_neighbours": nearest_neighbours,
    "nearest_neighbours_dtw": warped_neighbours,
    "logistic_regression": logistic_regression,
    "random_forest": random_forest,
    "decision_tree": decision_tree,
    "support_vector_machine": support_vector_machine,
    "gradient_boosting": gradient_boosting,
    "dense_network": dense_network,
    "acnn": acnn,
}


def _fitted(model: Any, train: FloatArray, classes: IntArray, test: FloatArray) -> IntArray:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Epochs are limited, and said.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train.astype(np.float32), classes)
    return np.asarray(model.predict(test.astype(np.float32)))
