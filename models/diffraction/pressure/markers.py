"""Pressure from the volume of a marker: gold, salt, periclase, platinum, tungsten.

The numbers were read in the transcriptions of the open catalogue Peritheos (github.com/CPrescher/
peritheos, peritheos/data/materials/*.eosmat), which states that it checked them against the papers;
the papers themselves were not open. All hold near 300 K.
"""

import math
from dataclasses import dataclass

from phasepilot.models.diffraction.crystals.equation_of_state import (
    BirchMurnaghan,
    EquationOfState,
    Vinet,
)
from phasepilot.models.errors import CrystalError


@dataclass(frozen=True, slots=True)
class Marker:
    """A pressure standard: its conventional cell at zero pressure, and how it is compressed.

    Attributes
    ----------
    volume_cubic_angstrom : float
    equation_of_state : EquationOfState
    highest_gpa : float
        Up to where it was measured.
    """

    volume_cubic_angstrom: float
    equation_of_state: EquationOfState
    highest_gpa: float


@dataclass(frozen=True, slots=True)
class MarkerPressure:
    """A pressure and one standard deviation of it, from that of the volume alone."""

    pressure_gpa: float
    uncertainty_gpa: float


MARKERS = {
    # Fei et al., PNAS 104, 9182 (2007), doi:10.1073/pnas.0609013104, table 1; gold.eosmat.
    "Au": Marker(67.850, Vinet(167.0, 6.0), 89.0),
    # B1. Shen & Smith, Phys. Rev. B 113, 144113 (2026), doi:10.1103/fxgq-96sg, table II;
    # nacl_b1.eosmat.
    "NaCl": Marker(179.41, Vinet(23.5, 5.23), 31.0),
    # Speziale et al., J. Geophys. Res. 106, 515 (2001), doi:10.1029/2000JB900318, abstract;
    # mgo.eosmat.
    "MgO": Marker(74.71, BirchMurnaghan(160.2, 3.99), 52.0),
    # Shen & Smith as above; platinum.eosmat.
    "Pt": Marker(60.364, Vinet(261.2, 5.75), 140.0),
    # Dewaele et al., Phys. Rev. B 70, 094112 (2004), doi:10.1103/PhysRevB.70.094112, table II;
    # tungsten.eosmat.
    "W": Marker(31.724, Vinet(295.2, 4.32), 153.0),
}


def marker_pressure(
    name: str, volume_cubic_angstrom: float, uncertainty_cubic_angstrom: float
) -> MarkerPressure:
    """Return the pressure at which the marker's cell has this volume; a little below 0 is noise.

    Raises
    ------
    CrystalError
        If there is no such marker, or the volume is not positive.

    Examples
    --------
    >>> marker_pressure("Au", 65.0, 0.05)
    MarkerPressure(pressure_gpa=8.145, uncertainty_gpa=0.165)
    """
    if name not in MARKERS:
        raise CrystalError(
            f"the pressure marker must be one of {', '.join(sorted(MARKERS))}, but is {name!r};"
            " name one of these, or fit an equation of state of your own."
        )
    marker = MARKERS[name]
    ratio = volume_cubic_angstrom / marker.volume_cubic_angstrom
    spread = uncertainty_cubic_angstrom / marker.volume_cubic_angstrom
    pressure = marker.equation_of_state.pressure_gpa(ratio)
    step = 1e-4
    slope = (
        marker.equation_of_state.pressure_gpa(ratio + step)
        - marker.equation_of_state.pressure_gpa(ratio - step)
    ) / (2 * step)
    uncertainty = abs(slope) * spread if math.isfinite(spread) else math.nan
    return MarkerPressure(round(pressure, 3), round(uncertainty, 3))
