"""Time until a turned crystal is known, among known structures: chosen angles and equal steps.

The candidates are structures of held-out families; each is turned in a random orientation, and
after each image pattern and image answer together, as in the agent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Estimator,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.turned_crystals import (
    TurnedCrystal,
    ViewMaker,
    answer,
    held_out_rows,
)
from phasepilot.models.errors import ModelsError, UnknownModelError
from phasepilot.models.estimation.crystal_views import CakeEstimator
from phasepilot.models.estimation.image_model import load_image_model
from phasepilot.models.estimation.view_powers import OF_SPOTS
from phasepilot.models.identification.known_structures import index_of_crystals
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.registry import load_model
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.rotation import RotationRule
from phasepilot.models.steering.rotation_settings import RotationCost, RotationSettings
from phasepilot.models.suggestion import Action

SETTINGS = RotationSettings(
    start_deg=0.0,
    stop_deg=170.0,
    largest_error=0.2,
    max_images=60,
    cost=RotationCost(speed_deg_per_s=20.0, settle_s=0.3, exposure_s=1.0, readout_s=0.1),
)
EQUAL_STEP_DEG, FINE_STEP_DEG = 10.0, 2.0
_HALF = 1


@dataclass(frozen=True, slots=True)
class Course:
    """What one way of turning one crystal came to.

    Attributes
    ----------
    times_s : tuple of float
        After each image.
    is_right : tuple of bool
        Whether the space group was right after each.
    bounds : tuple of float
        On the probability of error after each.
    """

    times_s: tuple[float, ...]
    is_right: tuple[bool, ...]
    bounds: tuple[float, ...]


Estimate = Callable[[list[float]], PhaseEstimate]


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return times and errors of each way of turning."""
    network = _image_network()
    maker = ViewMaker(network)
    items: list[dict[str, Any]] = []
    curves: list[Course] = []
    for seed in range(options.n_seeds):
        rows = held_out_rows(options.structures, options.n_simulated, seed, half=_HALF)
        named = [(f"{number} {row.crystal.name}", row.crystal) for number, row in enumerate(rows)]
        pattern = load_model(index=index_of_crystals(named))
        for number, row in enumerate(rows):
            progress(f"seed {seed}", number, len(rows))
            try:
                crystal = TurnedCrystal.of(row, maker, 100_000 * seed + number)
            except ModelsError:
                continue  # nothing of it falls onto the detector
            courses = courses_of(crystal, pattern, network)
            curves.append(courses["equal_steps"])
            items += [
                {"seed": seed, "crystal": named[number][0], "way": way, **_item(course)}
                for way, course in courses.items()
            ]
    figures = tuple(_figures(items, curves, options.n_seeds))
    notes = () if network else ("no network of images is there: patterns alone answer",)
    return BenchmarkResult("turning crystals until they are known", figures, tuple(items), notes)


def _image_network() -> CakeEstimator | None:
    try:
        return load_image_model()
    except UnknownModelError:
        return None


def courses_of(
    crystal: TurnedCrystal, pattern: Estimator, network: CakeEstimator | None
) -> dict[str, Course]:
    """Return the course of each way of turning a crystal."""
    known: dict[tuple[float, ...], PhaseEstimate] = {}

    def estimate(angles_deg: list[float]) -> PhaseEstimate:
        key = tuple(angles_deg)
        if key not in known:
            known[key] = answer(crystal.seen(angles_deg), pattern, network, OF_SPOTS)
        return known[key]

    truth = crystal.space_group_number
    equal = np.arange(SETTINGS.start_deg, SETTINGS.stop_deg + 1e-9, EQUAL_STEP_DEG).tolist()
    fine = np.arange(SETTINGS.start_deg, SETTINGS.stop_deg + 1e-9, FINE_STEP_DEG).tolist()
    return {
        "equal_steps": _in_steps(equal, estimate, truth, stops=False),
        "equal_steps_and_stop": _in_steps(equal, estimate, truth, stops=True),
        "fine_steps_and_stop": _in_steps(fine, estimate, truth, stops=True),
        "steered": steered(estimate, truth),
    }


