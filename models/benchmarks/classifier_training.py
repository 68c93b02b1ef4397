"""Networks of the papers, trained on labelled patterns that lie in memory or in a mapped file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.training.processes import autocast_type

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
    n_batches : int or None
        Training ends after so many, whatever the epoch.
    precision : {"float32", "auto"}
        Of the layers' arithmetic; see `autocast_type`.
    penalty : callable or None
        From the network to what is added to the loss.
    """

    n_epochs: int
    batch_size: int
    loss: Loss = nn.functional.cross_entropy
    n_batches: int | None = None
    precision: Literal["float32", "auto"] = "float32"
    penalty: Callable[[nn.Module], Tensor] | None = None


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
    patterns: NDArray[np.floating[Any]],
    classes: IntArray,
    *,
    schedule: Schedule,
    seed: int,
    device: str = "cpu",
) -> nn.Module:
    """Return a new network, trained on these patterns.

    Parameters
    ----------
    create : callable
        Gives the untrained network, which is drawn from the seed.
    patterns : ndarray, shape (n_patterns, n_points)
        Its one channel; of any precision, since they are only read batch by batch.
    classes : ndarray of int, shape (n_patterns,)
        From 0.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = create().to(device)
        # One pass over the weights instead of ten: half of the time of a dense network's batch.
        optimiser = torch.optim.Adam(network.parameters(), fused=True)
        kind = autocast_type(schedule.precision, torch.device(device))
        network.train()
        for chosen in _batches(len(patterns), schedule):
            labels = torch.from_numpy(classes[chosen]).to(device)
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device, kind or torch.bfloat16, enabled=kind is not None):
                logits = network(_inputs(patterns, chosen, network))
            loss = schedule.loss(logits.float(), labels)
            if schedule.penalty is not None:
                loss = loss + schedule.penalty(network)
            torch.autograd.backward(loss)
            optimiser.step()
    return network.eval()


def _batches(n_patterns: int, schedule: Schedule) -> Iterator[IntArray]:
    n_done = 0
    for _ in range(schedule.n_epochs):
        order = torch.randperm(n_patterns).numpy()
        for start in range(0, n_patterns, schedule.batch_size):
            if n_done == schedule.n_batches:
                return
            yield order[start : start + schedule.batch_size]
            n_done += 1


def _inputs(patterns: NDArray[np.floating[Any]], chosen: Any, network: nn.Module) -> Tensor:
    rows = torch.from_numpy(np.asarray(patterns[chosen], dtype=np.float32))
    return rows[:, None].to(next(network.parameters()).device)


@torch.inference_mode()
def class_probabilities(network: nn.Module, patterns: NDArray[np.floating[Any]]) -> FloatArray:
    """Return the softmax of what the network says, shape (n_patterns, n_classes)."""
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(patterns), _BLOCK)]
    logits = torch.cat([network(_inputs(patterns, block, network)) for block in blocks])
    return np.asarray(torch.softmax(logits.double(), dim=1).cpu().numpy())
