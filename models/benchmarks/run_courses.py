"""How simulated runs go: what is varied, and what becomes of the sample meanwhile."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.transition_samples import DistortedPhase, SampleSet
from phasepilot.models.diffraction.hysteresis import HysteresisLoop
from phasepilot.models.diffraction.pressure.materials import Material, Phase

# Frames from the onset to the end of coexistence, and to the end of a continuous distortion.
COEXISTENCE_FRAMES = (6, 12, 24, 48)
DISTORTION_FRAMES = (24, 48, 96)


class RunKind(StrEnum):
    """What is done with the sample and what happens to it."""

    PRESSURE = "pressure"
    TEMPERATURE = "temperature"
    LOOP = "loop"
    CONTINUOUS = "continuous"
    FADING = "fading"
    RATIOS = "ratios"


# Of ten runs with a transition, and of four without, so many are of each kind, in this order.
_KINDS = (
    RunKind.PRESSURE,
    RunKind.TEMPERATURE,
    RunKind.PRESSURE,
    RunKind.LOOP,
    RunKind.PRESSURE,
    RunKind.CONTINUOUS,
    RunKind.PRESSURE,
    RunKind.FADING,
    RunKind.TEMPERATURE,
    RunKind.RATIOS,
)
_NULL_KINDS = (RunKind.PRESSURE, RunKind.TEMPERATURE, RunKind.PRESSURE, RunKind.LOOP)
FIRST_ORDER = (RunKind.PRESSURE, RunKind.TEMPERATURE, RunKind.LOOP)


@dataclass(frozen=True, slots=True)
class Change:
    """One transition of a run.

    Attributes
    ----------
    progress : ndarray, shape (n_frames,)
        Mass fraction of the phase that comes; of a continuous transition the relative splitting of
        the widest line; of lines that fade or rearrange the share of it that has happened.
    onset : float
        Pressure (GPa) or temperature (K above 300 K) at which it begins.
    """

    progress: FloatArray
    onset: float

    def first_frame_with(self, progress: float) -> int | None:
        """Return the index of the first frame with this much of it, None without one."""
        frames = np.flatnonzero(self.progress >= progress)
        return int(frames[0]) if frames.size else None


@dataclass(frozen=True, slots=True)
class Course:
    """What is varied and what happens; arrays have one entry a frame.

    Attributes
    ----------
    old, new : Phase
        What there is before and after; alike where no phase comes.
    varied : ndarray
        Pressure in GPa, or temperature in K above 300 K.
    new_mass_fraction : ndarray
    remaining : ndarray
        Share of the sample that is still crystalline.
    rearranged : ndarray
        Share of a change of the structure factors that has happened.
    """

    kind: RunKind
    material: str
    old: Phase
    new: Phase
    varied: FloatArray
    new_mass_fraction: FloatArray
    remaining: FloatArray
    rearranged: FloatArray
    changes: tuple[Change, ...] = field(default=())


def changing_course(
    rng: np.random.Generator, samples: SampleSet, number: int, n_frames: int
) -> Course:
    """Return a course through a transition; the number decides the kind."""
    kind = _KINDS[number % len(_KINDS)]
    if kind is RunKind.LOOP:
        return _loop(rng, samples, n_frames)
    if kind is RunKind.CONTINUOUS:
        return _continuous(rng, samples, n_frames)
    onset_frame = int(rng.integers(n_frames // 3, 2 * n_frames // 3))
    width = rng.choice(COEXISTENCE_FRAMES)
    way = np.clip((np.arange(n_frames) - onset_frame) / width, 0, 1)
    grown = way * way * (3 - 2 * way)
    course = _there(rng, samples, kind, onset_frame, n_frames)
    changed = replace(course, changes=(Change(grown, float(course.varied[onset_frame])),))
    if kind is RunKind.FADING:
        return replace(changed, new=course.old, remaining=1 - grown)
    if kind is RunKind.RATIOS:
        return replace(changed, new=course.old, rearranged=grown)
    return replace(changed, new_mass_fraction=grown)


def null_course(rng: np.random.Generator, samples: SampleSet, number: int, n_frames: int) -> Course:
    """Return a course over the same range without any transition, one way or there and back."""
    kind = _NULL_KINDS[number % len(_NULL_KINDS)]
    onset_frame = int(rng.integers(n_frames // 3, 2 * n_frames // 3))
    if kind is not RunKind.LOOP:
        return _there(rng, samples, kind, onset_frame, n_frames)
    course = _there(rng, samples, RunKind.PRESSURE, onset_frame, n_frames)
    path = course.varied[::2]
    there_and_back = np.concatenate([path, path[::-1]])[:n_frames]
    return replace(course, kind=kind, varied=there_and_back)


def _there(
    rng: np.random.Generator, samples: SampleSet, kind: RunKind, onset_frame: int, n_frames: int
) -> Course:
    """Return a course one way, in either direction, on which nothing happens yet."""
    if kind is RunKind.TEMPERATURE:
        sample = samples.heated[int(rng.integers(len(samples.heated)))]
        name, old, new = sample.name, sample.cold, sample.hot
        start, onset, falling_start = 0.0, sample.onset_above_300_k, 1.6 * sample.onset_above_300_k
        falling_onset, is_reversible = 0.95 * onset, True
    else:
        material = _any_material(rng, samples)
        name, old, new = material.name, material.low_pressure, material.high_pressure
        start, onset = material.scan_start_gpa, material.compress_onset_gpa
        falling_start, falling_onset = material.scan_stop_gpa, material.decompress_onset_gpa
        is_reversible = material.decompress_end_gpa > 0
    if is_reversible and rng.random() < 0.25:
        old, new, start, onset = new, old, falling_start, falling_onset
    varied = _path(rng, start, onset, onset_frame, n_frames)
    nothing = np.zeros(n_frames)
    return Course(kind, name, old, new, varied, nothing, nothing + 1, nothing)


def _any_material(rng: np.random.Generator, samples: SampleSet) -> Material:
    return samples.compressed[int(rng.integers(len(samples.compressed)))]


def _path(
    rng: np.random.Generator, start: float, onset: float, onset_frame: int, n_frames: int
) -> FloatArray:
    """Return a path of uneven steps of one sign that is at the onset in that frame, above 0."""
    steps = rng.uniform(0.7, 1.3, n_frames - 1)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    path: FloatArray = start + (onset - start) * way / way[onset_frame]
    return np.asarray(np.maximum(path, 0.02 * onset))


def _loop(rng: np.random.Generator, samples: SampleSet, n_frames: int) -> Course:
    """Return a course up through a transition and back through it, with its hysteresis."""
    material = _any_material(rng, samples)
    while not material.decompress_end_gpa > 0:
        material = _any_material(rng, samples)
    turn = n_frames // 2
    lowest = max(0.7 * material.decompress_end_gpa, 0.02 * material.compress_onset_gpa)
    highest = material.compress_end_gpa + 0.2 * (material.compress_end_gpa - lowest)
    first = max(material.scan_start_gpa, lowest)
    up = _path(rng, first, highest, turn - 1, turn)
    down = _path(rng, highest, lowest, n_frames - turn - 1, n_frames - turn)
    varied = np.concatenate([up, down])
    loop = HysteresisLoop(
        rise_onset=material.compress_onset_gpa,
        rise_end=material.compress_end_gpa,
        fall_onset=material.decompress_onset_gpa,
        fall_end=material.decompress_end_gpa,
    )
    fraction = np.zeros(n_frames)
    for k in range(1, n_frames):
        fraction[k] = loop.advanced(float(fraction[k - 1]), float(varied[k]))
    is_back = np.arange(n_frames) >= turn
    changes = (
        Change(fraction, material.compress_onset_gpa),
        Change(np.where(is_back, 1 - fraction, 0.0), material.decompress_onset_gpa),
    )
    return Course(
        RunKind.LOOP,
        material.name,
        material.low_pressure,
        material.high_pressure,
        varied,
        fraction,
        np.ones(n_frames),
        np.zeros(n_frames),
        changes,
    )


def _continuous(rng: np.random.Generator, samples: SampleSet, n_frames: int) -> Course:
    """Return a course on which the lines of a phase split, more and more."""
    sample: DistortedPhase = samples.distorted[int(rng.integers(len(samples.distorted)))]
    onset_frame = int(rng.integers(n_frames // 3, n_frames // 2))
    varied = _path(rng, 0.7 * sample.onset_gpa, sample.onset_gpa, onset_frame, n_frames)
    last = min(onset_frame + int(rng.choice(DISTORTION_FRAMES)), n_frames - 1)
    width = float(varied[last]) - sample.onset_gpa
    distorted = replace(sample, width_gpa=width)
    splitting = np.array([distorted.splitting(float(one)) for one in varied])
    nothing = np.zeros(n_frames)
    return Course(
        RunKind.CONTINUOUS,
        sample.name,
        distorted,
        distorted,
        varied,
        nothing,
        nothing + 1,
        nothing,
        (Change(splitting, sample.onset_gpa),),
    )
