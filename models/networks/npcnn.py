"""The no-pooling convolutional network (NPCNN) of Salgado et al.: it keeps the order of lines."""

import torch
from torch import Tensor, nn

CHANNELS = 80
KERNELS = (100, 50, 25)
STRIDES = (5, 5, 2)
CONVOLUTION_DROPOUT = 0.3
DENSE = (2300, 1150)
DENSE_DROPOUT = 0.5


class Npcnn(nn.Module):
    """Three strided convolutions and three dense layers.

    Input (n_patterns, n_channels, n_bins), output logits (n_patterns, n_classes). At 8500 points
    of one channel, as in the paper, the dense layers are 12160-2300-1150-n_classes.

    The paper trains one network for 7 and another for 230 classes. `narrower_by` divides its
    widths, for trials on small machines; the paper's are at 1.

    References
    ----------
    Salgado et al., npj Comput. Mater. 9, 214 (2023), section "Deep learning architecture":
    "3 convolutional layers, with output channels [80, 80, 80], kernel sizes [100, 50, 25], and
    strides [5,5,2]. After each convolutional layer, there is a dropout probability of 30% and the
    average pooling layers are removed. The feature map is flattened and processed by the same
    3-layer MLP featured in the SCNN", that is "output dimensions [2300, 1150, number of classes]
    and dropout probability of 50% during training after each ReLU activation".
    """

    def __init__(self, n_bins: int, n_channels: int, n_classes: int, narrower_by: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in, n_out = n_channels, CHANNELS // narrower_by
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            layers += [nn.Conv1d(n_in, n_out, kernel, stride), nn.ReLU()]
            layers.append(nn.Dropout(CONVOLUTION_DROPOUT))
            n_in = n_out
        self.convolutions = nn.Sequential(*layers)
        self.classifier = dense_classifier(
            n_features(self.convolutions, n_channels, n_bins), n_classes, narrower_by
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of the classes."""
        logits: Tensor = self.classifier(self.convolutions(inputs))
        return logits


def dense_classifier(n_inputs: int, n_classes: int, narrower_by: int = 1) -> nn.Sequential:
    """Return the dense layers that NPCNN and SCNN share.

    The paper calls all three rectified; the last one gives logits to the softmax and is not.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for full_width in DENSE:
        width = full_width // narrower_by
        layers += [nn.Linear(n_inputs, width), nn.ReLU(), nn.Dropout(DENSE_DROPOUT)]
        n_inputs = width
    return nn.Sequential(*layers, nn.Linear(n_inputs, n_classes))


def n_features(convolutions: nn.Sequential, n_channels: int, n_bins: int) -> int:
    """Return how many numbers the convolutions give for a pattern."""
    with torch.no_grad():
        return int(convolutions(torch.zeros(1, n_channels, n_bins)).numel())
