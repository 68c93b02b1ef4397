"""Crystals with other elements on their sites.

Whole elements are exchanged (`substituted`, and built on it: template element replacement for ABX3
and for any prototype), some atoms of a cell at random (`randomly_substituted`), or the same part of
an element everywhere (`solid_solution`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import gemmi
import numpy as np

from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.formula import atomic_number, reduced_formula
from phasepilot.models.diffraction.crystals.oxidation_states import (
    OXIDATION_STATE_GROUPS,
    AbX3,
    abx3_of,
    neutral_oxidation_states,
    volume_ratio,
)
from phasepilot.models.diffraction.crystals.supercell import supercell
from phasepilot.models.errors import CrystalError

# Californium is the last element with form factors.
_HEAVIEST = 98


def substituted(crystal: Crystal, mapping: Mapping[str, str]) -> Crystal:
    """Return the crystal with these elements replaced by others, and its cell grown to fit.

    Every site of an element gets the other element; positions and space group stay, and the volume
    changes by `volume_ratio`.

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
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> sites = [("Na", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))]
    >>> rock_salt = crystal_from_sites("NaCl", "F m -3 m", (5.64,) * 3 + (90.0,) * 3, sites)
    >>> sylvite = substituted(rock_salt, {"Na": "K"})
    >>> sylvite.name, round(sylvite.cell[0], 2)
    ('KCl', 6.36)
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
    numbers = new[np.searchsorted(held, crystal.site_atomic_numbers)]
    ratio = volume_ratio(_symbol_amounts(crystal), mapping)
    return _renamed(replace(crystal, site_atomic_numbers=numbers).scaled_to_volume_ratio(ratio))


