"""How a network learned: one row every few hundred batches, kept as a CSV file."""

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from phasepilot.models.errors import TrainingError


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Where training stood after so many batches.

    Attributes
    ----------
    batch, n_patterns : int
        Trained until here.
    learning_rate : float
    loss, space_group_accuracy : float
        Means over the batches since the last point, as trained: with dropout, and with the label
        smoothing and logit adjustment of the loss.
    validation_loss : float
        Cross entropy of the space group in nats, of the averaged network on held-out families.
    validation_space_group_accuracy, validation_crystal_system_accuracy : float
    """

    batch: int
    n_patterns: int
    learning_rate: float
    loss: float
    space_group_accuracy: float
    validation_loss: float
    validation_space_group_accuracy: float
    validation_crystal_system_accuracy: float


_COLUMNS = tuple(field.name for field in fields(CurvePoint))
_N_INTEGERS = 2


def write_learning_curve(curve: Sequence[CurvePoint], path: Path) -> None:
    """Write the points to a CSV file, with a line of names."""
    # Written beside and moved over: a kill in the middle leaves the previous file.
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(astuple(point) for point in curve)
    partial.replace(path)


def read_learning_curve(path: Path) -> list[CurvePoint]:
    """Return the points of such a file.

    Raises
    ------
    TrainingError
        If it cannot be read.
    """
    try:
        with path.open(newline="") as file:
            names, *rows = csv.reader(file)
        if tuple(names) != _COLUMNS:
            raise ValueError(f"its columns are {', '.join(names)}")
        return [_point(row) for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(
            f"a learning curve must be a CSV file with the columns {', '.join(_COLUMNS)}, but"
            f" {path} could not be read as one ({error}); give curve.csv of a work directory."
        ) from error


def _point(row: list[str]) -> CurvePoint:
    integers, numbers = row[:_N_INTEGERS], row[_N_INTEGERS:]
    return CurvePoint(*map(int, integers), *map(float, numbers))
