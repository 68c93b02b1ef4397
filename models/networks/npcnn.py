"""The no-pooling convolutional network (NPCNN): three strided convolutions and a dense head."""

from dataclasses import dataclass

from torch import Tensor, nn

N_CRYSTAL_SYSTEMS = 7
N_SPACE_GROUPS = 230


@dataclass(frozen=True, slots=True)
class NpcnnShape:
    """Sizes of the network.

    The paper's first kernel spans 100 points, 1.0 degree; 32 bins of ln q span as much near 40
    degree of Cu K-alpha. The paper's dense layers (2300 and 1150) are narrowed to fit 8 million
    parameters.
    """

    n_bins: int = 4096
    channels: int = 80
    kernels: tuple[int, int, int] = (32, 16, 8)
    strides: tuple[int, int, int] = (8, 4, 2)
    dense: tuple[int, int] = (1024, 512)
    convolution_dropout: float = 0.3
    dense_dropout: float = 0.5


class Npcnn(nn.Module):
    """NPCNN with a crystal-system and a space-group head.

    Input (n_patterns, 2, n_bins): root intensity and mask. Output: logits (n_patterns, 7) and
    (n_patterns, 230).

    References
    ----------
    Salgado et al., npj Comput. Mater. 9, 214 (2023), section "Deep learning architecture".
    """

    def __init__(self, shape: NpcnnShape) -> None:
        super().__init__()
        self.shape = shape
        layers: list[nn.Module] = []
        n_in, length = 2, shape.n_bins
        for kernel, stride in zip(shape.kernels, shape.strides, strict=True):
            layers += [nn.Conv1d(n_in, shape.channels, kernel, stride), nn.ReLU()]
            layers.append(nn.Dropout(shape.convolution_dropout))
            n_in, length = shape.channels, (length - kernel) // stride + 1
        layers.append(nn.Flatten())
        n_in = shape.channels * length
        for width in shape.dense:
            layers += [nn.Linear(n_in, width), nn.ReLU(), nn.Dropout(shape.dense_dropout)]
            n_in = width
        self.body = nn.Sequential(*layers)
        self.crystal_system = nn.Linear(n_in, N_CRYSTAL_SYSTEMS)
        self.space_group = nn.Linear(n_in, N_SPACE_GROUPS)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return crystal-system and space-group logits."""
        features = self.body(inputs)
        return self.crystal_system(features), self.space_group(features)

    def n_parameters(self) -> int:
        """Return the number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())