def random_replacement(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Return the crystal with each element replaced by a random one of its oxidation-state group.

    Template element replacement for any prototype: the formula stays neutral, each element may be
    drawn itself, but not all of them, and no element is drawn twice.

    Raises
    ------
    CrystalError
        If the crystal has no neutral choice of oxidation states.
    """
    choices = neutral_oxidation_states(_symbol_amounts(crystal))
    if not choices:
        raise CrystalError(
            f"a template must be neutral with one oxidation state an element, but {crystal.name} is"
            " not with those of OXIDATION_STATE_GROUPS; give a mapping to substituted() instead."
        )
    states = choices[rng.integers(len(choices))]
    while True:
        mapping = _drawn_mapping(states, rng)
        if any(old != new for old, new in mapping.items()):
            return substituted(crystal, mapping)


def abx3_replacements(template: Crystal, compositions: Iterable[AbX3]) -> Iterator[Crystal]:
    """Yield the template with the elements of each composition in place of its A, B and X.

    Raises
    ------
    CrystalError
        If the template is not a neutral ABX3.
    """
    old = abx3_of(_symbol_amounts(template))
    if old is None:
        raise CrystalError(
            "a template must be a neutral ABX3 with X of O, S, Se, Te, F, Cl, Br or I, but"
            f" {template.name} is not; use random_replacement or substituted for other prototypes."
        )
    for new in compositions:
        yield substituted(template, {old.a: new.a, old.b: new.b, old.x: new.x})


def randomly_substituted(
    crystal: Crystal,
    fraction: float,
    rng: np.random.Generator,
    *,
    repeats: tuple[int, int, int] = (1, 1, 1),
) -> Crystal:
    """Return a supercell in P1 with a fraction of its atoms replaced by any others, cell unchanged.

    As in the Auto Diffraction Pipeline: atoms are picked at random, and so is the element of each
    from all of the periodic table that has form factors.

    Raises
    ------
    CrystalError
        If the fraction is not in (0, 1], or less than half an atom of the supercell.

    References
    ----------
    J. Appl. Cryst. (2026), doi:10.1107/S1600576726000099, section 3.5.
    """
    whole = supercell(crystal, repeats)
    n_atoms = whole.site_atomic_numbers.size
    if not 0 < fraction <= 1 or round(fraction * n_atoms) == 0:
        raise CrystalError(
            f"a fraction of the {n_atoms} atoms of {crystal.name} must be at least one of them and"
            f" at most all, but {fraction:g} is asked for; repeat the cell, or choose a fraction in"
            " (0, 1]."
        )
    replaced = rng.choice(n_atoms, size=round(fraction * n_atoms), replace=False)
    # One of the 97 other elements: past the old one, the count goes on from the next.
    drawn = rng.integers(1, _HEAVIEST, size=replaced.size)
    numbers = whole.site_atomic_numbers.copy()
    numbers[replaced] = drawn + (drawn >= numbers[replaced])
    return _renamed(replace(whole, site_atomic_numbers=numbers))


def solid_solution(crystal: Crystal, solvent: str, solute: str, fraction: float) -> Crystal:
    """Return the crystal with a fraction of an element replaced by another on all of its sites.

    The average over many cells: sites are shared, the space group stays, and the volume changes in
    proportion to the fraction (Zen's law) towards that of the crystal of the solute.

    Raises
    ------
    CrystalError
        If the fraction is not in (0, 1), the solvent is not in the crystal, or an element is
        too rare for its volume to be known.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> sites = [("Mg", (0.0, 0.0, 0.0)), ("O", (0.5, 0.5, 0.5))]
    >>> periclase = crystal_from_sites("MgO", "F m -3 m", (4.21,) * 3 + (90.0,) * 3, sites)
    >>> solid_solution(periclase, "Mg", "Fe", 0.25).name
    'Mg3FeO4'
    """
    if not 0 < fraction < 1:
        raise CrystalError(
            f"fraction must lie between 0 and 1, but is {fraction:g}; for 1 use substituted()."
        )
    is_shared = crystal.site_atomic_numbers == _number(solvent)
    if not is_shared.any():
        raise CrystalError(
            f"the solvent must be in the crystal, but {crystal.name} has no {solvent}; name an"
            " element of its formula."
        )
    n_shared = int(is_shared.sum())
    weights = crystal.site_occupancies * np.where(is_shared, 1 - fraction, 1.0)
    mixed = replace(
        crystal,
        site_atomic_numbers=np.append(
            crystal.site_atomic_numbers, np.full(n_shared, _number(solute))
        ),
        site_fractional=np.concatenate(
            [crystal.site_fractional, crystal.site_fractional[is_shared]]
        ),
        site_occupancies=np.append(weights, crystal.site_occupancies[is_shared] * fraction),
    )
    whole_ratio = volume_ratio(_symbol_amounts(crystal), {solvent: solute})
    return _renamed(mixed.scaled_to_volume_ratio(1 + fraction * (whole_ratio - 1)))


def cell_amounts(crystal: Crystal) -> dict[int, float]:
    """Return how many atoms of each atomic number are in the cell, occupancies counted."""
    counts = crystal.multiplicities * crystal.site_occupancies
    sums = np.bincount(crystal.site_atomic_numbers, weights=counts)
    return {int(number): float(sums[number]) for number in np.flatnonzero(sums)}


def _symbol_amounts(crystal: Crystal) -> dict[str, float]:
    return {gemmi.Element(number).name: n for number, n in cell_amounts(crystal).items()}


def _renamed(crystal: Crystal) -> Crystal:
    return replace(crystal, name=reduced_formula(cell_amounts(crystal)))


def _number(symbol: str) -> int:
    number = atomic_number(symbol)
    if not number:
        raise CrystalError(
            f"elements are named by their symbols, but {symbol!r} is none; write 'Fe' for iron."
        )
    return number


def _drawn_mapping(states: Mapping[str, int], rng: np.random.Generator) -> dict[str, str]:
    # The smallest groups draw first: what they hold may be in others, too.
    mapping: dict[str, str] = {}
    for symbol in sorted(states, key=lambda name: len(OXIDATION_STATE_GROUPS[states[name]])):
        group = OXIDATION_STATE_GROUPS[states[symbol]]
        free = [name for name in group if name not in mapping.values()]
        mapping[symbol] = str(rng.choice(free))
    return mapping