def steered(estimate: Estimate, truth: int, settings: RotationSettings = SETTINGS) -> Course:
    """Return the course that the rule takes."""
    rule = RotationRule(settings)
    state, angles, time_s = rule.first_state(), [settings.start_deg], _first_s(settings)
    course = Course((), (), ())
    while True:
        found = estimate(angles)
        course = _after(course, time_s, found, truth)
        sight = Sight(seq_num=len(angles), axis_value=angles[-1], elapsed_s=time_s, estimate=found)
        suggestion, state = rule.advise(state, sight)
        if suggestion.action is Action.STOP:
            return course
        time_s += settings.cost.seconds(suggestion.region_start - angles[-1])
        angles.append(suggestion.region_start)


def _in_steps(
    angles_deg: Sequence[float], estimate: Estimate, truth: int, *, stops: bool
) -> Course:
    time_s, course = _first_s(SETTINGS), Course((), (), ())
    for number in range(1, len(angles_deg) + 1):
        found = estimate(list(angles_deg[:number]))
        course = _after(course, time_s, found, truth)
        if stops and course.bounds[-1] <= SETTINGS.largest_error:
            break
        if number < len(angles_deg):
            time_s += SETTINGS.cost.seconds(angles_deg[number] - angles_deg[number - 1])
    return course


def _first_s(settings: RotationSettings) -> float:
    return settings.cost.seconds(0.0)


def _after(course: Course, time_s: float, found: PhaseEstimate, truth: int) -> Course:
    return Course(
        (*course.times_s, time_s),
        (*course.is_right, found.space_group_number == truth),
        (*course.bounds, float(1 - found.space_group_probabilities.max())),
    )


def _item(course: Course) -> dict[str, Any]:
    return {
        "n_images": len(course.times_s),
        "time_s": course.times_s[-1],
        "is_right": course.is_right[-1],
        "bound": course.bounds[-1],
    }


def _figures(items: list[dict[str, Any]], curves: list[Course], n_seeds: int) -> Iterator[Figure]:
    quantities = {
        "time_s": "mean seconds of a crystal: moves, exposures and read-outs",
        "n_images": "mean images of a crystal",
        "is_right": "share of crystals whose space group is named at the end",
        "bound": "mean stated probability that the answer is wrong, at the end",
    }
    ways = list(dict.fromkeys(item["way"] for item in items))
    for quantity, meaning in quantities.items():
        for way in ways:
            by_seed = [
                np.mean([i[quantity] for i in items if i["way"] == way and i["seed"] == seed])
                for seed in range(n_seeds)
            ]
            yield Figure(
                f"{way}_{quantity}",
                float(np.mean(by_seed)),
                meaning,
                spread=float(np.std(by_seed)),
            )
    ours = [item for item in items if item["way"] == "steered"]
    error = 1 - float(np.mean([item["is_right"] for item in ours]))
    mean_s = float(np.mean([item["time_s"] for item in ours]))
    matched_s = matched_time_s(curves, error)
    meaning = "seconds of equal steps, without a stop, until they err as little as the steered end"
    yield Figure("matched_equal_steps_time_s", matched_s, meaning)
    meaning = "that time over the mean time of the steered: above 1 the steered is faster"
    yield Figure("speedup_at_equal_error", matched_s / mean_s, meaning)


def matched_time_s(curves: Sequence[Course], error: float) -> float:
    """Return the first time at which so small a part of all courses is wrong; NaN if at none.

    All courses have the same times.
    """
    wrong = 1 - np.mean([course.is_right for course in curves], axis=0)
    reached = np.flatnonzero(wrong <= error + 1e-9)
    return float(curves[0].times_s[reached[0]]) if reached.size else float("nan")
