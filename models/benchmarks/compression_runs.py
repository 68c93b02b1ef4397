"""Simulated compression runs with known truth: the sample, its cell, and what goes wrong with both.

A run follows a material through its transition, or, as a *null run*, the low-pressure phase alone.
Beside the sample a frame may show lines of a gasket (they stay), of a pressure medium (softer than
the sample), reflections of the diamonds and of single crystals (they come and go), a background
that drifts, and a beam that drifts, is attenuated or is lost. The strengths of all of these are
assumed; they are drawn anew for every run.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.diffraction.crystals.cell_materials import CELL_MATERIALS, DIAMOND
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.powder.intensity_factors import lorentz, polarisation
from phasepilot.models.diffraction.pressure.compressed_powder import (
    AIR_SCATTER_DECAY_DEG,
    AIR_SCATTER_FRACTION,
    FLAT_FRACTION,
    Diffractometer,
    PhaseLines,
    counts_of_lines,
    phase_lines,
    sticks_in_view,
)
from phasepilot.models.diffraction.pressure.further_materials import BENCHMARK_MATERIALS
from phasepilot.models.diffraction.pressure.materials import Material, Phase
from phasepilot.models.diffraction.reflections import Sticks, powder_sticks

N_FRAMES = 150
DIFFRACTOMETER = Diffractometer(n_points=2048)
# Frames from the onset to the end of coexistence.
COEXISTENCE_FRAMES = (6, 12, 24, 48)
GASKETS = ("rhenium", "tungsten", "steel")
_CUBE = (90.0, 90.0, 90.0)
# A soft face-centred solid such as argon or neon; its lattice is drawn for each run.
_MEDIUM = crystal_from_sites("medium", "F m -3 m", (4.5, 4.5, 4.5, *_CUBE), [("Ar", (0, 0, 0))])
_CELL = {crystal.name: crystal for crystal in (*CELL_MATERIALS, DIAMOND, _MEDIUM)}
_SPOT_SIZE_NM = 1000.0


@dataclass(frozen=True, slots=True)
class CompressionRun:
    """One run and its truth; arrays have one entry a frame.

    Attributes
    ----------
    counts : ndarray, shape (n_frames, n_points)
    gauge_gpa : ndarray
        Pressure as the gauge tells it, with its scatter.
    pressure_gpa : ndarray
        True pressure.
    new_mass_fraction : ndarray
        Mass of the new phase over that of the sample.
    old, new : Phase
        What there is before and after, in the order of this run.
    onset_gpa : float
        Pressure at which the new phase appears; NaN in a null run.
    is_lost : ndarray of bool
        Frames without beam.
    peak_counts : float
        Counts of the strongest bin of the sample in the first frame.
    """

    material: str
    counts: FloatArray
    gauge_gpa: FloatArray
    pressure_gpa: FloatArray
    new_mass_fraction: FloatArray
    old: Phase
    new: Phase
    onset_gpa: float
    is_lost: BoolArray
    peak_counts: float

    def first_frame_with(self, mass_fraction: float) -> int | None:
        """Return the index of the first frame with this much of the new phase, None without one."""
        frames = np.flatnonzero(self.new_mass_fraction >= mass_fraction)
        return int(frames[0]) if frames.size else None


def transition_run(rng: np.random.Generator, *, n_frames: int = N_FRAMES) -> CompressionRun:
    """Return a run through the transition of one of the materials, in either direction."""
    material = _any_material(rng)
    is_reversible = material.decompress_end_gpa > 0
    if is_reversible and rng.random() < 0.25:
        old, new = material.high_pressure, material.low_pressure
        onset, start = material.decompress_onset_gpa, material.scan_stop_gpa
    else:
        old, new = material.low_pressure, material.high_pressure
        onset, start = material.compress_onset_gpa, material.scan_start_gpa
    onset_frame = int(rng.integers(n_frames // 3, 2 * n_frames // 3))
    pressure = _pressure_path(rng, start, onset, onset_frame, n_frames)
    width = rng.choice(COEXISTENCE_FRAMES)
    way = np.clip((np.arange(n_frames) - onset_frame) / width, 0, 1)
    fraction = way * way * (3 - 2 * way)
    return _simulated(rng, material.name, old, new, pressure, fraction, onset)


def null_run(rng: np.random.Generator, *, n_frames: int = N_FRAMES) -> CompressionRun:
    """Return a run without a transition: the low-pressure phase up to the same pressures."""
    material = _any_material(rng)
    onset_frame = int(rng.integers(n_frames // 3, 2 * n_frames // 3))
    pressure = _pressure_path(
        rng, material.scan_start_gpa, material.compress_onset_gpa, onset_frame, n_frames
    )
    if rng.random() < 0.25:
        pressure = pressure[::-1].copy()
    phases = material.low_pressure, material.high_pressure
    return _simulated(rng, material.name, *phases, pressure, np.zeros(n_frames), np.nan)


def _any_material(rng: np.random.Generator) -> Material:
    return BENCHMARK_MATERIALS[str(rng.choice(sorted(BENCHMARK_MATERIALS)))]


def _pressure_path(
    rng: np.random.Generator, start_gpa: float, onset_gpa: float, onset_frame: int, n_frames: int
) -> FloatArray:
    """Return a path of uneven steps of one sign that is at the onset in that frame, above 0."""
    steps = rng.uniform(0.7, 1.3, n_frames - 1)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    path: FloatArray = start_gpa + (onset_gpa - start_gpa) * way / way[onset_frame]
    return np.asarray(np.maximum(path, 0.02 * onset_gpa))


def _simulated(
    rng: np.random.Generator,
    name: str,
    old: Phase,
    new: Phase,
    pressure: FloatArray,
    fraction: FloatArray,
    onset: float,
) -> CompressionRun:
    peak_counts = float(10 ** rng.uniform(2, 5))
    cell = _Cell(rng, old, new, pressure)
    expected = np.stack([cell.frame(k, float(fraction[k])) for k in range(pressure.size)])
    expected *= peak_counts / cell.sample_peak
    is_lost = np.zeros(pressure.size, dtype=bool)
    if rng.random() < 0.2:
        # Never the first frames: a run starts when there is beam.
        first = int(rng.integers(15, pressure.size - 6))
        is_lost[first : first + int(rng.integers(1, 6))] = True
    beam = _beam(rng, pressure.size) * np.where(is_lost, rng.uniform(0, 0.01), 1.0)
    scatter = 0.003 * np.ptp(pressure)
    return CompressionRun(
        material=name,
        counts=rng.poisson(expected * beam[:, None]).astype(np.float64),
        gauge_gpa=pressure + rng.normal(0, scatter, pressure.size),
        pressure_gpa=pressure,
        new_mass_fraction=fraction,
        old=old,
        new=new,
        onset_gpa=onset,
        is_lost=is_lost,
        peak_counts=peak_counts,
    )


def _beam(rng: np.random.Generator, n_frames: int) -> FloatArray:
    """Return the intensity of the beam times the exposure, around 1."""
    drift = np.exp(np.cumsum(rng.normal(0, 0.004, n_frames)) + rng.normal(0, 0.005, n_frames))
    drift *= np.linspace(1, rng.uniform(0.6, 1.3), n_frames)
    if rng.random() < 0.25:
        drift[int(rng.integers(10, n_frames)) :] *= 10 ** rng.uniform(-0.5, 0.5)
    return np.asarray(drift)


class _Cell:
    """The sample in its cell: expected counts of each frame, on a scale of its own."""

    def __init__(
        self, rng: np.random.Generator, old: Phase, new: Phase, pressure: FloatArray
    ) -> None:
        n_frames = pressure.size
        self._pressure = pressure
        self._old, self._new = old, new
        self._sticks = {phase.name: _sticks_of(phase.name) for phase in (old, new)}
        self._texture = {
            phase.name: _drifting(rng, self._sticks[phase.name].q_per_angstrom.size, n_frames)
            for phase in (old, new)
        }
        self._size_nm = rng.uniform(25, 100) * np.linspace(1, rng.uniform(0.6, 1.0), n_frames)
        lines = phase_lines(old, self._sticks[old.name], float(pressure[0]), DIFFRACTOMETER)
        self._strongest = float(lines.strength.max())
        self.sample_peak = float(self._drawn(lines, float(self._size_nm[0])).max())
        self._others = _other_lines(rng, self._linear_strain())
        self._other_texture = _drifting(rng, self._others.relative.size, n_frames)
        self._spots = _spots(rng, n_frames)
        self._background = _background(rng, n_frames) * self.sample_peak

    def frame(self, index: int, mass_fraction: float) -> FloatArray:
        """Return the expected counts of a frame."""
        pressure = float(self._pressure[index])
        shares = _volume_shares(self._old, self._new, pressure, mass_fraction)
        total = np.array(self._background[index])
        for phase, share in zip((self._old, self._new), shares, strict=True):
            if share > 0:
                lines = phase_lines(phase, self._sticks[phase.name], pressure, DIFFRACTOMETER)
                heights = share * lines.strength * self._texture[phase.name][index]
                moved = PhaseLines(lines.two_theta_deg, heights)
                total += self._drawn(moved, float(self._size_nm[index]))
        angles = self._others.two_theta_deg[index]
        heights = self._strongest * self._others.relative * self._other_texture[index]
        total += self._drawn(PhaseLines(angles, heights), 60.0)
        is_there = self._spots.strength[index] > 0
        if is_there.any():
            heights = self._strongest * self._spots.strength[index][is_there]
            spots = PhaseLines(self._spots.two_theta_deg[is_there], heights)
            total += self._drawn(spots, _SPOT_SIZE_NM)
        return total

    def _drawn(self, lines: PhaseLines, size_nm: float) -> FloatArray:
        if not lines.two_theta_deg.size:
            return np.zeros(DIFFRACTOMETER.n_points)
        return counts_of_lines(
            lines.two_theta_deg, lines.strength, DIFFRACTOMETER, crystallite_size_nm=size_nm
        )

    def _linear_strain(self) -> FloatArray:
        """Return the mean strain of the old phase against the first frame, one a frame."""
        ratios = np.array([self._old.volume_ratio(float(one)) for one in self._pressure])
        return np.asarray((ratios / ratios[0]) ** (1 / 3) - 1)


@cache
def _sticks_of(phase_name: str) -> Sticks:
    phases = [
        phase
        for material in BENCHMARK_MATERIALS.values()
        for phase in (material.low_pressure, material.high_pressure)
    ]
    phase = next(one for one in phases if one.name == phase_name)
    return sticks_in_view(phase, DIFFRACTOMETER)


def _volume_shares(
    old: Phase, new: Phase, pressure_gpa: float, mass_fraction: float
) -> tuple[float, float]:
    """Return the shares of the sample's volume that a mass fraction of the new phase means."""
    old_volume = (1 - mass_fraction) / old.relative_density(pressure_gpa)
    new_volume = mass_fraction / new.relative_density(pressure_gpa)
    total = old_volume + new_volume
    return old_volume / total, new_volume / total


