"""One picture of a turned crystal: what it showed, what mattered, and how the doubt went down."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from phasepilot.agent.report.figure import ACTION_MARKS, DPI, FOUND, INK, MUTED
from phasepilot.agent.report.image_panels import (
    LARGE,
    NORMAL,
    SMALL,
    draw_image,
    titled,
)
from phasepilot.models.networks.space_groups import space_group_symbol
from phasepilot.models.suggestion import Advice

_SIZE_INCHES = (1600 / DPI, 1150 / DPI)
_COLOURS = ("#2f5d9b", "#d9822b", "#3c8d5a", "#a2497d", "#7a6a4f")


@dataclass(frozen=True, slots=True)
class RotationView:
    """One image of the run.

    Attributes
    ----------
    angle_deg, elapsed_s : float
        Of the axis, and beam time since the run began.
    advice : Advice
    """

    angle_deg: float
    elapsed_s: float
    advice: Advice


@dataclass(frozen=True, slots=True, eq=False)
class RotationRecord:
    """A finished run of a crystal that was turned.

    Attributes
    ----------
    title : str
    views : tuple of RotationView
    last_image, summed_image : ndarray, shape (rows, columns)
        Counts; below 0 where nothing was measured.
    found, truth : str
    full_scan_s : float
        What equal steps over the whole range take.
    """

    title: str
    views: tuple[RotationView, ...]
    last_image: NDArray[np.int32]
    summed_image: NDArray[np.int64]
    found: str
    truth: str
    full_scan_s: float


def draw_rotation(record: RotationRecord, path: Path) -> None:
    """Draw the record to a .png file."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    said = f"found: {record.found}   true: {record.truth}"
    figure.suptitle(f"{record.title}\n{said}", fontsize=LARGE, x=0.01, ha="left", parse_math=False)
    grid = figure.add_gridspec(2, 6, height_ratios=(1.5, 1.0))
    last, summed, third = (figure.add_subplot(grid[0, 2 * k : 2 * k + 2]) for k in range(3))
    posterior, doubt = figure.add_subplot(grid[1, :3]), figure.add_subplot(grid[1, 3:])
    view = record.views[-1]
    draw_image(last, record.last_image, f"a   image {len(record.views)}, at {view.angle_deg:g}°")
    last.set_xlabel(view.advice.image_kind, fontsize=NORMAL)
    draw_image(summed, record.summed_image, "b   all images added up")
    _draw_angles(third, record)
    _draw_posterior(posterior, record)
    _draw_doubt(doubt, record)
    figure.savefig(path)


def _draw_angles(panel: Axes, record: RotationRecord) -> None:
    titled(panel, "c   the angles, in the order they were gone to")
    angles = [view.angle_deg for view in record.views]
    panel.plot(angles, range(1, len(angles) + 1), "o-", color=MUTED, mfc=INK, mec=INK, ms=4, lw=1)
    panel.set_xlabel("axis (degree)", fontsize=NORMAL)
    panel.set_ylabel("image", fontsize=NORMAL)
    panel.invert_yaxis()
    panel.spines[["top", "right"]].set_visible(False)


def _draw_posterior(panel: Axes, record: RotationRecord) -> None:
    titled(panel, "d   probability of the answer, image by image")
    numbers = np.arange(1, len(record.views) + 1)
    answers = [view.advice.answer for view in record.views]
    panel.plot(
        numbers, [view.advice.answer_probability for view in record.views], color=MUTED, lw=1
    )
    for colour, answer in zip(_COLOURS, [a for a in dict.fromkeys(answers) if a], strict=False):
        chosen = [k for k, one in enumerate(answers) if one == answer]
        heights = [record.views[k].advice.answer_probability for k in chosen]
        panel.plot(numbers[chosen], heights, "o", color=colour, ms=6, label=answer)
    known = np.array([view.advice.space_group_probabilities for view in record.views])
    best = int(np.nan_to_num(known[-1]).argmax())
    label = f"network's space group: {best + 1} {space_group_symbol(best + 1)}"
    panel.plot(numbers, known[:, best], "--", color=INK, lw=1, label=label)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("image", fontsize=NORMAL)
    panel.set_ylabel("probability", fontsize=NORMAL)
    panel.legend(fontsize=SMALL, frameon=False, loc="center right")
    panel.spines[["top", "right"]].set_visible(False)


def _draw_doubt(panel: Axes, record: RotationRecord) -> None:
    titled(panel, "e   bound on the probability of error")
    known = [view for view in record.views if math.isfinite(view.advice.error_bound)]
    elapsed = [view.elapsed_s for view in known]
    panel.plot(elapsed, [view.advice.error_bound for view in known], color=MUTED, lw=1)
    for view in known:
        colour, marker = ACTION_MARKS.get(view.advice.action, ACTION_MARKS["no advice"])
        panel.plot(view.elapsed_s, view.advice.error_bound, marker, color=colour, ms=6)
    for action in dict.fromkeys(view.advice.action for view in known):
        colour, marker = ACTION_MARKS.get(action, ACTION_MARKS["no advice"])
        panel.plot([], [], marker, color=colour, ms=6, label=f"then: {action}")
    panel.axvline(record.full_scan_s, color=FOUND, ls="--", lw=1)
    panel.annotate(
        f"equal steps end here ({record.full_scan_s:.0f} s)",
        (record.full_scan_s, 0),
        xycoords=("data", "axes fraction"),
        xytext=(-4, 8),
        textcoords="offset points",
        ha="right",
        fontsize=SMALL,
        color=FOUND,
    )
    panel.set_xlim(left=0)
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("beam time (s)", fontsize=NORMAL)
    if known:
        panel.legend(fontsize=SMALL, frameon=False, loc="upper center")
    panel.spines[["top", "right"]].set_visible(False)
