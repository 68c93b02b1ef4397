"""Extinction classes: the space groups that no powder pattern can tell apart by where it has lines.

A powder pattern shows the shape of the cell and which of its reflections are systematically
absent. It shows neither the Laue class (reflections of equal d lie on one line) nor what anybody
called the axes. So two space groups are one class here if they are of one crystal family (trigonal
and hexagonal share a lattice metric) and lack the same reflections, up to a permutation of the
axes. That gives 97 classes, and still 97 if whole lines are compared, where 333 hides behind 511.

Other counts in use differ in what they compare; the tests derive each from gemmi's operations:

=====  ===========================================================================================
   80  absences in standard settings, whatever the family: no absence is then one class, not six
   97  crystal family, absences up to the naming of the axes: ours
   99  the same, but P 31 - - apart from P 62 - - and cubic P 21 - - apart from P 42 - -, two pairs
       of symbols for the same absences: Baggett et al. [1]_, by the table in their repository
  101  crystal system (trigonal apart from hexagonal), absences up to the naming of the axes
  108  crystal family, absences in standard settings
  112  crystal system, absences in standard settings: this splits orthorhombic groups such as Pnma
       and Pna2_1 that lack the same reflections once the axes are renamed
  120  Laue class, absences up to the naming of the axes; 122 if -3m1 and -31m count apart. These
       are the diffraction symbols of Buerger [2]_, which take single crystals
=====  ===========================================================================================

References
----------
.. [1] Baggett et al., "Attention is not all you need for diffraction", arXiv:2604.23811, section
   II; assets/lookups/canonical_extinction_to_space_group.csv of scattering/paper-ai-diffraction.
.. [2] Diffraction symbol, Online Dictionary of Crystallography (IUCr).
"""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import IntArray
from phasepilot.models.diffraction.crystals.symmetry import N_SPACE_GROUPS, standard_setting
from phasepilot.models.errors import CrystalError


@dataclass(frozen=True, slots=True)
class ExtinctionClass:
    """Space groups of one family that lack the same reflections.

    Attributes
    ----------
    family : str
        Crystal family; the symbols of two families may be the same.
    symbol : str
        Extinction symbol as in International Tables A (2006), table 3.1.4.1, with the axes of the
        standard setting of the last space group: centring, then what glides or screws along each
        symmetry direction.
    space_group_numbers : tuple of int
        Rising.
    """

    family: str
    symbol: str
    space_group_numbers: tuple[int, ...]


_TRICLINIC = {"P -": (1, 2)}
_MONOCLINIC = {
    "P 1 - 1": (3, 6, 10),
    "P 1 21 1": (4, 11),
    "C 1 - 1": (5, 8, 12),
    "P 1 c 1": (7, 13),
    "C 1 c 1": (9, 15),
    "P 1 21/c 1": (14,),
}
_ORTHORHOMBIC = {
    "P - - -": (16, 25, 47),
    "P - - 21": (17,),
    "P 21 21 -": (18,),
    "P 21 21 21": (19,),
    "C - - 21": (20,),
    "C - - -": (21, 35, 38, 65),
    "F - - -": (22, 42, 69),
    "I - - -": (23, 24, 44, 71),
    "P - - a": (26, 28, 51),
    "P c c -": (27, 49),
    "P b c -": (29, 57),
    "P - n a": (30, 53),
    "P - - n": (31, 59),
    "P b a -": (32, 55),
    "P n - a": (33, 62),
    "P n n -": (34, 58),
    "C - c -": (36, 40, 63),
    "C c c -": (37, 66),
    "C - - (ab)": (39, 67),
    "C - c (ab)": (41, 64),
    "F d d -": (43,),
    "I b a -": (45, 72),
    "I - - (ab)": (46, 74),
    "P n n n": (48,),
    "P b a n": (50,),
    "P n n a": (52,),
    "P c c a": (54,),
    "P c c n": (56,),
    "P b c n": (60,),
    "P b c a": (61,),
    "C c c (ab)": (68,),
    "F d d d": (70,),
    "I b c a": (73,),
}
_TETRAGONAL = {
    "P - - -": (75, 81, 83, 89, 99, 111, 115, 123),
    "P 41 - -": (76, 78, 91, 95),
    "P 42 - -": (77, 84, 93),
    "I - - -": (79, 82, 87, 97, 107, 119, 121, 139),
    "I 41 - -": (80, 98),
    "P n - -": (85, 129),
    "P 42/n - -": (86,),
    "I 41/a - -": (88,),
    "P - 21 -": (90, 113),
    "P 41 21 -": (92, 96),
    "P 42 21 -": (94,),
    "P - b -": (100, 117, 127),
    "P - c -": (101, 116, 132),
    "P - n -": (102, 118, 136),
    "P - c c": (103, 124),
    "P - n c": (104, 128),
    "P - - c": (105, 112, 131),
    "P - b c": (106, 135),
    "I - c -": (108, 120, 140),
    "I - - d": (109, 122),
    "I - c d": (110,),
    "P - 21 c": (114,),
    "P n b -": (125,),
    "P n n c": (126,),
    "P n c c": (130,),
    "P n b c": (133,),
    "P n n -": (134,),
    "P n - c": (137,),
    "P n c -": (138,),
    "I a - d": (141,),
    "I a c d": (142,),
}
# Where a trigonal and a hexagonal symbol, or two cubic ones, stand for the same absences (P 31 - -,
# P 21 - -), the symbol of the last space group is kept.
_HEXAGONAL = {
    "P - - -": (143, 147, 149, 150, 156, 157, 162, 164, 168, 174, 175, 177, 183, 187, 189, 191),
    "P 62 - -": (144, 145, 151, 152, 153, 154, 171, 172, 180, 181),
    "R - -": (146, 148, 155, 160, 166),
    "P - c -": (158, 165, 185, 188, 193),
    "P - - c": (159, 163, 186, 190, 194),
    "R - c": (161, 167),
    "P 61 - -": (169, 170, 178, 179),
    "P 63 - -": (173, 176, 182),
    "P - c c": (184, 192),
}
_CUBIC = {
    "P - - -": (195, 200, 207, 215, 221),
    "F - - -": (196, 202, 209, 216, 225),
    "I - - -": (197, 199, 204, 211, 217, 229),
    "P 42 - -": (198, 208),
    "P n - -": (201, 224),
    "F d - -": (203, 227),
    "P a - -": (205,),
    "I a - -": (206,),
    "F 41 - -": (210,),
    "P 41 - -": (212, 213),
    "I 41 - -": (214,),
    "P - - n": (218, 223),
    "F - - c": (219, 226),
    "I - - d": (220,),
    "P n - n": (222,),
    "F d - c": (228,),
    "I a - d": (230,),
}