def _drifting(rng: np.random.Generator, n_lines: int, n_frames: int) -> FloatArray:
    """Return factors of line strengths, shape (n_frames, n_lines): texture and grains.

    Lines differ by 20 % from those of an ideal powder, drift by 10 % over a run and scatter by
    1.5 % from frame to frame.
    """
    walk = np.cumsum(rng.normal(0, 0.1 / np.sqrt(n_frames), (n_frames, n_lines)), axis=0)
    scatter = rng.normal(0, 0.015, (n_frames, n_lines))
    return np.asarray(np.exp(rng.normal(0, 0.2, n_lines) + walk + scatter))


@dataclass(frozen=True, slots=True)
class _Others:
    """Lines that are not the sample's: angles (n_frames, n_lines), areas over its strongest."""

    two_theta_deg: FloatArray
    relative: FloatArray


def _other_lines(rng: np.random.Generator, strain: FloatArray) -> _Others:
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
    return _Others(np.concatenate(angles, axis=1), np.concatenate(relative))


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
class _Spots:
    """Single-crystal reflections: angles (n_spots,), areas (n_frames, n_spots), mostly 0."""

    two_theta_deg: FloatArray
    strength: FloatArray


def _spots(rng: np.random.Generator, n_frames: int) -> _Spots:
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
    return _Spots(_angles(q, np.zeros(1))[0], strength)


def _background(rng: np.random.Generator, n_frames: int) -> FloatArray:
    """Return air scatter, an amorphous hump and a floor, over the sample's strongest bin."""
    angle = DIFFRACTOMETER.two_theta_deg
    air = AIR_SCATTER_FRACTION * np.exp(-angle / AIR_SCATTER_DECAY_DEG)
    smooth = 10 ** rng.uniform(-0.3, 0.6) * (FLAT_FRACTION + air)
    centre, width = rng.uniform(6, 14), rng.uniform(2, 4)
    hump = rng.uniform(0, 0.08) * np.exp(-0.5 * ((angle - centre) / width) ** 2)
    drift = np.linspace(1, rng.uniform(0.7, 1.4, 2), n_frames)
    return np.asarray(drift[:, :1] * smooth + drift[:, 1:] * hump)
