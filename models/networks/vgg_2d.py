"""The two-dimensional convolutional network of the Auto Diffraction Pipeline paper, VGG-like."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

# The paper's full size: 321 x 322 pixels, 856 million parameters in the dense layers.
FULL_CHANNELS = (64, 128, 256, 512)
FULL_DENSE = 4096
FULL_IMAGE = (321, 322)
N_SPACE_GROUPS = 230
N_CRYSTAL_SYSTEMS = 7
# Spot patterns are black but for a few pixels: on average 0.02 of 0 to 1.
_INPUT_SCALE = 8.0


@dataclass(frozen=True, slots=True)
class VggShape:
    """Sizes of the network.

    Attributes
    ----------
    channels : tuple of int
        Of the four blocks.
    dense : int
        Neurons of each of the two dense layers.
    image : tuple of int
        Rows and columns.
    n_convolutions : tuple of int
        In each block. "Each block consists of multiple convolution layers": the number is ours, the
        smallest that is more than one.
    """

    channels: tuple[int, ...] = FULL_CHANNELS
    dense: int = FULL_DENSE
    image: tuple[int, int] = FULL_IMAGE
    n_convolutions: tuple[int, ...] = (2, 2, 2, 2)


class Vgg2d(nn.Module):
    """Four blocks of 3 x 3 convolutions with max pooling, two dense layers, two heads.

    Input (n_images, 1, rows, columns); output logits of the space groups, (n_images, 230), and of
    the crystal systems, (n_images, 7).

    References
    ----------
    Machine learning approaches for crystallographic classification from synthetic 2D X-ray
    diffraction data, J. Appl. Cryst. (2026), doi:10.1107/S1600576726000099, section 2.3: "In the
    convolution backbone, there are four blocks [...] kernel with a size of 3 x 3 [...] channels
    consistently from 64 to 512. There is a pooling layer after each convolution block [...] we use
    two layers for feature extraction, each of which consists of 4096 hidden neurons. We have two
    classification heads". ReLU and the absence of dropout and normalisation are our reading.
    """

    def __init__(self, shape: VggShape) -> None:
        super().__init__()
        self.shape = shape
        layers: list[nn.Module] = []
        n_in = 1
        for n_out, n_convolutions in zip(shape.channels, shape.n_convolutions, strict=True):
            for _ in range(n_convolutions):
                layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(inplace=True)]
                n_in = n_out
            # The largest of four is the same before and after ReLU, which costs a quarter after.
            layers.insert(-1, nn.MaxPool2d(2))
        self.convolutions = nn.Sequential(*layers)
        rows, columns = (size >> len(shape.channels) for size in shape.image)
        self.dense = nn.Sequential(
            nn.Linear(n_in * rows * columns, shape.dense),
            nn.ReLU(inplace=True),
            nn.Linear(shape.dense, shape.dense),
            nn.ReLU(inplace=True),
        )
        self.space_group = nn.Linear(shape.dense, N_SPACE_GROUPS)
        self.crystal_system = nn.Linear(shape.dense, N_CRYSTAL_SYSTEMS)
        for layer in (*self.convolutions, *self.dense):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # Without normalisation, ten layers of torch's default pass on almost nothing.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of the space groups and of the crystal systems."""
        features = self.dense(torch.flatten(self.convolutions(_INPUT_SCALE * images), start_dim=1))
        return self.space_group(features), self.crystal_system(features)
