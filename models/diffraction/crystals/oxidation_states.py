"""Which elements can take whose place: their oxidation states, neutral formulas, and sizes."""

import itertools
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cache

import gemmi
import numpy as np

from phasepilot.models.diffraction.crystals.element_statistics import atomic_volumes

# Ions by oxidation state, with their radius in angstrom for six neighbours and, where it matters,
# high spin: Shannon, Acta Cryst. A32, 751 (1976), doi:10.1107/S0567739476001551; a few have none
# there. Of the states that pymatgen lists for an element because one in a hundred of its entries in
# the ICSD has it, these are the usual ones of anions and of cations. (The groups of the B-VGGNet
# paper are in neither its text nor its code.)
_IONS = {
    -3: "N P As Sb",
    -2: "O:1.40 S:1.84 Se:1.98 Te:2.21",
    -1: "F:1.33 Cl:1.81 Br:1.96 I:2.20",
    1: "Li:0.76 Na:1.02 K:1.38 Cu:0.77 Rb:1.52 Ag:1.15 In Cs:1.67 Hg:1.19 Tl:1.50",
    2: "Be:0.45 Mg:0.72 Ca:1.00 Ti:0.86 V:0.79 Cr:0.80 Mn:0.83 Fe:0.78 Co:0.745 Ni:0.69 Cu:0.73"
    " Zn:0.74 Ge:0.73 Sr:1.18 Pd:0.86 Cd:0.95 Sn Ba:1.35 Sm Eu:1.17 Yb:1.02 Hg:1.02 Pb:1.19",
    3: "B:0.27 Al:0.535 Sc:0.745 Ti:0.67 V:0.64 Cr:0.615 Mn:0.645 Fe:0.645 Co:0.61 Ni:0.60 Ga:0.62"
    " As:0.58 Y:0.90 Mo:0.69 Ru:0.68 Rh:0.665 In:0.80 Sb:0.76 La:1.032 Ce:1.01 Pr:0.99 Nd:0.983"
    " Sm:0.958 Eu:0.947 Gd:0.938 Tb:0.923 Dy:0.912 Ho:0.901 Er:0.89 Tm:0.88 Yb:0.868 Lu:0.861"
    " Ir:0.68 Tl:0.885 Bi:1.03",
    4: "C:0.16 Si:0.40 S:0.37 Ti:0.605 V:0.58 Mn:0.53 Ge:0.53 Se:0.50 Zr:0.72 Nb:0.68 Mo:0.65"
    " Ru:0.62 Sn:0.69 Te:0.97 Ce:0.87 Hf:0.71 W:0.66 Re:0.63 Ir:0.625 Pb:0.775 Th:0.94 U:0.89",
    5: "N:0.13 P:0.38 V:0.54 As:0.46 Nb:0.64 Mo:0.61 Sb:0.60 Ta:0.64 W:0.62 Re:0.58 Bi:0.76 U:0.76",
    6: "S:0.29 Cr:0.44 Se:0.42 Mo:0.59 Te:0.56 W:0.60 Re:0.55 U:0.73",
}
# Metals and metalloids, which make alloys.
_ALLOYING = (
    "Li Be Na Mg Al Si K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In"
    " Sn Sb Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Th U"
)
OXIDATION_STATE_GROUPS: Mapping[int, tuple[str, ...]] = {
    0: tuple(_ALLOYING.split()),
    **{state: tuple(ion.split(":")[0] for ion in ions.split()) for state, ions in _IONS.items()},
}
_IONIC_RADII = {
    (state, symbol): float(radius)
    for state, ions in _IONS.items()
    for symbol, colon, radius in (ion.partition(":") for ion in ions.split())
    if colon
}
_SUM_IS_ZERO_WITHIN = 1e-3


@dataclass(frozen=True, slots=True)
class AbX3:
    """The elements of a perovskite's formula.

    Of the two cations A is the one of lower charge; where charges are equal or open, the larger.
    """

    a: str
    b: str
    x: str


def neutral_oxidation_states(amounts: Mapping[str, float]) -> tuple[dict[str, int], ...]:
    """Return every choice of one oxidation state an element that makes the composition neutral.

    An alloy has one choice, 0 for every element. There is none for compositions with hydrogen, with
    an element in two states, or that are not stoichiometric.

    Parameters
    ----------
    amounts : mapping of str to float
        Atoms of each element, in a cell or a formula.

    Examples
    --------
    >>> neutral_oxidation_states({"Pb": 1, "Ti": 1, "O": 3})
    ({'Pb': 2, 'Ti': 4, 'O': -2}, {'Pb': 4, 'Ti': 2, 'O': -2})
    >>> neutral_oxidation_states({"Ni": 3, "Al": 1})
    ({'Ni': 0, 'Al': 0},)
    """
    counts = np.array(list(amounts.values()), dtype=np.float64)
    states = [_states_of(symbol) for symbol in amounts]
    charged = itertools.product(*([state for state in group if state] for group in states))
    choices = np.array(list(charged), dtype=np.int64).reshape(-1, counts.size)
    is_neutral = np.abs(choices @ counts) < _SUM_IS_ZERO_WITHIN * counts.sum()
    if not is_neutral.any() and all(0 in group for group in states):
        return (dict.fromkeys(amounts, 0),)
    return tuple(dict(zip(amounts, choice, strict=True)) for choice in choices[is_neutral].tolist())


