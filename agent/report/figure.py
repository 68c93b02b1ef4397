"""One picture of a run: what was measured, what the agent made of it, and what it decided.

Every panel shares the scanned axis. Frames are drawn in its order, so that a scan which went back
to look again is as readable as one that did not.
"""

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.ndimage import maximum_filter1d

from phasepilot.agent.report.run_record import FrameRecord, RunRecord
from phasepilot.models.arrays import FloatArray
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS, Action

WIDTH_PX, HEIGHT_PX = 1600, 1200
DPI = 150

# Okabe and Ito's colours (as in matplotlib.color_sequences["okabe_ito"]), which the common forms
# of colour blindness keep apart; their yellow is too pale for a line on white, so it gets the
# rarest system.
CRYSTAL_SYSTEM_COLOURS = {
    "triclinic": "#f0e442",
    "monoclinic": "#cc79a7",
    "orthorhombic": "#e69f00",
    "tetragonal": "#d55e00",
    "trigonal": "#56b4e9",
    "hexagonal": "#009e73",
    "cubic": "#0072b2",
}
# Colour and marker both tell the action, so that either will do.
ACTION_MARKS = {
    "continue": ("#9a9a9a", "o"),
    "refine": ("#0072b2", "v"),
    "coarsen": ("#56b4e9", "^"),
    "extend": ("#009e73", ">"),
    "expose": ("#e69f00", "D"),
    "move": ("#cc79a7", "P"),
    "stop": ("#d55e00", "s"),
    "end": ("#d55e00", "X"),
    "no advice": ("#333333", "x"),
}
INK, MUTED, FOUND = "#222222", "#6b6b6b", "#b3261e"
STRAIN_COLOUR, FRACTION_COLOUR, CHANGE_COLOUR = "#0072b2", "#009e73", "#d55e00"

# White where there is nothing, so that faint new lines stand out, and no hue of the marks.
_MAP_COLOURS = LinearSegmentedColormap.from_list(
    "counts", ["#ffffff", "#d5d9e4", "#8b94b3", "#454c78", "#1a1638", "#000000"]
)
_N_Q = 800
# More would run into the legend beside it.
_TITLE_LENGTH = 52
_SMALL, _NORMAL, _LARGE = 8.0, 9.0, 12.5
_DASHES, _SHADE = (0, (4, 2)), 0.13


@dataclass(frozen=True, slots=True)
class _Cells:
    """Frames in order of the scanned axis, one a value, and the stretch that each stands for."""

    frames: tuple[FrameRecord, ...]
    edges: FloatArray


