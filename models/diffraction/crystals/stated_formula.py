"""Chemical formulas as people write them, and when two of them mean the same compound."""

import re
from collections import defaultdict

from phasepilot.models.diffraction.crystals.formula import atomic_number, reduced_formula

_CHARGE = re.compile(r"(?<=[A-Za-z)\]])\d*[+-]")
_TOKEN = re.compile(r"(?P<symbol>[A-Z][a-z]?)|(?P<open>[(\[])|(?P<close>[)\]])")
_AMOUNT = re.compile(r"\d+\.?\d*|\.\d+")


def stated_amounts(formula: str) -> dict[int, float]:
    """Return the amounts by atomic number that a formula states; none if it cannot be read.

    Reads brackets, spaces and charges; not water after a dot, nor alternatives in a bracket.
    Deuterium and tritium count as hydrogen.

    Examples
    --------
    >>> stated_amounts("Al2 Fe3 (SiO4)3")
    {13: 2.0, 26: 3.0, 14: 3.0, 8: 12.0}
    >>> stated_amounts("Pb2+2Pb4+O4")
    {82: 3.0, 8: 4.0}
    >>> stated_amounts("(Ca,Mg)O"), stated_amounts("CaSO4(H2O")
    ({}, {})
    """
    text = _CHARGE.sub("", re.sub(r"\s+", "", formula))
    levels: list[defaultdict[int, float]] = [defaultdict(float)]
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            return {}
        amount = _AMOUNT.match(text, token.end())
        times = float(amount.group()) if amount else 1.0
        place = amount.end() if amount else token.end()
        if token["open"]:
            if amount:
                return {}
            levels.append(defaultdict(float))
        elif token["close"]:
            if len(levels) == 1:
                return {}
            _add(levels[-2], levels.pop(), times)
        else:
            number = atomic_number(token["symbol"])
            if not number:
                return {}
            levels[-1][number] += times
    return dict(levels[0]) if len(levels) == 1 else {}


def stated_reduced_formula(formula: str) -> str:
    """Return the reduced formula that a formula states, empty if it cannot be read.

    Two formulas mean the same compound if these are equal: a solid solution is the same as another
    only if all amounts are.

    Examples
    --------
    >>> stated_reduced_formula("O2 Ti") == stated_reduced_formula("Ti2O4")
    True
    """
    return reduced_formula(stated_amounts(formula))


def _add(outer: defaultdict[int, float], inner: defaultdict[int, float], times: float) -> None:
    for number, amount in inner.items():
        outer[number] += amount * times
