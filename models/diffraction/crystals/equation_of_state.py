"""How the volume of a phase answers to pressure, at room temperature."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import exp, isfinite
from typing import Protocol

import numpy as np
from scipy.optimize import brentq

from phasepilot.models.errors import CrystalError

# No solid of ours is ever squeezed below this V/V0; the search for the end of the range stops here.
SMALLEST_VOLUME_RATIO = 0.3
_RATIO_STEP = 0.005


class EquationOfState(Protocol):
    """Anything that relates pressure and V/V0."""

    def pressure_gpa(self, volume_ratio: float) -> float:
        """Return the pressure at this V/V0."""

    def volume_ratio(self, pressure_gpa: float) -> float:
        """Return V/V0 at this pressure."""


@dataclass(frozen=True)
class BirchMurnaghan:
    """Third-order Birch-Murnaghan equation; a derivative of 4 makes it the second-order one.

    P = 3/2 K0 (x^-7 - x^-5) [1 + 3/4 (K0' - 4) (x^-2 - 1)], with x = (V/V0)^(1/3).

    Attributes
    ----------
    bulk_modulus_gpa : float
        K0, at zero pressure.
    bulk_modulus_derivative : float
        K0' = dK/dP at zero pressure.

    References
    ----------
    Birch, Phys. Rev. 71, 809 (1947), doi:10.1103/PhysRev.71.809.

    Examples
    --------
    >>> steel_like = BirchMurnaghan(bulk_modulus_gpa=160.0, bulk_modulus_derivative=5.0)
    >>> round(steel_like.volume_ratio(10.0), 4)
    0.9469
    """

    bulk_modulus_gpa: float
    bulk_modulus_derivative: float = 4.0

    def pressure_gpa(self, volume_ratio: float) -> float:
        """Return the pressure at this V/V0; raise CrystalError unless V/V0 is positive."""
        x = _length_ratio(volume_ratio)
        third_order = 1 + 0.75 * (self.bulk_modulus_derivative - 4) * (x**-2 - 1)
        return 1.5 * self.bulk_modulus_gpa * (x**-7 - x**-5) * third_order

    def volume_ratio(self, pressure_gpa: float) -> float:
        """Return V/V0 at this pressure; raise CrystalError below 0 or beyond the equation."""
        return _invert(self.pressure_gpa, pressure_gpa, self._smallest_ratio)

    @cached_property
    def _smallest_ratio(self) -> float:
        return _end_of_compression(self.pressure_gpa)


@dataclass(frozen=True)
class Vinet:
    """The Vinet (Rydberg) equation.

    P = 3 K0 (1 - x) / x^2 exp[3/2 (K0' - 1) (1 - x)], with x = (V/V0)^(1/3).

    Attributes
    ----------
    bulk_modulus_gpa : float
        K0, at zero pressure.
    bulk_modulus_derivative : float
        K0' = dK/dP at zero pressure.

    References
    ----------
    Vinet, Ferrante, Rose & Smith, J. Geophys. Res. 92, 9319 (1987),
    doi:10.1029/JB092iB09p09319.

    Examples
    --------
    >>> round(Vinet(bulk_modulus_gpa=17.1, bulk_modulus_derivative=5.5).volume_ratio(2.0), 4)
    0.9128
    """

    bulk_modulus_gpa: float
    bulk_modulus_derivative: float

    def pressure_gpa(self, volume_ratio: float) -> float:
        """Return the pressure at this V/V0; raise CrystalError unless V/V0 is positive."""
        x = _length_ratio(volume_ratio)
        steepness = 1.5 * (self.bulk_modulus_derivative - 1)
        return 3 * self.bulk_modulus_gpa * (1 - x) / x**2 * exp(steepness * (1 - x))

    def volume_ratio(self, pressure_gpa: float) -> float:
        """Return V/V0 at this pressure; raise CrystalError below 0 or beyond the equation."""
        return _invert(self.pressure_gpa, pressure_gpa, self._smallest_ratio)

    @cached_property
    def _smallest_ratio(self) -> float:
        return _end_of_compression(self.pressure_gpa)


def _length_ratio(volume_ratio: float) -> float:
    if not volume_ratio > 0:
        raise CrystalError(
            f"volume_ratio must be positive, but is {volume_ratio:g}; give V/V0, not V - V0."
        )
    return float(volume_ratio ** (1 / 3))


def _end_of_compression(pressure_of: Callable[[float], float]) -> float:
    """Return the V/V0 down to which pressure grows: BM3 with K0' < 4 turns back at some point."""
    ratios = np.arange(1.0, SMALLEST_VOLUME_RATIO, -_RATIO_STEP)
    pressures = np.array([pressure_of(ratio) for ratio in ratios])
    turns_back = np.flatnonzero(np.diff(pressures) <= 0)
    return float(ratios[turns_back[0] if turns_back.size else -1])


def _invert(
    pressure_of: Callable[[float], float], pressure_gpa: float, smallest_ratio: float
) -> float:
    highest = pressure_of(smallest_ratio)
    if not (isfinite(pressure_gpa) and 0 <= pressure_gpa <= highest):
        raise CrystalError(
            f"pressure_gpa must lie in [0, {highest:.4g}] for this equation of state, but is"
            f" {pressure_gpa:g}; check the unit (1 GPa = 10 kbar) and the limits of the scan."
        )
    return float(brentq(lambda ratio: pressure_of(ratio) - pressure_gpa, smallest_ratio, 1.0))
