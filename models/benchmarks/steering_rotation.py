"""Time until a turned crystal is known, among known structures: chosen angles and equal steps.

The candidates are structures of held-out families; each is turned in a random orientation. All ways
weigh them by the same evidence, the spots of single views, and those that stop do so at the same
bound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.turned_crystals import TurnedCrystal, ViewMaker, held_out_rows
from phasepilot.models.errors import ModelsError
from phasepilot.models.identification.known_structures import index_of_crystals, library_of
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.rotation import RotationRule
from phasepilot.models.steering.rotation_settings import RotationCost, RotationSettings
from phasepilot.models.steering.spot_candidates import SpotCandidates
from phasepilot.models.suggestion import Action

SETTINGS = RotationSettings(
    start_deg=0.0,
    stop_deg=170.0,
    largest_error=0.02,
    max_images=60,
    cost=RotationCost(speed_deg_per_s=20.0, settle_s=0.3, exposure_s=1.0, readout_s=0.1),
)
EQUAL_STEP_DEG, FINE_STEP_DEG = 10.0, 2.0
_HALF = 1


@dataclass(frozen=True, slots=True)
class Course:
    """What one way of turning one crystal came to; one entry an image.

    Attributes
    ----------
    times_s : tuple of float
    is_right : tuple of bool
        Whether the most probable candidate is the crystal.
    bounds : tuple of float
        On the probability of error.
    """

    times_s: tuple[float, ...] = ()
    is_right: tuple[bool, ...] = ()
    bounds: tuple[float, ...] = ()


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return times and errors of each way of turning."""
    maker = ViewMaker(None)
    items: list[dict[str, Any]] = []
    curves: list[Course] = []
    for seed in range(options.n_seeds):
        rows = held_out_rows(options.structures, options.n_simulated, seed, half=_HALF)
        named = [(f"{number} {row.crystal.name}", row.crystal) for number, row in enumerate(rows)]
        index = index_of_crystals(named)
        candidates = SpotCandidates(
            library_of(index, np.arange(index.n_structures)),
            maker.camera.geometry.wavelength_angstrom,
            mosaicity_deg=SETTINGS.mosaicity_deg,
            tolerance=SETTINGS.tolerance,
        )
        for number, row in enumerate(rows):
            progress(f"seed {seed}", number, len(rows))
            try:
                crystal = TurnedCrystal.of(row, maker, 100_000 * seed + number)
            except ModelsError:
                continue  # nothing of it falls onto the detector
            courses = courses_of(crystal, named[number][0], candidates)
            curves.append(courses["equal_steps"])
            items += [
                {"seed": seed, "crystal": named[number][0], "way": way, **_item(course)}
                for way, course in courses.items()
            ]
    figures = tuple(_figures(items, curves, options.n_seeds))
    note = (
        f"among {options.n_simulated} candidates; images of {SETTINGS.cost.exposure_s:g} s, an axis"
        f" of {SETTINGS.cost.speed_deg_per_s:g} degree a second, a stop at an error of"
        f" {SETTINGS.largest_error:g}"
    )
    return BenchmarkResult("turning crystals until they are known", figures, tuple(items), (note,))


def courses_of(crystal: TurnedCrystal, name: str, candidates: SpotCandidates) -> dict[str, Course]:
    """Return the course of each way of turning a crystal."""

    def in_steps(step_deg: float) -> Iterator[float]:
        yield from np.arange(SETTINGS.start_deg + step_deg, SETTINGS.stop_deg + 1e-9, step_deg)

    def course(settings: RotationSettings, angles_deg: Iterator[float] | None) -> Course:
        return turned(crystal, name, RotationRule(settings, candidates), angles_deg)

    never = SETTINGS.model_copy(update={"largest_error": 1e-300, "least_views": 1e9})
    no_giving_up = SETTINGS.model_copy(update={"least_views": 1e9})
    return {
        "equal_steps": course(never, in_steps(EQUAL_STEP_DEG)),
        "equal_steps_and_stop": course(no_giving_up, in_steps(EQUAL_STEP_DEG)),
        "fine_steps_and_stop": course(no_giving_up, in_steps(FINE_STEP_DEG)),
        "steered": course(SETTINGS, None),
    }


def turned(
    crystal: TurnedCrystal, name: str, rule: RotationRule, angles_deg: Iterator[float] | None
) -> Course:
    """Return the course through these angles, or where the rule turns to; it ends at its stop."""
    settings, state, course = rule.settings, rule.first_state(), Course()
    angle, time_s = settings.start_deg, settings.cost.seconds(0.0)
    while True:
        sight = Sight(
            seq_num=len(course.times_s) + 1,
            axis_value=angle,
            elapsed_s=time_s,
            pattern=crystal.seen([angle]).pattern,
        )
        suggestion, state = rule.advise(state, sight)
        course = Course(
            (*course.times_s, time_s),
            (*course.is_right, suggestion.answer == name),
            (*course.bounds, suggestion.error_bound),
        )
        if suggestion.action is Action.STOP:
            return course
        following = suggestion.region_start if angles_deg is None else next(angles_deg, None)
        if following is None:
            return course
        time_s += settings.cost.seconds(following - angle)
        angle = float(following)


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
        "is_right": "share of crystals that are named at the end",
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
