"""Trains the network that tells mixtures and misplaced lines, beside a trained one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from torch import Tensor, nn

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.networks.network_session import NetworkSession
from phasepilot.models.networks.novelty_net import NoveltyNet
from phasepilot.models.training.misplaced_lines import fit_misplaced, said_of
from phasepilot.models.training.mixture_patterns import MixturePatterns, MixtureSource

_LARGEST_GRADIENT = 1.0
_WARM_UP_STEPS = 100
_WEIGHT_DECAY = 0.02
_AVERAGE_DECAY = 0.998
# To simulate a batch takes twice as long as to learn from it: each serves about four times.
_STEPS_PER_BATCH = 4
_N_KEPT = 100
_LARGEST_SHIFT_BINS = 28


@dataclass(frozen=True, slots=True)
class NoveltyTraining:
    """A training run.

    Attributes
    ----------
    n_patterns : int
        To simulate, half of them mixtures.
    batch_size : int
    learning_rate : float
        At first; it falls like a cosine.
    n_for_labels : int
        At most so many patterns tell how probable a mixture is by the share of the weaker phase.
    n_for_places : int
        At most so many patterns are what the layer for misplaced lines is fitted on.
    """

    n_patterns: int
    batch_size: int = 256
    learning_rate: float = 1e-3
    n_for_labels: int = 4096
    n_for_places: int = 12_000

    @property
    def n_steps(self) -> int:
        """Optimiser steps."""
        return _STEPS_PER_BATCH * -(-self.n_patterns // self.batch_size)


@dataclass(frozen=True, slots=True)
class _Batch:
    """In half precision, to keep many."""

    inputs: NDArray[np.float16]
    said: NDArray[np.float16]
    labels: Float32Array

    def moved(self, rng: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs, each moved along ln q, what the other network says, and labels."""
        moved = _moved(self.inputs.astype(np.float32), rng)
        said = self.said.astype(np.float32)
        return torch.from_numpy(moved), torch.from_numpy(said), torch.from_numpy(self.labels)


def train_novelty_net(
    network: NoveltyNet,
    beside: NetworkSession,
    source: MixtureSource,
    training: NoveltyTraining,
    rng: Generator,
    *,
    progress: Callable[[int, int, float], None] = lambda step, n_steps, loss: None,
) -> None:
    """Train the network on simulated patterns; it ends as its running average.

    Its labels are not whether two phases were put in, but how probable that is given the share of
    the weaker phase's lines in all intensity: half of a phase that scatters hardly at all cannot be
    seen, and a quarter of one that scatters well looks like half. The best answer to both labels
    is nearly the same; these carry less noise.

    Parameters
    ----------
    network : NoveltyNet
        Changed in place.
    beside : NetworkSession
        The network that it works beside.
    source : MixtureSource
        Of structures of families that are trained on.
    progress : callable
        Told steps done, steps in all and the last loss.
    """
    label_of_share = _label_of_share(
        source.draw(min(training.n_for_labels, training.n_patterns) // 2, rng)
    )
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_moved_towards)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=_WEIGHT_DECAY
    )
    kept: list[_Batch] = []
    for step in range(training.n_steps):
        if step % _STEPS_PER_BATCH == 0:
            drawn = source.draw(training.batch_size // 2, rng)
            kept = [*kept[-_N_KEPT + 1 :], _batch(drawn, label_of_share, beside)]
        for group in optimiser.param_groups:
            group["lr"] = training.learning_rate * _rate(step, training.n_steps)
        loss = _step(network, optimiser, *kept[int(rng.integers(len(kept)))].moved(rng))
        averaged.update_parameters(network)
        progress(step + 1, training.n_steps, loss)
    network.load_state_dict(averaged.module.state_dict())
    n_for_places = min(training.n_for_places, training.n_patterns)
    fit_misplaced(network, beside, source, n_for_places, rng)
    network.eval()


def _label_of_share(patterns: MixturePatterns) -> Callable[[FloatArray], Float32Array]:
    """Return what makes of shares how probable a mixture is: the more there is, the more so."""
    fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fit.fit(patterns.weaker_share, patterns.is_mixture)
    return lambda share: np.asarray(fit.predict(share), dtype=np.float32)


def _batch(
    drawn: MixturePatterns,
    label_of_share: Callable[[FloatArray], Float32Array],
    beside: NetworkSession,
) -> _Batch:
    said = said_of(beside, drawn.inputs)
    labels = label_of_share(drawn.weaker_share)
    return _Batch(drawn.inputs.astype(np.float16), said.astype(np.float16), labels)


def _rate(step: int, n_steps: int) -> float:
    """Return the learning rate against that of the training."""
    warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
    return warm * (0.5 + 0.5 * float(np.cos(np.pi * step / n_steps)))


def _step(
    network: NoveltyNet,
    optimiser: torch.optim.Optimizer,
    inputs: Tensor,
    said: Tensor,
    labels: Tensor,
) -> float:
    network.train()
    logits = network.mixture_logit(inputs, said)[:, 0]
    # The type checker does not know what torch gives back here.
    loss: Any = nn.functional.binary_cross_entropy_with_logits(logits, labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
    optimiser.step()
    return float(loss.detach())


def _moved_towards(averaged: Tensor, current: Tensor, n_averaged: Tensor | int) -> Tensor:
    """Return the running average: faster at first, away from where it started."""
    n_done = int(n_averaged)
    decay = min(_AVERAGE_DECAY, (1 + n_done) / (10 + n_done))
    return decay * averaged + (1 - decay) * current


def _moved(inputs: Float32Array, rng: Generator) -> Float32Array:
    """Return each pattern moved along ln q; what comes in from outside is unmeasured."""
    result = np.zeros_like(inputs)
    n_bins = inputs.shape[2]
    largest = min(_LARGEST_SHIFT_BINS, n_bins - 1)
    for row, shift in enumerate(rng.integers(-largest, largest + 1, inputs.shape[0]).tolist()):
        first, last = max(shift, 0), n_bins + min(shift, 0)
        result[row, :, first:last] = inputs[row, :, first - shift : last - shift]
    return result
