"""Pictures of a benchmark that have several panels."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phasepilot.agent.errors import ConfigurationError
from phasepilot.models.benchmarks.benchmark_result import Matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from phasepilot.models.benchmarks.benchmark_result import Chart, Sheet

_DARK = 0.5
# Fewer points are marked one by one.
_FEW = 20
_PANEL_INCHES, _MATRIX_INCHES = 2.3, 5.0


def draw_sheet(sheet: "Sheet", picture: Path) -> Path:
    """Write the charts of a sheet one below the other, and return where.

    Parameters
    ----------
    picture : Path
        A folder, for NAME.png in it; or a file STEM.png, for STEM-NAME.png beside it.

    Raises
    ------
    ConfigurationError
        If the file cannot be written.
    """
    heights = [
        _MATRIX_INCHES if isinstance(chart, Matrix) else _PANEL_INCHES for chart in sheet.charts
    ]
    figure = Figure(figsize=(8, 0.6 + sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    for axes, chart in zip(panels, sheet.charts, strict=True):
        if isinstance(chart, Matrix):
            _draw_matrix(axes, chart)
        else:
            _draw(axes, chart)
    path = (
        picture / f"{sheet.name}.png"
        if picture.is_dir()
        else picture.with_name(f"{picture.stem}-{sheet.name}.png")
    )
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the picture must go to a file that can be written, but {path} cannot ({error});"
            " give another --picture."
        ) from error
    return path


def _draw(axes: "Axes", chart: "Chart") -> None:
    for curve in chart.curves:
        marker = "o" if curve.x.size < _FEW else ""
        if curve.spread is None:
            axes.plot(curve.x, curve.y, label=curve.name, linewidth=1, marker=marker, markersize=4)
        else:
            axes.errorbar(
                curve.x, curve.y, curve.spread, label=curve.name, marker=marker, markersize=4
            )
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
    axes.set_title(chart.title, fontsize=9, loc="left")
    axes.grid(alpha=0.3)
    # Beside the panel it covers no points.
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def _draw_matrix(axes: "Axes", matrix: "Matrix") -> None:
    shares = matrix.counts / np.maximum(matrix.counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    places = range(len(matrix.classes))
    axes.set_xticks(places, matrix.classes, fontsize=7, rotation=90)
    axes.set_yticks(places, matrix.classes, fontsize=7)
    for row, column in zip(*np.nonzero(matrix.counts), strict=True):
        colour = "white" if shares[row, column] > _DARK else "black"
        text = str(matrix.counts[row, column])
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    axes.set(xlabel="answered", ylabel="true")
    axes.set_title(matrix.title, fontsize=9, loc="left")
