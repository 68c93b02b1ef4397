"""Where the samples of a library lie on a stage: a list, a grid or a wafer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SamplePosition:
    """A sample by name, and where the stage must go to have it in the beam.

    Attributes
    ----------
    name : str
    position : tuple
        One value for each axis of the stage, in the unit of that axis.
    """

    name: str
    position: tuple[Any, ...]


def grid_of_samples(
    n_rows: int,
    n_columns: int,
    *,
    pitch_mm: tuple[float, float],
    first_mm: tuple[float, float] = (0.0, 0.0),
) -> tuple[SamplePosition, ...]:
    """Return the samples of a well plate for a stage of x and y, back and forth along the rows.

    Parameters
    ----------
    pitch_mm : tuple of float
        From column to column along x, and from row to row along y.
    first_mm : tuple of float
        Position of ``A1``; rows are lettered and columns numbered as on a well plate.

    Examples
    --------
    >>> [one.name for one in grid_of_samples(2, 3, pitch_mm=(9.0, 9.0))]
    ['A1', 'A2', 'A3', 'B3', 'B2', 'B1']
    """
    samples = []
    for row in range(n_rows):
        columns = range(n_columns) if row % 2 == 0 else range(n_columns - 1, -1, -1)
        for column in columns:
            place = first_mm[0] + column * pitch_mm[0], first_mm[1] + row * pitch_mm[1]
            samples.append(SamplePosition(f"{_row_letters(row)}{column + 1}", place))
    return tuple(samples)


def wafer_of_samples(
    diameter_mm: float,
    pitch_mm: float,
    *,
    edge_mm: float = 0.0,
    center_mm: tuple[float, float] = (0.0, 0.0),
) -> tuple[SamplePosition, ...]:
    """Return the spots of a square raster that fit on a wafer, back and forth along x.

    Parameters
    ----------
    edge_mm : float
        Rim that is not measured.
    center_mm : tuple of float
        Where the stage has the middle of the wafer in the beam.

    Examples
    --------
    >>> [one.name for one in wafer_of_samples(2.0, 1.0)]
    ['x0y-1', 'x1y0', 'x0y0', 'x-1y0', 'x0y1']
    """
    radius_mm = diameter_mm / 2 - edge_mm
    n_out = math.floor(radius_mm / pitch_mm + 1e-9)
    samples = []
    for row, y in enumerate(range(-n_out, n_out + 1)):
        columns = range(-n_out, n_out + 1) if row % 2 == 0 else range(n_out, -n_out - 1, -1)
        for x in columns:
            if math.hypot(x, y) * pitch_mm <= radius_mm * (1 + 1e-9):
                place = center_mm[0] + x * pitch_mm, center_mm[1] + y * pitch_mm
                samples.append(SamplePosition(f"x{x}y{y}", place))
    return tuple(samples)


def check_samples(samples: Sequence[SamplePosition], n_axes: int) -> None:
    """Raise ValueError unless names differ and every position has a value for each axis."""
    names = [sample.name for sample in samples]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names or "" in names:
        raise ValueError(
            f"samples must have names that differ, but {twice or names} do not; the advisor"
            " and the record know samples by name."
        )
    for sample in samples:
        if len(sample.position) != n_axes:
            raise ValueError(
                f"a position must have one value for each of {n_axes} axes, but that of"
                f" {sample.name!r} is {sample.position}; give the axes of the stage one by one."
            )


def _row_letters(row: int) -> str:
    letters = ""
    row += 1
    while row:
        row, rest = divmod(row - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
