"""The network that tells a pattern of two phases from one of a single phase."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from phasepilot.models.errors import WeightsError
from phasepilot.models.networks.model_card import ModelCard
from phasepilot.models.networks.pilot_net import PilotNetShape, strided_body

_DENSE = (96,)


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
            f"a network that tells mixtures takes over the convolutions of a PilotNet, but the card"
            f" of {card.name} does not say its {', '.join(names)}; give the card of a PilotNet."
        )
    return PilotNetShape(card.n_bins, *(tuple(size) for size in sizes))


class MixtureNet(nn.Module):
    """The convolutions of `PilotNet`, one narrow dense layer, and one logit.

    Input (n_patterns, 2, n_bins) as for `PilotNet`. Output (n_patterns, 1): the logit of the
    probability that two phases share the sample evenly, among as many patterns of single phases.

    Parameters
    ----------
    shape : PilotNetShape
        Of the network beside which it works; its dense layers are not used.
    """

    def __init__(self, shape: PilotNetShape) -> None:
        super().__init__()
        self.shape = replace(shape, dense=_DENSE)
        self.body, n_features = strided_body(self.shape)
        self.mixture = nn.Linear(n_features, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.mixture(self.body(inputs))
        return logits

    def start_from(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take over the convolutions of a trained `PilotNet` of the same shape."""
        own = self.state_dict()
        n_layers = 2 * len(self.shape.channels)
        names = [
            name for name in own if name.startswith("body.") and int(name.split(".")[1]) < n_layers
        ]
        self.load_state_dict(own | {name: state_dict[name] for name in names})
