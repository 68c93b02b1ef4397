"""One simulated run as the tracker and the baselines follow it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from os import cpu_count
from typing import TypeVar

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.benchmarks.compression_baselines import BASELINES
from phasepilot.models.benchmarks.compression_runs import SimulatedRun, null_run, transition_run
from phasepilot.models.benchmarks.run_courses import FIRST_ORDER, Change, RunKind
from phasepilot.models.benchmarks.run_nuisances import DIFFRACTOMETER
from phasepilot.models.benchmarks.transition_samples import FITTED_ON, REPORTED
from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern
from phasepilot.models.tracking.lattice import (
    KnownLines,
    known_lines,
    refined_cell,
    starting_strains,
)
from phasepilot.models.tracking.phase_state import PhaseState, Stage, TrackerSettings
from phasepilot.models.tracking.phase_tracker import advance
from phasepilot.models.tracking.tracker_state import TrackerState

TRACKER = "tracker"
T = TypeVar("T")
_MOST_WORKERS = 2
_CELL_STEP = 10


# The seeds that are reported, those that give the baselines their thresholds, and those that the
# tracker was fitted on, with samples of their own (benchmarks/tracker_null_statistics.py).
FIRST_SEED = 100
CALIBRATION_SEED = 50
FITTING_SEED = 10


@dataclass(frozen=True, slots=True)
class Task:
    """Which run to simulate: its number and the seed of its set."""

    seed: int
    number: int
    has_transition: bool

    def run(self) -> SimulatedRun:
        """Return the run."""
        rng = np.random.default_rng([self.seed, self.number, int(self.has_transition)])
        simulated = transition_run if self.has_transition else null_run
        samples = FITTED_ON if self.seed < CALIBRATION_SEED else REPORTED
        return simulated(rng, self.number, samples=samples)


@dataclass(frozen=True, slots=True)
class FollowedRun:
    """What was said of a run, and the truth.

    Attributes
    ----------
    task : Task
    kind : RunKind
    material : str
    peak_counts : float
    changes : tuple of Change
        None in a null run.
    is_lost : ndarray of bool, shape (n_frames,)
    gauge : ndarray, shape (n_frames,)
        What is varied, as measured.
    scores : dict of str to ndarray, shape (n_frames,)
        By method; the tracker's is 1 while it sees a change, a baseline's is compared with a
        threshold.
    changed_since : ndarray of int, shape (n_frames,)
        Index of the frame since which the tracker sees a change; -1 when there is none.
    length_error, volume_error : ndarray, shape (n_frames,)
        Relative, of the old phase, before it begins to change; NaN elsewhere. No phase is given.
    axis_error, cell_volume_error : ndarray, shape (n_frames,)
        The same with the crystal of the old phase given: the worst of a, b, c, and the volume of
        the cell.
    """

    task: Task
    kind: RunKind
    material: str
    peak_counts: float
    changes: tuple[Change, ...]
    is_lost: BoolArray
    gauge: FloatArray
    scores: dict[str, FloatArray]
    changed_since: FloatArray
    length_error: FloatArray
    volume_error: FloatArray
    axis_error: FloatArray
    cell_volume_error: FloatArray

    def alarms(self, method: str, threshold: float) -> list[int]:
        """Return the frames in which the method raises an alarm."""
        is_high = self.scores[method] >= threshold
        return np.flatnonzero(np.diff(is_high.astype(int), prepend=0) == 1).tolist()


def benchmark_settings() -> TrackerSettings:
    """Return the tracker's settings: the lines of the diamonds are declared, nothing else."""
    q = powder_sticks(DIAMOND, 1.02 * DIFFRACTOMETER.q_max_per_angstrom).q_per_angstrom
    return replace(
        TrackerSettings(),
        declared_d_spacings_angstrom=tuple((2 * np.pi / np.unique(q.round(4))).tolist()),
    )


def prepared_frames(run: SimulatedRun) -> list[PreparedPattern | None]:
    """Return the frames on the grid; None for those without a single count."""
    preprocessing = Preprocessing()
    angles = DIFFRACTOMETER.two_theta_deg
    wavelength = DIFFRACTOMETER.wavelength_angstrom
    return [
        prepare_pattern(
            Pattern.from_two_theta(angles, counts, wavelength_angstrom=wavelength), preprocessing
        )
        if counts.any()
        else None
        for counts in run.counts
    ]


def tracked(
    frames: Sequence[PreparedPattern | None], axis: FloatArray, settings: TrackerSettings
) -> list[TrackerState]:
    """Return the tracker's state after each frame; the first must not be empty."""
    states: list[TrackerState] = []
    state: TrackerState | None = None
    for index, frame in enumerate(frames):
        if frame is not None:
            state = advance(
                state,
                frame,
                seq_num=index + 1,
                axis_value=float(axis[index]),
                settings=settings,
            )
        if state is not None:
            states.append(state)
    return states


