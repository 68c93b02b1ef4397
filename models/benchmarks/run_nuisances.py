"""What goes wrong around a simulated sample: other lines, spots, backgrounds, grains, the beam.

The strengths of all of these are assumed; they are drawn anew for every run.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.cell_materials import CELL_MATERIALS, DIAMOND
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.powder.intensity_factors import lorentz, polarisation
from phasepilot.models.diffraction.pressure.compressed_powder import (
    AIR_SCATTER_DECAY_DEG,
    AIR_SCATTER_FRACTION,
    FLAT_FRACTION,
    Diffractometer,
)
from phasepilot.models.diffraction.reflections import powder_sticks

DIFFRACTOMETER = Diffractometer(n_points=2048)
GASKETS = ("rhenium", "tungsten", "steel")
SPOT_SIZE_NM = 1000.0
_CUBE = (90.0, 90.0, 90.0)
# A soft face-centred solid such as argon or neon; its lattice is drawn for each run.
_MEDIUM = crystal_from_sites("medium", "F m -3 m", (4.5, 4.5, 4.5, *_CUBE), [("Ar", (0, 0, 0))])
_CELL = {crystal.name: crystal for crystal in (*CELL_MATERIALS, DIAMOND, _MEDIUM)}


def beam(rng: np.random.Generator, n_frames: int) -> FloatArray:
    """Return the intensity of the beam times the exposure, around 1."""
    drift = np.exp(np.cumsum(rng.normal(0, 0.004, n_frames)) + rng.normal(0, 0.005, n_frames))
    drift *= np.linspace(1, rng.uniform(0.6, 1.3), n_frames)
    if rng.random() < 0.25:
        drift[int(rng.integers(10, n_frames)) :] *= 10 ** rng.uniform(-0.5, 0.5)
    return np.asarray(drift)


def grain_scatter(rng: np.random.Generator) -> float:
    """Return how much lines scatter from frame to frame: 1.5 %, more where rings are spotty."""
    return float(rng.uniform(0.03, 0.12)) if rng.random() < 0.2 else 0.015


def dose(rng: np.random.Generator, n_frames: int) -> FloatArray:
    """Return what the beam leaves of the sample's lines: they lose up to 20 %, in some runs."""
    lost = rng.uniform(0, 0.2) if rng.random() < 0.25 else 0.0
    return np.linspace(1.0, 1.0 - lost, n_frames)


def drifting(
    rng: np.random.Generator, n_lines: int, n_frames: int, grain: float = 0.015
) -> FloatArray:
    """Return factors of line strengths, shape (n_frames, n_lines): texture and grains.

    Lines differ by 20 % from those of an ideal powder, drift by 10 % over a run and scatter from
    frame to frame.
    """
    walk = np.cumsum(rng.normal(0, 0.1 / np.sqrt(n_frames), (n_frames, n_lines)), axis=0)
    scatter = rng.normal(0, grain, (n_frames, n_lines))
    return np.asarray(np.exp(rng.normal(0, 0.2, n_lines) + walk + scatter))


@dataclass(frozen=True, slots=True)
class OtherLines:
    """Lines that are not the sample's: angles (n_frames, n_lines), areas over its strongest."""

    two_theta_deg: FloatArray
    relative: FloatArray


def other_lines(rng: np.random.Generator, strain: FloatArray) -> OtherLines:
    """Return lines of a gasket, of a medium that strains more, of both or of none."""
    angles: list[FloatArray] = [np.empty((strain.size, 0))]
    relative: list[FloatArray] = [np.empty(0)]
    if rng.random() < 0.6:
        q, strength = _powder_of(str(rng.choice(GASKETS)))
        angles.append(_angles(q, np.zeros(strain.size)))
        relative.append(strength * 10 ** rng.uniform(-2, -0.5))
    if rng.random() < 0.6:
        q, strength = _powder_of("medium")
        q = q * 4.5 / rng.uniform(4.0, 5.0)
        angles.append(_angles(q, strain * rng.uniform(1.5, 3.0)))
        relative.append(strength * 10 ** rng.uniform(-2, -0.5))
    return OtherLines(np.concatenate(angles, axis=1), np.concatenate(relative))


@cache
def _powder_of(name: str) -> tuple[FloatArray, FloatArray]:
    """Return q and areas over the strongest of the lines of a powder, with room for strain."""
    crystal = _CELL[name]
    sticks = powder_sticks(crystal, 1.05 * DIFFRACTOMETER.q_max_per_angstrom)
    angles = _angles(sticks.q_per_angstrom, np.zeros(1))[0]
    factor = lorentz(angles) * polarisation(angles, DIFFRACTOMETER.polarised_fraction)
    strength = sticks.structure_factor_squared * factor
    is_line = strength > 1e-4 * strength.max()
    return sticks.q_per_angstrom[is_line], strength[is_line] / strength.max()


def _angles(q_per_angstrom: FloatArray, strain: FloatArray) -> FloatArray:
    sine = q_per_angstrom / (1 + strain[:, None]) * DIFFRACTOMETER.wavelength_angstrom / (4 * np.pi)
    return np.asarray(np.degrees(2 * np.arcsin(np.minimum(sine, 0.99))))


@dataclass(frozen=True, slots=True)
class Spots:
    """Single-crystal reflections: angles (n_spots,), areas (n_frames, n_spots), mostly 0."""

    two_theta_deg: FloatArray
    strength: FloatArray


def spots(rng: np.random.Generator, n_frames: int) -> Spots:
    """Return reflections of the diamonds, for up to 20 frames, and of stray crystals, up to 6."""
    diamond, _ = _powder_of("diamond")
    n_diamond, n_stray = rng.poisson(1.5), rng.poisson(0.3)
    q = np.concatenate(
        [
            rng.choice(diamond, n_diamond) * (1 + rng.normal(0, 3e-4, n_diamond)),
            rng.uniform(1.0, 0.9 * DIFFRACTOMETER.q_max_per_angstrom, n_stray),
        ]
    )
    longest = np.repeat([20, 6], [n_diamond, n_stray])
    strength = np.zeros((n_frames, q.size))
    for spot in range(q.size):
        first = int(rng.integers(n_frames))
        last = first + int(rng.integers(1, longest[spot] + 1))
        strength[first:last, spot] = 10 ** rng.uniform(-2, 0.3)
    return Spots(_angles(q, np.zeros(1))[0], strength)


def background(rng: np.random.Generator, n_frames: int, remaining: FloatArray) -> FloatArray:
    """Return air scatter, an amorphous hump and a floor, over the sample's strongest bin.

    Parameters
    ----------
    remaining : ndarray, shape (n_frames,)
        Share of the sample that is crystalline; what is not adds to the hump.
    """
    angle = DIFFRACTOMETER.two_theta_deg
    air = AIR_SCATTER_FRACTION * np.exp(-angle / AIR_SCATTER_DECAY_DEG)
    smooth = 10 ** rng.uniform(-0.3, 0.6) * (FLAT_FRACTION + air)
    centre, width = rng.uniform(6, 14), rng.uniform(2, 4)
    hump = rng.uniform(0, 0.08) * np.exp(-0.5 * ((angle - centre) / width) ** 2)
    drift = np.linspace(1, rng.uniform(0.7, 1.4, 2), n_frames)
    glass = rng.uniform(0.02, 0.1) * np.exp(-0.5 * ((angle - centre) / width) ** 2)
    lost = (1 - remaining)[:, None]
    return np.asarray(drift[:, :1] * smooth + drift[:, 1:] * hump + lost * glass)
