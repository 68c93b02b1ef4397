"""Three samples that change phase under pressure, with the numbers of the literature.

The papers' tables were read in the transcriptions of the open catalogue Peritheos (github.com/
CPrescher/peritheos, files named below), which states that it checked them against the papers; the
papers themselves were behind paywalls, except for abstracts. What no source gives is called
"assumed".

The *transition pressure* of a material is the pressure at which the new phase first appears on
compression, the onset. It is not the equilibrium pressure, which lies inside the hysteresis loop.
"""

import difflib
from dataclasses import dataclass
from math import inf

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.equation_of_state import (
    BirchMurnaghan,
    EquationOfState,
    Vinet,
)


class MaterialError(ValueError):
    """A material that does not exist, or whose numbers contradict each other."""


@dataclass(frozen=True)
class Phase:
    """One crystal structure and how it is compressed.

    Attributes
    ----------
    name : str
        Material and structure, e.g. ``"KCl B2"``.
    crystal : Crystal
        The structure at `reference_pressure_gpa`. Angles and the atoms' relative positions stay
        those of the reference.
    equation_of_state : EquationOfState
        Relative to the volume at zero pressure, whichever the reference pressure is.
    reference_pressure_gpa : float
        0 where the paper gives a (perhaps extrapolated) zero-pressure volume.
    axis_shares : tuple of float
        Shares of a, b and c in the logarithm of the volume ratio; thirds strain isotropically. They
        must obey the symmetry and add up to 1.
    """

    name: str
    crystal: Crystal
    equation_of_state: EquationOfState
    reference_pressure_gpa: float = 0.0
    axis_shares: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)

    def volume_ratio(self, pressure_gpa: float) -> float:
        """Return the volume relative to that of `crystal`, at its reference pressure."""
        reference = self.equation_of_state.volume_ratio(self.reference_pressure_gpa)
        return self.equation_of_state.volume_ratio(pressure_gpa) / reference

    def length_ratios(self, pressure_gpa: float) -> FloatArray:
        """Return a, b and c relative to those of `crystal`, shape (3,)."""
        return np.asarray(self.volume_ratio(pressure_gpa) ** np.array(self.axis_shares))

    def q_per_angstrom(self, hkl: IntArray, pressure_gpa: float) -> FloatArray:
        """Return where reflections lie at this pressure, shape (n_lines,)."""
        stretched = hkl / self.length_ratios(pressure_gpa)
        return np.asarray(2 * np.pi * np.linalg.norm(stretched @ self.crystal.reciprocal, axis=1))

    def relative_density(self, pressure_gpa: float) -> float:
        """Return atoms per cubic angstrom: a density that compares phases of one material."""
        volume = self.crystal.volume_cubic_angstrom * self.volume_ratio(pressure_gpa)
        return len(self.crystal.atomic_numbers) / volume


@dataclass(frozen=True)
class Material:
    """A substance with one transition, and the hysteresis loop of that transition.

    Attributes
    ----------
    name : str
        As `material_named` takes it.
    low_pressure, high_pressure : Phase
        What there is before and after.
    compress_onset_gpa, compress_end_gpa : float
        Where, on compression, the new phase first appears and the old one is gone.
    decompress_onset_gpa, decompress_end_gpa : float
        Where, on decompression, the old phase comes back and the new one is gone; minus infinity
        for a phase that never returns.
    scan_start_gpa, scan_stop_gpa : float
        A scan that shows the transition, with room on both sides.
    """

    name: str
    low_pressure: Phase
    high_pressure: Phase
    compress_onset_gpa: float
    compress_end_gpa: float
    decompress_onset_gpa: float
    decompress_end_gpa: float
    scan_start_gpa: float
    scan_stop_gpa: float

    def __post_init__(self) -> None:
        is_loop = (
            self.compress_onset_gpa < self.compress_end_gpa
            and self.decompress_end_gpa <= self.decompress_onset_gpa
            and self.decompress_end_gpa <= self.compress_onset_gpa
            and self.decompress_onset_gpa <= self.compress_end_gpa
        )
        if not is_loop:
            raise MaterialError(
                f"a hysteresis loop must turn back below where it went up, but {self.name} goes up"
                f" from {self.compress_onset_gpa:g} to {self.compress_end_gpa:g} GPa and back from"
                f" {self.decompress_onset_gpa:g} to {self.decompress_end_gpa:g} GPa; swap the pairs"
                " or onset and end."
            )

    @property
    def transition_pressure_gpa(self) -> float:
        """Where the new phase first appears on compression: the onset."""
        return self.compress_onset_gpa

    @property
    def transition_midpoint_gpa(self) -> float:
        """Where half the sample has changed on compression."""
        return (self.compress_onset_gpa + self.compress_end_gpa) / 2


