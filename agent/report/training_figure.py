"""The picture of a training run: how loss and accuracy went, batch by batch."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phasepilot.agent.report.figure import CHANGE_COLOUR, DPI, INK, MUTED, STRAIN_COLOUR, WIDTH_PX
from phasepilot.models.training.learning_curve import CurvePoint

_HEIGHT_PX = 1000
_SMALL, _NORMAL, _LARGE = 8.0, 9.0, 12.5
_SYSTEM_COLOUR = "#009e73"


def draw_learning_curve(name: str, curve: Sequence[CurvePoint], n_patterns: int) -> Figure:
    """Return the picture of a learning curve, 1600 pixels wide when saved as it is.

    Parameters
    ----------
    name : str
        What is trained.
    n_patterns : int
        Where the run ends: the axis reaches so far, that a broken run shows where it was.
    """
    figure = Figure(
        figsize=(WIDTH_PX / DPI, _HEIGHT_PX / DPI), dpi=DPI, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.3))
    place = [point.n_patterns / 1e6 for point in curve]
    _draw(losses, place, [point.loss for point in curve], MUTED, "training, all levels")
    validated = [point.validation_loss for point in curve]
    _draw(losses, place, validated, STRAIN_COLOUR, "held-out families, space group")
    losses.set_ylabel("loss (nat)", fontsize=_NORMAL, color=INK)
    losses.set_ylim(bottom=0)
    for values, colour, label in (
        (
            [point.validation_crystal_system_accuracy for point in curve],
            _SYSTEM_COLOUR,
            "held-out families, crystal system",
        ),
        (
            [point.validation_space_group_accuracy for point in curve],
            STRAIN_COLOUR,
            "held-out families, space group",
        ),
        (
            [point.space_group_accuracy for point in curve],
            MUTED,
            "training, space group",
        ),
    ):
        _draw(accuracies, place, [100 * value for value in values], colour, label)
    accuracies.set_ylabel("right (%)", fontsize=_NORMAL, color=INK)
    accuracies.set_ylim(0, 100)
    accuracies.set_xlabel("patterns trained on (million)", fontsize=_NORMAL, color=INK)
    accuracies.set_xlim(0, n_patterns / 1e6)
    _draw_learning_rate(losses, place, [point.learning_rate for point in curve])
    figure.suptitle(name, x=0.012, ha="left", fontsize=_LARGE, fontweight="bold", parse_math=False)
    return figure


def _draw(
    panel: Axes, place: Sequence[float], values: Sequence[float], colour: str, label: str
) -> None:
    # A dot a point: a run may be killed after its first.
    panel.plot(place, values, ".-", color=colour, linewidth=1.2, markersize=3, label=label)
    panel.grid(color="#e6e6e6", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=_SMALL, colors=INK)
    panel.legend(loc="best", fontsize=_SMALL, frameon=False, labelcolor=INK)


def _draw_learning_rate(panel: Axes, place: Sequence[float], rates: Sequence[float]) -> None:
    other = panel.twinx()
    other.plot(place, rates, color=CHANGE_COLOUR, linewidth=0.8, linestyle=":")
    other.set_ylabel("learning rate", fontsize=_NORMAL, color=CHANGE_COLOUR)
    other.set_ylim(bottom=0)
    other.tick_params(labelsize=_SMALL, colors=CHANGE_COLOUR)
    other.spines[["top", "left"]].set_visible(False)
