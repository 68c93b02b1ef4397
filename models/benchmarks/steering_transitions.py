"""How many frames a steered search for a transition saves against a uniform scan of equal error.

Every run hides its transition somewhere else (`simulated_transitions`). Searches are given the
range, the costs and by what factor of four the width may be off, but no hint where the onset is.
A uniform scan is read in two ways: the usual one, half-way between the last frame without and the
first with a line of the new phase; and by the same belief that the search uses, which is what makes
the comparison one of *where* was measured. Settings were chosen on seeds from 1000 on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, Figure, Progress
from phasepilot.models.benchmarks.simulated_transitions import (
    COST,
    TRACKER,
    HiddenTransition,
    SampleRun,
    hidden_transition,
    scanned,
    searched,
)
from phasepilot.models.diffraction.pressure.materials import MATERIALS
from phasepilot.models.steering.compression_rule import CompressionRule, CompressionSettings
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.transition_bisection import TransitionBisection
from phasepilot.models.steering.transition_information import TransitionInformation
from phasepilot.models.steering.transition_settings import (
    TransitionBisectionSettings,
    TransitionInformationSettings,
)
from phasepilot.models.tracking.phase_state import Stage

Travel = Literal["back and forth", "one way"]

# Wanted width of the onset's interval, as a share of the range.
TOLERANCE = 1 / 50
UNIFORM_POINTS = (7, 13, 25, 49, 97)
_RUNS_PER_SEED = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one search or scan gave.

    Attributes
    ----------
    error : float
        Of the onset, over the wanted width; NaN when nothing was found.
    n_frames : int
    n_until_established : int
        Frames up to the first that shows the new phase established, if a watcher ends the scan.
    is_inside : bool
        The truth lies in the stated 95 % interval; True where none is stated.
    """

    error: float
    n_frames: int
    n_until_established: int
    is_inside: bool = True


def information_settings(truth: HiddenTransition) -> TransitionInformationSettings:
    """Return what a user who knows the material but not its onset would set."""
    material = truth.material
    usual_width = material.compress_end_gpa - material.compress_onset_gpa
    return TransitionInformationSettings(
        start=material.scan_start_gpa,
        max_axis_value=material.scan_stop_gpa,
        tolerance=tolerance_gpa(truth),
        return_is_allowed=truth.returns,
        cost=COST,
        min_width=usual_width / 4,
        max_width=usual_width * 2,
    )


def tolerance_gpa(truth: HiddenTransition) -> float:
    """Return the wanted width of the interval."""
    return (truth.material.scan_stop_gpa - truth.material.scan_start_gpa) * TOLERANCE


def read_by_belief(seen: Sequence[Sight], truth: HiddenTransition) -> Outcome:
    """Return what the search's belief makes of frames."""
    policy = TransitionInformation(information_settings(truth))
    state = policy.first_state()
    for sight in seen:
        state = policy.learnt(state, sight)
    found = policy.interval(state)
    return Outcome(
        (found.centre - truth.onset_gpa) / tolerance_gpa(truth),
        len(seen),
        _until_established(seen),
        found.low <= truth.onset_gpa <= found.high,
    )


def read_half_way(seen: Sequence[Sight], truth: HiddenTransition) -> Outcome:
    """Return the middle between the last old frame and the first new one."""
    ordered = sorted(seen, key=lambda sight: sight.axis_value)
    is_new = [_shows_new(sight) for sight in ordered]
    if not any(is_new):
        return Outcome(np.nan, len(seen), len(seen))
    first = is_new.index(True)
    middle = (ordered[max(first - 1, 0)].axis_value + ordered[first].axis_value) / 2
    error = (middle - truth.onset_gpa) / tolerance_gpa(truth)
    return Outcome(error, len(seen), _until_established(seen))


def _shows_new(sight: Sight) -> bool:
    phase = sight.phase
    return phase is not None and (
        phase.change_probability >= TRACKER.alarm_probability or phase.stage is not Stage.STABLE
    )


def _until_established(seen: Sequence[Sight]) -> int:
    for number, sight in enumerate(seen, start=1):
        if sight.phase is not None and sight.phase.stage is Stage.ESTABLISHED:
            return number
    return len(seen)


def _information(truth: HiddenTransition, run: SampleRun) -> Outcome:
    return read_by_belief(
        searched(TransitionInformation(information_settings(truth)), run, truth), truth
    )


def _bisection(truth: HiddenTransition, run: SampleRun) -> Outcome:
    settings = TransitionBisectionSettings(
        start=truth.material.scan_start_gpa,
        max_axis_value=truth.material.scan_stop_gpa,
        tolerance=tolerance_gpa(truth),
        return_is_allowed=True,
        cost=COST,
    )
    return read_half_way(searched(TransitionBisection(settings), run, truth), truth)


def _compression(truth: HiddenTransition, run: SampleRun) -> Outcome:
    fine = tolerance_gpa(truth)
    settings = CompressionSettings(coarse_step=4 * fine, fine_step=fine, stop_margin=4 * fine)
    return read_half_way(searched(CompressionRule(settings), run, truth), truth)


def _uniform(truth: HiddenTransition, run: SampleRun, n_points: int) -> list[Sight]:
    material = truth.material
    return scanned(np.linspace(material.scan_start_gpa, material.scan_stop_gpa, n_points), run)


