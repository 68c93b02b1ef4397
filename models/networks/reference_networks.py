"""The papers' networks by name: what ours is measured against, at their full width."""

import difflib
from collections.abc import Callable

from torch import nn

from phasepilot.models.errors import TrainingError, UnknownModelError
from phasepilot.models.networks.acnn import Acnn
from phasepilot.models.networks.b_vggnet import BVggNet
from phasepilot.models.networks.mlp import Mlp
from phasepilot.models.networks.npcnn import Npcnn
from phasepilot.models.networks.scnn import Scnn
from phasepilot.models.networks.tio2_cnn import Tio2Cnn

# From number of bins, channels and classes.
_NETWORKS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "acnn": lambda _, n_channels, n_classes: Acnn(n_channels, n_classes),
    "b-vggnet": BVggNet,
    "mlp": Mlp,
    "npcnn": Npcnn,
    "scnn": Scnn,
    "tio2-cnn": Tio2Cnn,
}
REFERENCE_NETWORKS = tuple(_NETWORKS)

# On fewer the last pooling of the SCNN would have nothing to average.
MIN_BINS = 2100


def reference_network(
    name: str, *, n_bins: int, n_channels: int = 2, n_classes: int = 230
) -> nn.Module:
    """Return an untrained network as its paper describes it.

    Parameters
    ----------
    name : str
        One of `REFERENCE_NETWORKS`.
    n_bins : int
        Points of a pattern; the papers' kernels are counted in points of theirs, 0.01 degree
        (Salgado, the post on TiO2) or 0.04 degree (Oviedo) apart.

    Returns
    -------
    torch.nn.Module
        From inputs (n_patterns, n_channels, n_bins) to logits (n_patterns, n_classes).

    Raises
    ------
    UnknownModelError
        If there is no such network.
    TrainingError
        If patterns are shorter than `MIN_BINS`.

    Examples
    --------
    >>> network = reference_network("acnn", n_bins=4096)
    >>> sum(parameter.numel() for parameter in network.parameters())
    16390
    """
    if name not in _NETWORKS:
        near = difflib.get_close_matches(name, _NETWORKS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownModelError(
            f"a reference network must be one of {list(_NETWORKS)}, but is {name!r}.{hint}"
        )
    if n_bins < MIN_BINS:
        raise TrainingError(
            f"a reference network needs patterns of at least {MIN_BINS} bins for its kernels, but"
            f" n_bins is {n_bins}; use a finer grid."
        )
    return _NETWORKS[name](n_bins, n_channels, n_classes)