# Vinet, 298 K: V0 = 62.36 and 54.5 angstrom^3 per formula unit, K0 = 17.1 and 17.2 GPa, K0' = 5.5
# (fixed) and 5.89. Dewaele et al., Phys. Rev. B 85, 214105 (2012), doi:10.1103/PhysRevB.85.214105,
# table II; read in Peritheos: materials/kcl_b1.eosmat and peritheos/materials.py. Tables I and II
# there show B1 up to 2.56 GPa and B2 from 2.56 GPa, both on compression. A transition at 2.0 GPa is
# called experimental in the abstract of Turk. J. Phys. id=6269 (opened). Onset 2.1 and the way back
# 1.9 to 1.6 GPa are assumed.
KCL = Material(
    name="KCl",
    low_pressure=Phase(
        "KCl B1",
        crystal_from_sites(
            "KCl B1",
            "F m -3 m",
            (6.2949, 6.2949, 6.2949, 90.0, 90.0, 90.0),
            [("K", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))],
        ),
        Vinet(bulk_modulus_gpa=17.1, bulk_modulus_derivative=5.5),
    ),
    high_pressure=Phase(
        "KCl B2",
        crystal_from_sites(
            "KCl B2",
            "P m -3 m",
            (3.7914, 3.7914, 3.7914, 90.0, 90.0, 90.0),
            [("K", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))],
        ),
        Vinet(bulk_modulus_gpa=17.2, bulk_modulus_derivative=5.89),
    ),
    compress_onset_gpa=2.1,
    compress_end_gpa=2.6,
    decompress_onset_gpa=1.9,
    decompress_end_gpa=1.6,
    scan_start_gpa=0.2,
    scan_stop_gpa=4.0,
)

# Si-I: Vinet V0 = 20.031 angstrom^3 per atom, K0 = 97.89 GPa, K0' = 4.24 (fixed). Si-II: a = 4.648,
# c = 2.560 angstrom at 13.5 GPa. Si-II seen from 13.1 GPa, Si-I up to 13.5 GPa, in helium. All from
# Anzellini et al., Sci. Rep. 9, 15537 (2019), doi:10.1038/s41598-019-51931-1, figure 1 and tables 1
# and 4; read in Peritheos: materials/silicon.eosmat and datasets/silicon-anzellini-2019-*.csv.
# No equation of state of Si-II was found: K0 = 110 GPa with K0' = 4 is ours, chosen because the six
# cells of table 4, run ST3, between 13.5 and 14.1 GPa give K = 156 +- 23 GPa there.
# Onset: 11.7 GPa, the usual value in less hydrostatic media (McMahon & Nelmes, Phys. Rev. B 47,
# 8337 (1993), doi:10.1103/PhysRevB.47.8337, not opened by us); in helium it is 13.1 GPa as above.
# The width of 0.6 GPa is assumed. Left out: Si-XI, seen from 13.1 GPa beside Si-II, and what
# follows.
# On decompression Si-II goes to Si-XII and Si-III, not back to Si-I; here it just stays.
SI = Material(
    name="Si",
    low_pressure=Phase(
        "Si-I diamond",
        crystal_from_sites(
            "Si-I",
            "F d -3 m:2",
            (5.4316, 5.4316, 5.4316, 90.0, 90.0, 90.0),
            [("Si", (0.125, 0.125, 0.125))],
        ),
        Vinet(bulk_modulus_gpa=97.89, bulk_modulus_derivative=4.24),
    ),
    high_pressure=Phase(
        "Si-II beta-Sn",
        crystal_from_sites(
            "Si-II",
            "I 41/a m d:1",
            (4.648, 4.648, 2.560, 90.0, 90.0, 90.0),
            [("Si", (0.0, 0.0, 0.0))],
        ),
        BirchMurnaghan(bulk_modulus_gpa=110.0, bulk_modulus_derivative=4.0),
        reference_pressure_gpa=13.5,
    ),
    compress_onset_gpa=11.7,
    compress_end_gpa=12.3,
    decompress_onset_gpa=-inf,
    decompress_end_gpa=-inf,
    scan_start_gpa=9.0,
    scan_stop_gpa=15.0,
)

