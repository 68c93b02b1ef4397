"""What training minimises: cross entropies of the space group and of what it belongs to."""

import torch
from torch import Tensor, nn

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.networks.symmetry_levels import (
    BRAVAIS_OF_SPACE_GROUP,
    EXTINCTION_OF_SPACE_GROUP,
    SYSTEM_OF_SPACE_GROUP,
)
from phasepilot.models.training.configuration import LossConfiguration


class HierarchicalLoss(nn.Module):
    """The weighted sum of cross entropies at four levels, from one set of space-group logits.

    The probability of a class is the sum over its space groups, so that its cross entropy is a
    log-sum-exp over them. A wrong answer in the right extinction class costs less than one in a
    wrong crystal system.

    Parameters
    ----------
    weights : LossConfiguration
    logit_offset : ndarray, shape (230,), optional
        Added to the logits here, and not where the network is used: with the logarithm of how
        often each class is drawn, the network itself answers as if all were equally common.

    References
    ----------
    Logit adjustment: Menon et al., ICLR 2021, arXiv:2007.07314, equation 10.

    Examples
    --------
    >>> level = LossConfiguration(extinction_class=0, bravais_lattice=0, crystal_system=0)
    >>> float(HierarchicalLoss(level)(torch.zeros(1, 230), torch.tensor([0])).exp().round())
    230.0
    """

    logit_offset: Tensor

    def __init__(self, weights: LossConfiguration, logit_offset: FloatArray | None = None) -> None:
        super().__init__()
        self._weights = weights
        offset = torch.zeros(230) if logit_offset is None else torch.tensor(logit_offset)
        self.register_buffer("logit_offset", offset.float())
        self._levels: list[tuple[float, str]] = []
        for name, weight, class_of_space_group in (
            ("extinction", weights.extinction_class, EXTINCTION_OF_SPACE_GROUP),
            ("bravais", weights.bravais_lattice, BRAVAIS_OF_SPACE_GROUP),
            ("system", weights.crystal_system, SYSTEM_OF_SPACE_GROUP),
        ):
            if weight:
                self._levels.append((weight, name))
                self.register_buffer(name, _is_elsewhere(class_of_space_group))

    def forward(self, logits: Tensor, space_group_index: Tensor) -> Tensor:
        """Return the mean loss of logits (n_patterns, 230) for the true groups (n_patterns,)."""
        log_p = (logits.float() + self.logit_offset).log_softmax(dim=1)
        smoothing = self._weights.label_smoothing
        loss = self._weights.space_group * nn.functional.cross_entropy(
            log_p, space_group_index, label_smoothing=smoothing
        )
        for weight, name in self._levels:
            is_elsewhere = self.get_buffer(name)[space_group_index]
            within_class = log_p.masked_fill(is_elsewhere, -torch.inf).logsumexp(dim=1)
            loss = loss - weight * within_class.mean()
        return loss


def _is_elsewhere(class_of_space_group: IntArray) -> Tensor:
    """Return for each pair of space groups whether they are of different classes, (230, 230)."""
    return torch.tensor(class_of_space_group[:, None] != class_of_space_group[None, :])