EXTINCTION_CLASSES = tuple(
    ExtinctionClass(family, symbol, numbers)
    for family, classes in (
        ("triclinic", _TRICLINIC),
        ("monoclinic", _MONOCLINIC),
        ("orthorhombic", _ORTHORHOMBIC),
        ("tetragonal", _TETRAGONAL),
        ("hexagonal", _HEXAGONAL),
        ("cubic", _CUBIC),
    )
    for symbol, numbers in classes.items()
)
N_EXTINCTION_CLASSES = len(EXTINCTION_CLASSES)


def _class_of_space_group() -> IntArray:
    of_group = np.full(N_SPACE_GROUPS, -1)
    for index, extinction in enumerate(EXTINCTION_CLASSES):
        of_group[np.array(extinction.space_group_numbers) - 1] = index
    of_group.setflags(write=False)
    return of_group


# Index of the class of space group number k + 1, shape (230,). Probabilities of the classes are
# np.bincount(CLASS_OF_SPACE_GROUP, weights=space_group_probabilities).
CLASS_OF_SPACE_GROUP = _class_of_space_group()


def extinction_class(space_group_number: int) -> int:
    """Return the index of the space group's class in `EXTINCTION_CLASSES`.

    Raises
    ------
    CrystalError
        If the number is not from 1 to 230.

    Examples
    --------
    >>> extinction_class(216) == extinction_class(225) != extinction_class(221)
    True
    """
    return int(CLASS_OF_SPACE_GROUP[standard_setting(space_group_number).space_group_number - 1])


def extinction_symbol(space_group_number: int) -> str:
    """Return the extinction symbol of the space group's class.

    Raises
    ------
    CrystalError
        If the number is not from 1 to 230.

    Examples
    --------
    >>> extinction_symbol(227), extinction_symbol(33), extinction_symbol(194)
    ('F d - -', 'P n - a', 'P - - c')
    """
    return EXTINCTION_CLASSES[extinction_class(space_group_number)].symbol


def members(class_index: int) -> tuple[int, ...]:
    """Return the numbers of the space groups of that class.

    Raises
    ------
    CrystalError
        If there is no class of that index.

    Examples
    --------
    >>> members(extinction_class(227))
    (203, 227)
    """
    if not 0 <= class_index < N_EXTINCTION_CLASSES:
        raise CrystalError(
            f"class_index must be from 0 to {N_EXTINCTION_CLASSES - 1}, but is {class_index};"
            " extinction_class gives the index of a space group's class."
        )
    return EXTINCTION_CLASSES[class_index].space_group_numbers
