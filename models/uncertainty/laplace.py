"""How much the last layer of a classifier is left open by what it was trained on, in one pass.

The Laplace approximation puts a Gaussian around the trained weights, whose precision is the
curvature of the loss. For a linear layer under a softmax the curvature is a mean of Kronecker
products, and taken as one product of means: A, the second moment of the features (a 1 appended for
the bias), and B, the mean of diag(p) - p p^T. The logits of a pattern with features phi are then
Gaussian too, with covariance

    (phi^T V phi) U,    V = (A + pi s I)^-1,    U = (B + s / pi I)^-1 / n,    s = sqrt(prior / n),

for n training patterns and a prior precision; pi balances the two (Martens & Grosse). The number
phi^T V phi says how far the features lie from what was seen, and U which classes are told apart by
few patterns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import TrainingError
from phasepilot.models.uncertainty.temperature import check_labels, fit_temperature, log_loss

# Pairs of opposite draws; see `draws` of `LastLayerLaplace`.
_N_PAIRS = 16
_DRAWS_SEED = 20210620
_PRIORS = tuple(10.0**exponent for exponent in np.arange(-2, 4.5, 0.5))


@dataclass(frozen=True, slots=True)
class LastLayerLaplace:
    """The Gaussian around a trained last layer.

    Attributes
    ----------
    feature_factor : ndarray, shape (n_features + 1, n_features + 1)
        R with V = R^T R.
    class_covariance : ndarray, shape (n_classes, n_classes)
        U without its part along (1, ..., 1): a shift of all logits changes no probability.
    draws : ndarray, shape (n_draws, n_classes)
        Fixed draws from a Gaussian of covariance U, in opposite pairs: the same pattern always gets
        the same answer.
    """

    feature_factor: FloatArray
    class_covariance: FloatArray
    draws: FloatArray

    def feature_variance(self, embedding: FloatArray) -> FloatArray:
        """Return phi^T V phi, shape (...,), of features of shape (..., n_features)."""
        factor = self.feature_factor
        projected = embedding @ factor[:, :-1].T + factor[:, -1]
        return np.asarray(np.einsum("...i,...i->...", projected, projected))

    def logit_variance(self, embedding: FloatArray) -> FloatArray:
        """Return the variance of each logit, shape (..., n_classes)."""
        return np.asarray(
            self.feature_variance(embedding)[..., None] * np.diag(self.class_covariance)
        )

    def predictive_logits(self, logits: FloatArray, embedding: FloatArray) -> FloatArray:
        """Return logits whose softmax is about the mean of the probabilities over all weights.

        The log odds of every class against the most probable one are drawn towards even by their
        own variance, 1 / sqrt(1 + pi variance / 8): for two classes this is MacKay's formula.

        Parameters
        ----------
        logits : ndarray, shape (..., n_classes)
        embedding : ndarray, shape (..., n_features)

        References
        ----------
        MacKay, Neural Comput. 4, 720 (1992); for many classes: Lu, Ie & Sha, arXiv:2006.07584.
        """
        best = logits.argmax(axis=-1)
        own = np.diag(self.class_covariance)
        odds_variance = own + own[best][..., None] - 2 * self.class_covariance[best]
        variance = self.feature_variance(embedding)[..., None] * odds_variance
        odds = logits - logits.max(axis=-1, keepdims=True)
        return np.asarray(odds / np.sqrt(1 + np.pi / 8 * np.maximum(variance, 0)))

    def drawn_probabilities(
        self, logits: FloatArray, embedding: FloatArray, *, temperature: float = 1.0
    ) -> FloatArray:
        """Return probabilities under the fixed draws, shape (n_draws, n_classes), of one pattern.

        `phasepilot.models.uncertainty.entropy` splits the entropy by them.
        """
        spread = np.sqrt(self.feature_variance(embedding))
        scaled = (logits + spread * self.draws) / temperature
        # scipy's softmax takes several times longer for so few numbers.
        scaled -= scaled.max(axis=1, keepdims=True)
        odds = np.exp(scaled, out=scaled)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs, the matrices in half precision."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for name in ("feature_factor", "class_covariance", "draws"):
            values = getattr(self, name)
            # Half precision ends at 65504; scaled, the largest entry is 1.
            scale = np.abs(values).max()
            arrays[name] = (values / scale).astype(np.float16)
            arrays[f"{name}_scale"] = np.array([scale], dtype=np.float32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the Gaussian that `to_arrays` described."""
        return cls(
            *(
                np.asarray(arrays[name], np.float64) * np.asarray(arrays[f"{name}_scale"], float)
                for name in ("feature_factor", "class_covariance", "draws")
            )
        )


