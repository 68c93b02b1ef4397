"""The equation of state that a run's volumes and pressures follow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import curve_fit

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.equation_of_state import BirchMurnaghan, Vinet
from phasepilot.models.errors import ModelsError

_EQUATIONS: dict[str, Callable[[float, float], BirchMurnaghan | Vinet]] = {
    "birch-murnaghan": BirchMurnaghan,
    "vinet": Vinet,
}
FEWEST = 5


@dataclass(frozen=True, slots=True)
class CompressionFit:
    """V0, K0 and K0' with one standard deviation each, and the scatter of the pressures in GPa.

    Volumes are in the unit of those that were fitted.
    """

    volume: float
    bulk_modulus_gpa: float
    bulk_modulus_derivative: float
    volume_uncertainty: float
    bulk_modulus_uncertainty_gpa: float
    bulk_modulus_derivative_uncertainty: float
    scatter_gpa: float


def fitted_compression(
    pressure_gpa: FloatArray,
    volume: FloatArray,
    *,
    equation: Literal["birch-murnaghan", "vinet"] = "birch-murnaghan",
) -> CompressionFit:
    """Return the equation of state of volumes at known pressures, by least squares in pressure.

    Raises
    ------
    ModelsError
        If there are fewer than five finite pairs.
    """
    is_known = np.isfinite(pressure_gpa) & np.isfinite(volume)
    if is_known.sum() < FEWEST:
        raise ModelsError(
            f"an equation of state needs at least {FEWEST} volumes at known pressures, but there"
            f" are {int(is_known.sum())}; follow the phase over more frames."
        )
    pressures, volumes = pressure_gpa[is_known], volume[is_known]
    make = _EQUATIONS[equation]

    def pressure_of(each: FloatArray, zero: float, modulus: float, derivative: float) -> FloatArray:
        state = make(modulus, derivative)
        return np.array([state.pressure_gpa(float(one) / zero) for one in each])

    largest = float(volumes.max())
    slope = np.polyfit(volumes, pressures, 1)[0]
    start = (largest * 1.01, max(-slope * largest, 1.0), 4.0)
    bounds = ([0.7 * largest, 0.1, 0.0], [2.0 * largest, 5000.0, 15.0])
    found, covariance = curve_fit(pressure_of, volumes, pressures, p0=start, bounds=bounds)
    spread = np.sqrt(np.diag(covariance))
    left = pressures - pressure_of(volumes, *found)
    return CompressionFit(
        volume=float(found[0]),
        bulk_modulus_gpa=float(found[1]),
        bulk_modulus_derivative=float(found[2]),
        volume_uncertainty=float(spread[0]),
        bulk_modulus_uncertainty_gpa=float(spread[1]),
        bulk_modulus_derivative_uncertainty=float(spread[2]),
        scatter_gpa=float(left.std(ddof=3)),
    )
