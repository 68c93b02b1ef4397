"""Space groups by number: their crystal system and symbol."""

from functools import cache

import gemmi
import numpy as np

from phasepilot.models.arrays import IntArray
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

# First space group of each crystal system (International Tables A), in the order of
# CRYSTAL_SYSTEMS.
_FIRST_NUMBERS = np.array([1, 3, 16, 75, 143, 168, 195])


def crystal_system_index(space_group_number: IntArray) -> IntArray:
    """Return the index into `CRYSTAL_SYSTEMS` of each space group number, 1 to 230.

    Examples
    --------
    >>> crystal_system_index(np.array([2, 167, 225]))
    array([0, 4, 6])
    """
    return np.asarray(np.searchsorted(_FIRST_NUMBERS, space_group_number, side="right") - 1)


def crystal_system_of(space_group_number: int) -> str:
    """Return the crystal system of a space group.

    Examples
    --------
    >>> crystal_system_of(62)
    'orthorhombic'
    """
    return CRYSTAL_SYSTEMS[int(crystal_system_index(np.array([space_group_number]))[0])]


@cache
def space_group_symbol(space_group_number: int) -> str:
    """Return the Hermann-Mauguin symbol of the reference setting.

    Examples
    --------
    >>> space_group_symbol(225)
    'F m -3 m'
    """
    return str(gemmi.get_spacegroup_reference_setting(space_group_number).hm)