def draw_report(record: RunRecord) -> Figure:
    """Return the picture of the run, 1600 x 1200 pixels when saved as it is.

    Where a value was measured more than once, the map and the probabilities show the last frame,
    the other panels all of them. Frames without a finite place on the axis are left out.
    """
    figure = Figure(
        figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    cells = _cells(record.frames)
    placed = [frame for frame in record.frames if math.isfinite(frame.axis_value)]
    panels = _panels(figure, record.axis_title)
    _draw_patterns(panels["a"], cells)
    _draw_crystal_systems(panels["b"], cells)
    _draw_strain(panels["c"], placed)
    _draw_change(panels["d"], placed)
    _draw_decisions(panels["e"], placed, record)
    figure.align_ylabels([panels["c"], panels["d"], panels["e"]])
    for panel in panels.values():
        _draw_onsets(panel, record)
    if cells.frames:
        panels["a"].set_xlim(cells.edges[0], cells.edges[-1])
    _write_heading(figure, record)
    return figure


def _cells(frames: tuple[FrameRecord, ...]) -> _Cells:
    last_at = {frame.axis_value: frame for frame in frames if math.isfinite(frame.axis_value)}
    values = np.array(sorted(last_at))
    if values.size == 0:
        return _Cells((), np.array([0.0, 1.0]))
    halves = np.diff(values) / 2 if values.size > 1 else np.array([0.5])
    edges = np.concatenate(
        ([values[0] - halves[0]], values[: halves.size] + halves, [values[-1] + halves[-1]])
    )
    return _Cells(tuple(last_at[value] for value in values), edges[: values.size + 1])


def _panels(figure: Figure, axis_title: str) -> dict[str, Axes]:
    columns = figure.add_gridspec(1, 2, width_ratios=(1.08, 1))
    left = columns[0].subgridspec(2, 1, height_ratios=(1.35, 1))
    right = columns[1].subgridspec(3, 1, height_ratios=(1, 1, 1.1))
    first = figure.add_subplot(left[0])
    panels = {"a": first, "b": figure.add_subplot(left[1], sharex=first)}
    panels |= {name: figure.add_subplot(right[row], sharex=first) for row, name in enumerate("cde")}
    titles = ("diffraction patterns", "crystal system", "lattice", "change", "decisions")
    for (name, panel), title in zip(panels.items(), titles, strict=True):
        panel.set_title(f"{name}   {title}", loc="left", fontsize=_NORMAL + 1, fontweight="bold")
        panel.tick_params(labelsize=_SMALL, colors=INK, labelbottom=name in "be")
        panel.spines[["top", "right"]].set_visible(False)
        if name in "be":
            panel.set_xlabel(axis_title, fontsize=_NORMAL, color=INK, parse_math=False)
    return panels


def _draw_patterns(panel: Axes, cells: _Cells) -> None:
    panel.set_ylabel("q (1/Å)", fontsize=_NORMAL)
    measured = [frame.q_per_angstrom for frame in cells.frames if frame.q_per_angstrom.size]
    if not measured:
        _say(panel, "no patterns")
        return
    q_edges = np.linspace(min(q.min() for q in measured), max(q.max() for q in measured), _N_Q + 1)
    q_centres = (q_edges[:-1] + q_edges[1:]) / 2
    shown = np.array([_visible(frame, q_centres) for frame in cells.frames])
    finite = shown[np.isfinite(shown)]
    low, high = np.percentile(finite, (50, 99.6)) if finite.size else (0.0, 1.0)
    panel.pcolormesh(
        cells.edges,
        q_edges,
        shown.T,
        cmap=_MAP_COLOURS,
        vmin=low,
        vmax=max(high, low + 1e-9),
        zorder=0,
    )
    panel.set_ylim(q_edges[0], q_edges[-1])
    for frame in filter(_is_marked, cells.frames):
        colour, marker = ACTION_MARKS[_mark(frame)]
        panel.plot(
            [frame.axis_value],
            [0.975],
            transform=panel.get_xaxis_transform(),
            marker=marker,
            color=colour,
            markersize=6.5,
            clip_on=False,
        )


def _visible(frame: FrameRecord, q_per_angstrom: FloatArray) -> FloatArray:
    """Return the root of the intensity above background in units of its mean, NaN if unmeasured.

    The mean takes out the exposure; the root lets a line of one percent be seen beside the highest.
    """
    is_known = np.isfinite(frame.intensity)
    if is_known.sum() < 2:
        return np.full(q_per_angstrom.size, np.nan)
    above = frame.intensity[is_known] - np.percentile(frame.intensity[is_known], 10)
    # More points than pixels: the highest of those in a pixel, or narrow lines would be skipped.
    above = maximum_filter1d(above.clip(0), math.ceil(above.size / q_per_angstrom.size))
    known = np.interp(q_per_angstrom, frame.q_per_angstrom, is_known.astype(float), 0.0, 0.0)
    shown = np.sqrt(np.interp(q_per_angstrom, frame.q_per_angstrom[is_known], above))
    mean = shown.mean()
    return np.where(known > 0.5, shown / mean if mean > 0 else shown, np.nan)


def _draw_crystal_systems(panel: Axes, cells: _Cells) -> None:
    """Draw one lane a system: its probability as an area, its place in the conformal set below."""
    for lane, name in enumerate(CRYSTAL_SYSTEMS):
        colour = CRYSTAL_SYSTEM_COLOURS[name]
        probability = [getattr(frame.advice, f"p_{name}") for frame in cells.frames]
        if probability:
            heights = 0.82 * np.nan_to_num(np.array(probability))
            panel.stairs(lane + heights, cells.edges, baseline=lane, fill=True, color=colour)
        is_in_set = [name in frame.advice.crystal_system_set.split("|") for frame in cells.frames]
        if is_in_set:
            bar = np.where(is_in_set, lane - 0.03, lane - 0.13)
            panel.stairs(bar, cells.edges, baseline=lane - 0.13, fill=True, color=INK)
    panel.set_ylim(-0.3, len(CRYSTAL_SYSTEMS))
    panel.set_yticks([lane + 0.4 for lane in range(len(CRYSTAL_SYSTEMS))], CRYSTAL_SYSTEMS)
    panel.tick_params(axis="y", length=0, labelsize=_NORMAL)
    if not any(frame.advice.crystal_system for frame in cells.frames):
        _say(panel, _reason_for_nothing(cells.frames))
        return
    handles = [Patch(color=MUTED), Line2D([], [], color=INK, linewidth=2.2)]
    _legend_above(panel, handles, ["probability", "in the conformal set"])


def _draw_strain(panel: Axes, frames: list[FrameRecord]) -> None:
    panel.set_ylabel("strain (%)", fontsize=_NORMAL)
    axis, strain, spread = _columns(frames, "strain", "strain_uncertainty")
    if not np.isfinite(strain).any():
        _say(panel, _reason_for_nothing(frames))
        return
    panel.axhline(0, color=MUTED, linewidth=0.6)
    # Once a new phase is established its strain counts from there: another line, not a jump.
    states = np.array([frame.advice.state for frame in frames])
    begins = np.flatnonzero((states[1:] == "established") & (states[:-1] != "established")) + 1
    is_known = np.isfinite(strain)
    for part in np.split(np.arange(strain.size), begins):
        shown = part[is_known[part]]
        panel.errorbar(
            axis[shown],
            100 * strain[shown],
            yerr=100 * np.nan_to_num(spread[shown]),
            fmt="o-",
            markersize=3,
            linewidth=1,
            color=STRAIN_COLOUR,
            capsize=1.5,
        )


def _draw_change(panel: Axes, frames: list[FrameRecord]) -> None:
    panel.set_ylim(-0.04, 1.04)
    axis, fraction, probability = _columns(frames, "new_phase_fraction", "change_probability")
    if not (np.isfinite(fraction).any() or np.isfinite(probability).any()):
        _say(panel, _reason_for_nothing(frames))
        return
    lines = [
        panel.plot(axis, probability, "-", color=CHANGE_COLOUR, linewidth=1.4)[0],
        panel.plot(axis, fraction, "o--", color=FRACTION_COLOUR, linewidth=1, markersize=3)[0],
    ]
    _legend_above(panel, lines, ["probability of a change", "fraction of the new phase"])


def _draw_decisions(panel: Axes, frames: list[FrameRecord], record: RunRecord) -> None:
    """Draw each step from where it was decided to where it led."""
    label = f"step ({record.axis_units})" if record.axis_units else "step"
    panel.set_ylabel(label, fontsize=_NORMAL, parse_math=False)
    if not frames:
        _say(panel, _reason_for_nothing(frames))
        return
    places = np.array([frame.axis_value for frame in frames])
    taken = np.abs(np.diff(places))
    # Readings scatter by the noise of the gauge; where advice was obeyed, its step is meant.
    advised = np.array([frame.advice.step for frame in frames])[:-1]
    steps = np.where(np.isfinite(advised) & record.is_steered, advised, taken)
    # The last frame led nowhere; its mark stands at the height of the step that led to it.
    heights = np.append(steps, steps[-1] if steps.size else 0.0)
    # Readings of a motor that stood still differ by next to nothing, which is no step to scale for.
    heights = np.where(heights > 0, np.maximum(heights, heights.max() / 64), 0.0)
    moves = zip(places[:-1], places[1:], heights[:-1], strict=True)
    stretches = [[(start, height), (end, height)] for start, end, height in moves]
    panel.add_collection(LineCollection(stretches, colors="#c4c4c4", linewidths=1.2))
    present = [name for name in ACTION_MARKS if name in map(_mark, frames)]
    for name in present:
        colour, marker = ACTION_MARKS[name]
        chosen = [i for i, frame in enumerate(frames) if _mark(frame) == name]
        size = 3.5 if name == "continue" else 7.5 if name == "stop" else 6
        panel.plot(
            places[chosen],
            heights[chosen],
            marker,
            color=colour,
            markersize=size,
            clip_on=False,
        )
    _scale_steps(panel, heights)
    handles = [
        Line2D([], [], ls="", marker=ACTION_MARKS[n][1], color=ACTION_MARKS[n][0]) for n in present
    ]
    _legend_above(panel, handles, present)


def _scale_steps(panel: Axes, steps: FloatArray) -> None:
    """Show halvings as equal distances where the steps span enough for that."""
    low, high = float(steps.min()), float(steps.max())
    if not (low > 0 and high > 3 * low):
        panel.set_ylim(0, 1.25 * high or 1.0)
        return
    panel.set_yscale("log", base=2)
    panel.set_ylim(low / 1.5, high * 1.5)
    ticks = high / 2.0 ** np.arange(math.floor(math.log2(high / low) + 0.05) + 1)
    panel.yaxis.set_major_locator(FixedLocator(ticks[:8].tolist()))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    panel.yaxis.set_minor_locator(NullLocator())


def _draw_onsets(panel: Axes, record: RunRecord) -> None:
    low, high = record.found_onset_low, record.found_onset_high
    if low is not None and high is not None:
        panel.axvspan(low, high, color=FOUND, alpha=_SHADE, linewidth=0, zorder=1)
    if record.found_onset is not None:
        panel.axvline(record.found_onset, color=FOUND, linewidth=1.2, zorder=1.1)
    if record.true_onset is not None:
        panel.axvline(record.true_onset, color=INK, linewidth=1.2, linestyle=_DASHES, zorder=1.2)


def _write_heading(figure: Figure, record: RunRecord) -> None:
    title = record.summary.title
    figure.suptitle(
        title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 3] + "...",
        x=0.012,
        ha="left",
        fontsize=_LARGE,
        fontweight="bold",
        parse_math=False,
    )
    handles: list[Artist] = []
    labels: list[str] = []
    if record.true_onset is not None:
        handles.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=_DASHES))
        labels.append(f"true onset {record.true_onset:.4g} {record.axis_units}")
    if record.found_onset is not None:
        handles.append(Line2D([], [], color=FOUND, linewidth=1.2))
        labels.append(f"found {record.found_onset:.4g} {record.axis_units}")
    if record.found_onset_low is not None and record.found_onset_high is not None:
        handles.append(Patch(color=FOUND, alpha=_SHADE, linewidth=0))
        labels.append(f"{record.found_onset_low:.4g} to {record.found_onset_high:.4g}")
    if handles:
        legend = figure.legend(
            handles, labels, loc="upper right", ncols=3, frameon=False, fontsize=_NORMAL
        )
        # It stands beside the title, in room that the layout has made already.
        legend.set_in_layout(False)


