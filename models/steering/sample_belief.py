"""What is known of each sample of a library: by its own counts, and by its neighbours.

Neighbours speak through a Gaussian process over position and composition. What it says of a sample
never contains that sample's own counts, so that the two can be multiplied.

References
----------
Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), section 5.4.2, equation 5.12:
predictions for points that are left out one at a time. Section 6.5: classes by regression.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import ModelsError

# Stands for every label that nobody has named yet.
ANY_OTHER = "any other"
# How much a sample may differ from the smooth map, as a variance; a label is 0 or 1.
_CERTAIN_VARIANCE = 0.05
# A sample that says nothing is as good as left out.
_UNDECIDED_VARIANCE = 10.0


@dataclass(frozen=True, slots=True)
class SampleSite:
    """A sample and where it is, on the stage and among compositions.

    Attributes
    ----------
    name : str
    position_mm : tuple of float
    composition : tuple of float
        As many numbers for every sample; empty where nothing is known.
    """

    name: str
    position_mm: tuple[float, ...]
    composition: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleEvidence:
    """What was found of one sample by itself.

    Attributes
    ----------
    probabilities : mapping of str to float
        Of its labels after its own counts, as if all had been equal before; what is missing to 1
        is shared by all labels that are not named.
    exposure_s : float
        So far.
    is_left : bool
        The stage has gone on, and does not come back.
    is_failed : bool
        Nothing could be measured.
    """

    probabilities: Mapping[str, float] = field(default_factory=dict)
    exposure_s: float = 0.0
    is_left: bool = False
    is_failed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it may still be measured."""
        return not (self.is_left or self.is_failed)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How far one sample speaks for another.

    Attributes
    ----------
    length_mm : float
        Over which labels change; samples much further away say nothing.
    composition_length : float
        The same, in the unit of composition.
    share_unlike : float
        Share of samples that are not what their neighbours make of them.
    lone_labels : frozenset of str
        Labels that say nothing of neighbours: a spot that was left empty, an unknown.
    """

    length_mm: float
    composition_length: float = 0.1
    share_unlike: float = 0.1
    lone_labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SampleMap:
    """Probabilities of the labels of all samples.

    Attributes
    ----------
    labels : tuple of str
        Of the columns; `ANY_OTHER` is the last.
    prior, posterior : ndarray, shape (n_samples, n_labels)
        From the neighbours alone, and with the sample's own counts.
    """

    labels: tuple[str, ...]
    prior: FloatArray
    posterior: FloatArray

    def answer(self, row: int) -> tuple[str, float]:
        """Return the most probable label of a sample, and its probability."""
        best = int(self.posterior[row].argmax())
        return self.labels[best], float(self.posterior[row, best])


def sample_map(
    sites: Sequence[SampleSite],
    evidence: Mapping[str, SampleEvidence],
    neighbours: Neighbours | None,
    *,
    labels: Collection[str] = (),
) -> SampleMap:
    """Return what is known of every sample; without `neighbours` each stands alone.

    Parameters
    ----------
    labels : collection of str
        That may occur, besides those that evidence names.
    """
    named = {name for one in evidence.values() for name in one.probabilities}
    ordered = (*sorted(named | set(labels)), ANY_OTHER)
    own = np.array([_own(evidence.get(site.name), ordered) for site in sites])
    if neighbours is None:
        prior = np.full(own.shape, 1 / len(ordered))
    else:
        exposed = [
            row for row, site in enumerate(sites) if _speaks(evidence.get(site.name), neighbours)
        ]
        prior = _prior(sites, own, np.array(exposed, dtype=np.int64), ordered, neighbours)
    joint = prior * own
    return SampleMap(ordered, prior, joint / joint.sum(axis=1, keepdims=True))


def _own(evidence: SampleEvidence | None, labels: tuple[str, ...]) -> list[float]:
    """Return a sample's own probabilities; flat if there are none."""
    if evidence is None or evidence.is_failed or not evidence.probabilities:
        return [1 / len(labels)] * len(labels)
    known = evidence.probabilities
    # Every label is among these, and ANY_OTHER is never named.
    missing = max(1.0 - sum(known.values()), 1e-9) / (len(labels) - len(known))
    row = [known.get(label, missing) for label in labels]
    total = sum(row)
    return [probability / total for probability in row]


def _speaks(evidence: SampleEvidence | None, neighbours: Neighbours) -> bool:
    if evidence is None or evidence.is_failed or not evidence.probabilities:
        return False
    best = max(evidence.probabilities, key=lambda label: evidence.probabilities[label])
    return best not in neighbours.lone_labels


def _prior(
    sites: Sequence[SampleSite],
    own: FloatArray,
    exposed: IntArray,
    labels: tuple[str, ...],
    neighbours: Neighbours,
) -> FloatArray:
    """Return what neighbours make of each sample; flat where there are none."""
    flat = np.full(own.shape, 1 / len(labels))
    if not exposed.size:
        return flat
    on_map = np.array([label not in neighbours.lone_labels for label in labels])
    shares = own[:, on_map] / own[:, on_map].sum(axis=1, keepdims=True)
    guessed = _regressed(_places(sites, neighbours), shares, exposed)
    smooth = np.zeros_like(flat)
    smooth[:, on_map] = guessed
    return (1 - neighbours.share_unlike) * smooth + neighbours.share_unlike * flat


def _places(sites: Sequence[SampleSite], neighbours: Neighbours) -> FloatArray:
    return np.array(
        [
            [x / neighbours.length_mm for x in site.position_mm]
            + [x / neighbours.composition_length for x in site.composition]
            for site in sites
        ]
    )


def _regressed(places: FloatArray, shares: FloatArray, exposed: IntArray) -> FloatArray:
    """Return the shares that samples are expected to have, each from the others."""
    process_type, kernel = _gaussian_process()
    mean = 1 / shares.shape[1]
    seen = shares[exposed] - mean
    doubt = 1 - (shares[exposed] ** 2).sum(axis=1)
    variance = _CERTAIN_VARIANCE + _UNDECIDED_VARIANCE * doubt
    process = process_type(kernel, alpha=variance, optimizer=None)
    process.fit(places[exposed], seen)
    guessed = np.asarray(process.predict(places)).reshape(shares.shape)
    # Of those that were exposed, without themselves: y - [K^-1 y] / [K^-1]_ii.
    inverse_root = solve_triangular(process.L_, np.eye(exposed.size), lower=True)
    own_weight = (inverse_root**2).sum(axis=0)
    guessed[exposed] = seen - np.asarray(process.alpha_) / own_weight[:, None]
    positive = np.maximum(guessed + mean, 0.0) + 1e-9
    return np.asarray(positive / positive.sum(axis=1, keepdims=True))


def _gaussian_process() -> tuple[Any, Any]:
    """Return the class and the kernel; scikit-learn carries no types."""
    # In the train extra.
    try:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern
    except ImportError as error:
        raise ModelsError(
            "what neighbours say of a sample needs scikit-learn, which is not installed; install"
            " phasepilot[sim], or choose an order without neighbours."
        ) from error
    return GaussianProcessRegressor, Matern(length_scale=1.0, nu=1.5)
