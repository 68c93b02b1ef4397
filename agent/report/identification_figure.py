"""Draws a pattern over the lines of the structures that it may be of, one panel each."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phasepilot.agent.report.figure import DPI, INK, MUTED, STRAIN_COLOUR, WIDTH_PX
from phasepilot.models.arrays import FloatArray

_PANEL_PX, _MARGINS_PX = 300, 130
_SMALL, _NORMAL, _LARGE = 8.0, 9.0, 12.5
# Part of a panel that the lines hang down into.
_DEPTH = 0.6
# More would run over the edge.
_TITLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class DrawnLines:
    """Lines of one structure.

    Attributes
    ----------
    title : str
    position : ndarray, shape (n_lines,)
        On the axis of the picture, in the strained lattice.
    root_intensity : ndarray, shape (n_lines,)
        Of any scale.
    """

    title: str
    position: FloatArray
    root_intensity: FloatArray


@dataclass(frozen=True, slots=True)
class IdentificationRecord:
    """What the picture shows.

    Attributes
    ----------
    title, axis_title : str
    position, root_intensity : ndarray, shape (n_bins,)
        Of the pattern above its background; NaN where nothing was measured.
    candidates : tuple of DrawnLines
        A panel each, the best first.
    """

    title: str
    axis_title: str
    position: FloatArray
    root_intensity: FloatArray
    candidates: tuple[DrawnLines, ...]


def draw_identification(record: IdentificationRecord) -> Figure:
    """Return the picture, 1600 pixels wide when saved as it is."""
    n_panels = len(record.candidates)
    height_px = _MARGINS_PX + _PANEL_PX * n_panels
    figure = Figure(
        figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(n_panels, 1, sharex=True, squeeze=False)[:, 0]
    for panel, candidate in zip(panels, record.candidates, strict=True):
        _draw_candidate(panel, record, candidate)
    panels[-1].set_xlabel(record.axis_title, fontsize=_NORMAL, color=INK)
    figure.supylabel("root of intensity (highest 1)", fontsize=_NORMAL, color=INK)
    figure.suptitle(
        _shortened(record.title),
        x=0.012,
        ha="left",
        fontsize=_LARGE,
        fontweight="bold",
        parse_math=False,
    )
    return figure


def _draw_candidate(panel: Axes, record: IdentificationRecord, candidate: DrawnLines) -> None:
    """Draw the pattern upwards and the lines downwards from the same zero."""
    is_shown = np.isfinite(record.root_intensity)
    first, last = record.position[is_shown][[0, -1]]
    highest = float(np.nanmax(record.root_intensity)) or 1.0
    panel.plot(record.position, record.root_intensity / highest, color=INK, linewidth=0.7)
    inside = (candidate.position >= first) & (candidate.position <= last)
    lengths = candidate.root_intensity[inside]
    lengths = lengths / max(float(lengths.max(initial=0.0)), 1e-12)
    panel.vlines(
        candidate.position[inside], -_DEPTH * lengths, 0, colors=STRAIN_COLOUR, linewidth=0.9
    )
    panel.axhline(0, color=MUTED, linewidth=0.5)
    panel.set_xlim(first, last)
    panel.set_ylim(-_DEPTH - 0.05, 1.06)
    panel.set_yticks([-_DEPTH, 0, 0.5, 1], ["1", "0", "0.5", "1"])
    panel.tick_params(labelsize=_SMALL, colors=INK)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(
        _shortened(candidate.title), loc="left", fontsize=_NORMAL, color=INK, parse_math=False
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _TITLE_LENGTH else text[: _TITLE_LENGTH - 3] + "..."
