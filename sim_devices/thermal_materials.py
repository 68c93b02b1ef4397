"""Two samples that change phase when heated, with the numbers of the literature.

What no source gives that we opened is called "assumed", or "not opened by us" where we know who
measured it. The *transition temperature* is where the new phase first appears on heating.
"""

import difflib
from dataclasses import dataclass, replace

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.hysteresis import HysteresisLoop
from phasepilot.models.diffraction.pressure.materials import MaterialError

_CUBE = (90.0, 90.0, 90.0)


@dataclass(frozen=True)
class ThermalPhase:
    """One crystal structure and how it expands.

    Attributes
    ----------
    name : str
        Material and structure.
    crystal : Crystal
        The structure at `reference_temperature_k`. Angles and the atoms' positions stay those.
    expansion_per_k : tuple of float
        Linear thermal expansion of a, b and c; they must obey the symmetry.
    reference_temperature_k : float
    """

    name: str
    crystal: Crystal
    expansion_per_k: tuple[float, float, float]
    reference_temperature_k: float

    def crystal_at(self, temperature_k: float) -> Crystal:
        """Return the crystal with the cell that it has at this temperature."""
        warmer_k = temperature_k - self.reference_temperature_k
        grow_a, grow_b, grow_c = (1 + expansion * warmer_k for expansion in self.expansion_per_k)
        a, b, c, alpha, beta, gamma = self.crystal.cell
        cell = (a * grow_a, b * grow_b, c * grow_c, alpha, beta, gamma)
        return replace(self.crystal, cell=cell)


@dataclass(frozen=True)
class ThermalMaterial:
    """A substance with one transition on heating.

    Attributes
    ----------
    name : str
        As `thermal_material_named` takes it.
    low_temperature, high_temperature : ThermalPhase
        What there is below and above.
    loop : HysteresisLoop
        In kelvin; up is heating.
    scan_start_k, scan_stop_k : float
        A scan that shows the transition, with room on both sides.
    """

    name: str
    low_temperature: ThermalPhase
    high_temperature: ThermalPhase
    loop: HysteresisLoop
    scan_start_k: float
    scan_stop_k: float

    @property
    def transition_temperature_k(self) -> float:
        """Where the new phase first appears on heating: the onset."""
        return self.loop.rise_onset


# Monoclinic at room temperature: Howard, Hill & Reichert, Acta Cryst. B 44, 116 (1988), read in the
# AFLOW prototypes that pymatgen ships, A2B_mP12_14_2e_e. Tetragonal at 1523 K: a = 3.64, c = 5.27
# angstrom, oxygen at z = 0.185: Teufer, Acta Cryst. 15, 1187 (1962), not opened by us.
# Monoclinic to tetragonal from 1000 to 1200 C on heating, back from 970 to 750 C on cooling:
# Wolten, Science 140, 1330 (1963), doi:10.1126/science.140.3573.1330, abstract (opened). Expansion
# is rounded from what high-temperature diffraction usually gives, strongly anisotropic in the
# monoclinic phase (Patil & Subbarao, J. Appl. Cryst. 2, 281 (1969), not opened by us): assumed.
ZIRCONIA = ThermalMaterial(
    name="ZrO2",
    low_temperature=ThermalPhase(
        "ZrO2 monoclinic",
        crystal_from_sites(
            "ZrO2 monoclinic",
            "P 1 21/c 1",
            (5.1505, 5.2116, 5.3173, 90.0, 99.23, 90.0),
            [
                ("Zr", (0.2754, 0.0395, 0.2083)),
                ("O", (0.0700, 0.3317, 0.3447)),
                ("O", (0.4496, 0.7569, 0.4792)),
            ],
        ),
        expansion_per_k=(9e-6, 2e-6, 13e-6),
        reference_temperature_k=298.0,
    ),
    high_temperature=ThermalPhase(
        "ZrO2 tetragonal",
        crystal_from_sites(
            "ZrO2 tetragonal",
            "P 42/n m c:1",
            (3.64, 3.64, 5.27, *_CUBE),
            [("Zr", (0.0, 0.0, 0.0)), ("O", (0.0, 0.5, 0.185))],
        ),
        expansion_per_k=(11e-6, 11e-6, 14e-6),
        reference_temperature_k=1523.0,
    ),
    loop=HysteresisLoop(rise_onset=1273.0, rise_end=1473.0, fall_onset=1243.0, fall_end=1023.0),
    scan_start_k=1100.0,
    scan_stop_k=1600.0,
)

# Tetragonal below 120 C (393 K), cubic above: Encyclopaedia Britannica, T. O. Mason, "Ferroelectric
# properties" (opened). Cells a = 3.994, c = 4.038 angstrom at 298 K and a = 4.009 angstrom just
# above the transition are the usual ones; displacements of the atoms are rounded from Kwei et al.,
# J. Phys. Chem. 97, 2368 (1993); neither opened by us. The expansion lets c/a fall from 1.011 to
# 1.006 before the rest of the splitting goes at once; it, the width of 4 K and the hysteresis of 3
# K are assumed.
BARIUM_TITANATE = ThermalMaterial(
    name="BaTiO3",
    low_temperature=ThermalPhase(
        "BaTiO3 tetragonal",
        crystal_from_sites(
            "BaTiO3 tetragonal",
            "P 4 m m",
            (3.994, 3.994, 4.038, *_CUBE),
            [
                ("Ba", (0.0, 0.0, 0.0)),
                ("Ti", (0.5, 0.5, 0.522)),
                ("O", (0.5, 0.5, -0.025)),
                ("O", (0.5, 0.0, 0.488)),
            ],
        ),
        expansion_per_k=(25e-6, 25e-6, -27e-6),
        reference_temperature_k=298.0,
    ),
    high_temperature=ThermalPhase(
        "BaTiO3 cubic",
        crystal_from_sites(
            "BaTiO3 cubic",
            "P m -3 m",
            (4.009, 4.009, 4.009, *_CUBE),
            [("Ba", (0.0, 0.0, 0.0)), ("Ti", (0.5, 0.5, 0.5)), ("O", (0.5, 0.5, 0.0))],
        ),
        expansion_per_k=(10e-6, 10e-6, 10e-6),
        reference_temperature_k=400.0,
    ),
    loop=HysteresisLoop(rise_onset=393.0, rise_end=397.0, fall_onset=394.0, fall_end=390.0),
    scan_start_k=300.0,
    scan_stop_k=450.0,
)

THERMAL_MATERIALS = {"BaTiO3": BARIUM_TITANATE, "ZrO2": ZIRCONIA}


def thermal_material_named(name: str) -> ThermalMaterial:
    """Return the material of that name.

    Raises
    ------
    MaterialError
        If there is none; the text lists those there are.
    """
    if name not in THERMAL_MATERIALS:
        near = difflib.get_close_matches(name, THERMAL_MATERIALS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise MaterialError(
            f"no material {name!r} to heat; there are {sorted(THERMAL_MATERIALS)}.{hint}"
        )
    return THERMAL_MATERIALS[name]
