"""One picture of a simulation: a pattern, or an image, with the strongest lines named by hkl."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from phasepilot.agent.report.figure import DPI, INK, MUTED, STRAIN_COLOUR, WIDTH_PX
from phasepilot.agent.report.simulation_record import (
    IndexedLines,
    PowderRecord,
    RingRecord,
    SpotRecord,
    Subject,
)
from phasepilot.models.arrays import Array, BoolArray, FloatArray, IntArray

# White where there is nothing, like the map of a report.
_IMAGE_COLOURS = matplotlib.colormaps["bone_r"].with_extremes(bad="#eadfce")
_SMALL, _NORMAL, _LARGE = 8.0, 9.0, 12.5
_MOST_LABELS, _MOST_SPOT_LABELS = 16, 32
# Weaker lines are not named: percent of the strongest.
_LEAST_LABELLED = 1.0
# In inches: nearer labels would overlap.
_LABEL_DISTANCE = 0.12
# Of the range: nearer lines share a label.
_SAME_LINE = 2e-4
# More would run into the text beside it.
_TITLE_LENGTH = 60


def draw_simulation(record: PowderRecord | SpotRecord | RingRecord) -> Figure:
    """Return the picture of a simulation, 1600 pixels wide when saved as it is."""
    if isinstance(record, PowderRecord):
        return _draw_powder(record)
    if isinstance(record, SpotRecord):
        return _draw_spots(record)
    return _draw_rings(record)


def hkl_label(hkl: Sequence[int] | IntArray) -> str:
    r"""Return indices as matplotlib typesets them, negative ones with a bar.

    Examples
    --------
    >>> hkl_label((1, -1, 0)), hkl_label((10, 0, 4))
    ('$1\\bar{1}0$', '$10\\,0\\,4$')
    """
    indices = [int(index) for index in hkl]
    between = r"\," if max(map(abs, indices)) > 9 else ""
    written = [rf"\bar{{{-index}}}" if index < 0 else str(index) for index in indices]
    return f"${between.join(written)}$"


def _draw_powder(record: PowderRecord) -> Figure:
    figure = _figure(height_px=900)
    panel = figure.add_subplot()
    is_point = record.is_measured[0]
    angle, intensity = record.two_theta_deg[0, is_point], record.intensity[0, is_point]
    _draw_pattern(panel, angle, intensity, record.lines, width_inches=9.4)
    has_counts = np.isfinite(record.drawn["peak_counts"][0, 0])
    panel.set_ylabel("counts" if has_counts else "intensity", fontsize=_NORMAL, color=INK)
    n_patterns = record.intensity.shape[0]
    which = f", first of {n_patterns} patterns" if n_patterns > 1 else ""
    _write_heading(figure, record.subject, which)
    return figure


def _draw_rings(record: RingRecord) -> Figure:
    figure = _figure(height_px=850)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.05))
    _draw_image(left, record.image, record.is_measured, brightest_percentile=99.7)
    left.set_title(f"detector {record.geometry.detector}", loc="left", fontsize=_NORMAL + 1)
    _draw_pattern(right, record.two_theta_deg, record.intensity, record.lines, width_inches=4.1)
    right.set_ylabel("mean intensity of a pixel", fontsize=_NORMAL, color=INK)
    right.set_title("integrated over azimuth", loc="left", fontsize=_NORMAL + 1)
    _write_heading(figure, record.subject)
    return figure


def _draw_spots(record: SpotRecord) -> Figure:
    figure = _figure(height_px=1350)
    panel = figure.add_subplot()
    is_measured = np.ones(record.image.shape, dtype=bool)
    _draw_image(panel, record.image, is_measured, brightest_percentile=100.0)
    for spot in _labelled_spots(record.lines.relative_intensity):
        panel.annotate(
            hkl_label(record.lines.hkl[spot]),
            (record.column_px[spot], record.row_px[spot]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=_SMALL,
            color=STRAIN_COLOUR,
        )
    rows, columns = record.image.shape
    panel.plot((columns - 1) / 2, (rows - 1) / 2, "+", color=MUTED, markersize=9)
    _write_heading(figure, record.subject, f", zone axis [{_indices(record.zone_axis)}]")
    return figure


def _labelled_spots(relative_intensity: FloatArray) -> IntArray:
    """Return the strongest spots; equally strong ones, which symmetry makes so, all or none."""
    weaker = np.sort(relative_intensity)[::-1][_MOST_SPOT_LABELS:]
    least = max(_LEAST_LABELLED, 1.001 * weaker.max(initial=0.0))
    return np.flatnonzero(relative_intensity >= least)


def _indices(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def _figure(height_px: int) -> Figure:
    figure = Figure(
        figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    return figure


def _draw_pattern(
    panel: Axes,
    two_theta_deg: FloatArray,
    intensity: FloatArray,
    lines: IndexedLines,
    *,
    width_inches: float,
) -> None:
    """Draw a pattern over marks at its lines, the strongest named."""
    panel.plot(two_theta_deg, intensity, color=INK, linewidth=0.8)
    low, high = float(intensity.min()), float(intensity.max())
    span = (high - low) or 1.0
    marks = (low - 0.065 * span, low - 0.025 * span)
    panel.vlines(lines.two_theta_deg, *marks, colors=STRAIN_COLOUR, linewidth=0.8)
    panel.set_ylim(low - 0.09 * span, high + 0.2 * span)
    panel.set_xlim(two_theta_deg[0], two_theta_deg[-1])
    panel.set_xlabel("2θ (degree)", fontsize=_NORMAL, color=INK)
    panel.tick_params(labelsize=_SMALL, colors=INK)
    panel.spines[["top", "right"]].set_visible(False)
    first, last = float(two_theta_deg[0]), float(two_theta_deg[-1])
    distance = _LABEL_DISTANCE / width_inches * (last - first)
    for angle, text in _labels(lines, first, last, distance):
        near = np.abs(two_theta_deg - angle) < distance / 2
        top = float(intensity[near].max()) if near.any() else low
        panel.text(
            angle,
            top + 0.025 * span,
            text,
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=_SMALL,
            color=STRAIN_COLOUR,
        )


def _labels(
    lines: IndexedLines, first_deg: float, last_deg: float, distance_deg: float
) -> list[tuple[float, str]]:
    """Return where to write what: the strongest lines that leave each other room."""
    placed: dict[float, list[str]] = {}
    for line in np.argsort(-lines.relative_intensity, kind="stable"):
        angle = float(lines.two_theta_deg[line])
        if lines.relative_intensity[line] < _LEAST_LABELLED:
            break
        if not first_deg <= angle <= last_deg:
            continue
        distance_to = {abs(angle - other): other for other in placed}
        nearest = min(distance_to, default=np.inf)
        if nearest < _SAME_LINE * (last_deg - first_deg):
            placed[distance_to[nearest]].append(hkl_label(lines.hkl[line]))
        elif nearest > distance_deg and len(placed) < _MOST_LABELS:
            placed[angle] = [hkl_label(lines.hkl[line])]
    return [(angle, ", ".join(labels)) for angle, labels in placed.items()]


def _draw_image(
    panel: Axes, image: Array, is_measured: BoolArray, *, brightest_percentile: float
) -> None:
    """Draw an image with its colour bar; pixels beyond the percentile are black."""
    shown = np.ma.masked_where(~is_measured, image)
    lit = image[is_measured & (image > 0)]
    brightest = float(np.percentile(lit, brightest_percentile))
    # The root lets a spot of one percent be seen beside the highest.
    norm = PowerNorm(0.5, vmin=0, vmax=brightest)
    drawn = panel.imshow(shown, cmap=_IMAGE_COLOURS, norm=norm)
    has_counts = image.dtype.kind == "i"
    is_beyond = brightest < float(image.max())
    bar = panel.figure.colorbar(
        drawn, ax=panel, shrink=0.85, extend="max" if is_beyond else "neither"
    )
    bar.set_label("counts" if has_counts else "intensity (brightest pixel 1)", fontsize=_NORMAL)
    bar.ax.tick_params(labelsize=_SMALL, colors=INK)
    panel.set_xlabel("column (px)", fontsize=_NORMAL, color=INK)
    panel.set_ylabel("row (px)", fontsize=_NORMAL, color=INK)
    panel.tick_params(labelsize=_SMALL, colors=INK)


def _write_heading(figure: Figure, subject: Subject, addition: str = "") -> None:
    title = f"{subject.phase}{addition}"
    figure.suptitle(
        title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 3] + "...",
        x=0.012,
        ha="left",
        fontsize=_LARGE,
        fontweight="bold",
        parse_math=False,
    )
    text = f"{subject.beam}, recipe {subject.recipe_name}, seed {subject.seed}"
    figure.text(
        0.99, 0.985, text, ha="right", va="top", fontsize=_NORMAL, color=MUTED, parse_math=False
    )
