"""The network of image frames: convolutions over azimuth and ln q, the azimuth a circle."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

N_SPACE_GROUPS = 230


@dataclass(frozen=True, slots=True)
class CakeNetShape:
    """Sizes of the network.

    Attributes
    ----------
    n_chi, n_bins : int
        Cells of the cake; `n_chi` divides by 4.
    channels : tuple of int
        Of the six convolutions.
    n_waves : int
        Harmonics of the azimuth whose strengths are features.
    wave_channels : int
        Channels that these are taken of.
    embedding : int
        Width of the last layer.
    dropout : float
        Before each dense layer, when training.
    """

    n_chi: int = 96
    n_bins: int = 192
    channels: tuple[int, ...] = (32, 64, 128, 128, 192, 192)
    n_waves: int = 8
    wave_channels: int = 48
    embedding: int = 320
    dropout: float = 0.15


class _Wrapped(torch.autograd.Function):
    """Rows of the other end at each end; torch's own circular padding takes longer to train."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, rows: int) -> Tensor:
        ctx.rows = rows
        return torch.cat([value[:, :, -rows:], value, value[:, :, :rows]], dim=2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient, rows = gradients[0].clone(), ctx.rows
        gradient[:, :, -2 * rows : -rows] += gradient[:, :, :rows]
        gradient[:, :, rows : 2 * rows] += gradient[:, :, -rows:]
        return gradient[:, :, rows:-rows], None


class CircularConvolution(nn.Module):
    """A convolution, rectified; the azimuth (rows) is a circle, ln q ends."""

    def __init__(
        self, n_in: int, n_out: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.rows = kernel[0] // 2
        self.convolution = nn.Conv2d(n_in, n_out, kernel, stride, padding=(0, kernel[1] // 2))
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="relu")
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]

    def forward(self, value: Tensor) -> Tensor:
        """Return features, rows divided by the stride."""
        features: Tensor = self.convolution(_Wrapped.apply(value, self.rows))
        return features.relu()


class CakeNet(nn.Module):
    """Convolutions whose features are pooled over the azimuth and flattened over ln q.

    Input (n_cakes, 2, n_chi, n_bins): root intensity and mask. Output: space-group logits
    (n_cakes, 230). A turn of the sample about the beam shifts the cake; what is pooled at the end
    (mean, largest value, strength of each harmonic) does not change with it.
    """

    waves: Tensor

    def __init__(self, shape: CakeNetShape) -> None:
        super().__init__()
        self.shape = shape
        c = shape.channels
        self.stem = CircularConvolution(3, c[0], (5, 5), (2, 2))
        self.second = CircularConvolution(c[0], c[1], (5, 3), (2, 2))
        self.third = CircularConvolution(c[1], c[2], (3, 3), (1, 2))
        self.fourth = CircularConvolution(c[2], c[3], (5, 3))
        self.fifth = CircularConvolution(c[3], c[4], (3, 3), (1, 2))
        self.sixth = CircularConvolution(c[4], c[5], (5, 3))
        self.to_waves = nn.Conv2d(c[5], shape.wave_channels, 1)
        n_rows, n_columns = shape.n_chi // 4, -(-shape.n_bins // 16)
        angle = 2 * torch.pi * torch.outer(torch.arange(n_rows), torch.arange(1, shape.n_waves + 1))
        turns = angle / n_rows
        self.register_buffer(
            "waves", torch.cat([turns.cos(), turns.sin()], dim=1) / n_rows, persistent=False
        )
        n_features = n_columns * (2 * c[5] + shape.n_waves * shape.wave_channels)
        self.dense = nn.Linear(n_features, shape.embedding)
        self.space_group = nn.Linear(shape.embedding, N_SPACE_GROUPS)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return space-group logits."""
        logits: Tensor = self.space_group(self.dropout(self.embedding(inputs)))
        return logits

    def embedding(self, inputs: Tensor) -> Tensor:
        """Return what the last layer sees, shape (n_cakes, embedding)."""
        pooled = self.dropout(self.pooled(inputs))
        features: Tensor = self.dense(pooled)
        return features.relu()

    def pooled(self, inputs: Tensor) -> Tensor:
        """Return what does not change with a turn, shape (n_cakes, n_features)."""
        # Roots of roots: weak reflections, and those that are extinct, show.
        root = inputs[:, :1]
        value = torch.cat([inputs, (root + 1e-3).sqrt()], dim=1)
        value = value.contiguous(memory_format=torch.channels_last)
        value = self.stem(value)
        value = self.second(value)
        value = self.third(value)
        value = value + self.fourth(value)
        value = self.fifth(value)
        value = value + self.sixth(value)
        mean, largest = value.mean(dim=2), value.amax(dim=2)
        wave = self.to_waves(value).transpose(2, 3) @ self.waves.to(value.dtype)
        real, imaginary = wave.float().chunk(2, dim=3)
        strength = (real.square() + imaginary.square() + 1e-6).sqrt()
        parts = [mean.float(), largest.float(), strength]
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def n_parameters(self) -> int:
        """Return the number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

