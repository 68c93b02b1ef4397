"""Space groups of films from labelled films: the nearest one, and a support vector machine.

The machine is trained on each film as it was measured and, labelled the same, as faster scans
would have shown it: with a coarser step from different first points, and with fewer photons. So
one machine serves all steps and counting times. Its settings were fixed beforehand and nothing is
chosen by any film's label: patterns are vectors of length 1, so that a kernel width of 1 is the
distance between unlike ones, and the data are separable, so that the penalty hardly acts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.benchmarks.film_views import (
    NEAREST_NEIGHBOUR_VIEW,
    VIEWS,
    Films,
    unit_vectors,
)

_COARSER_BY = (8, 16)
_FIRST_POINTS = 4
_COUNTED_SHARES = (0.1, 0.01)
_PENALTY = 10.0


@dataclass(frozen=True, slots=True)
class FilmComparison:
    """Kernels between films and the variants of films that a machine may be trained on.

    Attributes
    ----------
    variants : ndarray, shape (n_variants * n_films, n_features)
        Variant v of film k is row v * n_films + k.
    among_variants : ndarray, shape (n_variants * n_films, n_variants * n_films)
    films : ndarray, shape (n_films, n_points)
        What the nearest neighbour is sought among.
    """

    variants: Float32Array
    among_variants: FloatArray
    films: Float32Array

    @property
    def n_variants(self) -> int:
        """Number of variants of each film."""
        return len(self.variants) // len(self.films)


@dataclass(frozen=True, slots=True)
class ComparedFilms:
    """Films to be classified, compared with those of a `FilmComparison`.

    Attributes
    ----------
    kernel : ndarray, shape (n_films, n_variants * n_labelled)
    cosine : ndarray, shape (n_films, n_labelled)
    """

    kernel: FloatArray
    cosine: Float32Array


def film_comparison(measured: Films, rng: Generator) -> FilmComparison:
    """Return the comparison of films with each other, made ready for any split of them."""
    variants = np.concatenate([unit_vectors(one, VIEWS) for one in _variants(measured, rng)])
    return FilmComparison(
        variants, _kernel(variants, variants), unit_vectors(measured, NEAREST_NEIGHBOUR_VIEW)
    )


def compared(comparison: FilmComparison, shown: Films) -> ComparedFilms:
    """Return how alike some films are to all labelled ones."""
    return ComparedFilms(
        _kernel(unit_vectors(shown, VIEWS), comparison.variants),
        unit_vectors(shown, NEAREST_NEIGHBOUR_VIEW) @ comparison.films.T,
    )


class FilmMachine:
    """A support vector machine trained on the variants of some films.

    Parameters
    ----------
    labels : ndarray of int, shape (n_films,)
        Of all films; only those of `train` are looked at.
    train : ndarray of int
        Indices of the films that it may know.
    """

    def __init__(self, comparison: FilmComparison, labels: IntArray, train: IntArray) -> None:
        # In the train extra.
        from sklearn.svm import SVC

        starts = np.arange(comparison.n_variants) * labels.size
        self._rows = (starts[:, None] + train).ravel()
        self._only_class = int(labels[train[0]]) if np.ptp(labels[train]) == 0 else None
        self._machine = SVC(kernel="precomputed", C=_PENALTY)
        if self._only_class is None:
            among = comparison.among_variants[np.ix_(self._rows, self._rows)]
            self._machine.fit(among, np.tile(labels[train], comparison.n_variants))

    def labels(self, shown: ComparedFilms, test: IntArray) -> IntArray:
        """Return the label of each of the films `test`."""
        if self._only_class is not None:
            return np.full(test.size, self._only_class)
        return np.asarray(self._machine.predict(shown.kernel[np.ix_(test, self._rows)]))


def _variants(measured: Films, rng: Generator) -> list[Films]:
    coarse = [
        measured.coarser(every, first=part * every // _FIRST_POINTS)
        for every in _COARSER_BY
        for part in range(_FIRST_POINTS)
    ]
    return [measured, *coarse, *(measured.thinned(share, rng) for share in _COUNTED_SHARES)]


def _kernel(first: Float32Array, second: Float32Array) -> FloatArray:
    """Return exp(-|a - b|^2), between vectors of length 1, shape (n_first, n_second)."""
    return np.exp(2.0 * (first @ second.T).astype(np.float64) - 2.0)
