"""Draws why a network named a space group: the pattern, coloured by what each part adds."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from phasepilot.agent.report.figure import DPI, INK, MUTED, WIDTH_PX
from phasepilot.models.arrays import FloatArray
from phasepilot.models.explanation.regions import Region

_HEIGHT_PX = 1000
_SMALL, _NORMAL, _LARGE = 8.0, 9.0, 12.5
# Blue and orange stay apart in the common forms of colour blindness.
FOR_COLOUR, AGAINST_COLOUR = "#0072b2", "#d55e00"
_COLOURS = LinearSegmentedColormap.from_list(
    "against, nothing, for", [AGAINST_COLOUR, "#e9e9e9", FOR_COLOUR]
)
# Beyond this percentile of the bins colour does not deepen: else one line would have it all.
_DEEPEST_PERCENTILE = 99.0
# The strongest regions say what they add, unless that near on the axis to a stronger one.
_N_LABELS, _LABEL_DISTANCE = 8, 0.03


@dataclass(frozen=True, slots=True)
class ExplanationRecord:
    """What the picture shows, on bins without gaps.

    Attributes
    ----------
    title, subtitle : str
    axis_title : str
    edges : ndarray, shape (n_bins + 1,)
        On the axis of the picture.
    root_intensity, of_bins : ndarray, shape (n_bins,)
        What the network saw, and what each bin adds.
    smoothing_bins : float
        Standard deviation of the Gaussian that `of_bins` is drawn with.
    regions : tuple of Region
        The strongest first.
    crystal : str
        What `lines` belong to; empty without a crystal.
    lines : ndarray, shape (n_lines,)
        Its Bragg positions on the axis.
    """

    title: str
    subtitle: str
    axis_title: str
    edges: FloatArray
    root_intensity: FloatArray
    of_bins: FloatArray
    smoothing_bins: float
    regions: tuple[Region, ...]
    crystal: str
    lines: FloatArray


def draw_explanation(record: ExplanationRecord) -> Figure:
    """Return the picture of an explanation, 1600 x 1000 pixels when saved as it is."""
    figure = Figure(
        figsize=(WIDTH_PX / DPI, _HEIGHT_PX / DPI),
        dpi=DPI,
        layout="constrained",
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    pattern, attribution = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (1.5, 1)}
    )
    smoothed = gaussian_filter1d(record.of_bins, record.smoothing_bins, mode="constant")
    _draw_pattern(pattern, record, smoothed)
    _draw_attribution(attribution, record, smoothed)
    for panel in (pattern, attribution):
        panel.tick_params(labelsize=_SMALL, colors=INK)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlim(record.edges[0], record.edges[-1])
    attribution.set_xlabel(record.axis_title, fontsize=_NORMAL, color=INK)
    heading = {"parse_math": False, "ha": "left"}
    figure.suptitle(record.title, x=0.012, fontsize=_LARGE, fontweight="bold", **heading)
    pattern.set_title(record.subtitle, loc="left", fontsize=_NORMAL, color=MUTED, parse_math=False)
    return figure


def _draw_pattern(panel: Axes, record: ExplanationRecord, smoothed: FloatArray) -> None:
    """Draw the pattern, filled with the colour of what is added, over marks at the Bragg lines."""
    left, right, height = record.edges[:-1], record.edges[1:], record.root_intensity
    zeros = np.zeros_like(left)
    corners = [left, zeros, left, height, right, height, right, zeros]
    bars = np.stack(corners, axis=1).reshape(-1, 4, 2)
    deepest = float(np.percentile(np.abs(smoothed), _DEEPEST_PERCENTILE)) or 1.0
    colours = _COLOURS(0.5 + np.clip(smoothed / deepest, -1, 1) / 2)
    panel.add_collection(PolyCollection(list(bars), facecolors=colours, edgecolors=colours))
    panel.step(left, height, where="post", color=INK, linewidth=0.5)
    top = float(height.max()) or 1.0
    panel.set_ylim(-0.1 * top if record.crystal else 0.0, 1.06 * top)
    panel.set_ylabel("root of intensity (highest 1)", fontsize=_NORMAL, color=INK)
    if record.crystal:
        panel.vlines(record.lines, -0.075 * top, -0.025 * top, colors=INK, linewidth=0.8)
        panel.text(
            0.995,
            0.98,
            f"marks: Bragg positions of {record.crystal}",
            transform=panel.transAxes,
            ha="right",
            va="top",
            fontsize=_SMALL,
            color=INK,
            parse_math=False,
        )


def _draw_attribution(panel: Axes, record: ExplanationRecord, smoothed: FloatArray) -> None:
    """Draw what is added along the axis, the strongest regions with their sums."""
    centres = (record.edges[1:] + record.edges[:-1]) / 2
    for side, colour, label in (
        (np.maximum(smoothed, 0), FOR_COLOUR, "speaks for"),
        (np.minimum(smoothed, 0), AGAINST_COLOUR, "speaks against"),
    ):
        panel.fill_between(centres, side, color=colour, linewidth=0, label=label)
    panel.axhline(0, color=INK, linewidth=0.6)
    low, high = min(0.0, float(smoothed.min())), max(0.0, float(smoothed.max()))
    span = (high - low) or 1.0
    panel.set_ylim(low - 0.14 * span, high + 0.14 * span)
    for peak, contribution in _labels(record, centres, smoothed):
        panel.annotate(
            f"{contribution:+.2f}",
            (centres[peak], smoothed[peak]),
            xytext=(0, 3 if contribution > 0 else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if contribution > 0 else "top",
            fontsize=_SMALL,
            color=INK,
        )
    panel.set_ylabel("added by a bin, smoothed", fontsize=_NORMAL, color=INK)
    panel.legend(loc="upper right", fontsize=_SMALL, frameon=False, ncols=2)


def _labels(
    record: ExplanationRecord, centres: FloatArray, smoothed: FloatArray
) -> list[tuple[int, float]]:
    """Return the bins where the strongest regions peak, and what the regions add."""
    least_distance = _LABEL_DISTANCE * float(centres[-1] - centres[0])
    labels: list[tuple[int, float]] = []
    for region in record.regions:
        peak = region.start + int(np.abs(smoothed[region.start : region.stop]).argmax())
        if all(abs(centres[peak] - centres[other]) > least_distance for other, _ in labels):
            labels.append((peak, region.contribution))
        if len(labels) == _N_LABELS:
            break
    return labels
