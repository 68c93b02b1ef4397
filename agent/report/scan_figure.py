"""One picture of a steered 2-theta scan: what was counted where, and how the doubt went down."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from phasepilot.agent.report.figure import ACTION_MARKS, DPI, FOUND, INK, MUTED
from phasepilot.models.growing_pattern import CountedPoints
from phasepilot.models.suggestion import Advice

_SMALL, _NORMAL, _LARGE = 8.0, 9.0, 12.5
_SIZE_INCHES = (1600 / DPI, 1000 / DPI)


@dataclass(frozen=True, slots=True)
class ScanPass:
    """What was known after one pass over a region.

    Attributes
    ----------
    elapsed_s : float
        Beam time since the scan began.
    advice : Advice
    """

    elapsed_s: float
    advice: Advice


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """A finished 2-theta scan.

    Attributes
    ----------
    title : str
    points : CountedPoints
        Angles in degree.
    passes : tuple of ScanPass
    elapsed_s : float
        Beam time of the whole scan.
    full_scan_s : float
        What the same range takes in the finest step with the longest dwell; NaN if not known.
    found, truth : str
        What the agent says that the sample is, and what it is, for a simulation.
    """

    title: str
    points: CountedPoints
    passes: tuple[ScanPass, ...]
    elapsed_s: float
    full_scan_s: float
    found: str
    truth: str


def draw_scan(record: ScanRecord, path: Path) -> None:
    """Draw the record to a .png file."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    said = f"found: {record.found}" + (f"   true: {record.truth}" if record.truth else "")
    title = f"{record.title}\n{said}"
    figure.suptitle(title, fontsize=_LARGE, x=0.01, ha="left", parse_math=False)
    grid = figure.add_gridspec(3, 1, height_ratios=(2.0, 0.8, 1.2))
    counts = figure.add_subplot(grid[0])
    times = figure.add_subplot(grid[1], sharex=counts)
    doubt = figure.add_subplot(grid[2])
    for panel, title in (
        (counts, "a   counts per second, and what was measured again"),
        (times, "b   counting time of each point"),
        (doubt, "c   bound on the probability of error"),
    ):
        panel.set_title(title, loc="left", fontsize=_NORMAL + 1, fontweight="bold")
        panel.tick_params(labelsize=_SMALL, colors=INK)
        panel.spines[["top", "right"]].set_visible(False)
    _draw_counts(counts, record)
    _draw_times(times, record.points)
    _draw_doubt(doubt, record)
    figure.savefig(path)


def _draw_counts(panel: Axes, record: ScanRecord) -> None:
    points = record.points
    rates = points.counts / points.exposure_s
    # One standard deviation of the counts, at least of one count.
    spread = np.sqrt(np.maximum(points.counts, 1.0)) / points.exposure_s
    panel.fill_between(
        points.axis, np.maximum(rates - spread, 0.0), rates + spread, color="#c9d3e6", lw=0
    )
    panel.plot(points.axis, rates, color=INK, lw=0.8)
    # On a square root, noise is as wide everywhere, and faint lines are seen beside strong ones.
    panel.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0.0)), np.square))
    panel.set_ylabel("counts / s", fontsize=_NORMAL)
    panel.set_ylim(bottom=0)
    panel.tick_params(labelbottom=False)
    for one in record.passes:
        if math.isfinite(one.advice.region_start) and one.advice.action in ACTION_MARKS:
            colour = ACTION_MARKS[one.advice.action][0]
            panel.axvspan(one.advice.region_start, one.advice.region_stop, color=colour, alpha=0.12)


def _draw_times(panel: Axes, points: CountedPoints) -> None:
    panel.semilogy(points.axis, points.exposure_s, ".", ms=2.5, color=MUTED)
    panel.set_ylabel("s", fontsize=_NORMAL)
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_ylim(points.exposure_s.min() / 2, points.exposure_s.max() * 2)
    panel.set_xlabel("2θ (degree)", fontsize=_NORMAL)


def _draw_doubt(panel: Axes, record: ScanRecord) -> None:
    known = [one for one in record.passes if math.isfinite(one.advice.error_bound)]
    elapsed = [one.elapsed_s for one in known]
    bounds = [max(one.advice.error_bound, 1e-12) for one in known]
    panel.semilogy(elapsed, bounds, color=MUTED, lw=1)
    for one, bound in zip(known, bounds, strict=True):
        colour, marker = ACTION_MARKS.get(one.advice.action, ACTION_MARKS["no advice"])
        panel.plot(one.elapsed_s, bound, marker, color=colour, ms=6)
    for action in dict.fromkeys(one.advice.action for one in known):
        colour, marker = ACTION_MARKS.get(action, ACTION_MARKS["no advice"])
        panel.plot([], [], marker, color=colour, ms=6, label=f"then: {action}")
    if math.isfinite(record.full_scan_s):
        panel.axvline(record.full_scan_s, color=FOUND, ls="--", lw=1)
        panel.annotate(
            f"a full scan ends here ({record.full_scan_s:.0f} s)",
            (record.full_scan_s, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4, -10),
            textcoords="offset points",
            ha="right",
            fontsize=_SMALL,
            color=FOUND,
        )
    panel.set_xlim(left=0)
    panel.set_xlabel("beam time (s)", fontsize=_NORMAL)
    panel.set_ylabel("error bound", fontsize=_NORMAL)
    if known:
        panel.legend(fontsize=_SMALL, frameon=False, loc="upper center")
