"""The network of image frames: strengths of azimuthal waves, which a turn about the beam keeps."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

N_SPACE_GROUPS = 230
# Added to squares before a root, whose slope at 0 is infinite.
SMALL_SQUARE = 1e-4
SMALL_ROOT = 0.02
# Strengths are then about 1, of waves for a few spots and of the mean for rings.
_WAVE_SCALE = 0.25
_MEAN_SCALE = 3.0


@dataclass(frozen=True, slots=True)
class CakeNetShape:
    """Sizes of the network.

    Attributes
    ----------
    n_chi, n_bins : int
        Cells of the cake.
    n_waves : int
        Even harmonics of the azimuth, from 0; their orders must stay below half of `n_chi`. By
        Friedel's law the odd ones tell nothing that an orientation alone does not.
    local_filters, local_kernel, local_stride : int
        Filters along ln q that each harmonic is seen through.
    global_filters : int
        Filters over all of ln q.
    channels : tuple of int
        Of the two convolutions along ln q over all strengths.
    dense : int
        Width of the layer that all features meet in.
    embedding : int
        Width of the last layer.
    dropout : float
        Before each dense layer, when training.
    """

    n_chi: int = 72
    n_bins: int = 160
    n_waves: int = 13
    local_filters: int = 32
    local_kernel: int = 24
    local_stride: int = 4
    global_filters: int = 64
    channels: tuple[int, int] = (192, 256)
    dense: int = 768
    embedding: int = 320
    dropout: float = 0.15


class CakeNet(nn.Module):
    """Complex filters on the azimuthal harmonics of a cake, and real layers on their strengths.

    Input (n_cakes, 2, n_chi, n_bins): root intensity and mask. Output: space-group logits
    (n_cakes, 230).

    A turn by any angle multiplies harmonic m everywhere by the same phase factor. Filters along
    ln q add values of one harmonic, so that the factor comes through, and what is kept of it is the
    strength: all that follows is the same for the cake and its turn, exactly as far as the cake
    holds nothing finer than its cells. Interference of two radii under one filter tells the angles
    between their spots.
    """

    waves: Tensor

    def __init__(self, shape: CakeNetShape) -> None:
        super().__init__()
        self.shape = shape
        orders = 2 * torch.arange(shape.n_waves)
        angle = 2 * torch.pi / shape.n_chi * torch.outer(orders, torch.arange(shape.n_chi))
        scale = torch.full((shape.n_waves, 1), _WAVE_SCALE)
        scale[0] = _MEAN_SCALE / shape.n_chi
        waves = torch.cat([angle.cos() * scale, angle.sin() * scale])
        self.register_buffer("waves", waves, persistent=False)
        self.local = _filters(shape.local_filters, shape.local_kernel)
        self.everywhere = _filters(shape.global_filters, shape.n_bins)
        first, second = shape.channels
        # Normalised by means over batches: half as many cakes teach as much.
        self.local_norm = nn.BatchNorm1d(shape.n_waves * shape.local_filters)
        self.everywhere_norm = nn.BatchNorm1d(shape.n_waves * shape.global_filters)
        self.first = nn.Conv1d(shape.n_waves * shape.local_filters, first, 3, 2, 1)
        self.second = nn.Conv1d(first, second, 3, 2, 1)
        self.first_norm, self.second_norm = nn.BatchNorm1d(first), nn.BatchNorm1d(second)
        n_points = shape.n_bins + 2 * (shape.local_kernel // 2) - shape.local_kernel
        n_points = n_points // shape.local_stride + 1
        self.n_local_points = n_points
        n_points = ((n_points + 1) // 2 + 1) // 2
        n_features = second * n_points + shape.n_waves * shape.global_filters
        self.dense = nn.Linear(n_features, shape.dense)
        self.dense_norm = nn.BatchNorm1d(shape.dense)
        self.last = nn.Linear(shape.dense, shape.embedding)
        self.space_group = nn.Linear(shape.embedding, N_SPACE_GROUPS)
        self.dropout = nn.Dropout(shape.dropout)
        for layer in (self.first, self.second, self.dense, self.last):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return space-group logits."""
        logits: Tensor = self.space_group(self.dropout(self.embedding(inputs)))
        return logits

    def embedding(self, inputs: Tensor) -> Tensor:
        """Return what the last layer sees, shape (n_cakes, embedding)."""
        n, shape = inputs.shape[0], self.shape
        # Roots of roots: weak reflections, and those that are extinct, show.
        faint = (inputs[:, :1] + SMALL_ROOT).sqrt() - SMALL_ROOT**0.5
        # Nothing but 0 stands where all was measured.
        harmonics = self.waves @ torch.cat([inputs[:, :1], 1 - inputs[:, 1:], faint], dim=1)
        # Real and imaginary part of each harmonic, side by side, (n * n_waves, 6, n_bins).
        harmonics = harmonics.view(n, 3, 2, shape.n_waves, shape.n_bins).permute(0, 3, 2, 1, 4)
        harmonics = harmonics.reshape(n * shape.n_waves, 6, shape.n_bins)
        local = nn.functional.conv1d(
            harmonics,
            _complex(self.local),
            stride=shape.local_stride,
            padding=shape.local_kernel // 2,
        )
        local = self.local_norm(_strengths(local).view(n, shape.n_waves * shape.local_filters, -1))
        around = harmonics.flatten(1) @ _complex(self.everywhere).flatten(1).T
        around = self.everywhere_norm(_strengths(around).view(n, -1))
        along = self.first_norm(self.first(local)).relu()
        along = self.second_norm(self.second(along)).relu()
        features = torch.cat([along.flatten(1), around], dim=1)
        features = self.dense_norm(self.dense(self.dropout(features))).relu()
        last: Tensor = self.last(self.dropout(features)).relu()
        return last

    def n_parameters(self) -> int:
        """Return the number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def _filters(n_filters: int, length: int) -> nn.Parameter:
    """Return real and imaginary parts of filters of three channels, (2, n_filters, 3, length)."""
    return nn.Parameter(torch.randn(2, n_filters, 3, length) / (3 * length) ** 0.5)


def _complex(filters: Tensor) -> Tensor:
    """Return what multiplies (real, imaginary) parts, shape (2 n_filters, 6, length)."""
    real, imaginary = filters.unbind(0)
    rows = [torch.cat([real, -imaginary], dim=1), torch.cat([imaginary, real], dim=1)]
    return torch.cat(rows)


def _strengths(products: Tensor) -> Tensor:
    """Return absolute values of (n, 2 n_filters, ...), whose first half are real parts."""
    real, imaginary = products.chunk(2, dim=1)
    return (real.square() + imaginary.square() + SMALL_SQUARE).sqrt()