def _legend_above(panel: Axes, handles: Iterable[Artist], labels: list[str]) -> None:
    panel.legend(
        list(handles),
        labels,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.985),
        ncols=4,
        frameon=False,
        fontsize=_SMALL,
        handletextpad=0.4,
        columnspacing=1.2,
        borderaxespad=0,
    )


def _columns(
    frames: list[FrameRecord], first: str, second: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return place, first and second column of the advice, in the order of measurement."""
    rows = [
        (frame.axis_value, getattr(frame.advice, first), getattr(frame.advice, second))
        for frame in frames
    ]
    axis, one, two = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return axis, one, two


def _mark(frame: FrameRecord) -> str:
    """Return the key of the frame in `ACTION_MARKS`."""
    if frame.advice.problem or frame.advice.action not in ACTION_MARKS:
        return "no advice"
    return frame.advice.action


def _is_marked(frame: FrameRecord) -> bool:
    return _mark(frame) not in (Action.CONTINUE, "no advice")


def _reason_for_nothing(frames: Iterable[FrameRecord]) -> str:
    problems = {frame.advice.problem for frame in frames} - {""}
    if not problems:
        return "nothing known"
    return f"no advice: {sorted(problems)[0]}"


def _say(panel: Axes, text: str) -> None:
    panel.text(
        0.5,
        0.5,
        textwrap.fill(textwrap.shorten(text, 200, placeholder="..."), 46),
        transform=panel.transAxes,
        ha="center",
        va="center",
        fontsize=_NORMAL,
        color=MUTED,
        bbox={"facecolor": "white", "edgecolor": "none"},
        parse_math=False,
    )
    panel.set_yticks([])
