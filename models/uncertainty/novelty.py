"""Whether a pattern is of a kind that the network, or a library of known phases, accounts for.

Signs are combined, each as a rank among calibration patterns of known kind: how far the features
point away from all training patterns, how undecided the logits are, what a `NoveltyNet` says, which
was trained to tell two phases and wrong wavelengths from what is usual, and, with a library, which
share of the intensity its best mixture leaves unexplained. Mixtures of a library's phases are
known: a `NoveltyNet` is not asked there. With a table of very many structures, mixtures of which
explain whatever is asked of them, the last sign is how little the most similar structure resembles
the pattern: the answer is of one phase. Lengths of features are left out: patterns that a rectifier
network does not know light up few of its features, so Euclidean and Mahalanobis distances take them
for familiar (areas under the curve below 0.5 for mixtures, gasket lines, wrong wavelengths and
glasses, simulated).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtri, softmax

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import ModelsError, TrainingError
from phasepilot.models.networks.estimate import Verdict
from phasepilot.models.uncertainty.entropy import entropy_bits

# Of at most 1 % of familiar patterns an operator is told that they are unknown.
FALSE_ALARM_RATE = 0.01
_RANKS = np.linspace(0, 1, 1001)
_N_ROUNDS = 12
# How much the normal score of a sign counts against the network's. Physics verifies what a network
# proposes: twice, our choice. What a `NoveltyNet` says counts four times: more gains nothing for
# mixtures and loses wrong wavelengths, less loses mixtures (simulated, families held out).
_WEIGHTS = {"novelty_logits": 4.0, "residuals": 2.0, "dissimilarities": 2.0}
_OF_NETWORK = ("prototypes", "distances", "entropies", "network_scores")
# Signs that not every detector knows, and the scores of all signs together with them.
_OPTIONAL = (
    *("novelty_logits", "logit_scores"),
    *("residuals", "joint_scores", "dissimilarities", "dissimilar_scores"),
)


@dataclass(frozen=True, slots=True)
class Novelty:
    """How unusual one pattern is.

    Attributes
    ----------
    novelty : float
        Share of the calibration patterns that look more familiar, 0 to 1.
    verdict : Verdict
    """

    novelty: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class NoveltyDetector:
    """What training patterns look like, and how calibration patterns compare with them.

    Attributes
    ----------
    prototypes : ndarray, shape (n_prototypes, n_features)
        Directions of training features, each of length 1.
    distances, entropies, network_scores : ndarray, shape (1001,)
        Quantiles over calibration patterns: the distance from the nearest prototype (1 - cosine),
        the entropy of the probabilities in bits, and the mean of the normal scores of both.
    novelty_logits, logit_scores : ndarray, shape (1001,) or (0,)
        The same of the logit of a `NoveltyNet`, and of the weighted sum with it; empty if there was
        none.
    residuals, joint_scores : ndarray, shape (1001,) or (0,)
        The same of the unexplained share, and of the weighted sum with it; empty if no library was
        there to calibrate with.
    dissimilarities, dissimilar_scores : ndarray, shape (1001,) or (0,)
        The same of the dissimilarity of the most similar structure.
    """

    prototypes: FloatArray
    distances: FloatArray
    entropies: FloatArray
    network_scores: FloatArray
    novelty_logits: FloatArray = field(default_factory=lambda: np.zeros(0))
    logit_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    residuals: FloatArray = field(default_factory=lambda: np.zeros(0))
    joint_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    dissimilarities: FloatArray = field(default_factory=lambda: np.zeros(0))
    dissimilar_scores: FloatArray = field(default_factory=lambda: np.zeros(0))

    def judge(
        self,
        logits: FloatArray,
        embedding: FloatArray,
        *,
        novelty_logit: float | None = None,
        unexplained: float | None = None,
        dissimilarity: float | None = None,
        false_alarm_rate: float = FALSE_ALARM_RATE,
    ) -> Novelty:
        """Return how unusual a pattern is, and whether the answer can be trusted.

        Parameters
        ----------
        logits : ndarray, shape (n_classes,)
        embedding : ndarray, shape (n_features,)
        novelty_logit : float or None
            Of a `NoveltyNet`; None without one. Ignored if it was not at calibration.
        unexplained : float or None
            Share of the intensity above background that no known phase explains; None without a
            library.
        dissimilarity : float or None
            1 less the similarity of the most similar structure of a table; decides in place of what
            is unexplained.
        false_alarm_rate : float
            Share of patterns like the calibration patterns that are called unknown.

        Raises
        ------
        ModelsError
            If a residual is given, but none were at calibration.
        """
        if not self.novelty_logits.size:
            novelty_logit = None
        signs, ranks = _signs(novelty_logit, unexplained, dissimilarity)
        if not all(getattr(self, name).size for name in signs):
            raise ModelsError(
                "a residual can only be judged against those of calibration patterns, but this"
                " detector has none; calibrate it with a library, or leave the residual out."
            )
        score = self._network_score(logits[None], embedding[None])
        novelty = float(_rank(self._joint(score, signs), getattr(self, ranks))[0])
        is_known = novelty <= 1 - false_alarm_rate
        if dissimilarity is not None:
            sign = f"The most similar known structure agrees to {100 * (1 - dissimilarity):.0f} %"
        elif unexplained is not None:
            sign = f"Known phases leave {100 * unexplained:.0f} % of the intensity unexplained"
        elif is_known:
            sign = "The network knows patterns like it"
        elif self._is_told(novelty_logit, score):
            sign = "It looks like several phases, or like another wavelength than the stated one"
        else:
            sign = "The network has hardly seen anything like it"
        share = f"{100 * novelty:.1f} % of known patterns look more familiar"
        return Novelty(novelty, Verdict(is_known, f"{sign}; {share}."))

    def _is_told(self, novelty_logit: float | None, score: FloatArray) -> bool:
        """Return whether a `NoveltyNet` finds the pattern less usual than the network does."""
        if novelty_logit is None:
            return False
        told = _rank(np.array([novelty_logit]), self.novelty_logits)
        return bool(told[0] > _rank(score, self.network_scores)[0])

    def _network_score(self, logits: FloatArray, embedding: FloatArray) -> FloatArray:
        distance = _distance(embedding, self.prototypes)
        entropy = entropy_bits(softmax(logits, axis=1))
        scores = _normal_score(distance, self.distances) + _normal_score(entropy, self.entropies)
        return np.asarray(scores / 2)

    def _joint(self, score: FloatArray, signs: Mapping[str, FloatArray | float]) -> FloatArray:
        """Return the weighted sum of normal scores, ranked against itself: signs may go together.

        A mixture of known phases is strange to the network but explained: it must not raise an
        alarm. So no sign decides alone.
        """
        if not signs:
            return score
        joint = _normal_score(score, self.network_scores)
        for name, values in signs.items():
            joint = joint + _WEIGHTS[name] * _normal_score(np.asarray(values), getattr(self, name))
        return joint

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs, the prototypes in half precision."""
        arrays: dict[str, NDArray[np.generic]] = {
            name: getattr(self, name).astype(np.float32) for name in (*_OF_NETWORK, *_OPTIONAL)
        }
        arrays["prototypes"] = self.prototypes.astype(np.float16)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the detector that `to_arrays` described."""
        names = (*_OF_NETWORK, *(name for name in _OPTIONAL if name in arrays))
        return cls(**{name: np.asarray(arrays[name], dtype=np.float64) for name in names})


def prototypes_of(embedding: FloatArray, *, n_prototypes: int = 300, rng: Generator) -> FloatArray:
    """Return directions that stand for all training patterns, shape (n_prototypes, n_features).

    k-means on the sphere (Dhillon & Modha, Mach. Learn. 42, 143 (2001)).

    Parameters
    ----------
    embedding : ndarray, shape (n_patterns, n_features)

    Raises
    ------
    TrainingError
        If there are fewer patterns than prototypes.
    """
    if embedding.shape[0] < n_prototypes:
        raise TrainingError(
            f"prototypes need at least as many training patterns, but there are"
            f" {embedding.shape[0]} for {n_prototypes}; give more patterns or ask for fewer."
        )
    directions = _directions(embedding)
    centres = directions[rng.choice(directions.shape[0], n_prototypes, replace=False)]
    for _ in range(_N_ROUNDS):
        nearest = (directions @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, directions)
        # A prototype that lost all its patterns stays where it is.
        has_any = np.bincount(nearest, minlength=n_prototypes) > 0
        centres = np.where(has_any[:, None], _directions(sums), centres)
    return np.asarray(centres)


def calibrate_novelty(
    prototypes: FloatArray,
    logits: FloatArray,
    embedding: FloatArray,
    *,
    novelty_logit: FloatArray | None = None,
    unexplained: FloatArray | None = None,
    dissimilarity: FloatArray | None = None,
) -> NoveltyDetector:
    """Return a detector that knows how unusual patterns of known kind look.

    Parameters
    ----------
    prototypes : ndarray, shape (n_prototypes, n_features)
        See `prototypes_of`.
    logits, embedding : ndarray, shape (n_patterns, ...)
        Of patterns of known kind that were not trained on.
    novelty_logit : ndarray, shape (n_patterns,), optional
        Of a `NoveltyNet`.
    unexplained : ndarray, shape (n_patterns,), optional
        What a library that holds their phases leaves unexplained.
    dissimilarity : ndarray, shape (n_patterns,), optional
        1 less the similarity of the structure that a search finds most similar.

    Raises
    ------
    TrainingError
        If the rows are not of the same patterns.
    """
    signs = {
        "novelty_logits": novelty_logit,
        "residuals": unexplained,
        "dissimilarities": dissimilarity,
    }
    given = {name: values for name, values in signs.items() if values is not None}
    n_rows = {values.shape[0] for values in (logits, embedding, *given.values())}
    if len(n_rows) != 1:
        raise TrainingError(
            f"logits, embedding and other signs must have one row a pattern, but have"
            f" {sorted(n_rows)} rows; take them from the same patterns."
        )
    distances = np.quantile(_distance(embedding, prototypes), _RANKS)
    entropies = np.quantile(entropy_bits(softmax(logits, axis=1)), _RANKS)
    detector = NoveltyDetector(prototypes, distances, entropies, np.zeros(0))
    score = detector._network_score(logits, embedding)
    detector = replace(detector, network_scores=np.quantile(score, _RANKS))
    known = {name: np.quantile(values, _RANKS) for name, values in given.items()}
    detector = replace(detector, **known)
    # What is judged by: the network, alone or with a library, of few structures or of a table.
    for of_library in ((None, None), (unexplained, None), (None, dissimilarity)):
        used, ranks = _signs(novelty_logit, *of_library)
        if used:
            scores = np.quantile(detector._joint(score, used), _RANKS)
            detector = replace(detector, **{ranks: scores})
    return detector


_Sign = TypeVar("_Sign", FloatArray, float)


def _signs(
    novelty_logit: _Sign | None, unexplained: _Sign | None, dissimilarity: _Sign | None
) -> tuple[dict[str, _Sign], str]:
    """Return the signs that count beside the network's, and the name of the scores of them all."""
    if unexplained is not None and dissimilarity is None:
        # Mixtures of a library's phases are known.
        return {"residuals": unexplained}, "joint_scores"
    signs = {"novelty_logits": novelty_logit, "dissimilarities": dissimilarity}
    given = {name: value for name, value in signs.items() if value is not None}
    if dissimilarity is not None:
        return given, "dissimilar_scores"
    return given, "logit_scores" if given else "network_scores"


def _rank(values: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Return the share of calibration patterns below each value."""
    return np.searchsorted(quantiles, values, side="left") / quantiles.size


def _normal_score(values: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Return ranks as deviates of a normal distribution, ties in their middle."""
    below = np.searchsorted(quantiles, values, side="left")
    upto = np.searchsorted(quantiles, values, side="right")
    return np.asarray(ndtri(((below + upto) / 2 + 0.5) / (quantiles.size + 1)))


def _distance(embedding: FloatArray, prototypes: FloatArray) -> FloatArray:
    return np.asarray(1 - (_directions(embedding) @ prototypes.T).max(axis=1))


def _directions(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))
