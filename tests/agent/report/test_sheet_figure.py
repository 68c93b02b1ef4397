"""Pictures with several panels, and where they go."""

from pathlib import Path

import numpy as np
import pytest

from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.report.sheet_figure import draw_sheet
from phasepilot.models.benchmarks.benchmark_result import Chart, Curve, Sheet

X = np.arange(3.0)
SHEET = Sheet(
    "lines",
    (
        Chart("x", "y", (Curve("plain", X, X),), "above"),
        Chart("x", "y", (Curve("with bars", X, X, spread=X / 10),), "below"),
    ),
)


def test_a_sheet_goes_into_a_folder_or_beside_a_file(tmp_path: Path) -> None:
    assert draw_sheet(SHEET, tmp_path) == tmp_path / "lines.png"
    assert draw_sheet(SHEET, tmp_path / "tio2.png") == tmp_path / "tio2-lines.png"
    assert (tmp_path / "lines.png").read_bytes().startswith(b"\x89PNG")


def test_a_place_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"picture must go to a file .* another --picture"):
        draw_sheet(SHEET, tmp_path / "nowhere" / "a.png")
