"""Simulated runs with known truth: the sample, its surroundings, and what goes wrong with both.

A run follows a sample through transitions, or, as a *null run*, a single phase. Beside the sample a
frame may show lines of a gasket (they stay), of a pressure medium (softer than the sample),
reflections of the diamonds and of single crystals (they come and go), a background that drifts, and
a beam that drifts, is attenuated or is lost.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.benchmarks.run_courses import (
    Course,
    RunKind,
    changing_course,
    null_course,
)
from phasepilot.models.benchmarks.run_nuisances import (
    DIFFRACTOMETER,
    SPOT_SIZE_NM,
    background,
    beam,
    dose,
    drifting,
    grain_scatter,
    other_lines,
    spots,
)
from phasepilot.models.benchmarks.transition_samples import FITTED_ON, REPORTED, SampleSet
from phasepilot.models.diffraction.pressure.compressed_powder import (
    PhaseLines,
    counts_of_lines,
    phase_lines,
    sticks_in_view,
)
from phasepilot.models.diffraction.pressure.materials import Phase
from phasepilot.models.diffraction.reflections import Sticks

N_FRAMES = 150
# Mean square displacements grow by this much, in angstrom^2 of B, over a heated run (assumed).
_MOST_DISPLACEMENT = 1.5
# Standard deviation of the logarithm of strengths that atoms on the move change.
_REARRANGED_SPREAD = 0.6


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """One run and its truth; arrays have one entry a frame.

    Attributes
    ----------
    course : Course
    counts : ndarray, shape (n_frames, n_points)
    gauge : ndarray
        What is varied as the gauge tells it, with its scatter.
    is_lost : ndarray of bool
        Frames without beam.
    peak_counts : float
        Counts of the strongest bin of the sample in the first frame.
    """

    course: Course
    counts: FloatArray
    gauge: FloatArray
    is_lost: BoolArray
    peak_counts: float


def transition_run(
    rng: np.random.Generator,
    number: int = 0,
    *,
    samples: SampleSet = REPORTED,
    n_frames: int = N_FRAMES,
) -> SimulatedRun:
    """Return a run through transitions; the number decides the kind."""
    return _simulated(rng, changing_course(rng, samples, number, n_frames))


def null_run(
    rng: np.random.Generator,
    number: int = 0,
    *,
    samples: SampleSet = REPORTED,
    n_frames: int = N_FRAMES,
) -> SimulatedRun:
    """Return a run without a transition; the number decides the kind."""
    return _simulated(rng, null_course(rng, samples, number, n_frames))


def _simulated(rng: np.random.Generator, course: Course) -> SimulatedRun:
    peak_counts = float(10 ** rng.uniform(2, 5))
    n_frames = course.varied.size
    cell = _Cell(rng, course)
    expected = np.stack([cell.frame(k) for k in range(n_frames)])
    expected *= peak_counts / cell.sample_peak
    is_lost = np.zeros(n_frames, dtype=bool)
    if rng.random() < 0.2:
        # Never the first frames: a run starts when there is beam.
        first = int(rng.integers(15, n_frames - 6))
        is_lost[first : first + int(rng.integers(1, 6))] = True
    strength = beam(rng, n_frames) * np.where(is_lost, rng.uniform(0, 0.01), 1.0)
    scatter = 0.003 * np.ptp(course.varied)
    return SimulatedRun(
        course=course,
        counts=rng.poisson(expected * strength[:, None]).astype(np.float64),
        gauge=course.varied + rng.normal(0, scatter, n_frames),
        is_lost=is_lost,
        peak_counts=peak_counts,
    )


class _Cell:
    """The sample in its cell: expected counts of each frame, on a scale of its own."""

    def __init__(self, rng: np.random.Generator, course: Course) -> None:
        n_frames = course.varied.size
        self._course = course
        phases = {phase.name: phase for phase in (course.old, course.new)}
        self._sticks = {name: _sticks_of(name) for name in phases}
        grain = grain_scatter(rng)
        left = (course.remaining * dose(rng, n_frames))[:, None]
        self._texture = {
            name: left
            * drifting(rng, sticks.q_per_angstrom.size, n_frames, grain)
            * _changed_strengths(rng, course, sticks)
            for name, sticks in self._sticks.items()
        }
        self._size_nm = rng.uniform(25, 100) * np.linspace(1, rng.uniform(0.6, 1.0), n_frames)
        start = float(course.varied[0])
        lines = phase_lines(course.old, self._sticks[course.old.name], start, DIFFRACTOMETER)
        self._strongest = float(lines.strength.max())
        self.sample_peak = float(self._drawn(lines, float(self._size_nm[0])).max())
        self._others = other_lines(rng, self._linear_strain())
        self._other_texture = drifting(rng, self._others.relative.size, n_frames)
        self._spots = spots(rng, n_frames)
        self._background = background(rng, n_frames, course.remaining) * self.sample_peak

    def frame(self, index: int) -> FloatArray:
        """Return the expected counts of a frame."""
        course, varied = self._course, float(self._course.varied[index])
        total = np.array(self._background[index])
        for phase, share in _volume_shares(course, index):
            lines = phase_lines(phase, self._sticks[phase.name], varied, DIFFRACTOMETER)
            heights = share * lines.strength * self._texture[phase.name][index]
            moved = PhaseLines(lines.two_theta_deg, heights)
            total += self._drawn(moved, float(self._size_nm[index]))
        angles = self._others.two_theta_deg[index]
        heights = self._strongest * self._others.relative * self._other_texture[index]
        total += self._drawn(PhaseLines(angles, heights), 60.0)
        is_there = self._spots.strength[index] > 0
        if is_there.any():
            heights = self._strongest * self._spots.strength[index][is_there]
            seen = PhaseLines(self._spots.two_theta_deg[is_there], heights)
            total += self._drawn(seen, SPOT_SIZE_NM)
        return total

    def _drawn(self, lines: PhaseLines, size_nm: float) -> FloatArray:
        if not lines.two_theta_deg.size:
            return np.zeros(DIFFRACTOMETER.n_points)
        return counts_of_lines(
            lines.two_theta_deg, lines.strength, DIFFRACTOMETER, crystallite_size_nm=size_nm
        )

    def _linear_strain(self) -> FloatArray:
        """Return the mean strain of the old phase against the first frame, one a frame."""
        course = self._course
        ratios = np.array([course.old.volume_ratio(float(one)) for one in course.varied])
        return np.asarray((ratios / ratios[0]) ** (1 / 3) - 1)


@cache
def _sticks_of(phase_name: str) -> Sticks:
    return sticks_in_view(_PHASES[phase_name], DIFFRACTOMETER)


def _phases(samples: SampleSet) -> dict[str, Phase]:
    phases = [
        phase for one in samples.compressed for phase in (one.low_pressure, one.high_pressure)
    ]
    phases += [phase for heated in samples.heated for phase in (heated.cold, heated.hot)]
    return {phase.name: phase for phase in (*phases, *samples.distorted)}


_PHASES = _phases(REPORTED) | _phases(FITTED_ON)


def _volume_shares(course: Course, index: int) -> list[tuple[Phase, float]]:
    """Return the phases that are there and their shares of the sample's volume."""
    fraction, varied = float(course.new_mass_fraction[index]), float(course.varied[index])
    masses = ((course.old, 1 - fraction), (course.new, fraction))
    volumes = [(phase, mass / phase.relative_density(varied)) for phase, mass in masses if mass > 0]
    total = sum(volume for _, volume in volumes)
    return [(phase, volume / total) for phase, volume in volumes]


def _changed_strengths(rng: np.random.Generator, course: Course, sticks: Sticks) -> FloatArray:
    """Return factors, shape (n_frames, n_sticks), of atoms that vibrate more or move elsewhere."""
    elsewhere = rng.normal(0, _REARRANGED_SPREAD, sticks.q_per_angstrom.size)
    changed = course.rearranged[:, None] * elsewhere
    if course.kind is RunKind.TEMPERATURE:
        way = (course.varied - course.varied[0]) / np.abs(course.varied).max()
        growth = rng.uniform(0.3, 1.0) * _MOST_DISPLACEMENT * way
        # exp(-2 B sin^2(theta) / lambda^2), with sin(theta) / lambda = q / (4 pi).
        changed = changed - 2 * growth[:, None] * (sticks.q_per_angstrom / (4 * np.pi)) ** 2
    return np.asarray(np.exp(changed))
