"""The network that ships: strided convolutions that keep the order of lines, and one head."""

from dataclasses import dataclass

from torch import Tensor, nn

N_SPACE_GROUPS = 230


@dataclass(frozen=True, slots=True)
class PilotNetShape:
    """Sizes of the network.

    Attributes
    ----------
    n_bins : int
        Bins of the ln q grid.
    channels, kernels, strides : tuple of int
        One entry a convolution.
    dense : tuple of int
        Widths of the dense layers; the last is the embedding.
    dropout : float
        Before each dense layer, when training.
    """

    n_bins: int = 4096
    channels: tuple[int, ...] = (96, 96, 96)
    kernels: tuple[int, ...] = (64, 8, 8)
    strides: tuple[int, ...] = (16, 4, 2)
    dense: tuple[int, ...] = (1024, 256)
    dropout: float = 0.1


def strided_body(shape: PilotNetShape) -> tuple[nn.Sequential, int]:
    """Return convolutions and dense layers, untrained, and how many features the last gives."""
    layers: list[nn.Module] = []
    n_in, length = 2, shape.n_bins
    for n_out, kernel, stride in zip(shape.channels, shape.kernels, shape.strides, strict=True):
        layers += [nn.Conv1d(n_in, n_out, kernel, stride), nn.ReLU()]
        n_in, length = n_out, (length - kernel) // stride + 1
    layers.append(nn.Flatten())
    n_in *= length
    for width in shape.dense:
        layers += [nn.Dropout(shape.dropout), nn.Linear(n_in, width), nn.ReLU()]
        n_in = width
    return nn.Sequential(*layers), n_in


class PilotNet(nn.Module):
    """Dense strided convolutions, flattened: every line is seen where it lies.

    Input (n_patterns, 2, n_bins): root intensity and mask. Output: space-group logits
    (n_patterns, 230); coarser levels are sums of their probabilities.

    Rectifiers only and no normalisation: for a given pattern the logits are an affine function of
    the input, so that attributions add up exactly, and a pattern's answer does not depend on the
    batch that it comes in.
    """

    def __init__(self, shape: PilotNetShape) -> None:
        super().__init__()
        self.shape = shape
        self.body, n_features = strided_body(shape)
        self.space_group = nn.Linear(n_features, N_SPACE_GROUPS)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return space-group logits."""
        logits: Tensor = self.space_group(self.embedding(inputs))
        return logits

    def embedding(self, inputs: Tensor) -> Tensor:
        """Return what the last layer sees, shape (n_patterns, dense[-1])."""
        features: Tensor = self.body(inputs)
        return features

    def n_parameters(self) -> int:
        """Return the number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())