def followed(task: Task, *, settings: TrackerSettings) -> FollowedRun:
    """Return a run as everybody follows it."""
    run = task.run()
    frames = prepared_frames(run)
    states = [state.phase for state in tracked(frames, run.gauge, settings)]
    is_changing = np.array([state.stage is Stage.CHANGING for state in states])
    scores = {TRACKER: is_changing.astype(np.float64)}
    rows = np.stack([np.sqrt(one.signal) for one in frames if one is not None])
    # Nobody takes a frame without beam for a change: they see the frame before instead.
    seen = np.maximum.accumulate(np.where(run.is_lost, 0, np.arange(run.is_lost.size)))
    is_there = np.cumsum([one is not None for one in frames]) - 1
    scores |= {name: method(rows[is_there[seen]]) for name, method in BASELINES.items()}
    lengths, volumes = _lattice_errors(run, states)
    axes, cell_volumes = _cell_errors(run, frames)
    return FollowedRun(
        task=task,
        kind=run.course.kind,
        material=run.course.material,
        peak_counts=run.peak_counts,
        changes=run.course.changes,
        is_lost=run.is_lost,
        gauge=run.gauge,
        scores=scores,
        changed_since=np.array([state.changed_since_seq_num - 1 for state in states], dtype=float),
        length_error=lengths,
        volume_error=volumes,
        axis_error=axes,
        cell_volume_error=cell_volumes,
    )


def followed_runs(
    tasks: Sequence[Task],
    *,
    settings: TrackerSettings,
    progress: Callable[[int], None] = lambda done: None,
) -> list[FollowedRun]:
    """Return all runs, simulated and followed by two processes where there are two cores."""
    found = []
    for done, one in enumerate(mapped(partial(followed, settings=settings), tasks)):
        found.append(one)
        progress(done + 1)
    return found


def mapped(work: Callable[[Task], T], tasks: Sequence[Task]) -> Iterator[T]:
    """Return what the work gives for each task, by two processes where there are two cores."""
    n_workers = min(_MOST_WORKERS, cpu_count() or 1)
    if n_workers == 1 or len(tasks) < 8:
        yield from map(work, tasks)
        return
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, tasks, chunksize=2)


def _is_unchanged(run: SimulatedRun) -> BoolArray:
    """Return in which frames nothing has happened yet."""
    progress = [one.progress for one in run.course.changes]
    return np.cumsum(np.sum(progress, axis=0) > 0) == 0 if progress else run.is_lost | True


def _lattice_errors(
    run: SimulatedRun, states: Sequence[PhaseState]
) -> tuple[FloatArray, FloatArray]:
    """Return relative errors of the mean length and of the volume, of the first phase."""
    old = run.course.old
    volume = np.array([old.volume_ratio(float(one)) for one in run.course.varied])
    volume /= volume[0]
    found = np.array([state.volume_ratio for state in states])
    stages = [state.stage for state in states]
    is_old = _is_unchanged(run) & ~run.is_lost
    # A false alarm may have made another frame the reference.
    is_old &= np.cumsum([stage is not Stage.STABLE for stage in stages]) == 0
    length_error = np.abs((found / volume) ** (1 / 3) - 1)
    nowhere = np.full(volume.size, np.nan)
    return (
        np.where(is_old, length_error, nowhere),
        np.where(is_old, np.abs(found / volume - 1), nowhere),
    )


def _cell_errors(
    run: SimulatedRun, frames: Sequence[PreparedPattern | None]
) -> tuple[FloatArray, FloatArray]:
    """Return relative errors of the worst axis and the volume; every tenth frame is refined."""
    axis_error, volume_error = np.full((2, len(frames)), np.nan)
    lines: KnownLines | None = None
    is_old, old = _is_unchanged(run) & ~run.is_lost, run.course.old
    if run.course.kind not in FIRST_ORDER:
        return axis_error, volume_error
    for index in range(0, len(frames), _CELL_STEP):
        frame = frames[index]
        if frame is None or not is_old[index]:
            continue
        if lines is None:
            lines = known_lines(old.crystal, frame.grid)
        (strain,) = starting_strains(lines, frame.signal, frame.grid)
        found = refined_cell(lines, frame.signal, frame.grid, strain=strain)
        varied = float(run.course.varied[index])
        lengths = np.array(old.crystal.cell[:3]) * old.length_ratios(varied)
        volume = old.crystal.volume_cubic_angstrom * old.volume_ratio(varied)
        if found.is_refined:
            axis_error[index] = np.abs(np.array(found.cell[:3]) / lengths - 1).max()
            volume_error[index] = abs(found.volume_angstrom3 / volume - 1)
    return axis_error, volume_error
