"""More samples for the runs of the compression benchmark, and those that the tracker is fitted on.

Structures and moduli are rounded values of textbooks, from memory: they make patterns of plausible
substances, no more is asked of them. Where a transition lies, and how wide it is, is assumed.
"""

import math
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.equation_of_state import BirchMurnaghan
from phasepilot.models.diffraction.pressure.further_materials import BENCHMARK_MATERIALS
from phasepilot.models.diffraction.pressure.materials import Material, Phase

_SQUARE = (90.0, 90.0, 90.0)
_HEXAGONAL = (90.0, 90.0, 120.0)


@dataclass(frozen=True, slots=True)
class ThermalExpansion:
    """An equation of state whose "pressure" is a temperature in kelvin above 300 K.

    A `Phase` asks for its volume at whatever is varied.
    """

    expansion_per_k: float

    def pressure_gpa(self, volume_ratio: float) -> float:
        """Return the temperature at this V/V0."""
        return math.log(volume_ratio) / self.expansion_per_k

    def volume_ratio(self, pressure_gpa: float) -> float:
        """Return V/V0 at this temperature."""
        return math.exp(self.expansion_per_k * pressure_gpa)


@dataclass(frozen=True, slots=True)
class HeatedSample:
    """A substance that changes phase when heated, so far above 300 K."""

    name: str
    cold: Phase
    hot: Phase
    onset_above_300_k: float


@dataclass(frozen=True)
class DistortedPhase(Phase):
    """A phase whose axes part continuously from a pressure on, which splits its lines.

    Attributes
    ----------
    distortion : tuple of float
        What a, b and c gain, relative, at the end; they sum up to 0.
    onset_gpa, width_gpa : float
    power : float
        1 where the strain is the square of an order parameter, 1/2 where it is one itself.
    """

    distortion: tuple[float, float, float] = (0.0, 0.0, 0.0)
    onset_gpa: float = 0.0
    width_gpa: float = 1.0
    power: float = 1.0

    def order(self, pressure_gpa: float) -> float:
        """Return how much of the distortion there is, 0 to 1."""
        way = min(max((pressure_gpa - self.onset_gpa) / self.width_gpa, 0.0), 1.0)
        return float(way**self.power)

    def length_ratios(self, pressure_gpa: float) -> FloatArray:
        """Return a, b and c relative to those of `crystal`, shape (3,)."""
        spontaneous = np.exp(self.order(pressure_gpa) * np.array(self.distortion))
        # Not super(): slots and dataclasses aside, the parent's method is the undistorted crystal.
        return np.asarray(Phase.length_ratios(self, pressure_gpa) * spontaneous)

    def splitting(self, pressure_gpa: float) -> float:
        """Return how far the widest split line has split, relative."""
        return self.order(pressure_gpa) * float(np.ptp(self.distortion))


@dataclass(frozen=True, slots=True)
class SampleSet:
    """What runs are drawn from."""

    compressed: tuple[Material, ...]
    heated: tuple[HeatedSample, ...]
    distorted: tuple[DistortedPhase, ...]


def _phase(crystal: Crystal, modulus_gpa: float) -> Phase:
    return Phase(crystal.name, crystal, BirchMurnaghan(modulus_gpa))


def _heated(cold: Crystal, hot: Crystal, onset_k: float, expansion_per_k: float) -> HeatedSample:
    expansion = ThermalExpansion(expansion_per_k)
    before, after = (Phase(one.name, one, expansion) for one in (cold, hot))
    return HeatedSample(cold.name.split()[0], before, after, onset_k - 300.0)


def _rock_salt(name: str, first: str, second: str, edge: float) -> Crystal:
    sites = [(first, (0.0, 0.0, 0.0)), (second, (0.5, 0.5, 0.5))]
    return crystal_from_sites(name, "F m -3 m", (edge, edge, edge, *_SQUARE), sites)


def _caesium_chloride(name: str, first: str, second: str, edge: float) -> Crystal:
    sites = [(first, (0.0, 0.0, 0.0)), (second, (0.5, 0.5, 0.5))]
    return crystal_from_sites(name, "P m -3 m", (edge, edge, edge, *_SQUARE), sites)


