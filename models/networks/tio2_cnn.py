"""The network of the post on titanium oxides: three convolutions with pooling, two dense layers."""

from torch import Tensor, nn

FILTERS = 16
KERNELS = (35, 25, 15)
HIDDEN = 50


class Tio2Cnn(nn.Module):
    """Three convolutions of 16 filters, each pooled by its maximum, and two dense layers.

    Input (n_patterns, n_channels, n_bins), output logits (n_patterns, n_classes). The post has 8501
    points of one channel and five classes.

    References
    ----------
    Schuetzke, "Training a neural network for the classification of TiO2 XRD patterns", `get_cnn`:
    16 filters of 35, 25 and 15 points with `padding="same"`, each followed by a rectifier and
    `MaxPool1D()`, which halves; a dense layer of 50 and the output layer.
    """

    def __init__(self, n_bins: int, n_channels: int, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = n_channels
        for kernel in KERNELS:
            layers += [nn.Conv1d(n_in, FILTERS, kernel, padding="same"), nn.ReLU()]
            layers += [nn.MaxPool1d(2)]
            n_in = FILTERS
        self.convolutions = nn.Sequential(*layers)
        n_features = FILTERS * (n_bins // 2 // 2 // 2)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(n_features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, n_classes)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of the classes."""
        logits: Tensor = self.classifier(self.convolutions(inputs))
        return logits
