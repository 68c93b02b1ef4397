"""What is known of each sample of a library: by its own counts, and by its neighbours.

Neighbours speak through a Gaussian process over position and composition. What it says of a sample
never contains that sample's own counts, so that the two can be multiplied.

References
----------
Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), section 5.4.2, equation 5.12:
predictions for points that are left out one at a time. Section 6.5: classes by regression. One map
of 0 and 1 for each label; the label of a sample is the one whose map is highest there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import ModelsError

# Stands for every label that nobody has named yet.
ANY_OTHER = "any other"
# Labels are 0 or 1; these are variances of the map of each, chosen on the tuning seeds of
# `phasepilot benchmark steering`: how far it swings, and what a settled sample may differ from it.
_MAP_VARIANCE = 0.3
_CERTAIN_VARIANCE = 0.02
# What a sample that says nothing may differ by in addition. Larger, and brief looks at many
# samples would not add up.
_UNDECIDED_VARIANCE = 0.3
# By how much labels may differ within a sample's own place.
_ROUGHNESS_VARIANCE = 0.005
# Samples are gone to where the map is in doubt, so that it errs more often there than it says.
_DOUBTED_VARIANCE = 0.08
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(8)


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
    own : ndarray, shape (n_samples, n_labels)
        From the sample's own counts alone.
    prior, posterior : ndarray, shape (n_samples, n_labels)
        From the neighbours alone, and with the sample's own counts.
    explained : ndarray, shape (n_samples, n_samples)
        Share of what is not known of the first sample that the second would tell, 0 to 1.
    """

    labels: tuple[str, ...]
    own: FloatArray
    prior: FloatArray
    posterior: FloatArray
    explained: FloatArray

    @property
    def error(self) -> FloatArray:
        """Probability that a sample's best label is wrong, shape (n_samples,)."""
        return np.asarray(1.0 - self.posterior.max(axis=1))

    def answer(self, row: int) -> tuple[str, float]:
        """Return the most probable label of a sample, and its probability."""
        best = int(self.posterior[row].argmax())
        return self.labels[best], float(self.posterior[row, best])

    def own_answer(self, row: int) -> tuple[str, float]:
        """Return the same by the sample's own counts alone."""
        best = int(self.own[row].argmax())
        return self.labels[best], float(self.own[row, best])


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
    flat, explained = np.full(own.shape, 1 / len(ordered)), np.eye(len(sites))
    if neighbours is None:
        return _joined(ordered, own, flat, explained)
    rows = [row for row, site in enumerate(sites) if _speaks(evidence.get(site.name), neighbours)]
    exposed = np.array(rows, dtype=np.int64)
    on_map = np.array([label not in neighbours.lone_labels for label in ordered])
    shares = own[:, on_map] / own[:, on_map].sum(axis=1, keepdims=True)
    smooth = np.zeros_like(flat)
    smooth[:, on_map], explained = _mapped(_places(sites, neighbours), shares, exposed)
    prior = (1 - neighbours.share_unlike) * smooth + neighbours.share_unlike * flat
    return _joined(ordered, own, prior, explained)


def _joined(
    labels: tuple[str, ...], own: FloatArray, prior: FloatArray, explained: FloatArray
) -> SampleMap:
    joint = prior * own
    return SampleMap(labels, own, prior, joint / joint.sum(axis=1, keepdims=True), explained)


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


def _places(sites: Sequence[SampleSite], neighbours: Neighbours) -> FloatArray:
    return np.array(
        [
            [x / neighbours.length_mm for x in site.position_mm]
            + [x / neighbours.composition_length for x in site.composition]
            for site in sites
        ]
    )


def _mapped(
    places: FloatArray, shares: FloatArray, exposed: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return what each sample is by the others, and how much samples tell of each other."""
    covariance = _MAP_VARIANCE * _kernel(places)
    doubt = 1 - (shares[exposed] ** 2).sum(axis=1)
    noise = _CERTAIN_VARIANCE + _UNDECIDED_VARIANCE * doubt
    seen = shares[exposed] - 1 / shares.shape[1]
    precision = cho_solve(
        cho_factor(covariance[np.ix_(exposed, exposed)] + np.diag(noise)), np.eye(exposed.size)
    )
    weights = precision @ seen
    mean = covariance[:, exposed] @ weights
    left = covariance - covariance[:, exposed] @ precision @ covariance[exposed]
    variance = np.maximum(np.diag(left), 1e-9)
    explained = np.minimum(left**2 / np.outer(variance, variance + _CERTAIN_VARIANCE), 1.0)
    np.fill_diagonal(explained, 1.0)
    # Of those that were exposed, without themselves (equation 5.12).
    own_weight = np.diag(precision)
    mean[exposed] = seen - weights / own_weight[:, None]
    variance[exposed] = 1 / own_weight - noise + _DOUBTED_VARIANCE
    deviation = np.sqrt(np.maximum(variance, 0.0) + _ROUGHNESS_VARIANCE)
    return _chance_of_largest(mean, deviation), explained


def _chance_of_largest(mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """Return how likely each column is the largest of its row, if all scatter alike.

    By quadrature over the column's own value: the others are below it independently.
    """
    ahead = (mean[:, :, None] - mean[:, None, :]) / deviation[:, None, None]
    below = ndtr(ahead + _NODES[:, None, None, None])
    diagonal = np.arange(mean.shape[1])
    below[:, :, diagonal, diagonal] = 1.0
    chance = np.einsum("n,nij->ij", _WEIGHTS, below.prod(axis=3)) + 1e-12
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def _kernel(places: FloatArray) -> FloatArray:
    # In the sim extra.
    try:
        from sklearn.gaussian_process.kernels import Matern
    except ImportError as error:
        raise ModelsError(
            "what neighbours say of a sample needs scikit-learn, which is not installed; install"
            " phasepilot[sim], or choose an order without neighbours."
        ) from error
    return np.asarray(Matern(length_scale=1.0, nu=1.5)(places))
