"""Pressure from the volume of a marker: gold, salt, periclase, platinum, tungsten.

The numbers were read in the transcriptions of the open catalogue Peritheos (github.com/CPrescher/
peritheos, peritheos/data/materials/*.eosmat), which states that it checked them against the papers;
the papers themselves were not open. All hold near 300 K.
"""

import math
from dataclasses import dataclass

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
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


# Bravais lattice and sites of each marker's conventional cell, which is a cube.
_SITES: dict[str, tuple[str, list[tuple[str, tuple[float, float, float]]]]] = {
    "Au": ("F m -3 m", [("Au", (0, 0, 0))]),
    "NaCl": ("F m -3 m", [("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))]),
    "MgO": ("F m -3 m", [("Mg", (0, 0, 0)), ("O", (0.5, 0.5, 0.5))]),
    "Pt": ("F m -3 m", [("Pt", (0, 0, 0))]),
    "W": ("I m -3 m", [("W", (0, 0, 0))]),
}
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


def marker_crystal(name: str) -> Crystal:
    """Return the crystal of a marker at zero pressure.

    Examples
    --------
    >>> round(marker_crystal("Au").cell[0], 3)
    4.079
    """
    _check(name)
    edge = MARKERS[name].volume_cubic_angstrom ** (1 / 3)
    symbol, sites = _SITES[name]
    return crystal_from_sites(name, symbol, (edge, edge, edge, 90.0, 90.0, 90.0), sites)


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
    MarkerPressure(pressure_gpa=8.1448, uncertainty_gpa=0.1646)
    """
    _check(name)
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
    return MarkerPressure(round(pressure, 4), round(uncertainty, 4))


def _check(name: str) -> None:
    if name not in MARKERS:
        raise CrystalError(
            f"the pressure marker must be one of {', '.join(sorted(MARKERS))}, but is {name!r};"
            " name one of these, or fit an equation of state of your own."
        )
