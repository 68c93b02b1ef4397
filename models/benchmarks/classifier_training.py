"""Small networks of the papers, trained on a few hundred patterns that lie in memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray

# Patterns that are classified at once.
_BLOCK = 256
# From logits and class indices to what is minimised.
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long a network is trained, and with what; Adam at its usual settings.

    Attributes
    ----------
    n_epochs, batch_size : int
    loss : callable
        Takes logits and class indices.
    """

    n_epochs: int
    batch_size: int
    loss: Loss = nn.functional.cross_entropy


def binary_cross_entropy_of_softmax(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the mean binary cross entropy of all class probabilities, a softmax's.

    The loss of Oviedo et al.: every wrong class counts too, by how probable it was held.

    Examples
    --------
    >>> loss = binary_cross_entropy_of_softmax(torch.zeros(1, 2), torch.tensor([0]))
    >>> round(float(loss), 4)
    0.6931
    """
    truth = nn.functional.one_hot(classes, logits.shape[1]).to(logits.dtype)
    return nn.functional.binary_cross_entropy(torch.softmax(logits, dim=1), truth)


def train_classifier(
    create: Callable[[], nn.Module],
    patterns: Float32Array,
    classes: IntArray,
    *,
    schedule: Schedule,
    seed: int,
) -> nn.Module:
    """Return a new network, trained on these patterns.

    Parameters
    ----------
    create : callable
        Gives the untrained network, which is drawn from the seed.
    patterns : ndarray, shape (n_patterns, n_points)
        Its one channel.
    classes : ndarray of int, shape (n_patterns,)
        From 0.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = create()
        optimiser = torch.optim.Adam(network.parameters())
        inputs, labels = torch.from_numpy(patterns[:, None]), torch.from_numpy(classes)
        network.train()
        for _ in range(schedule.n_epochs):
            order = torch.randperm(len(inputs))
            for start in range(0, len(order), schedule.batch_size):
                chosen = order[start : start + schedule.batch_size]
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(schedule.loss(network(inputs[chosen]), labels[chosen]))
                optimiser.step()
    return network.eval()


@torch.inference_mode()
def class_probabilities(network: nn.Module, patterns: Float32Array) -> FloatArray:
    """Return the softmax of what the network says, shape (n_patterns, n_classes)."""
    inputs = torch.from_numpy(patterns[:, None])
    starts = range(0, len(inputs), _BLOCK)
    logits = torch.cat([network(inputs[start : start + _BLOCK]) for start in starts])
    return np.asarray(torch.softmax(logits.double(), dim=1).numpy())
