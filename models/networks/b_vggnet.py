"""The B-VGGNet of the perovskite paper: a VGG network for patterns, its dense layers Bayesian."""

import torch
from torch import Tensor, nn

# Of four blocks: filters, and convolutions in each.
CHANNELS = (64, 128, 256, 512)
N_CONVOLUTIONS = (2, 2, 3, 3)
DENSE = 512
DROPOUT = 0.5
# Standard deviation of a weight before training: softplus of this.
_RHO = -5.0


class BVggNet(nn.Module):
    """Four blocks of convolutions of three points with max pooling, and two dense layers.

    Input (n_patterns, n_channels, n_bins), output logits (n_patterns, n_classes). The dense layers
    see their input through dropout, as for Monte Carlo dropout; `plain` has none of it (for
    Laplace) and `variational` a normal distribution over each of their weights.

    Widths that the paper does not give are those of VGG, and 512 for the dense layer, each divided
    by `narrower_by`.

    References
    ----------
    npj Comput. Mater. (2025), doi:10.1038/s41524-025-01743-x, section "B-VGG model construction";
    layers as in the authors' code (LinaZhaoAIGroup/B-VGGNet, Model/B-VGGNet1.py to 3.py).
    """

    def __init__(self, n_bins: int, n_channels: int, n_classes: int, narrower_by: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = n_channels
        for channels, n_convolutions in zip(CHANNELS, N_CONVOLUTIONS, strict=True):
            n_out = channels // narrower_by
            for _ in range(n_convolutions):
                layers += [nn.Conv1d(n_in, n_out, 3, padding=1), nn.ReLU()]
                n_in = n_out
            layers.append(nn.MaxPool1d(2))
        self.convolutions = nn.Sequential(*layers)
        n_features = n_in * (n_bins >> len(CHANNELS))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(DROPOUT),
            nn.Linear(n_features, DENSE // narrower_by),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(DENSE // narrower_by, n_classes),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                # Without normalisation, ten layers of torch's default pass on almost nothing.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of the classes."""
        logits: Tensor = self.classifier(self.convolutions(inputs))
        return logits

    def plain(self) -> "BVggNet":
        """Return the network without dropout."""
        for layer in self.classifier:
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        return self

    def variational(self) -> "BVggNet":
        """Return the network with normally distributed weights in its dense layers, no dropout."""
        self.plain()
        for place, layer in enumerate(self.classifier):
            if isinstance(layer, nn.Linear):
                self.classifier[place] = VariationalLinear(layer)
        return self


class VariationalLinear(nn.Module):
    """A dense layer whose weights are drawn anew, each from a normal distribution, at every pass.

    References
    ----------
    Blundell et al., ICML 2015, arXiv:1505.05424, sections 3.2 and 3.3; a standard normal prior.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.bias = nn.Parameter(layer.bias.detach().clone())
        self.weight_rho = nn.Parameter(torch.full_like(self.weight, _RHO))
        self.bias_rho = nn.Parameter(torch.full_like(self.bias, _RHO))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layer's output for weights that are drawn now."""
        weight, bias = (
            mean + nn.functional.softplus(rho) * torch.randn_like(rho)
            for mean, rho in ((self.weight, self.weight_rho), (self.bias, self.bias_rho))
        )
        return nn.functional.linear(inputs, weight, bias)

    def divergence(self) -> Tensor:
        """Return the Kullback-Leibler divergence of the weights from their prior."""
        total = torch.zeros(())
        for mean, rho in ((self.weight, self.weight_rho), (self.bias, self.bias_rho)):
            sigma = nn.functional.softplus(rho)
            total = total + (0.5 * (sigma**2 + mean**2 - 1) - torch.log(sigma)).sum()
        return total


def divergence(network: nn.Module) -> Tensor:
    """Return the divergence of all variational layers of a network."""
    layers = [layer for layer in network.modules() if isinstance(layer, VariationalLinear)]
    return torch.stack([layer.divergence() for layer in layers]).sum()
