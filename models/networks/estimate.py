"""What a network says about one pattern, with how sure it is."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.networks.space_groups import crystal_system_index
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

_SYSTEM_OF_GROUP = crystal_system_index(np.arange(1, 231))
_FIRST_OF_SYSTEM = np.searchsorted(_SYSTEM_OF_GROUP, np.arange(len(CRYSTAL_SYSTEMS)))


@dataclass(frozen=True, slots=True)
class PhaseEstimate:
    """Probabilities of one pattern's symmetry.

    Attributes
    ----------
    crystal_system_probabilities : ndarray, shape (7,)
        In the order of `CRYSTAL_SYSTEMS`.
    space_group_probabilities : ndarray, shape (230,)
        Of space groups 1 to 230; those of a crystal system sum to that system's probability.
    crystal_system_set : tuple of str
        Systems that together hold the true one at the level `set_level`, for patterns like those
        that calibrated the network; most probable first.
    novelty : float
        Share of the calibration patterns that look more familiar to the network, 0 to 1.
    entropy : float
        Of the crystal systems, in nat; ln 7 = 1.95 when nothing is known.
    """

    crystal_system_probabilities: FloatArray
    space_group_probabilities: FloatArray
    crystal_system_set: tuple[str, ...]
    set_level: float
    novelty: float
    entropy: float

    @property
    def crystal_system(self) -> str:
        """The most probable crystal system."""
        return CRYSTAL_SYSTEMS[int(self.crystal_system_probabilities.argmax())]

    @property
    def space_group_number(self) -> int:
        """The most probable space group.

        It need not belong to the most probable crystal system, whose probability may be spread
        over many groups.
        """
        return int(self.space_group_probabilities.argmax()) + 1

    def top_space_groups(self, n_groups: int) -> list[tuple[int, float]]:
        """Return the most probable space groups and their probabilities."""
        order = np.argsort(-self.space_group_probabilities, kind="stable")[:n_groups]
        return [(int(k) + 1, float(self.space_group_probabilities[k])) for k in order]


def combine_heads(
    system_probabilities: FloatArray, group_probabilities: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return system and space-group probabilities that do not contradict each other.

    Both heads speak of the crystal system; the geometric mean of the two is taken, and space
    groups share out what their system has. Shapes (n, 7) and (n, 230) in and out.
    """
    # Space groups are numbered by crystal system, so each system is one stretch of columns.
    summed = np.add.reduceat(group_probabilities, _FIRST_OF_SYSTEM, axis=1)
    joint = np.sqrt(system_probabilities * summed)
    joint /= joint.sum(axis=1, keepdims=True)
    share = joint / np.maximum(summed, 1e-300)
    return joint, group_probabilities * share[:, _SYSTEM_OF_GROUP]
