"""The picture of a benchmark: its curves, one an estimator."""

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phasepilot.agent.errors import ConfigurationError

if TYPE_CHECKING:
    from phasepilot.models.benchmarks.benchmark_result import Chart


def draw_chart(chart: "Chart", title: str, path: Path) -> None:
    """Write the curves of a chart to a picture.

    Raises
    ------
    ConfigurationError
        If the file cannot be written.
    """
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for curve in chart.curves:
        axes.plot(curve.x, curve.y, label=curve.name, linewidth=1.5)
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label, title=title, ylim=(0, 1.02))
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the picture must go to a file that can be written, but {path} cannot ({error});"
            " give another path that ends in .png."
        ) from error
