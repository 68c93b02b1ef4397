"""One picture of a turned crystal: what it showed, what mattered, and how the doubt went down."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from phasepilot.agent.report.figure import ACTION_MARKS, DPI, FOUND, INK, MUTED
from phasepilot.models.arrays import Float32Array
from phasepilot.models.networks.space_groups import space_group_symbol
from phasepilot.models.suggestion import Advice

_SMALL, _NORMAL, _LARGE = 8.0, 9.0, 12.5
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
    attribution : ndarray of float32, shape (rows, columns), or None
        What each pixel of the last image added to ln p of the answer; NaN where nothing is known.
        None without a network of images.
    found, truth : str
    full_scan_s : float
        What equal steps over the whole range take.
    """

    title: str
    views: tuple[RotationView, ...]
    last_image: NDArray[np.int32]
    summed_image: NDArray[np.int64]
    attribution: Float32Array | None
    found: str
    truth: str
    full_scan_s: float


def draw_rotation(record: RotationRecord, path: Path) -> None:
    """Draw the record to a .png file."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    said = f"found: {record.found}   true: {record.truth}"
    figure.suptitle(f"{record.title}\n{said}", fontsize=_LARGE, x=0.01, ha="left", parse_math=False)
    grid = figure.add_gridspec(2, 6, height_ratios=(1.5, 1.0))
    last, summed, third = (figure.add_subplot(grid[0, 2 * k : 2 * k + 2]) for k in range(3))
    posterior, doubt = figure.add_subplot(grid[1, :3]), figure.add_subplot(grid[1, 3:])
    view = record.views[-1]
    _draw_image(last, record.last_image, f"a   image {len(record.views)}, at {view.angle_deg:g}°")
    last.set_xlabel(view.advice.image_kind, fontsize=_NORMAL)
    _draw_image(summed, record.summed_image, "b   all images added up")
    if record.attribution is None:
        _draw_angles(third, record)
    else:
        _draw_attribution(third, record.last_image, record.attribution)
    _draw_posterior(posterior, record)
    _draw_doubt(doubt, record)
    figure.savefig(path)


def _titled(panel: Axes, title: str) -> None:
    panel.set_title(title, loc="left", fontsize=_NORMAL + 1, fontweight="bold")
    panel.tick_params(labelsize=_SMALL, colors=INK)


def _draw_image(panel: Axes, image: NDArray[np.integer], title: str) -> None:
    _titled(panel, title)
    shown = np.where(image < 0, np.nan, image.astype(np.float64))
    # Spots are a pixel or two wide: without a little spread they vanish in a small picture.
    spread = _widened(shown)
    lowest = float(np.nanmedian(spread))
    highest = lowest + max(0.3 * float(np.nanmax(spread) - lowest), 1.0)
    panel.set_facecolor("#d8d8d8")
    panel.imshow(spread, cmap="magma_r", norm=PowerNorm(0.5, vmin=lowest, vmax=highest, clip=True))
    panel.set_xticks([])
    panel.set_yticks([])


def _widened(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the image with each pixel as bright as the brightest next to it."""
    from scipy.ndimage import maximum_filter

    return np.where(np.isnan(image), np.nan, maximum_filter(np.nan_to_num(image), 5))


def _draw_attribution(panel: Axes, image: NDArray[np.int32], attribution: Float32Array) -> None:
    _titled(panel, "c   for (red) and against the answer")
    largest = max(float(np.nanmax(np.abs(attribution))), 1e-9)
    panel.set_facecolor("#d8d8d8")
    panel.imshow(attribution, cmap="RdBu_r", vmin=-largest, vmax=largest)
    counts = np.where(image < 0, 0.0, image.astype(np.float64))
    rows, columns = np.nonzero(counts > np.percentile(counts, 99.9))
    panel.plot(columns, rows, ",", color=INK, alpha=0.5)
    panel.set_xlim(-0.5, image.shape[1] - 0.5)
    panel.set_ylim(image.shape[0] - 0.5, -0.5)
    panel.set_xticks([])
    panel.set_yticks([])


def _draw_angles(panel: Axes, record: RotationRecord) -> None:
    _titled(panel, "c   the angles, in the order they were gone to")
    angles = [view.angle_deg for view in record.views]
    panel.plot(angles, range(1, len(angles) + 1), "o-", color=MUTED, mfc=INK, mec=INK, ms=4, lw=1)
    panel.set_xlabel("axis (degree)", fontsize=_NORMAL)
    panel.set_ylabel("image", fontsize=_NORMAL)
    panel.invert_yaxis()
    panel.spines[["top", "right"]].set_visible(False)


def _draw_posterior(panel: Axes, record: RotationRecord) -> None:
    _titled(panel, "d   probability of the answer, image by image")
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
    panel.set_xlabel("image", fontsize=_NORMAL)
    panel.set_ylabel("probability", fontsize=_NORMAL)
    panel.legend(fontsize=_SMALL, frameon=False, loc="center right")
    panel.spines[["top", "right"]].set_visible(False)


def _draw_doubt(panel: Axes, record: RotationRecord) -> None:
    _titled(panel, "e   bound on the probability of error")
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
        fontsize=_SMALL,
        color=FOUND,
    )
    panel.set_xlim(left=0)
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("beam time (s)", fontsize=_NORMAL)
    if known:
        panel.legend(fontsize=_SMALL, frameon=False, loc="upper center")
    panel.spines[["top", "right"]].set_visible(False)
