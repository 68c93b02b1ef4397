"""The network that a training configuration asks for, untrained."""

from torch import nn

from phasepilot.models.networks.pilot_net import PilotNet, PilotNetShape
from phasepilot.models.networks.reference_networks import reference_network
from phasepilot.models.training.configuration import FLAGSHIP, TrainingConfiguration


def create_network(configuration: TrainingConfiguration) -> nn.Module:
    """Return a module from inputs (n_patterns, 2, n_bins) to space-group logits (n_patterns, 230).

    Raises
    ------
    UnknownModelError
        If there is no network of that kind.
    """
    n_bins = configuration.preprocessing.grid.n_bins
    if configuration.network.kind != FLAGSHIP:
        return reference_network(configuration.network.kind, n_bins=n_bins)
    sizes = configuration.network.sizes
    return PilotNet(
        PilotNetShape(
            n_bins, sizes.channels, sizes.kernels, sizes.strides, sizes.dense, sizes.dropout
        )
    )


def n_parameters(network: nn.Module) -> int:
    """Return the number of trained numbers.

    Examples
    --------
    >>> n_parameters(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in network.parameters())
