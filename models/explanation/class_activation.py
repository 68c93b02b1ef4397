"""Class activation maps: where the papers' convolutional networks look.

For networks in torch, with a part `convolutions` that gives maps (n_patterns, n_filters, n_places).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.errors import ModelsError
from phasepilot.models.networks.acnn import Acnn


class ConvolutionalNetwork(Protocol):
    """A network that ends in dense layers on top of convolutions."""

    @property
    def convolutions(self) -> nn.Sequential:
        """From inputs to maps (n_patterns, n_filters, n_places)."""
        ...

    @property
    def classifier(self) -> nn.Module:
        """From maps to logits."""
        ...


def class_activation_maps(
    network: Acnn, inputs: Float32Array, class_index: int | IntArray
) -> FloatArray:
    """Return the class activation map of each pattern, shape (n_patterns, n_places).

    M_c(x) = sum_k w_k^c f_k(x) / n_places, f the last convolution's maps and w the weights of the
    class. The paper writes a sum where its network, and ours, averages over the places; with the
    division a map adds up to the logit, less the bias of the class.

    Parameters
    ----------
    inputs : ndarray, shape (n_patterns, n_channels, n_bins)
    class_index : int or ndarray, shape (n_patterns,)
        One for all or one each.

    References
    ----------
    Oviedo et al., npj Comput. Mater. 5, 60 (2019), equations 4 and 5.
    """
    with torch.inference_mode():
        maps = network.convolutions(torch.from_numpy(inputs))
        classes = torch.as_tensor(class_index).expand(len(inputs))
        weights = network.class_layer.weight[classes]
        activation = torch.einsum("nk,nkx->nx", weights, maps) / maps.shape[2]
    return np.asarray(activation.double().numpy())


def average_class_activation_map(
    network: Acnn, inputs: Float32Array, class_index: IntArray, of_class: int
) -> FloatArray:
    """Return the mean map of a class over the patterns that are labelled so, shape (n_places,).

    Parameters
    ----------
    class_index : ndarray, shape (n_patterns,)
        The label of each pattern.

    Raises
    ------
    ModelsError
        If no pattern is labelled so.

    References
    ----------
    Oviedo et al., npj Comput. Mater. 5, 60 (2019), equation 6.
    """
    is_of_class = class_index == of_class
    if not is_of_class.any():
        raise ModelsError(
            f"an average map needs patterns of its class, but none of {class_index.size} is"
            f" labelled {of_class}; choose one of {np.unique(class_index).tolist()}."
        )
    return np.asarray(class_activation_maps(network, inputs[is_of_class], of_class).mean(axis=0))


def gradient_activation_maps(
    network: ConvolutionalNetwork, inputs: Float32Array, class_index: int
) -> FloatArray:
    """Return the Grad-CAM of each pattern, shape (n_patterns, n_places).

    L(x) = max(0, sum_k a_k f_k(x)), f the last maps and a_k the mean over x of the gradient of the
    class's logit with respect to f_k. For the a-CNN it is the positive part of the class activation
    map; for networks whose dense layers know the place, as NPCNN and SCNN, an approximation that
    adds up to nothing.

    Parameters
    ----------
    inputs : ndarray, shape (n_patterns, n_channels, n_bins)

    References
    ----------
    Selvaraju et al., ICCV 2017 (arXiv:1610.02391), equations 1 and 2.
    """
    with torch.no_grad():
        maps: Tensor = network.convolutions(torch.from_numpy(inputs))
    maps.requires_grad_()
    logits = network.classifier(maps)
    (gradient,) = torch.autograd.grad(logits[:, class_index].sum(), maps)
    weights = gradient.mean(dim=2)
    activation = torch.einsum("nk,nkx->nx", weights, maps.detach()).clamp_min(0)
    return np.asarray(activation.double().numpy())


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Which bins a place of the maps sees: place k sees `size` bins from bin ``k * stride`` on."""

    size: int
    stride: int


def receptive_field(convolutions: nn.Sequential) -> ReceptiveField:
    """Return what each place sees, by the kernels and strides of convolutions and pooling.

    Examples
    --------
    >>> receptive_field(nn.Sequential(nn.Conv1d(1, 1, 100, 5), nn.ReLU(), nn.AvgPool1d(3, 2)))
    ReceptiveField(size=110, stride=10)
    """
    size, stride = 1, 1
    for layer in convolutions:
        if isinstance(layer, nn.Conv1d | nn.AvgPool1d):
            # Of pooling torch declares them as either one number or a tuple.
            (kernel,), (step,) = np.atleast_1d(layer.kernel_size), np.atleast_1d(layer.stride)
            size += (int(kernel) - 1) * stride
            stride *= int(step)
    return ReceptiveField(size, stride)


def spread_over_bins(maps: FloatArray, field: ReceptiveField, n_bins: int) -> FloatArray:
    """Return maps on the bins of the input, each value shared evenly by the bins that it saw.

    The sum is kept; bins that no place sees get 0.

    Parameters
    ----------
    maps : ndarray, shape (..., n_places)

    Returns
    -------
    ndarray, shape (..., n_bins)

    Examples
    --------
    >>> spread_over_bins(np.array([2.0, 6.0]), ReceptiveField(size=2, stride=2), 5)
    array([1., 1., 3., 3., 0.])
    """
    start = np.arange(maps.shape[-1]) * field.stride
    change = np.zeros((*maps.shape[:-1], n_bins + 1))
    # Starts are distinct, and so are ends: no index is repeated.
    change[..., start] += maps / field.size
    change[..., start + field.size] -= maps / field.size
    return np.asarray(np.cumsum(change, axis=-1)[..., :-1])
