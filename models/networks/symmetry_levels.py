"""Crystal system, Bravais lattice and extinction class as sums over space groups.

There is one set of probabilities, of the 230 space groups; what is coarser is their sum, so the
levels cannot contradict each other.
"""

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystals.extinction_classes import (
    CLASS_OF_SPACE_GROUP,
)
from phasepilot.models.networks.space_groups import crystal_system_index

# Letters of Pearson symbols, in the order of the International Tables.
BRAVAIS_LATTICES = (
    *("aP", "mP", "mS", "oP", "oS", "oF", "oI", "tP", "tI", "hR", "hP", "cP", "cF", "cI"),
)
_PEARSON_SYSTEM = ("a", "m", "o", "t", "h", "h", "c")


def _bravais_of_space_group() -> IntArray:
    indices = []
    for number in range(1, 231):
        centring = gemmi.get_spacegroup_reference_setting(number).hm[0]
        system = _PEARSON_SYSTEM[int(crystal_system_index(np.array([number]))[0])]
        letter = "S" if centring in "ABC" else centring
        indices.append(BRAVAIS_LATTICES.index(system + letter))
    return np.array(indices)


# Index of the class of space group number k + 1 at each level, shape (230,).
SYSTEM_OF_SPACE_GROUP = crystal_system_index(np.arange(1, 231))
BRAVAIS_OF_SPACE_GROUP = _bravais_of_space_group()
EXTINCTION_OF_SPACE_GROUP = CLASS_OF_SPACE_GROUP


def membership(class_of_space_group: IntArray) -> FloatArray:
    """Return the matrix that sums space groups into classes, shape (230, n_classes).

    Examples
    --------
    >>> membership(SYSTEM_OF_SPACE_GROUP).sum(axis=0).astype(int)
    array([ 2, 13, 59, 68, 25, 27, 36])
    """
    return np.eye(int(class_of_space_group.max()) + 1)[class_of_space_group]


_TO_SYSTEM = membership(SYSTEM_OF_SPACE_GROUP)
_TO_BRAVAIS = membership(BRAVAIS_OF_SPACE_GROUP)
_TO_EXTINCTION = membership(EXTINCTION_OF_SPACE_GROUP)


def crystal_system_probabilities(space_group_probabilities: FloatArray) -> FloatArray:
    """Return the probabilities of the 7 crystal systems, shape (..., 7), from (..., 230)."""
    return np.asarray(space_group_probabilities @ _TO_SYSTEM)


def bravais_probabilities(space_group_probabilities: FloatArray) -> FloatArray:
    """Return the probabilities of the 14 Bravais lattices, shape (..., 14), from (..., 230)."""
    return np.asarray(space_group_probabilities @ _TO_BRAVAIS)


def extinction_probabilities(space_group_probabilities: FloatArray) -> FloatArray:
    """Return the probabilities of the 97 extinction classes, shape (..., 97), from (..., 230)."""
    return np.asarray(space_group_probabilities @ _TO_EXTINCTION)