def _face_centred(name: str, symbol: str, edge: float) -> Crystal:
    return crystal_from_sites(name, "F m -3 m", (edge, edge, edge, *_SQUARE), [(symbol, (0, 0, 0))])


def _body_centred(name: str, symbol: str, edge: float) -> Crystal:
    return crystal_from_sites(name, "I m -3 m", (edge, edge, edge, *_SQUARE), [(symbol, (0, 0, 0))])


def _close_packed(name: str, symbol: str, a: float, c: float) -> Crystal:
    sites = [(symbol, (1 / 3, 2 / 3, 0.25))]
    return crystal_from_sites(name, "P 63/m m c", (a, a, c, *_HEXAGONAL), sites)


def _rutile(name: str, metal: str, ligand: str, a: float, c: float, u: float) -> Crystal:
    """Return rutile in the orthorhombic setting of its distortion to the CaCl2 type."""
    sites = [(metal, (0.0, 0.0, 0.0)), (ligand, (u, u, 0.0))]
    return crystal_from_sites(name, "P n n m", (a, a, c, *_SQUARE), sites)


def _perovskite(name: str, large: str, small: str, edge: float) -> Crystal:
    """Return a cubic perovskite in the setting of its tetragonal distortion."""
    sites = [
        (large, (0.0, 0.0, 0.0)),
        (small, (0.5, 0.5, 0.5)),
        ("O", (0.5, 0.5, 0.0)),
        ("O", (0.5, 0.0, 0.5)),
    ]
    return crystal_from_sites(name, "P 4/m m m", (edge, edge, edge, *_SQUARE), sites)


def _rhombohedral_perovskite(name: str, large: str, small: str, edge: float) -> Crystal:
    """Return a cubic perovskite in the hexagonal setting of its distortion along [111]."""
    a, c = edge * math.sqrt(2), edge * math.sqrt(3)
    sites = [(large, (0.0, 0.0, 0.0)), (small, (0.0, 0.0, 0.5)), ("O", (0.5, 0.0, 0.0))]
    return crystal_from_sites(name, "R -3 m", (a, a, c, *_HEXAGONAL), sites)


def _rhombohedral_metal(name: str, symbol: str, edge: float) -> Crystal:
    """Return a body-centred metal in the hexagonal setting of its distortion along [111]."""
    a, c = edge * math.sqrt(2), edge * math.sqrt(3) / 2
    return crystal_from_sites(name, "R -3 m", (a, a, c, *_HEXAGONAL), [(symbol, (0.0, 0.0, 0.0))])


def _material(low: Phase, high: Phase, onset: float, start: float, stop: float) -> Material:
    width = 0.2 * onset
    return Material(
        name=low.name.split()[0],
        low_pressure=low,
        high_pressure=high,
        compress_onset_gpa=onset,
        compress_end_gpa=onset + width,
        decompress_onset_gpa=0.8 * onset,
        decompress_end_gpa=0.6 * onset,
        scan_start_gpa=start,
        scan_stop_gpa=stop,
    )


def _splitting(
    crystal: Crystal,
    modulus_gpa: float,
    onset_gpa: float,
    distortion: tuple[float, float, float],
    power: float,
) -> DistortedPhase:
    return DistortedPhase(
        crystal.name,
        crystal,
        BirchMurnaghan(modulus_gpa),
        distortion=distortion,
        onset_gpa=onset_gpa,
        power=power,
    )


