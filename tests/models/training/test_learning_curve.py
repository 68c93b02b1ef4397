from pathlib import Path

import pytest

from phasepilot.models.errors import TrainingError
from phasepilot.models.training.learning_curve import (
    CurvePoint,
    read_learning_curve,
    write_learning_curve,
)

CURVE = [
    CurvePoint(200, 51200, 1e-3, 9.5, 0.1, 4.25, 0.125, 1 / 3),
    CurvePoint(400, 102400, 1.1e-4, 7.5, 0.2, 3.25, 0.25, 0.5),
]


def test_a_curve_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_learning_curve(CURVE, tmp_path / "curve.csv")
    assert read_learning_curve(tmp_path / "curve.csv") == CURVE
    assert [file.name for file in tmp_path.iterdir()] == ["curve.csv"]


def test_the_file_begins_with_names(tmp_path: Path) -> None:
    write_learning_curve(CURVE, tmp_path / "curve.csv")
    first, second, _ = (tmp_path / "curve.csv").read_text().splitlines()
    assert first.startswith("batch,n_patterns,learning_rate,loss,space_group_accuracy,validation_")
    assert second.startswith("200,51200,0.001,9.5,0.1,4.25,0.125,0.333")


@pytest.mark.parametrize(
    "content", [None, "", "a,b\n1,2\n", "BATCH\n", "{names}\n1,2,3\n", "{names}\n1,x,0,0,0,0,0,0\n"]
)
def test_another_file_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "curve.csv"
    write_learning_curve([], path)
    names = path.read_text().strip()
    path.unlink()
    if content is not None:
        path.write_text(content.format(names=names))
    with pytest.raises(TrainingError, match=r"must be a CSV file with .* give curve.csv of a work"):
        read_learning_curve(path)
