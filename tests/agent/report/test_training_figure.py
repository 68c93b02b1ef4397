import numpy as np
import pytest

from phasepilot.agent.report.training_figure import draw_learning_curve
from phasepilot.models.training.learning_curve import CurvePoint


def make_curve(n: int) -> list[CurvePoint]:
    share = np.linspace(0.05, 0.5, n)
    return [
        CurvePoint(400 * k, 102_400 * k, 1e-3, 12 - 8 * s, s, 5 - 3 * s, 0.8 * s, 0.3 + s)
        for k, s in enumerate(share, start=1)
    ]


@pytest.mark.parametrize("n", [1, 40])
def test_every_measure_is_a_named_line_with_a_dot_a_point(n: int) -> None:
    figure = draw_learning_curve("pilotnet-v1", make_curve(n), n_patterns=8_000_000)
    losses, accuracies, rates = figure.axes
    assert [len(panel.lines) for panel in (losses, accuracies, rates)] == [2, 3, 1]
    for line in (*losses.lines, *accuracies.lines):
        assert line.get_marker() == "."
        assert len(line.get_xdata()) == n
    names = [text.get_text() for text in accuracies.get_legend().get_texts()]
    assert names[0] == "held-out families, crystal system"
    assert (figure.get_size_inches() * figure.dpi)[0] == 1600


def test_a_broken_run_shows_how_far_it_was() -> None:
    figure = draw_learning_curve("pilotnet-v1", make_curve(10), n_patterns=4_096_000)
    _, accuracies, _ = figure.axes
    assert accuracies.get_xlim() == (0, 4.096)
    assert accuracies.lines[0].get_xdata()[-1] == pytest.approx(1.024)