REPORTED = SampleSet(
    compressed=tuple(BENCHMARK_MATERIALS[name] for name in sorted(BENCHMARK_MATERIALS)),
    heated=(
        _heated(
            _body_centred("iron cold", "Fe", 2.866),
            _face_centred("iron hot", "Fe", 3.571),
            1185.0,
            4e-5,
        ),
        _heated(
            _close_packed("titanium cold", "Ti", 2.951, 4.684),
            _body_centred("titanium hot", "Ti", 3.28),
            1155.0,
            2.7e-5,
        ),
        _heated(
            _caesium_chloride("CsCl cold", "Cs", "Cl", 4.123),
            _rock_salt("CsCl hot", "Cs", "Cl", 6.9),
            743.0,
            1.4e-4,
        ),
    ),
    distorted=(
        _splitting(
            _perovskite("SrTiO3", "Sr", "Ti", 3.905), 174.0, 9.6, (-0.004, -0.004, 0.008), 1.0
        ),
        _splitting(
            _rutile("stishovite", "Si", "O", 4.18, 2.667, 0.306),
            300.0,
            50.0,
            (-0.012, 0.012, 0),
            0.5,
        ),
        _splitting(
            _rhombohedral_metal("vanadium", "V", 3.03), 162.0, 63.0, (0.005, 0.005, -0.01), 1.0
        ),
    ),
)
FITTED_ON = SampleSet(
    compressed=(
        _material(
            _phase(_rock_salt("RbCl B1", "Rb", "Cl", 6.581), 15.6),
            _phase(_caesium_chloride("RbCl B2", "Rb", "Cl", 3.93), 18.0),
            0.6,
            0.05,
            1.8,
        ),
        _material(
            _phase(_rock_salt("CaO B1", "Ca", "O", 4.811), 111.0),
            _phase(_caesium_chloride("CaO B2", "Ca", "O", 2.91), 115.0),
            60.0,
            30.0,
            85.0,
        ),
        _material(
            _phase(
                crystal_from_sites(
                    "ZnO wurtzite",
                    "P 63 m c",
                    (3.25, 3.25, 5.207, *_HEXAGONAL),
                    [("Zn", (1 / 3, 2 / 3, 0.0)), ("O", (1 / 3, 2 / 3, 0.382))],
                ),
                143.0,
            ),
            _phase(_rock_salt("ZnO B1", "Zn", "O", 4.28), 203.0),
            9.0,
            2.0,
            16.0,
        ),
        _material(
            _phase(
                crystal_from_sites(
                    "InP blende",
                    "F -4 3 m",
                    (5.869, 5.869, 5.869, *_SQUARE),
                    [("In", (0.0, 0.0, 0.0)), ("P", (0.25, 0.25, 0.25))],
                ),
                72.0,
            ),
            _phase(_rock_salt("InP B1", "In", "P", 5.24), 90.0),
            9.5,
            2.0,
            16.0,
        ),
        _material(
            _phase(_rutile("TiO2 rutile", "Ti", "O", 4.594, 2.959, 0.305), 211.0),
            _phase(
                crystal_from_sites(
                    "TiO2 columbite",
                    "P b c n",
                    (4.541, 5.493, 4.906, *_SQUARE),
                    [("Ti", (0.0, 0.171, 0.25)), ("O", (0.271, 0.381, 0.418))],
                ),
                250.0,
            ),
            8.0,
            1.0,
            15.0,
        ),
        _material(
            Phase(
                "SiO2 quartz",
                crystal_from_sites(
                    "SiO2 quartz",
                    "P 32 2 1",
                    (4.913, 4.913, 5.405, *_HEXAGONAL),
                    [("Si", (0.4697, 0.0, 0.0)), ("O", (0.4135, 0.2669, 0.1191))],
                ),
                BirchMurnaghan(37.1, 6.0),
                axis_shares=(0.367, 0.367, 0.266),
            ),
            _phase(_rutile("SiO2 stishovite", "Si", "O", 4.18, 2.667, 0.306), 300.0),
            8.0,
            1.0,
            12.0,
        ),
    ),
    heated=(
        _heated(
            _close_packed("cobalt cold", "Co", 2.507, 4.069),
            _face_centred("cobalt hot", "Co", 3.545),
            700.0,
            4e-5,
        ),
        _heated(
            _close_packed("thallium cold", "Tl", 3.456, 5.525),
            _body_centred("thallium hot", "Tl", 3.88),
            507.0,
            9e-5,
        ),
    ),
    distorted=(
        _splitting(
            _perovskite("PbTiO3", "Pb", "Ti", 3.97), 140.0, 12.0, (-0.006, -0.006, 0.012), 0.5
        ),
        _splitting(
            _rutile("MgF2", "Mg", "F", 4.628, 3.045, 0.303), 100.0, 9.0, (-0.008, 0.008, 0), 1.0
        ),
        _splitting(
            _rhombohedral_perovskite("LaAlO3", "La", "Al", 3.79),
            190.0,
            14.0,
            (-0.003, -0.003, 0.006),
            1.0,
        ),
    ),
)
