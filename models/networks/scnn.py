"""The standard convolutional network (SCNN) of Salgado et al.: the NPCNN with average pooling."""

from torch import Tensor, nn

from phasepilot.models.networks.npcnn import (
    CHANNELS,
    CONVOLUTION_DROPOUT,
    KERNELS,
    STRIDES,
    dense_classifier,
    n_features,
)

POOLING_KERNEL = 3
POOLING_STRIDES = (2, 1, 1)


class Scnn(nn.Module):
    """Three strided convolutions, each averaged over neighbours, and three dense layers.

    Input (n_patterns, n_channels, n_bins), output logits (n_patterns, n_classes). `narrower_by`
    divides the widths, as in `Npcnn`.

    The pooling strides are those of the text. The authors' program leaves out the last two, which
    torch takes as 3; and it pools after the dropout, an order that the text leaves open.

    References
    ----------
    Salgado et al., npj Comput. Mater. 9, 214 (2023), section "Deep learning architecture": "3
    convolutional layers with output channels [80, 80, 80], kernel sizes [100, 50, 25], strides
    [5, 5, 2], and no padding. [...] following each convolutional layer is a dropout probability of
    30% [...] we include an average pooling layer after each convolution with kernel sizes [3, 3, 3]
    and strides [2, 1, 1]."
    """

    def __init__(self, n_bins: int, n_channels: int, n_classes: int, narrower_by: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in, n_out = n_channels, CHANNELS // narrower_by
        for kernel, stride, pooling in zip(KERNELS, STRIDES, POOLING_STRIDES, strict=True):
            layers += [nn.Conv1d(n_in, n_out, kernel, stride), nn.ReLU()]
            layers += [nn.Dropout(CONVOLUTION_DROPOUT), nn.AvgPool1d(POOLING_KERNEL, pooling)]
            n_in = n_out
        self.convolutions = nn.Sequential(*layers)
        self.classifier = dense_classifier(
            n_features(self.convolutions, n_channels, n_bins), n_classes, narrower_by
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of the classes."""
        logits: Tensor = self.classifier(self.convolutions(inputs))
        return logits
