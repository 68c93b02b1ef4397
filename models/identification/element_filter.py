"""Which elements a sample may hold, and which formulas that leaves."""

import re
from collections.abc import Iterable

from phasepilot.models.diffraction.crystals.formula import atomic_number, formula_amounts
from phasepilot.models.errors import PatternError


def allowed_elements(text: str) -> frozenset[int]:
    """Return the atomic numbers of elements listed as in ``"Ca, Ti, O"``.

    Nothing is implied: hydrogen, oxygen and carbon count only if they are listed. Deuterium and
    tritium are hydrogen.

    Raises
    ------
    PatternError
        If an element does not exist, or none is listed.

    Examples
    --------
    >>> sorted(allowed_elements("Ca,Ti O"))
    [8, 20, 22]
    """
    symbols = [symbol for symbol in re.split(r"[\s,;]+", text) if symbol]
    unknown = [symbol for symbol in symbols if not atomic_number(symbol)]
    if unknown or not symbols:
        raise PatternError(
            f"elements must be symbols such as 'Ca,Ti,O', but are {text!r}"
            f"{f' with {unknown[0]!r} among them' if unknown else ''}; write each element that the"
            " sample may hold, capital letter first."
        )
    return frozenset(map(atomic_number, symbols))


def is_made_of(formula: str, elements: Iterable[int]) -> bool:
    """Say whether a formula holds none but these elements; not all of them need be in it.

    A formula that cannot be read holds no known elements, and so is not made of any.

    Examples
    --------
    >>> is_made_of("CaO", allowed_elements("Ca,Ti,O")), is_made_of("CaCO3", [20, 8])
    (True, False)
    """
    amounts = formula_amounts(formula)
    return bool(amounts) and set(amounts) <= set(elements)