@dataclass(frozen=True, slots=True)
class LayerCurvature:
    """What the curvature of the loss is made of.

    Attributes
    ----------
    feature_moment : ndarray, shape (n_features + 1, n_features + 1)
        A.
    output_hessian : ndarray, shape (n_classes, n_classes)
        B.
    n_patterns : float
        Independent training patterns: structures, since patterns of one structure repeat it.
    """

    feature_moment: FloatArray
    output_hessian: FloatArray
    n_patterns: float


def layer_curvature(
    embedding: FloatArray, logits: FloatArray, *, n_patterns: float
) -> LayerCurvature:
    """Return the curvature from the features and logits of a sample of the training patterns.

    Parameters
    ----------
    embedding : ndarray, shape (n_sampled, n_features)
    logits : ndarray, shape (n_sampled, n_classes)
    n_patterns : float
        How many the network was trained on; the sample may be smaller.

    Raises
    ------
    TrainingError
        If the rows are not of the same patterns.
    """
    if embedding.ndim != 2 or logits.ndim != 2 or embedding.shape[0] != logits.shape[0]:
        raise TrainingError(
            f"embedding and logits must be rows of the same patterns, but have shapes"
            f" {embedding.shape} and {logits.shape}; take both from one pass of the network."
        )
    features = np.column_stack([embedding, np.ones(embedding.shape[0])]).astype(np.float64)
    probabilities = softmax(logits.astype(np.float64), axis=1)
    n_sampled = embedding.shape[0]
    hessian = np.diag(probabilities.mean(axis=0)) - probabilities.T @ probabilities / n_sampled
    return LayerCurvature(features.T @ features / n_sampled, hessian, n_patterns)


def laplace(curvature: LayerCurvature, *, prior_precision: float) -> LastLayerLaplace:
    """Return the Gaussian of that curvature and prior.

    Parameters
    ----------
    prior_precision : float
        Inverse variance of the prior of each weight, above 0.

    References
    ----------
    Daxberger et al., NeurIPS 2021, arXiv:2106.14806 (last-layer Laplace); Ritter, Botev & Barber,
    ICLR 2018 (Kronecker factors); Martens & Grosse, ICML 2015, arXiv:1503.05671, section 6.3 (pi).
    """
    moment, hessian = curvature.feature_moment, curvature.output_hessian
    balance = np.sqrt(np.trace(moment) / moment.shape[0] * hessian.shape[0] / np.trace(hessian))
    damping = np.sqrt(prior_precision / curvature.n_patterns)
    values, vectors = np.linalg.eigh(moment)
    feature_factor = (vectors / np.sqrt(np.maximum(values, 0) + balance * damping)).T
    values, vectors = np.linalg.eigh(hessian)
    root = vectors / np.sqrt((np.maximum(values, 0) + damping / balance) * curvature.n_patterns)
    root = root - root.mean(axis=0)
    half = np.random.default_rng(_DRAWS_SEED).normal(size=(_N_PAIRS, root.shape[1])) @ root.T
    return LastLayerLaplace(feature_factor, root @ root.T, np.concatenate([half, -half]))


def choose_prior_precision(
    curvature: LayerCurvature,
    logits: FloatArray,
    embedding: FloatArray,
    labels: IntArray,
    *,
    candidates: tuple[float, ...] = _PRIORS,
) -> float:
    """Return the prior precision whose predictions fit held-out patterns best.

    Each candidate is judged by its log loss at its own best temperature, so that the prior is not
    chosen to do what one temperature does for all patterns alike.

    Raises
    ------
    TrainingError
        If the shapes do not fit.
    """
    check_labels(logits, labels)

    def loss(prior_precision: float) -> float:
        gaussian = laplace(curvature, prior_precision=prior_precision)
        predictive = gaussian.predictive_logits(logits, embedding)
        temperature = fit_temperature(predictive, labels)
        return log_loss(np.exp(log_softmax(predictive / temperature, axis=1)), labels)

    return min(candidates, key=loss)