Search = Callable[[HiddenTransition, SampleRun], Outcome]
SEARCHES: dict[Travel, dict[str, Search]] = {
    "back and forth": {"information": _information, "bisection": _bisection},
    "one way": {"information": _information, "compression": _compression},
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """All outcomes of one way of travelling: by name of the search, and of each uniform scan."""

    searches: dict[str, list[Outcome]]
    half_way: dict[int, list[Outcome]]
    by_belief: dict[int, list[Outcome]]


def compare(travel: Travel, seeds: Sequence[int]) -> Comparison:
    """Run every search and every uniform scan on the same hidden transitions."""
    found = Comparison({name: [] for name in SEARCHES[travel]}, {}, {})
    for seed in seeds:
        for truth, run_seed in _truths(travel, seed):
            for name, search in SEARCHES[travel].items():
                run = SampleRun(truth, np.random.default_rng(run_seed))
                found.searches[name].append(search(truth, run))
            for n_points in UNIFORM_POINTS:
                run = SampleRun(truth, np.random.default_rng(run_seed))
                seen = _uniform(truth, run, n_points)
                found.half_way.setdefault(n_points, []).append(read_half_way(seen, truth))
                found.by_belief.setdefault(n_points, []).append(read_by_belief(seen, truth))
    return found


def _truths(travel: Travel, seed: int) -> list[tuple[HiddenTransition, list[int]]]:
    rng = np.random.default_rng(seed)
    return [
        (
            hidden_transition(material, rng, returns=travel == "back and forth"),
            [seed, number, index],
        )
        for number, material in enumerate(MATERIALS.values())
        for index in range(_RUNS_PER_SEED)
    ]


def points_needed(uniform: dict[int, list[Outcome]], error: float) -> float:
    """Return how many points a uniform scan needs for this mean error, between those tried.

    Errors fall about as 1/n: interpolated in logarithms, and not beyond what was tried.
    """
    n_points = np.array(sorted(uniform))
    errors = np.array([mean_error(uniform[n]) for n in n_points])
    falling = np.minimum.accumulate(errors)
    return float(np.exp(np.interp(-np.log(error), -np.log(falling), np.log(n_points))))


def mean_error(outcomes: Sequence[Outcome]) -> float:
    """Return the mean absolute error, over the wanted width; not found counts as the range."""
    errors = np.array([abs(outcome.error) for outcome in outcomes])
    return float(np.nan_to_num(errors, nan=1 / TOLERANCE).mean())


def _mean_frames(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([outcome.n_frames for outcome in outcomes]))


def figures(options: BenchmarkOptions, progress: Progress) -> list[Figure]:
    """Return the figures of part (iii): points against a uniform scan, errors and intervals."""
    made: list[Figure] = []
    for travel in SEARCHES:
        each: list[Comparison] = []
        for seed in range(options.n_seeds):
            progress(f"transition search, {travel}", seed, options.n_seeds)
            each.append(compare(travel, [seed]))
        made += _figures_of(travel, each)
    return made


def _joined(each: Sequence[Comparison]) -> Comparison:
    def all_of(part: Callable[[Comparison], dict]) -> dict:  # type: ignore[type-arg]
        return {key: [o for one in each for o in part(one)[key]] for key in part(each[0])}

    return Comparison(
        all_of(lambda one: one.searches),
        all_of(lambda one: one.half_way),
        all_of(lambda one: one.by_belief),
    )


def _figures_of(travel: Travel, each: Sequence[Comparison]) -> list[Figure]:
    pooled = _joined(each)
    suffix = "" if travel == "back and forth" else "_one_way"
    found = pooled.searches["information"]
    made = [
        _ratio(f"pressure_points_ratio{suffix}", each, travel, "half_way", "information"),
        # The belief takes errors of many frames as independent, so it gains little from more of
        # them: this one flatters the search.
        _ratio(
            f"pressure_points_ratio_same_belief{suffix}", each, travel, "by_belief", "information"
        ),
    ]
    for name, outcomes in pooled.searches.items():
        if name != "information":
            made.append(
                _ratio(f"pressure_points_ratio_{name}{suffix}", each, travel, "half_way", name)
            )
        made += [
            Figure(
                f"pressure_points_{name}{suffix}",
                _mean_frames(outcomes),
                f"frames of a search, {travel}, by the rule {name}",
            ),
            Figure(
                f"onset_error_{name}{suffix}",
                mean_error(outcomes),
                f"mean error of the onset over the wanted width, {travel}, by the rule {name}",
            ),
        ]
    made.append(
        Figure(
            f"onset_interval_error_rate{suffix}",
            float(np.mean([not outcome.is_inside for outcome in found])),
            f"share of searches whose 95 % interval misses the onset (0.05 stated), {travel}",
        )
    )
    return made


def _ratio(
    name: str, each: Sequence[Comparison], travel: Travel, reading: str, search: str
) -> Figure:
    def of(one: Comparison) -> float:
        outcomes = one.searches[search]
        needed = points_needed(getattr(one, reading), mean_error(outcomes))
        return needed / _mean_frames(outcomes)

    ratios: FloatArray = np.array([of(one) for one in each])
    read = "by the same belief" if reading == "by_belief" else "half-way between frames"
    return Figure(
        name,
        of(_joined(each)),
        f"points of a uniform scan, read {read}, for the error of the rule {search}, over its own;"
        f" {travel}",
        spread=float(ratios.std()),
        anchor="5 (ANDiE, neutrons); 2 to 5 (CANDOR)",
        goal=">= 5",
    )
