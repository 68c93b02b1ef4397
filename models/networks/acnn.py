"""The all-convolutional network (a-CNN) of Oviedo et al.: what lies in a pattern, anywhere."""

from torch import Tensor, nn

FILTERS = 32
# Each is the kernel of a layer and its stride: neighbouring outputs share no point.
STEPS = (8, 5, 3)


class Acnn(nn.Module):
    """Three convolutions, the average of each filter over the pattern, and one dense layer.

    Input (n_patterns, n_channels, any number of bins), output logits (n_patterns, n_classes).

    The text says nothing of padding: there is none, so that up to 119 bins at the end are not
    seen; and names no rectifier after the last convolution: there is one, as between layers.

    References
    ----------
    Oviedo et al., npj Comput. Mater. 5, 60 (2019), Results and Discussion: "three 1D
    convolutional layers, with 32 filters each, and strides and kernel sizes of 8, 5, and 3 units,
    respectively. The activation function between layers is ReLu. A global average pooling layer
    (acting as a weak regularizer) and a final dense layer with softmax activation is used."
    """

    def __init__(self, n_channels: int, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = n_channels
        for step in STEPS:
            layers += [nn.Conv1d(n_in, FILTERS, step, step), nn.ReLU()]
            n_in = FILTERS
        self.convolutions = nn.Sequential(*layers)
        self.class_layer = nn.Linear(FILTERS, n_classes)
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), self.class_layer)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of the classes.

        Strides are as long as kernels, so that each layer is one product of matrices: the same as
        ``classifier(convolutions(inputs))``, at a fraction of the time.
        """
        maps = inputs.transpose(1, 2)
        for layer in self.convolutions:
            maps = _of_blocks(layer, maps) if isinstance(layer, nn.Conv1d) else layer(maps)
        logits: Tensor = self.class_layer(maps.mean(dim=1))
        return logits


def _of_blocks(layer: nn.Conv1d, maps: Tensor) -> Tensor:
    """Return a layer's maps from maps, both of shape (n_patterns, n_places, n_filters)."""
    (step,) = layer.kernel_size
    n_patterns, n_places, n_filters = maps.shape
    n_blocks = n_places // step
    blocks = maps[:, : n_blocks * step].reshape(n_patterns, n_blocks, step * n_filters)
    weight = layer.weight.transpose(1, 2).reshape(layer.out_channels, -1)
    return nn.functional.linear(blocks, weight, layer.bias)
