"""The multi-layer perceptron (MLP) of Salgado et al.: every layer sees the whole pattern."""

from torch import Tensor, nn

WIDTHS = (4000, 3000, 1000, 800)
DROPOUTS = (0.6, 0.5, 0.4, 0.3)


class Mlp(nn.Module):
    """Five dense layers.

    Input (n_patterns, n_channels, n_bins), output logits (n_patterns, n_classes). `narrower_by`
    divides the widths, as in `Npcnn`.

    References
    ----------
    Salgado et al., npj Comput. Mater. 9, 214 (2023), section "Deep learning architecture": "5
    ReLU-activated layers with output dimensions [4000, 3000, 1000, 800, number of classes] and
    dropout probabilities of [60%, 50%, 40%, 30%] after each ReLU activation during training". The
    last layer gives logits to the softmax and is not rectified.
    """

    def __init__(self, n_bins: int, n_channels: int, n_classes: int, narrower_by: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        n_in = n_channels * n_bins
        for full_width, dropout in zip(WIDTHS, DROPOUTS, strict=True):
            width = full_width // narrower_by
            layers += [nn.Linear(n_in, width), nn.ReLU(), nn.Dropout(dropout)]
            n_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(n_in, n_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of the classes."""
        logits: Tensor = self.layers(inputs)
        return logits
