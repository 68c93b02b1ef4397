"""Chemical formulas: how a composition is written, and read."""

import re
from collections.abc import Mapping

import gemmi
import numpy as np

# From the least to the most electronegative by convention: IUPAC, Nomenclature of Inorganic
# Chemistry (2005), table VI, for the elements that have form factors.
_SEQUENCE = (
    "Rn Xe Kr Ar Ne He Fr Cs Rb K Na Li Ra Ba Sr Ca Mg Be Cf Bk Cm Am Pu Np U Pa Th Ac Lu Yb Tm Er"
    " Ho Dy Tb Gd Eu Sm Pm Nd Pr Ce La Y Sc Hf Zr Ti Ta Nb V W Mo Cr Re Tc Mn Os Ru Fe Ir Rh Co Pt"
    " Pd Ni Au Ag Cu Hg Cd Zn Tl In Ga Al B Pb Sn Ge Si C Bi Sb As P N H Po Te Se S O At I Br Cl F"
)
_PLACE = {
    gemmi.Element(symbol).atomic_number: place for place, symbol in enumerate(_SEQUENCE.split())
}
# Three thirds written as 0.333 are one atom.
_WHOLE_WITHIN = 5e-3
_TERM = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)\s*")


def reduced_formula(amounts: Mapping[int, float]) -> str:
    """Return the formula of a composition, given as amounts by atomic number.

    Amounts are divided by the common divisor of those that are whole (by the smallest, if none is),
    and the elements come in the order of the IUPAC's element sequence.

    Examples
    --------
    >>> reduced_formula({8: 12.0, 22: 4.0, 20: 4.0})
    'CaTiO3'
    >>> reduced_formula({26: 3.8, 8: 4.0})
    'Fe0.95O'
    """
    if not amounts:
        return ""
    whole = [
        round(amount)
        for amount in amounts.values()
        if abs(amount - round(amount)) < _WHOLE_WITHIN and round(amount) > 0
    ]
    divisor = float(np.gcd.reduce(whole)) if whole else min(amounts.values())
    terms = []
    for number in sorted(amounts, key=_PLACE.__getitem__):
        amount = round(amounts[number] / divisor, 3)
        terms.append(gemmi.Element(number).name + ("" if amount == 1 else f"{amount:g}"))
    return "".join(terms)


def formula_amounts(formula: str) -> dict[int, float]:
    """Return the amounts by atomic number that a plain formula states; none if it is no such.

    Deuterium and tritium count as hydrogen. Brackets and charges are not read.

    Examples
    --------
    >>> formula_amounts("Ca Mg0.95 O2")
    {20: 1.0, 12: 0.95, 8: 2.0}
    >>> formula_amounts("(Ca,Mg)O")
    {}
    """
    text = formula.strip()
    if not text or _TERM.sub("", text):
        return {}
    amounts: dict[int, float] = {}
    for symbol, amount in _TERM.findall(text):
        number = atomic_number(symbol)
        if not number or amount == ".":
            return {}
        amounts[number] = amounts.get(number, 0.0) + float(amount or 1.0)
    return amounts


def atomic_number(symbol: str) -> int:
    """Return the atomic number of an element's symbol, 0 if there is no such element.

    Examples
    --------
    >>> atomic_number("Fe"), atomic_number("D"), atomic_number("Qq")
    (26, 1, 0)
    """
    if symbol in ("D", "T"):
        return 1
    element = gemmi.Element(symbol)
    # gemmi reads the beginning of longer words.
    return int(element.atomic_number) if element.name == symbol else 0