# bcc: Vinet V0 = 23.506 angstrom^3 per cell (fixed), K0 = 162.1 GPa, K0' = 5.4. Shen & Smith,
# Phys. Rev. B 113, 144113 (2026), doi:10.1103/fxgq-96sg, table II; read in Peritheos:
# materials/fe.eosmat.
# hcp: Vinet V0 = 11.214 angstrom^3 per atom, K0 = 163.4 GPa, K0' = 5.38, c/a = 1.604 near 18 GPa.
# Dewaele et al., Phys. Rev. Lett. 97, 215504 (2006), doi:10.1103/PhysRevLett.97.215504, and its
# supplement; read in Peritheos: tests of record iron_dewaele_2006_vinet_thermal and
# datasets/iron-dewaele-2006-epaps-compression.csv.
# Transition: about 2 GPa wide, and back from 12 GPa on. Dewaele et al., Phys. Rev. B 91, 174105
# (2015), doi:10.1103/PhysRevB.91.174105, abstract (opened), which starts at 14.9 GPa in helium.
# The onset here is the 13 GPa that is quoted for less hydrostatic media (Bancroft et al., J. Appl.
# Phys. 27, 291 (1956), doi:10.1063/1.1722359, by shock; not opened by us).
FE = Material(
    name="Fe",
    low_pressure=Phase(
        "Fe bcc",
        crystal_from_sites(
            "Fe bcc",
            "I m -3 m",
            (2.8646, 2.8646, 2.8646, 90.0, 90.0, 90.0),
            [("Fe", (0.0, 0.0, 0.0))],
        ),
        Vinet(bulk_modulus_gpa=162.1, bulk_modulus_derivative=5.4),
    ),
    high_pressure=Phase(
        "Fe hcp",
        crystal_from_sites(
            "Fe hcp",
            "P 63/m m c",
            (2.5276, 2.5276, 4.0543, 90.0, 90.0, 120.0),
            [("Fe", (1 / 3, 2 / 3, 0.25))],
        ),
        Vinet(bulk_modulus_gpa=163.4, bulk_modulus_derivative=5.38),
    ),
    compress_onset_gpa=13.0,
    compress_end_gpa=15.0,
    decompress_onset_gpa=12.0,
    decompress_end_gpa=10.0,
    scan_start_gpa=8.0,
    scan_stop_gpa=20.0,
)

MATERIALS = {"Fe": FE, "KCl": KCL, "Si": SI}


def material_named(name: str) -> Material:
    """Return the material of that name.

    Raises
    ------
    MaterialError
        If there is none; the text lists those there are.

    Examples
    --------
    >>> material_named("KCl").transition_pressure_gpa
    2.1
    """
    if name not in MATERIALS:
        by_lower_case = {known.lower(): known for known in MATERIALS}
        near = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
        hint = f" Did you mean {by_lower_case[near[0]]!r}?" if near else ""
        raise MaterialError(f"no material {name!r}; there are {sorted(MATERIALS)}.{hint}")
    return MATERIALS[name]
