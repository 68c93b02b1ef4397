"""Crystals with other elements on their sites.

Whole elements are exchanged (`substituted`, and built on it: template element replacement for ABX3
and for any prototype), some atoms of a cell at random (`randomly_substituted`), or the same part of
an element everywhere (`solid_solution`).
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystal import Crystal
from phasepilot.models.diffraction.element_statistics import atomic_volumes
from phasepilot.models.diffraction.formula import reduced_formula
from phasepilot.models.diffraction.supercell import supercell
from phasepilot.models.errors import CrystalError

# Elements by oxidation state: of those that pymatgen lists for the element because one in a hundred
# of its entries in the ICSD has it, the usual ones of anions and of cations. State 0 is for metals
# and metalloids in alloys. The list of the B-VGGNet paper is in neither its text nor its code.
OXIDATION_STATE_GROUPS: Mapping[int, tuple[str, ...]] = {
    state: tuple(symbols.split())
    for state, symbols in {
        -3: "N P As Sb",
        -2: "O S Se Te",
        -1: "F Cl Br I",
        0: "Li Be Na Mg Al Si K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge Rb Sr Y Zr Nb Mo Ru Rh Pd Ag"
        " Cd In Sn Sb Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl"
        " Pb Bi Th U",
        1: "Li Na K Cu Rb Ag In Cs Hg Tl",
        2: "Be Mg Ca Ti V Cr Mn Fe Co Ni Cu Zn Ge Sr Pd Cd Sn Ba Sm Eu Yb Hg Pb",
        3: "B Al Sc Ti V Cr Mn Fe Co Ni Ga As Y Mo Ru Rh In Sb La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm"
        " Yb Lu Ir Tl Bi",
        4: "C Si S Ti V Mn Ge Se Zr Nb Mo Ru Sn Te Ce Hf W Re Ir Pb Th U",
        5: "N P V As Nb Mo Sb Ta W Re Bi U",
        6: "S Cr Se Mo Te W Re U",
    }.items()
}
_SUM_IS_ZERO_WITHIN = 1e-3
# Up to californium there are form factors.
_PERIODIC_TABLE = np.arange(1, 99)
_N_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class AbX3:
    """The elements of a perovskite formula: two cations, A the less charged or larger, and X."""

    a: str
    b: str
    x: str


def substituted(crystal: Crystal, mapping: Mapping[str, str]) -> Crystal:
    """Return the crystal with these elements replaced by others, and its cell grown to fit.

    Every site of an element gets the other element; positions and space group stay. The volume
    changes with the sum of the `atomic_volumes`: over 120,000 pairs of isostructural compounds of
    the structure table this gives half of all cell lengths to 1.1 %, covalent radii to 1.5 %, and an
    unchanged cell to 1.9 %.

    Parameters
    ----------
    mapping : mapping of str to str
        New element for each old one, e.g. ``{"Ba": "Ca"}``; others stay.

    Raises
    ------
    CrystalError
        If an old element is not in the crystal, two elements would become one, which might raise
        the symmetry, or a new element is too rare for its volume to be known.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystal import crystal_from_sites
    >>> sites = [("Na", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))]
    >>> rock_salt = crystal_from_sites("NaCl", "F m -3 m", (5.64,) * 3 + (90.0,) * 3, sites)
    >>> sylvite = substituted(rock_salt, {"Na": "K"})
    >>> sylvite.name, round(sylvite.cell[0], 2)
    ('KCl', 6.11)
    """
    changes = {_number(old): _number(new) for old, new in mapping.items()}
    held = np.unique(crystal.site_atomic_numbers)
    missing = sorted(set(changes) - set(held.tolist()))
    if missing:
        raise CrystalError(
            f"elements to be replaced must be in the crystal, but {crystal.name} has no"
            f" {gemmi.Element(missing[0]).name}; name elements of its formula."
        )
    new = np.array([changes.get(number, number) for number in held.tolist()])
    if np.unique(new).size < held.size:
        raise CrystalError(
            f"elements must stay apart, but {dict(mapping)} makes one of two of {crystal.name};"
            " give each its own, or use solid_solution to mix elements on a site."
        )
    return _with_elements(crystal, new[np.searchsorted(held, crystal.site_atomic_numbers)])


def neutral_oxidation_states(crystal: Crystal) -> tuple[dict[str, int], ...]:
    """Return every choice of one oxidation state an element that makes the crystal neutral.

    States are those of `OXIDATION_STATE_GROUPS`. An alloy has one choice: 0 for every element. None
    is returned for crystals with hydrogen, with an element in two states, or not stoichiometric.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystal import crystal_from_sites
    >>> sites = [("Pb", (0, 0, 0)), ("Ti", (0.5, 0.5, 0.5)), ("O", (0.5, 0.5, 0))]
    >>> cell = (3.97, 3.97, 3.97, 90.0, 90.0, 90.0)
    >>> neutral_oxidation_states(crystal_from_sites("PbTiO3", "P m -3 m", cell, sites))
    ({'O': -2, 'Ti': 2, 'Pb': 4}, {'O': -2, 'Ti': 4, 'Pb': 2})
    """
    amounts = {gemmi.Element(z).name: amount for z, amount in sorted(cell_amounts(crystal).items())}
    counts = np.array(list(amounts.values()))
    charged = [[state for state in _states_of(symbol) if state != 0] for symbol in amounts]
    choices = np.array(list(itertools.product(*charged)), dtype=np.int64).reshape(-1, counts.size)
    is_neutral = np.abs(choices @ counts) < _SUM_IS_ZERO_WITHIN * counts.sum()
    if not is_neutral.any() and all(0 in _states_of(symbol) for symbol in amounts):
        return (dict.fromkeys(amounts, 0),)
    return tuple(
        dict(zip(amounts, choice, strict=True)) for choice in choices[is_neutral].tolist()
    )


def random_replacement(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Return the crystal with each element replaced by a random one of its oxidation-state group.

    Template element replacement for any prototype: the formula stays neutral, each element may be
    drawn itself, but not all of them, and no element is drawn twice.

    Raises
    ------
    CrystalError
        If the crystal has no neutral choice of oxidation states.
    """
    choices = neutral_oxidation_states(crystal)
    if not choices:
        raise CrystalError(
            f"a template must be neutral with one oxidation state an element, but {crystal.name} is"
            " not with those of OXIDATION_STATE_GROUPS; give a mapping to substituted() instead."
        )
    states = choices[rng.integers(len(choices))]
    for _ in range(_N_DRAWS):
        mapping = {
            symbol: str(rng.choice(OXIDATION_STATE_GROUPS[state]))
            for symbol, state in states.items()
        }
        n_kept = sum(old == new for old, new in mapping.items())
        if len(set(mapping.values())) == len(mapping) and n_kept < len(mapping):
            return substituted(crystal, mapping)
    ...
