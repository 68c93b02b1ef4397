"""One picture of a screening loop: what was found where, in which order, and how fast."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from phasepilot.agent.report.figure import DPI, INK, MUTED

_SMALL, _NORMAL, _LARGE = 8.0, 9.0, 12.5
_SIZE_INCHES = (1600 / DPI, 1000 / DPI)
# Okabe and Ito's, as in the other pictures; grey is for what has no name.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#7f3b08")
_NAMELESS = "#bdbdbd"


@dataclass(frozen=True, slots=True)
class ScreenedSample:
    """One sample of a library, visited or not.

    Attributes
    ----------
    x_mm, y_mm : float
    truth : str
        What it is, for a simulation; empty if not known.
    found : str
        What the agent says; empty if it could not be named.
    elapsed_s : float
        Beam time at which it was settled or inferred; infinite if never.
    is_measured : bool
        False where the agent says what neighbours make of it.
    """

    name: str
    x_mm: float
    y_mm: float
    truth: str
    found: str
    elapsed_s: float
    is_measured: bool = True

    @property
    def is_right(self) -> bool:
        """Whether it was settled and named as it is."""
        return bool(self.found) and self.found == self.truth and np.isfinite(self.elapsed_s)


@dataclass(frozen=True, slots=True)
class ScreeningRecord:
    """A finished screening loop, and the raster that it is compared with."""

    title: str
    samples: tuple[ScreenedSample, ...]
    raster: tuple[ScreenedSample, ...]


def draw_screening(record: ScreeningRecord, path: Path) -> None:
    """Draw the record to a .png file."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(record.title, fontsize=_LARGE, fontweight="bold", x=0.01, ha="left")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1))
    names = sorted({one.truth for one in record.samples} | {one.found for one in record.samples})
    colours = dict(zip(filter(None, names), _COLOURS * len(names), strict=False)) | {"": _NAMELESS}
    truth, found = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    order, gain = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    truths = [replace(one, is_measured=True) for one in record.samples]
    names_true = [one.truth for one in record.samples]
    names_found = [one.found for one in record.samples]
    n_right = sum(one.is_right for one in record.samples)
    told = f"b   found: {n_right} right; crosses wrong, open inferred"
    _draw_map(truth, "a   what the samples are", truths, names_true, colours)
    _draw_map(found, told, record.samples, names_found, colours)
    _mark_wrong(found, record.samples)
    _draw_order(order, record.samples)
    _draw_gain(gain, record)
    handles = [Patch(color=colour, label=name or "not named") for name, colour in colours.items()]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=8, fontsize=_SMALL, frameon=False
    )
    figure.savefig(path)


def _prepare(panel: Axes, title: str) -> None:
    panel.set_title(title, loc="left", fontsize=_NORMAL + 1, fontweight="bold")
    panel.tick_params(labelsize=_SMALL, colors=INK)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_map(
    panel: Axes,
    title: str,
    samples: Sequence[ScreenedSample],
    names: Sequence[str],
    colours: dict[str, str],
) -> None:
    _prepare(panel, title)
    x, y = [one.x_mm for one in samples], [one.y_mm for one in samples]
    edges = [colours[name] for name in names]
    faces = [
        colour if one.is_measured else "white" for one, colour in zip(samples, edges, strict=True)
    ]
    panel.scatter(x, y, c=faces, edgecolors=edges, linewidths=1.5, s=42)
    panel.set_aspect("equal")
    panel.set_xlabel("x (mm)", fontsize=_NORMAL)
    panel.set_ylabel("y (mm)", fontsize=_NORMAL)


def _mark_wrong(panel: Axes, samples: Sequence[ScreenedSample]) -> None:
    is_simulated = any(one.truth for one in samples)
    wrong = [one for one in samples if is_simulated and one.found and one.found != one.truth]
    places = [one.x_mm for one in wrong], [one.y_mm for one in wrong]
    panel.scatter(*places, marker="x", c=INK, s=42)


def _draw_order(panel: Axes, samples: Sequence[ScreenedSample]) -> None:
    _prepare(panel, "c   when each was settled; crosses: not measured")
    visited = [one for one in samples if one.is_measured and np.isfinite(one.elapsed_s)]
    never = [one for one in samples if one not in visited]
    panel.scatter([s.x_mm for s in never], [s.y_mm for s in never], marker="x", c=MUTED, s=20)
    shown = panel.scatter(
        [s.x_mm for s in visited],
        [s.y_mm for s in visited],
        c=[s.elapsed_s / 60 for s in visited],
        cmap="viridis",
        s=42,
    )
    bar = panel.figure.colorbar(shown, ax=panel, shrink=0.9)
    bar.set_label("beam time (min)", fontsize=_SMALL)
    bar.ax.tick_params(labelsize=_SMALL)
    panel.set_aspect("equal")
    panel.set_xlabel("x (mm)", fontsize=_NORMAL)
    panel.set_ylabel("y (mm)", fontsize=_NORMAL)


def _draw_gain(panel: Axes, record: ScreeningRecord) -> None:
    _prepare(panel, "d   samples named rightly")
    steered = (record.samples, "steered", "#0072b2")
    raster = (record.raster, "raster, fixed exposure", MUTED)
    # Without steering the two are one.
    curves = (raster,) if record.samples == record.raster else (steered, raster)
    for samples, label, colour in curves:
        times = sorted(one.elapsed_s for one in samples if one.is_right)
        panel.step(
            [0, *(t / 60 for t in times)],
            range(len(times) + 1),
            where="post",
            color=colour,
            label=label,
        )
    panel.set_xlabel("beam time (min)", fontsize=_NORMAL)
    panel.set_ylabel("samples", fontsize=_NORMAL)
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=_SMALL, frameon=False, loc="lower right")
