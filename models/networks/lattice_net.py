"""The network that names space groups from the lattice features of spot patterns."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from phasepilot.models.preprocessing.lattice_features import N_FEATURES

N_SPACE_GROUPS = 230
# Of each layer but the last; 1.4 million parameters with these.
WIDTHS = (768, 768, 512)
# Features are clipped at this many standard deviations: a few have long tails.
CLIPPED_AT = 6.0


class LatticeNet(nn.Module):
    """Dense layers on standardised features; logits of space groups, shape (n_patterns, 230).

    Parameters
    ----------
    widths : tuple of int
        Of the hidden layers.
    dropout : float
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, widths: tuple[int, ...] = WIDTHS, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("scale", torch.ones(N_FEATURES))
        sizes = (N_FEATURES, *widths, N_SPACE_GROUPS)
        self.layers = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)

    def standardise_by(self, features: Tensor) -> None:
        """Take mean and standard deviation from features of many patterns."""
        self.mean.copy_(features.mean(dim=0))
        # A feature that hardly varies in these must not be blown up in others.
        self.scale.copy_(features.std(dim=0).clamp(min=0.02))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of features of shape (n_patterns, N_FEATURES)."""
        value = ((features - self.mean) / self.scale).clamp(-CLIPPED_AT, CLIPPED_AT)
        for layer in self.layers[:-1]:
            value = self.dropout(torch.relu(layer(value)))
        logits: Tensor = self.layers[-1](value)
        return logits
