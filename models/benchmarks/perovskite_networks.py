"""The B-VGGNet trained three ways, and what each says with how much doubt."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from torch import nn

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.classifier_training import (
    Schedule,
    class_probabilities,
    train_classifier,
)
from phasepilot.models.networks.b_vggnet import BVggNet, divergence
from phasepilot.models.uncertainty.laplace import (
    choose_prior_precision,
    laplace,
    layer_curvature,
)

# Training patterns that choose the prior of the Laplace approximation and train nothing.
_N_CHOOSING = 200


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a Bayesian network says of some patterns.

    Attributes
    ----------
    drawn : ndarray, shape (n_draws, n_patterns, n_classes)
        Probabilities under weights drawn from their posterior.
    ms_per_pattern : float
        What saying so took.
    """

    drawn: FloatArray
    ms_per_pattern: float

    @property
    def probabilities(self) -> FloatArray:
        """Their mean over the draws, shape (n_patterns, n_classes)."""
        return np.asarray(self.drawn.mean(axis=0))


@dataclass(frozen=True, slots=True)
class BayesianNetwork:
    """A trained network.

    Attributes
    ----------
    doubt : callable
        From patterns (n_patterns, n_points) to `Doubt`.
    training_s : float
        What training took.
    """

    doubt: Callable[[FloatArray], Doubt]
    training_s: float


@dataclass(frozen=True, slots=True)
class Training:
    """How networks are trained: a number of classes, widths, batches and draws."""

    n_classes: int
    narrower_by: int
    schedule: Schedule
    n_draws: int
    seed: int

    def network(self, n_points: int) -> BVggNet:
        """Return an untrained network."""
        return BVggNet(n_points, 1, self.n_classes, self.narrower_by)


def trained_b_vggnet(patterns: FloatArray, labels: IntArray, how: Training) -> nn.Module:
    """Return the network with dropout, trained."""
    return _trained(lambda: how.network(patterns.shape[1]), patterns, labels, how)


def monte_carlo_dropout(patterns: FloatArray, labels: IntArray, how: Training) -> BayesianNetwork:
    """Return the network whose dropout goes on drawing when it is asked."""
    start = perf_counter()
    network = trained_b_vggnet(patterns, labels, how)
    return BayesianNetwork(
        lambda asked: _drawn(network.train(), asked, how), perf_counter() - start
    )


def variational(patterns: FloatArray, labels: IntArray, how: Training) -> BayesianNetwork:
    """Return the network with normally distributed weights in its dense layers."""
    start = perf_counter()
    n_patterns = len(patterns)
    varied = replace(
        how,
        # The evidence lower bound of one pattern.
        schedule=replace(how.schedule, penalty=lambda network: divergence(network) / n_patterns),
    )
    network = _trained(
        lambda: how.network(patterns.shape[1]).variational(), patterns, labels, varied
    )
    return BayesianNetwork(lambda asked: _drawn(network, asked, how), perf_counter() - start)


def laplace_approximated(patterns: FloatArray, labels: IntArray, how: Training) -> BayesianNetwork:
    """Return the network with a Gaussian around its last layer, by the curvature of the loss."""
    start = perf_counter()
    kept, choosing = patterns[:-_N_CHOOSING], patterns[-_N_CHOOSING:]
    network = _trained(
        lambda: how.network(patterns.shape[1]).plain(), kept, labels[:-_N_CHOOSING], how
    )
    embedding, logits = _last_layer(network, kept)
    curvature = layer_curvature(embedding, logits, n_patterns=len(kept))
    embedding, logits = _last_layer(network, choosing)
    prior = choose_prior_precision(curvature, logits, embedding, labels[-_N_CHOOSING:])
    gaussian = laplace(curvature, prior_precision=prior)
    training_s = perf_counter() - start

    def doubt(asked: FloatArray) -> Doubt:
        began = perf_counter()
        embedding, logits = _last_layer(network, asked)
        rows = [
            gaussian.drawn_probabilities(of_logits, of_embedding)
            for of_logits, of_embedding in zip(logits, embedding, strict=True)
        ]
        spent = perf_counter() - began
        return Doubt(np.array(rows).transpose(1, 0, 2), 1e3 * spent / len(asked))

    return BayesianNetwork(doubt, training_s)


METHODS: dict[str, Callable[[FloatArray, IntArray, Training], BayesianNetwork]] = {
    "monte_carlo_dropout": monte_carlo_dropout,
    "variational": variational,
    "laplace": laplace_approximated,
}


def _trained(
    create: Callable[[], nn.Module], patterns: FloatArray, labels: IntArray, how: Training
) -> nn.Module:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return train_classifier(
        create, patterns, labels, schedule=how.schedule, seed=how.seed, device=device
    )


def _drawn(network: nn.Module, asked: FloatArray, how: Training) -> Doubt:
    start = perf_counter()
    with torch.random.fork_rng():
        torch.manual_seed(how.seed)
        drawn = np.array([class_probabilities(network, asked) for _ in range(how.n_draws)])
    return Doubt(drawn, 1e3 * (perf_counter() - start) / len(asked))


@torch.inference_mode()
def _last_layer(network: nn.Module, patterns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what the last layer sees and gives."""
    assert isinstance(network, BVggNet)
    device = next(network.parameters()).device
    inputs = torch.from_numpy(patterns.astype(np.float32))[:, None].to(device)
    embedding = network.classifier[:-1](network.convolutions(inputs))
    logits = network.classifier[-1](embedding)
    return embedding.double().cpu().numpy(), logits.double().cpu().numpy()
