"""Which background removal gives the lines back, and how fast it is.

    PHASEPILOT_DATA=FOLDER python benchmarks/background_removal.py [--seeds 5] [--picture FILE]

Simulated powder patterns of random rows of the structure table, counted on a detector's own
angles with Poisson noise, over backgrounds that are known. Every figure is a mean over all
patterns; the spread is between seeds. A network sees the square root of what is left, so the
distance decides, among methods fast enough to train with (a millisecond); where distances differ by
less than the spread of their difference, the area of the lines does. "true background" is the limit
that counting noise sets.

Measured patterns choose nothing here: `--picture` draws some, from $PHASEPILOT_DATA/series and
autoxrd, with the backgrounds found below them.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from background_cases import GRID, KINDS, PEAK_COUNTS, Case, cases_of_seed
from matplotlib import pyplot
from pybaselines import Baseline
from rich.console import Console
from rich.table import Table

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.log_q import LogQPattern, to_log_q
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.background import background_below
from phasepilot.models.preprocessing.configuration import (
    Background,
    GridConfiguration,
    PenalisedBackground,
    Preprocessing,
    RollingMinimumBackground,
    SnipBackground,
)
from phasepilot.models.preprocessing.preparation import prepared
from phasepilot.models.preprocessing.snip import snip

PICTURED = ("rolling minimum (npcnn-v1)", "SNIP (default)", "  order 2", "asPLS 0.04")

Candidate = Callable[[FloatArray, BoolArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Score:
    """How far a pattern less its background is from its lines; in percent.

    Attributes
    ----------
    distance : float
        1 less the cosine between the square roots of both.
    area : float
        Area of the strong lines, beyond what it would be with the true background.
    left_over : float
        Background that stays between the lines, of the highest line.
    """

    distance: float
    area: float
    left_over: float


def ours(method: Background) -> Candidate:
    """Return the background removal of the package."""

    def background(intensity: FloatArray, is_measured: BoolArray) -> FloatArray:
        counts = np.where(is_measured, intensity, 0.0)[None]
        return background_below(counts, is_measured[None], method, GRID)[0]

    return background


def of_pybaselines(name: str, *, is_double_log: bool = False, **options: object) -> Candidate:
    """Return a method of pybaselines on the bins of the measured range, gaps bridged."""

    def background(intensity: FloatArray, is_measured: BoolArray) -> FloatArray:
        known = np.flatnonzero(is_measured)
        span = np.arange(known[0], known[-1] + 1)
        counts = np.interp(span, known, intensity[known])
        if is_double_log:
            counts = np.log(np.log(np.sqrt(counts + 1) + 1) + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = getattr(Baseline(span), name)(counts, **options)[0]
        if is_double_log:
            found = (np.exp(np.exp(found) - 1) - 1) ** 2 - 1
        return np.interp(np.arange(intensity.size), span, found)

    return background


def candidates() -> dict[str, Candidate]:
    """Return the methods compared; windows in ln q, those of pybaselines in bins of 7.1e-4."""
    return {
        "rolling minimum (npcnn-v1)": ours(RollingMinimumBackground()),
        "  half its window": ours(RollingMinimumBackground(window_log_q=0.07)),
        "SNIP (default)": ours(SnipBackground()),
        "  half window 0.10": ours(SnipBackground(half_window_log_q=0.1)),
        "  half window 0.18": ours(SnipBackground(half_window_log_q=0.18)),
        "  nodes 0.0056 apart": ours(SnipBackground(node_step_log_q=0.0056)),
        "  nodes 0.0226 apart": ours(SnipBackground(node_step_log_q=0.0226)),
        "  ends by least squares": ours(SnipBackground(ends="least_squares")),
        "  increasing windows": ours(SnipBackground(windows="increasing")),
        "  order 2": ours(SnipBackground(filter_order=2)),
        "  order 2, half window 0.045": ours(
            SnipBackground(filter_order=2, half_window_log_q=0.045)
        ),
        "  on bins, order 2, 0.07": ours(
            SnipBackground(filter_order=2, half_window_log_q=0.07, node_step_log_q=1e-4)
        ),
        "pybaselines SNIP, 100 bins, smoothed": of_pybaselines(
            "snip", max_half_window=100, decreasing=True, smooth_half_window=7
        ),
        "pybaselines SNIP, 100 bins, log-log-root": of_pybaselines(
            "snip", max_half_window=100, decreasing=True, is_double_log=True
        ),
        "pybaselines AsLS, 1e6": of_pybaselines("asls", lam=1e6),
        "pybaselines arPLS, 1e5": of_pybaselines("arpls", lam=1e5),
        "arPLS 0.0125": ours(PenalisedBackground(method="arpls", stiffness_log_q=0.0125)),
        "asPLS 0.04": ours(PenalisedBackground(method="aspls", stiffness_log_q=0.04)),
    }


def score(case: Case, background: FloatArray) -> Score:
    """Return how well the lines come back."""

    def signal(below: FloatArray) -> FloatArray:
        return np.where(case.is_measured, np.maximum(case.intensity - below, 0.0), 0.0)

    found, height = np.sqrt(signal(background)), case.lines.max()
    true = np.sqrt(np.where(case.is_measured, case.lines, 0.0))
    norm = np.linalg.norm(found) * np.linalg.norm(true)
    is_line = case.is_measured & (case.lines > 0.05 * height)
    is_between = case.is_measured & (case.lines < 0.003 * height)
    excess = (signal(background) - signal(case.background))[is_line].sum()
    left_over = (case.background - background)[is_between]
    return Score(
        distance=100 * float(1 - found @ true / norm) if norm > 0 else 100.0,
        area=100 * float(excess / case.lines[is_line].sum()),
        left_over=100 * float(left_over.mean() / height) if left_over.size else np.nan,
    )


@dataclass(frozen=True, slots=True)
class Result:
    """A method's scores, each shape (n_seeds, n_patterns), and its time for a pattern."""

    distance: FloatArray
    area: FloatArray
    left_over: FloatArray
    time_ms: float


