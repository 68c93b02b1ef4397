"""What a network makes of patterns of held-out families, and how right that is."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.estimation.network_fit import LabelledOutputs
from phasepilot.models.networks.pilot_net import PilotNet
from phasepilot.models.networks.symmetry_levels import (
    EXTINCTION_OF_SPACE_GROUP,
    SYSTEM_OF_SPACE_GROUP,
    crystal_system_probabilities,
    extinction_probabilities,
)
from phasepilot.models.training.pattern_stream import TensorBatch


@dataclass(frozen=True, slots=True)
class Score:
    """How right a network is on patterns of structures that it was not trained on.

    Attributes
    ----------
    n_patterns : int
    loss : float
        Cross entropy of the space group, in nats.
    crystal_system_accuracy, extinction_class_accuracy, space_group_accuracy : float
    space_group_top3 : float
        Share of patterns whose space group is among the three most probable.
    space_group_recall : float
        Mean over the space groups that occur: each counts alike, however rare.
    """

    n_patterns: int
    loss: float
    crystal_system_accuracy: float
    extinction_class_accuracy: float
    space_group_accuracy: float
    space_group_top3: float
    space_group_recall: float


@torch.inference_mode()
def network_outputs(network: nn.Module, batches: Iterable[TensorBatch]) -> LabelledOutputs:
    """Return what the network, which must be in evaluation mode, puts out for all batches."""
    device = next(network.parameters()).device
    parts: list[tuple[FloatArray, FloatArray, IntArray]] = []
    for batch in batches:
        inputs = batch.inputs.to(device).float()
        if isinstance(network, PilotNet):
            embedding = network.embedding(inputs)
            logits = network.space_group(embedding)
        else:
            logits = network(inputs)
            embedding = logits[:, :0]
        outputs = (tensor.double().cpu().numpy() for tensor in (logits, embedding))
        parts.append((*outputs, batch.space_group_index.numpy()))  # type: ignore[arg-type]
    return LabelledOutputs(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def score(outputs: LabelledOutputs) -> Score:
    """Return how right these outputs are.

    Examples
    --------
    >>> logits = np.zeros((2, 230))
    >>> logits[:, 224] = 9.0
    >>> found = score(LabelledOutputs(logits, np.zeros((2, 0)), np.array([224, 226])))
    >>> found.crystal_system_accuracy, found.extinction_class_accuracy, found.space_group_accuracy
    (1.0, 0.5, 0.5)
    """
    labels = outputs.space_group_index
    log_p = log_softmax(outputs.logits, axis=1)
    p = softmax(outputs.logits, axis=1)
    is_system = crystal_system_probabilities(p).argmax(axis=1) == SYSTEM_OF_SPACE_GROUP[labels]
    is_class = extinction_probabilities(p).argmax(axis=1) == EXTINCTION_OF_SPACE_GROUP[labels]
    is_group = p.argmax(axis=1) == labels
    top3 = np.argpartition(p, -3, axis=1)[:, -3:]
    return Score(
        labels.size,
        -float(log_p[np.arange(labels.size), labels].mean()),
        float(is_system.mean()),
        float(is_class.mean()),
        float(is_group.mean()),
        float((top3 == labels[:, None]).any(axis=1).mean()),
        _mean_recall(is_group, labels),
    )


def _mean_recall(is_right: BoolArray, labels: IntArray) -> float:
    n_patterns = np.bincount(labels)
    n_right = np.bincount(labels, weights=is_right)
    return float((n_right[n_patterns > 0] / n_patterns[n_patterns > 0]).mean())