def neutral_abx3_compositions() -> tuple[AbX3, ...]:
    """Return all charge-neutral ABX3 of the oxidation-state groups, X a chalcogen or a halogen.

    valence(A) + valence(B) + 3 valence(X) = 0, equation 1 of the B-VGGNet paper (2025), which used
    53 of them on 93 templates. Each set of three elements comes once.

    Examples
    --------
    >>> compositions = neutral_abx3_compositions()
    >>> AbX3("Ba", "Ti", "O") in compositions, AbX3("Ba", "Ti", "F") in compositions
    (True, False)
    """
    return tuple(_neutral_abx3().values())


def abx3_of(amounts: Mapping[str, float]) -> AbX3 | None:
    """Return which elements of a composition are A, B and X; None if it is no neutral ABX3.

    Examples
    --------
    >>> abx3_of({"O": 12, "Ti": 4, "Pb": 4})
    AbX3(a='Pb', b='Ti', x='O')
    """
    composition = _neutral_abx3().get(frozenset(amounts))
    if composition is None:
        return None
    counts = np.array([amounts[symbol] for symbol in astuple(composition)])
    is_abx3 = np.allclose(counts, counts[0] * np.array([1, 1, 3]), rtol=_SUM_IS_ZERO_WITHIN)
    return composition if is_abx3 else None


def volume_ratio(amounts: Mapping[str, float], mapping: Mapping[str, str]) -> float:
    """Return by what factor a cell's volume changes when elements are exchanged for others.

    Ionic crystals grow in length with the sum of their ions' radii, others in volume with the sum
    of `atomic_volumes`. Oxidation states are those that keep most elements in the same state.

    Of 37,000 pairs of isostructural compounds of the structure table that differ in one element,
    half of all edges come out right to 1.1 %, and nine in ten to 4.6 %; with an unchanged cell it
    would be 1.9 % and 8.2 %.

    Parameters
    ----------
    amounts : mapping of str to float
        Atoms of each element in the cell.
    mapping : mapping of str to str
        New element for each old one; others stay.

    Raises
    ------
    CrystalError
        If the states do not tell, and an element is too rare for its atomic volume to be known.

    Examples
    --------
    >>> round(volume_ratio({"Na": 4, "Cl": 4}, {"Na": "K"}) ** (1 / 3), 3), round(6.293 / 5.640, 3)
    (1.127, 1.116)
    """
    changed: dict[str, float] = {}
    for symbol, amount in amounts.items():
        new = mapping.get(symbol, symbol)
        changed[new] = changed.get(new, 0.0) + amount
    choices = itertools.product(_with_radii(amounts), _with_radii(changed))
    closest = min(
        choices,
        key=lambda pair: sum(pair[0][old] != pair[1][mapping.get(old, old)] for old in amounts),
        default=None,
    )
    if closest is None:
        return _room(changed) / _room(amounts)
    return (_ionic_extent(changed, closest[1]) / _ionic_extent(amounts, closest[0])) ** 3


def _with_radii(amounts: Mapping[str, float]) -> list[dict[str, int]]:
    """Return the neutral choices of oxidation states in which every ion has a known radius."""
    return [
        states
        for states in neutral_oxidation_states(amounts)
        if all((state, symbol) in _IONIC_RADII for symbol, state in states.items())
    ]


def _ionic_extent(amounts: Mapping[str, float], states: Mapping[str, int]) -> float:
    return sum(n * _IONIC_RADII[states[symbol], symbol] for symbol, n in amounts.items())


def _room(amounts: Mapping[str, float]) -> float:
    return sum(n * _volume(symbol) for symbol, n in amounts.items())


@cache
def _neutral_abx3() -> dict[frozenset[str], AbX3]:
    found: dict[frozenset[str], AbX3] = {}
    cation_states = [state for state in OXIDATION_STATE_GROUPS if state > 0]
    for x_state, a_state in itertools.product((-1, -2), cation_states):
        b_state = -3 * x_state - a_state
        if b_state < a_state or b_state not in cation_states:
            continue
        groups = (OXIDATION_STATE_GROUPS[state] for state in (a_state, b_state, x_state))
        for a, b, x in itertools.product(*groups):
            elements = frozenset((a, b, x))
            # Pb(II)Ti(IV)O3 and Ti(II)Pb(IV)O3 are one formula, and the first is perovskite.
            is_better = elements not in found or _volume(a) > _volume(found[elements].a)
            if len(elements) == 3 and is_better:
                found[elements] = AbX3(a, b, x)
    return found


def _states_of(symbol: str) -> list[int]:
    return [state for state, symbols in OXIDATION_STATE_GROUPS.items() if symbol in symbols]


@cache
def _volume(symbol: str) -> float:
    return float(atomic_volumes(np.array([gemmi.Element(symbol).atomic_number]))[0])
