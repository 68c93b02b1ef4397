"""The network that tells patterns that are not of one phase, measured at the wavelength stated."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from phasepilot.models.errors import WeightsError
from phasepilot.models.networks.model_card import ModelCard
from phasepilot.models.networks.pilot_net import N_SPACE_GROUPS, PilotNetShape, strided_body

_DENSE = (96,)
_N_HIDDEN = 64


class NoveltyNet(nn.Module):
    """Convolutions like those of a `PilotNet`, joined with what that network says.

    Input (n_patterns, 2, n_bins) as for the `PilotNet`, and (n_patterns, n_said) of
    `phasepilot.models.networks.network_session.NetworkOutputs.said`. Output (n_patterns, 1): the
    logarithm of odds that two phases share the sample evenly, or that all lines are misplaced, as
    those of a wrong wavelength are, against a usual pattern.

    Parameters
    ----------
    shape : PilotNetShape
        Of the `PilotNet`.
    """

    said_mean: Tensor
    said_scale: Tensor

    def __init__(self, shape: PilotNetShape) -> None:
        super().__init__()
        self.shape = replace(shape, dense=_DENSE)
        self.body, n_features = strided_body(self.shape)
        n_said = shape.dense[-1] + N_SPACE_GROUPS
        self.register_buffer("said_mean", torch.zeros(n_said))
        self.register_buffer("said_scale", torch.ones(n_said))
        self.misplaced = nn.Linear(n_said, 1)
        self.direct = nn.Linear(n_features + n_said, 1)
        self.hidden = nn.Linear(n_features + n_said, _N_HIDDEN)
        self.mixture = nn.Linear(_N_HIDDEN, 1)

    def forward(self, inputs: Tensor, said: Tensor) -> Tensor:
        """Return the logarithm of odds."""
        either = [self.mixture_logit(inputs, said), self.misplaced_logit(said)]
        return torch.logsumexp(torch.cat(either, dim=1), dim=1, keepdim=True)

    def mixture_logit(self, inputs: Tensor, said: Tensor) -> Tensor:
        """Return the logits of mixtures among as many usual patterns, shape (n_patterns, 1)."""
        joined = torch.cat([self.body(inputs), self._scaled(said)], dim=1)
        logits: Tensor = self.direct(joined) + self.mixture(self.hidden(joined).relu())
        return logits

    def misplaced_logit(self, said: Tensor) -> Tensor:
        """Return the logits of misplaced lines, a fifth as common as mixtures: (n_patterns, 1)."""
        logits: Tensor = self.misplaced(self._scaled(said))
        return logits

    def _scaled(self, said: Tensor) -> Tensor:
        return (said - self.said_mean) / self.said_scale

    def start_from(self, state_dict: Mapping[str, Tensor], said: Tensor) -> None:
        """Take over the convolutions of the trained `PilotNet`, and scale what it says.

        Parameters
        ----------
        state_dict : mapping
            Of the `PilotNet`.
        said : Tensor, shape (n_patterns, n_said)
            Of some patterns.
        """
        n_layers = 2 * len(self.shape.channels)
        own = self.state_dict()
        taken = [name for name in own if _layer_of_body(name) < n_layers]
        scale = {"said_mean": said.mean(dim=0), "said_scale": said.std(dim=0) + 0.01}
        self.load_state_dict(own | {name: state_dict[name] for name in taken} | scale)


def _layer_of_body(name: str) -> float:
    place = name.split(".")
    return int(place[1]) if place[0] == "body" else float("inf")


def body_shape(card: ModelCard) -> PilotNetShape:
    """Return the shape of the network that a card describes.

    Raises
    ------
    WeightsError
        If it is no `PilotNet`.
    """
    names = ("channels", "kernels", "strides", "dense")
    sizes = [card.training.get(name) for name in names]
    if not all(isinstance(size, list) for size in sizes):
        raise WeightsError(
            "a network that tells mixtures takes over the convolutions of a PilotNet, but the card"
            f" of {card.name} does not say its {', '.join(names)}; give the card of a PilotNet."
        )
    channels, kernels, strides, dense = (tuple(size) for size in sizes if isinstance(size, list))
    return PilotNetShape(card.n_bins, channels, kernels, strides, dense)
