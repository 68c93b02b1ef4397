"""Space-group settings: which operations a Hall number stands for, and the one setting we keep to.

A setting is named by its Hall number, 1 to 530, the row of International Tables B, table A1.4.2.7;
spglib and gemmi count the same way. The standard setting of a space group is the first of its Hall
numbers: unique axis b, cell choice 1; origin choice 1; hexagonal axes for rhombohedral groups.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import CrystalError

N_HALL_NUMBERS = 530
N_SPACE_GROUPS = 230


@dataclass(frozen=True)
class Setting:
    """A space group with its axes and origin chosen.

    Attributes
    ----------
    hall_number, space_group_number : int
    symbol : str
        Hermann-Mauguin symbol with the axes or origin as gemmi writes them, e.g. ``F d -3 m:1``.
    rotations : ndarray, shape (n_operations, 3, 3)
        Matrices W of x' = W x + w, in fractions of the cell; centring translations included.
    translations : ndarray, shape (n_operations, 3)
    """

    hall_number: int
    space_group_number: int
    symbol: str
    rotations: FloatArray
    translations: FloatArray

    @property
    def gemmi(self) -> gemmi.SpaceGroup:
        """The same setting as gemmi holds it."""
        return _gemmi_group(self.hall_number)

    @property
    def crystal_system(self) -> str:
        """One of `phasepilot.models.suggestion.CRYSTAL_SYSTEMS`."""
        return str(self.gemmi.crystal_system_str())

    @cached_property
    def laue_rotations(self) -> IntArray:
        """Rotations that hkl (as a row, h W) may be turned by, one of each Friedel pair.

        Shape (n_rotations, 3, 3), n_rotations half the order of the Laue class. Powder lines of
        one family are hkl times these, with either sign.
        """
        distinct = np.unique(np.round(self.rotations).astype(np.int64), axis=0)
        both = np.unique(np.concatenate([distinct, -distinct]), axis=0)
        # Unique rows come sorted, so that the opposite of row k is row -1 - k.
        return np.ascontiguousarray(both[both.shape[0] // 2 :])


@cache
def setting(hall_number: int) -> Setting:
    """Return the setting of that Hall number.

    Raises
    ------
    CrystalError
        If the number is not from 1 to 530.

    Examples
    --------
    >>> rock_salt = setting(523)
    >>> rock_salt.symbol, rock_salt.space_group_number, len(rock_salt.rotations)
    ('F m -3 m', 225, 192)
    """
    if not 1 <= hall_number <= N_HALL_NUMBERS:
        raise CrystalError(
            f"hall_number must be a Hall number from 1 to {N_HALL_NUMBERS}, but is {hall_number};"
            " count the settings as spglib does."
        )
    group = _gemmi_group(hall_number)
    operations = list(group.operations())
    denominator = gemmi.Op.DEN
    rotations = np.array([operation.rot for operation in operations], dtype=np.float64)
    translations = np.array([operation.tran for operation in operations], dtype=np.float64)
    rotations /= denominator
    translations /= denominator
    rotations.setflags(write=False)
    translations.setflags(write=False)
    return Setting(hall_number, group.number, group.xhm(), rotations, translations)


def standard_setting(space_group_number: int) -> Setting:
    """Return the standard setting of a space group.

    Raises
    ------
    CrystalError
        If the number is not from 1 to 230.

    Examples
    --------
    >>> standard_setting(227).symbol, standard_setting(166).symbol
    ('F d -3 m:1', 'R -3 m:H')
    """
    if not 1 <= space_group_number <= N_SPACE_GROUPS:
        raise CrystalError(
            f"space_group_number must be from 1 to {N_SPACE_GROUPS}, but is {space_group_number};"
            " give the number of International Tables A."
        )
    return setting(_first_hall_numbers()[space_group_number])


def setting_of_symbol(symbol: str) -> Setting:
    """Return the setting that a Hermann-Mauguin symbol names, as gemmi reads it.

    Raises
    ------
    CrystalError
        If gemmi does not know the symbol, or it names a setting without a Hall number.
    """
    group = gemmi.find_spacegroup_by_name(symbol)
    if group is None:
        raise CrystalError(
            f"space_group must be a Hermann-Mauguin symbol such as 'F m -3 m', but is"
            f" {symbol!r}; check the spelling and the spaces."
        )
    return setting(_hall_number(group))


def _hall_number(group: gemmi.SpaceGroup) -> int:
    numbers = _hall_numbers()
    if group.xhm() not in numbers:
        raise CrystalError(
            f"space_group must be one of the {N_HALL_NUMBERS} settings of International Tables, but"
            f" {group.xhm()!r} is not; transform the structure to a standard setting first."
        )
    return numbers[group.xhm()]


@cache
def _gemmi_table() -> tuple[gemmi.SpaceGroup, ...]:
    return tuple(gemmi.spacegroup_table())[:N_HALL_NUMBERS]


def _gemmi_group(hall_number: int) -> gemmi.SpaceGroup:
    return _gemmi_table()[hall_number - 1]


@cache
def _hall_numbers() -> dict[str, int]:
    return {group.xhm(): number for number, group in enumerate(_gemmi_table(), start=1)}


@cache
def _first_hall_numbers() -> dict[int, int]:
    first: dict[int, int] = {}
    for number, group in enumerate(_gemmi_table(), start=1):
        first.setdefault(group.number, number)
    return first