def result(seeds: list[list[Case]], candidate: Candidate | None) -> Result:
    """Return the scores of a method; of the true background where there is none."""
    started = time.perf_counter()
    scores = [
        [
            score(
                case, candidate(case.intensity, case.is_measured) if candidate else case.background
            )
            for case in cases
        ]
        for cases in seeds
    ]
    time_ms = 1e3 * (time.perf_counter() - started) / sum(map(len, seeds))
    distance, area, left_over = (
        np.array([[getattr(one, name) for one in row] for row in scores])
        for name in ("distance", "area", "left_over")
    )
    return Result(distance, area, left_over, time_ms)


def summary_table(results: dict[str, Result]) -> Table:
    """Return means and spreads over seeds."""
    default = results["SNIP (default)"].distance
    n_seeds, n_patterns = default.shape
    table = Table(
        *("background", "distance %", "less the default's", "area %", "spread of areas"),
        *("left over %", "ms a pattern"),
        title=f"{n_seeds} seeds of {n_patterns} patterns: mean ± spread between seeds",
    )

    def told(values: FloatArray) -> str:
        means = np.nanmean(values, axis=1)
        return f"{means.mean():.2f} ± {means.std():.2f}"

    for name, found in results.items():
        table.add_row(
            name,
            told(found.distance),
            told(found.distance - default),
            told(found.area),
            f"{found.area.std():.1f}",
            told(found.left_over),
            f"{found.time_ms:.1f}",
        )
    return table


def detail_table(results: dict[str, Result], cases: list[Case]) -> Table:
    """Return the distances by kind of background, and by counts."""
    groups = {kind: [case.kind == kind for case in cases] for kind in KINDS}
    for counts in PEAK_COUNTS:
        groups[f"{counts:g} counts"] = [case.peak_counts == counts for case in cases]
    table = Table("distance %", *groups, title="by background, and by counts in the highest line")
    for name, found in results.items():
        distances = found.distance.ravel()
        table.add_row(name, *(f"{distances[np.array(g)].mean():.1f}" for g in groups.values()))
    return table


def rate(work: Callable[[], object], n_patterns: int) -> float:
    """Return patterns per second, the best of five runs."""
    durations = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return n_patterns / min(durations)


def snip_of_pybaselines(rows: FloatArray, filter_order: int) -> None:
    """Clip one row after the other."""
    for row in rows:
        Baseline().snip(row, max_half_window=100, decreasing=True, filter_order=filter_order)


