"""How soon, how surely and how falsely phase changes are noticed in simulated runs.

For each seed `n_simulated` null runs and two thirds as many runs with a transition, of 150 frames
each: compressed, decompressed and heated samples, loops with hysteresis, lines that split
continuously, fade or change their ratios. The runs are those of `compression_runs`.
"""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from scipy.stats import chi2

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Chart,
    Curve,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.compression_baselines import BASELINES
from phasepilot.models.benchmarks.compression_following import (
    CALIBRATION_SEED,
    FIRST_SEED,
    TRACKER,
    FollowedRun,
    Task,
    benchmark_settings,
    followed_runs,
)
from phasepilot.models.benchmarks.metrics import bootstrap_interval, figure_of_seeds
from phasepilot.models.benchmarks.noticed_changes import (
    ALLOWED_DELAY_FRAMES,
    NOTICEABLE,
    Noticing,
    noticings,
)
from phasepilot.models.benchmarks.run_courses import FIRST_ORDER, RunKind


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return delay, false alarms, detection and lattice errors of the tracker and the baselines."""
    settings = benchmark_settings()

    def followed_with(step: str, tasks: Sequence[Task]) -> list[FollowedRun]:
        progress(step, 0, len(tasks))
        return followed_runs(
            tasks, settings=settings, progress=lambda done: progress(step, done, len(tasks))
        )

    calibration = followed_with(
        "null runs that set thresholds",
        _tasks(CALIBRATION_SEED, max(1, options.n_simulated // 3), False),
    )
    thresholds = {TRACKER: 0.5} | {
        name: max(float(one.scores[name].max()) for one in calibration) * (1 + 1e-9)
        for name in BASELINES
    }
    nulls, transitions = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + options.n_seeds):
        n_transitions = max(1, round(2 * options.n_simulated / 3))
        nulls.append(
            followed_with(f"null runs, seed {seed}", _tasks(seed, options.n_simulated, False))
        )
        transitions.append(
            followed_with(f"transitions, seed {seed}", _tasks(seed, n_transitions, True))
        )
    figures: list[Figure] = []
    for name, threshold in thresholds.items():
        prefix = "" if name == TRACKER else f"{name}_"
        figures += _figures(name, threshold, nulls, transitions, prefix)
    figures += _lattice_figures(nulls, transitions)
    all_nulls, all_transitions = [*chain(*nulls)], [*chain(*transitions)]
    curves = tuple(
        Curve(name, _WEIGHT_PERCENT, _detected_by(all_transitions, name, threshold))
        for name, threshold in thresholds.items()
    )
    items = tuple(_item(one, thresholds) for one in [*all_nulls, *all_transitions])
    notes = (
        f"Each baseline's threshold is its highest score on {len(calibration)} null runs of"
        " another seed: about one false alarm in as many frames. The tracker's is its default.",
        "detect_at_Xwt: an alarm between the onset and two frames after reaching X wt%;"
        " detect_by_5wt: no later than that frame itself. Runs take 6 to 48 frames to change.",
        "Figures without a kind before them: pressure, temperature and loop runs together, those in"
        " which a new phase comes. A loop has two transitions.",
        "Changepoints and matrix factorisation see the whole run before they judge a frame.",
    )
    n_frames = all_nulls[0].is_lost.size
    title = (
        f"{len(all_transitions)} runs with transitions and {len(all_nulls)} without,"
        f" {n_frames} frames each"
    )
    chart = Chart("wt% of the new phase", "share of runs noticed two frames later", curves)
    return BenchmarkResult(title, tuple(figures), items, notes, chart)


_WEIGHT_PERCENT = np.array([0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0])


def _tasks(seed: int, n_runs: int, has_transition: bool) -> list[Task]:
    return [Task(seed, number, has_transition) for number in range(n_runs)]


def _detected_by(runs: Sequence[FollowedRun], name: str, threshold: float) -> FloatArray:
    cases = noticings(runs, name, threshold, FIRST_ORDER)
    return np.array(
        [
            np.mean([one.is_noticed_at(percent / 100, ALLOWED_DELAY_FRAMES) for one in cases])
            for percent in _WEIGHT_PERCENT
        ]
    )


def _figures(
    name: str,
    threshold: float,
    nulls: Sequence[Sequence[FollowedRun]],
    transitions: Sequence[Sequence[FollowedRun]],
    prefix: str,
) -> list[Figure]:
    goals = name == TRACKER
    all_together = [noticings(runs, name, threshold, FIRST_ORDER) for runs in transitions]
    figures = [
        _delay_figure(prefix, all_together, RunKind.PRESSURE, goal="at most 2" if goals else ""),
        _false_alarm_figure(name, threshold, nulls, prefix),
        *_detection_figures(prefix, all_together, goal="0.95" if goals else ""),
        *_onset_figures(name, prefix, all_together),
    ]
    for kind in RunKind:
        cases = [noticings(runs, name, threshold, (kind,)) for runs in transitions]
        if kind not in FIRST_ORDER:
            figures.append(_noticed_figure(f"{prefix}{kind}_noticed", kind, cases))
        elif goals:
            figures += _detection_figures(f"{kind}_", cases)
        if goals:
            figures.append(_delay_figure(f"{kind}_", cases, kind))
    return figures


def _delay_figure(
    prefix: str, of_seeds: Sequence[Sequence[Noticing]], kind: RunKind, *, goal: str = ""
) -> Figure:
    level = NOTICEABLE[kind]
    return _median_figure(
        f"{prefix}delay_frames_median",
        [np.array([one.delay_frames(level.progress) for one in cases]) for cases in of_seeds],
        f"frames from {level.meaning} to the alarm, median over all transitions",
        goal=goal,
    )


def _detection_figures(
    prefix: str, of_seeds: Sequence[Sequence[Noticing]], *, goal: str = ""
) -> list[Figure]:
    def shares(fraction: float, allowed: int) -> list[FloatArray]:
        return [
            np.array([one.is_noticed_at(fraction, allowed) for one in cases], dtype=np.float64)
            for cases in of_seeds
        ]

    figures = [
        figure_of_seeds(
            f"{prefix}detect_at_{percent}wt",
            shares(percent / 100, ALLOWED_DELAY_FRAMES),
            f"transitions with an alarm at most two frames after {percent} wt%",
            goal=goal if percent == 5 else "",
        )
        for percent in (2, 5, 10)
    ]
    by_then = figure_of_seeds(
        f"{prefix}detect_by_5wt",
        shares(0.05, 0),
        "transitions with an alarm by the frame that reaches 5 wt%",
    )
    return [*figures, by_then]


def _noticed_figure(name: str, kind: RunKind, of_seeds: Sequence[Sequence[Noticing]]) -> Figure:
    level = NOTICEABLE[kind]
    return figure_of_seeds(
        name,
        [
            np.array([one.is_noticed_at(level.progress, 2) for one in cases], dtype=np.float64)
            for cases in of_seeds
        ],
        f"transitions with an alarm at most two frames after {level.meaning}",
    )


def _onset_figures(name: str, prefix: str, of_seeds: Sequence[Sequence[Noticing]]) -> list[Figure]:
    def errors(is_heated: bool) -> list[FloatArray]:
        return [
            np.array(
                [
                    one.onset_error(name)
                    for one in cases
                    if (one.run.kind is RunKind.TEMPERATURE) is is_heated and one.is_noticed
                ]
            )
            for cases in of_seeds
        ]

    return [
        _median_figure(
            f"{prefix}onset_error_{unit}_median",
            errors(is_heated),
            f"frame since which a change is seen against the onset; {meaning}, absolute",
        )
        for unit, meaning, is_heated in (("gpa", "GPa", False), ("k", "kelvin", True))
    ]


def _false_alarm_figure(
    name: str, threshold: float, nulls: Sequence[Sequence[FollowedRun]], prefix: str
) -> Figure:
    """Return false alarms in 10,000 frames with beam, with exact Poisson 95 % bounds, one-sided."""
    counts = np.array([sum(len(one.alarms(name, threshold)) for one in runs) for runs in nulls])
    frames = np.array([sum(int((~one.is_lost).sum()) for one in runs) for runs in nulls])
    total, scale = int(counts.sum()), 1e4 / frames.sum()
    rates = 1e4 * counts / frames
    return Figure(
        f"{prefix}false_alarms_per_1e4",
        total * scale,
        "alarms in 10,000 frames of null runs; the interval ends at the 95 % upper bound",
        low=float(chi2.ppf(0.05, 2 * total) / 2 * scale) if total else 0.0,
        high=float(chi2.ppf(0.95, 2 * total + 2) / 2 * scale),
        spread=float(rates.std(ddof=1)) if rates.size > 1 else None,
        goal="at most 1" if name == TRACKER else "",
    )


def _lattice_figures(
    nulls: Sequence[Sequence[FollowedRun]], transitions: Sequence[Sequence[FollowedRun]]
) -> list[Figure]:
    """Return errors of the first phase's lattice until it changes, without and with its crystal."""

    def medians(values: Callable[[FollowedRun], FloatArray]) -> list[FloatArray]:
        found = []
        for runs in zip(nulls, transitions, strict=True):
            of_runs = [values(one) for one in (*runs[0], *runs[1])]
            found.append(np.array([np.nanmedian(one) for one in of_runs if np.isfinite(one).any()]))
        return found

    return [
        _median_figure(
            "lattice_relative_error_median",
            medians(lambda one: one.length_error),
            "mean lattice length against the first frame's, relative error; no phase is given",
            goal="5e-4",
        ),
        _median_figure(
            "volume_relative_error_median",
            medians(lambda one: one.volume_error),
            "V/V0 against the first frame, relative error; no phase is given",
        ),
        _median_figure(
            "cell_axis_relative_error_median",
            medians(lambda one: one.axis_error),
            "worst of a, b, c against the truth, relative error; the crystal is given",
            goal="5e-4",
        ),
        _median_figure(
            "cell_volume_relative_error_median",
            medians(lambda one: one.cell_volume_error),
            "volume of the cell, relative error; the crystal is given",
        ),
    ]


def _median_figure(
    name: str, of_seeds: Sequence[FloatArray], meaning: str, *, goal: str = ""
) -> Figure:
    pooled = np.concatenate(of_seeds)
    if not pooled.size:
        return Figure(name, math.nan, meaning, goal=goal)
    medians = np.array([np.median(one) for one in of_seeds if one.size])
    interval = bootstrap_interval(lambda chosen: float(np.median(pooled[chosen])), pooled.size)
    spread = float(medians.std(ddof=1)) if medians.size > 1 else None
    return Figure(
        name, float(np.median(pooled)), meaning, interval.low, interval.high, spread, goal=goal
    )


def _item(one: FollowedRun, thresholds: dict[str, float]) -> dict[str, Any]:
    return {
        "seed": one.task.seed,
        "number": one.task.number,
        "kind": one.kind.value,
        "material": one.material,
        "peak_counts": one.peak_counts,
        "onset_frames": [change.first_frame_with(1e-9) for change in one.changes],
        "noticeable_frames": [
            change.first_frame_with(NOTICEABLE[one.kind].progress) for change in one.changes
        ],
        "alarms": {name: one.alarms(name, level) for name, level in thresholds.items()},
    }
