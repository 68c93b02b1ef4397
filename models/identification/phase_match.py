"""What a search says of one known phase in a pattern."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhaseMatch:
    """A known phase whose lines were found in a pattern.

    Attributes
    ----------
    name : str
        What the library calls it.
    formula : str
        Reduced formula.
    space_group_number : int
        1 to 230.
    fraction : float
        Share of the pattern's explained intensity that belongs to this phase, 0 to 1.
    strain : float
        Mean relative difference of the lattice from the library's, positive when larger.
    explained : float
        Share of the pattern's intensity above background that this phase alone explains, 0 to 1.
    """

    name: str
    formula: str
    space_group_number: int
    fraction: float
    strain: float
    explained: float