def speed_table(n_patterns: int = 128) -> Table:
    """Return patterns per second on one core, and the ratio to pybaselines."""
    table = Table(
        *("patterns/s", "bins", "float64", "float32", "pybaselines", "ratio, float32"),
        title="one core: SNIP on bins, half window 100; and all of the preprocessing",
    )
    for n_bins in (4096, 8192):
        counts = np.random.default_rng(0).poisson(100.0, (n_patterns, n_bins)).astype(np.float64)
        both = (counts, counts.astype(np.float32))
        everything = np.ones(counts.shape, dtype=bool)
        for order in (2, 4):
            options = {"filter_order": order, "ends": "least_squares"}
            rates = [rate(partial(snip, rows, 100, **options), n_patterns) for rows in both]
            alone = rate(partial(snip_of_pybaselines, counts[:16], order), 16)
            told = [f"{r:.0f}" for r in (*rates, alone, rates[1] / alone)]
            table.add_row(f"snip, order {order}", str(n_bins), *told)
        for name, background in (
            ("SNIP (default)", SnipBackground()),
            ("rolling minimum (npcnn-v1)", RollingMinimumBackground()),
        ):
            preprocessing = Preprocessing(
                grid=GridConfiguration(n_bins=n_bins), background=background
            )
            rates = [
                rate(partial(prepared, rows, everything, preprocessing), n_patterns)
                for rows in both
            ]
            table.add_row(f"prepared, {name}", str(n_bins), *(f"{r:.0f}" for r in rates))
    return table


def measured_patterns(data: Path) -> dict[str, LogQPattern]:
    """Return measured patterns of raw counts on the grid, by their titles."""
    found = {}
    for name, frame in (
        ("ti_alloy_chess_insitu", 5),
        ("cucr2o4_11bm_temperature", 3),
        ("ta2o5_laser_anneal_line", 100),
        ("battery_operando_cu", 20),
    ):
        series = np.load(data / "series" / f"{name}.npz")
        found[f"{name}, frame {frame}"] = Pattern.from_two_theta(
            series["two_theta"],
            series["intensity"][frame],
            wavelength_angstrom=float(series["wavelength"]),
        )
    films = np.load(data / "autoxrd" / "autoxrd_spacegroup_public.npz")
    for index in (0, 27):
        points = slice(*films["offsets"][index : index + 2])
        found[f"thin film {index}"] = Pattern.from_two_theta(
            films["two_theta"][points], films["intensity"][points], wavelength_angstrom=1.5406
        )
    return {title: to_log_q(pattern, GRID) for title, pattern in found.items()}


def draw(patterns: dict[str, LogQPattern], path: Path) -> None:
    """Write a picture of the patterns and the backgrounds found below them."""
    shown = {name: candidates()[name] for name in PICTURED}
    figure, axes = pyplot.subplots(
        len(patterns), 1, figsize=(13, 4 * len(patterns)), layout="constrained"
    )
    for axis, (title, pattern) in zip(axes, patterns.items(), strict=True):
        q, measured = GRID.q_per_angstrom, pattern.is_measured
        axis.plot(q[measured], pattern.intensity[measured], color="0.6", lw=0.6)
        for name, candidate in shown.items():
            below = candidate(pattern.intensity, measured)
            axis.plot(q[measured], below[measured], lw=1.2, label=name)
        low, middle = np.quantile(pattern.intensity[measured], (0.001, 0.5))
        high = np.quantile(pattern.intensity[measured], 0.97)
        axis.set_ylim(0.9 * low, high + 0.3 * (high - middle))
        axis.set(title=title, xlabel="q (1/angstrom)", ylabel="intensity", xscale="log")
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Print accuracy and speed, and draw the picture if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--patterns", type=int, default=80, help="of each seed")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    folder = os.environ.get("PHASEPILOT_DATA")
    if not folder:
        sys.exit("set PHASEPILOT_DATA to the folder that holds structures/structures.parquet")
    if options.picture:
        draw(measured_patterns(Path(folder)), options.picture)
    structures = Path(folder) / "structures" / "structures.parquet"
    n_each = max(1, options.patterns // (len(KINDS) * len(PEAK_COUNTS)))
    seeds = [cases_of_seed(structures, seed, n_each) for seed in range(options.seeds)]
    console = Console()
    results = {"true background": result(seeds, None)}
    results |= {name: result(seeds, candidate) for name, candidate in candidates().items()}
    console.print(summary_table(results))
    console.print(detail_table(results, [case for cases in seeds for case in cases]))
    console.print(speed_table())


if __name__ == "__main__":
    main()
