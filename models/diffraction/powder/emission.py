"""What beams are made of: the lines of X-ray tubes, and monochromatic beams."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.errors import PatternError


@dataclass(frozen=True, slots=True)
class Emission:
    """The lines of a beam, the one that angles are reckoned with first.

    Attributes
    ----------
    wavelengths_angstrom, weights : tuple of float
        The weights are intensities against the first line.
    """

    wavelengths_angstrom: tuple[float, ...]
    weights: tuple[float, ...]


def monochromatic(wavelength_angstrom: float) -> Emission:
    """Return a beam of one wavelength.

    Raises
    ------
    PatternError
        If the wavelength is not positive.
    """
    if not (np.isfinite(wavelength_angstrom) and wavelength_angstrom > 0):
        raise PatternError(
            f"wavelength_angstrom must be a positive number, but is {wavelength_angstrom!r};"
            " state the wavelength of the beam in angstrom (Cu K-alpha1 would be 1.5406)."
        )
    return Emission((float(wavelength_angstrom),), (1.0,))


# Peak wavelengths: Hoelzer et al., Phys. Rev. A 56, 4554 (1997), doi:10.1103/PhysRevA.56.4554 for
# Cr, Fe, Co and Cu; Deslattes et al., Rev. Mod. Phys. 75, 35 (2003), doi:10.1103/RevModPhys.75.35
# for Mo and Ag.
_ALPHA_1_2 = {
    "Cr": (2.289726, 2.293651),
    "Fe": (1.936041, 1.939973),
    "Co": (1.788996, 1.792835),
    "Cu": (1.540593, 1.544427),
    "Mo": (0.709317, 0.713607),
    "Ag": (0.559422, 0.563813),
}
# K-alpha2 has half the intensity of K-alpha1: two electrons of the 2p1/2 shell against four of the
# 2p3/2 shell.
ALPHA_2_TO_1 = 0.5

EMISSIONS: dict[str, Emission] = {
    **{f"{metal}Ka1": Emission((first,), (1.0,)) for metal, (first, _) in _ALPHA_1_2.items()},
    **{
        f"{metal}Ka12": Emission((first, second), (1.0, ALPHA_2_TO_1))
        for metal, (first, second) in _ALPHA_1_2.items()
    },
    # One line at the mean, weighted 2 : 1, as many programs and papers take it.
    **{
        f"{metal}Ka": Emission(((2 * first + second) / 3,), (1.0,))
        for metal, (first, second) in _ALPHA_1_2.items()
    },
}


def emission(name: str) -> Emission:
    """Return the emission of that name, e.g. ``"CuKa12"`` for copper with both K-alpha lines.

    Raises
    ------
    PatternError
        If there is none of that name.

    Examples
    --------
    >>> emission("CuKa12").wavelengths_angstrom
    (1.540593, 1.544427)
    """
    if name not in EMISSIONS:
        raise PatternError(
            f"an emission must be one of {', '.join(sorted(EMISSIONS))}, but is {name!r};"
            " or give the wavelength of a monochromatic beam in angstrom."
        )
    return EMISSIONS[name]
