"""Time to the right answer of steered and unsteered scans, at equal error.

Every rule is run at many thresholds (fixed scans: dwells), and two rules are compared at the
fastest settings of each that are wrong at most as often as `_TARGET`, or, if one of them cannot,
as the better settings of that one are.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, Figure, Progress
from phasepilot.models.benchmarks.held_out_patterns import structure_table
from phasepilot.models.benchmarks.steering_part import SteeringPart
from phasepilot.models.benchmarks.steering_scan import THRESHOLDS, Sweep
from phasepilot.models.benchmarks.steering_scan_runs import (
    ACTIVATION,
    COARSE,
    FULL,
    INFORMATION,
    Scans,
    scanned_lookalikes,
    scanned_pairs,
)

_TARGET = 0.05
# At which the rule is judged for what it states of itself.
_THRESHOLD = 0.05
_GOALS = {FULL: "4", ACTIVATION: "1.5", COARSE: ""}
_CALLED = {FULL: "full", ACTIVATION: "cam", COARSE: "coarse"}
_MEANINGS = {
    FULL: "time of the fixed scan over that of information per second, at equal error",
    ACTIVATION: "time of the CAM rule over that of information per second, at equal error",
    COARSE: "time of the fixed coarse scan over that of information per second, at equal error",
}
# Of the structures that benchmarks simulate, so many make a sample that all rules scan.
_STRUCTURES_PER_SAMPLE = 6


def part(options: BenchmarkOptions, progress: Progress) -> SteeringPart:
    """Return what steering two-theta scans saves."""
    structures = structure_table(options.structures)
    n_samples = max(2, options.n_simulated // _STRUCTURES_PER_SAMPLE)
    scans = {"pairs": scanned_pairs(options.measured(), structures, options.n_seeds, progress)}
    scans |= scanned_lookalikes(structures, options.n_seeds, n_samples, progress)
    figures = [*_overall(scans), *_stated(scans)]
    for name, of_setting in scans.items():
        figures += _figures_of(name, of_setting)
    items = tuple(item for name, one in scans.items() for item in _items(name, one))
    return SteeringPart(tuple(figures), items, _notes(options.n_seeds, n_samples))


def matched_error(first: Sweep, second: Sweep) -> float:
    """Return the error at which two rules are compared."""
    return max(_TARGET, first.least_error, second.least_error)


def speedup(slow: Sweep, fast: Sweep) -> FloatArray:
    """Return the ratio of times at equal error: of all scans, then of each seed."""
    error = matched_error(slow, fast)
    slow_s, fast_s = (one.time_s[one.fastest(error)] for one in (slow, fast))
    return np.append(slow_s.mean() / fast_s.mean(), slow_s / fast_s)


def _overall(scans: dict[str, Scans]) -> Iterator[Figure]:
    for rule in (FULL, ACTIVATION, COARSE):
        ratios = np.array(
            [speedup(one.sweeps[rule], one.sweeps[INFORMATION]) for one in scans.values()]
        )
        means = np.exp(np.log(ratios).mean(axis=0))
        yield Figure(
            f"speedup_vs_{_CALLED[rule]}",
            float(means[0]),
            f"geometric mean over measured pairs and three fluxes: {_MEANINGS[rule]}",
            spread=_spread(means[1:]),
            goal=_GOALS[rule],
        )


def _stated(scans: dict[str, Scans]) -> Iterator[Figure]:
    place = int(np.argmin(np.abs(THRESHOLDS - _THRESHOLD)))
    sweeps = [one.sweeps[INFORMATION] for one in scans.values()]
    for name, rows, meaning in (
        ("error_rate", [one.error[place] for one in sweeps], "share of wrong answers"),
        ("stated_error_rate", [one.stated_error[place] for one in sweeps], "what was stated of it"),
    ):
        of_seeds = np.mean(rows, axis=0)
        yield Figure(
            name,
            float(of_seeds.mean()),
            f"information per second, stopped at an error of {_THRESHOLD:g}: {meaning}",
            spread=_spread(of_seeds),
        )


def _figures_of(name: str, scans: Scans) -> Iterator[Figure]:
    information = scans.sweeps[INFORMATION]
    for rule in (FULL, ACTIVATION, COARSE):
        ratios = speedup(scans.sweeps[rule], information)
        yield Figure(
            f"{name}_speedup_vs_{_CALLED[rule]}",
            float(ratios[0]),
            _MEANINGS[rule],
            spread=_spread(ratios[1:]),
        )
        error = matched_error(scans.sweeps[rule], information)
        yield Figure(
            f"{name}_matched_error_vs_{_CALLED[rule]}", error, "error at which they are compared"
        )
    for rule, sweep in scans.sweeps.items():
        called = _CALLED.get(rule, rule)
        place = sweep.fastest(max(_TARGET, sweep.least_error))
        for quantity, values, meaning in (
            ("time_s", sweep.time_s, "mean time of the fastest setting with at most 5 % errors"),
            ("error_rate", sweep.error, "its share of wrong answers"),
            ("stated_error_rate", sweep.stated_error, "what it states of it"),
        ):
            yield Figure(
                f"{name}_{called}_{quantity}",
                float(values[place].mean()),
                f"{meaning}, or with its fewest",
                spread=_spread(values[place]),
            )


def _spread(of_seeds: FloatArray) -> float | None:
    return float(of_seeds.std(ddof=1)) if of_seeds.size > 1 else None


def _items(name: str, scans: Scans) -> Iterator[dict[str, Any]]:
    for rule, of_seeds in scans.traces.items():
        for seed, traces in enumerate(of_seeds):
            for number, trace in enumerate(traces):
                end = trace.stopped_at(_THRESHOLD)
                yield {
                    "setting": name,
                    "rule": rule,
                    "seed": seed,
                    "sample": number,
                    "time_s": end.elapsed_s,
                    "stated_error": end.stated_error,
                    "is_right": end.is_right,
                    "n_steps": len(trace.steps),
                }


def _notes(n_seeds: int, n_samples: int) -> tuple[str, ...]:
    return (
        f"simulated: {n_samples} samples of {n_seeds} seeds at each flux, each among 12 look-alikes"
        " and unknown; measured: 9 pairs, candidates drawn anew for each seed.",
        "thresholds (fixed scans: dwells) are swept, and each rule is taken at its fastest with at"
        " most 5 % errors, or with the fewest that both rules of a comparison reach.",
        "all rules share hypotheses, likelihood and temperature; the temperature was fitted on"
        " other seeds (simulated) and on the other pairs (measured).",
        "simulated fixed scans are given the shortest dwell that errs seldom enough, which nobody"
        " knows beforehand; measured pairs are compared with the whole slow scan.",
        "if pairs_full_error_rate is no lower than pairs_coarse_error_rate, pairs err by structures"
        " and candidates rather than by counts, and the coarse first pass saves most of the time.",
    )
