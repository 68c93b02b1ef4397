import numpy as np
import pytest

from phasepilot.agent.report.identification_figure import (
    DrawnLines,
    IdentificationRecord,
    draw_identification,
)


def make_record(n_candidates: int = 2, title: str = "rock.xy") -> IdentificationRecord:
    position = np.linspace(1.0, 5.0, 401)
    root = np.exp(-(((position - 3) / 0.05) ** 2))
    root[:50] = np.nan
    lines = DrawnLines("1.  $x_2, NaCl", np.array([0.5, 3.0, 4.0]), np.array([9.0, 2.0, 1.0]))
    return IdentificationRecord(title, "q (1/Å)", position, root, (lines,) * n_candidates)


@pytest.mark.parametrize("n_candidates", [1, 3])
def test_every_candidate_has_a_panel(n_candidates: int) -> None:
    figure = draw_identification(make_record(n_candidates))
    assert len(figure.axes) == n_candidates
    assert figure.get_size_inches()[0] * figure.dpi == pytest.approx(1600)


def test_lines_hang_below_the_pattern_the_strongest_shown_longest() -> None:
    panel = draw_identification(make_record()).axes[0]
    (lines,) = panel.collections
    ends = np.array([segment[:, 1].min() for segment in lines.get_segments()])  # type: ignore[attr-defined]
    # The one at 0.5 is outside the measured range, and not what the others are scaled by.
    np.testing.assert_allclose(ends / ends[0], [1.0, 0.5])
    assert panel.get_xlim() == pytest.approx((1.5, 5.0))


def test_titles_are_written_as_they_are(tmp_path) -> None:
    # A lone dollar would be an error of mathematical typesetting.
    figure = draw_identification(make_record(title="a$b_" + "x" * 100))
    figure.savefig(tmp_path / "picture.png")
    assert figure.axes[0].get_title(loc="left") == "1.  $x_2, NaCl"
    (heading,) = [text.get_text() for text in figure.texts if text.get_text().startswith("a$b_")]
    assert heading.endswith("...")
