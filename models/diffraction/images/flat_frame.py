"""Frames whose pixels are even in 1/d, as the flat section of reciprocal space that a zone is."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import BoolArray, Float32Array, IntArray
from phasepilot.models.diffraction.images.detector_geometry import (
    DetectorGeometry,
    check_image_shape,
    pyfai_integrator,
)
from phasepilot.models.pattern import q_from_two_theta

# Cells a side, at most: spots of larger frames are some pixels wide.
_MOST_CELLS = 512


@dataclass(frozen=True, slots=True, eq=False)
class FlatFrame:
    """A frame around the direct beam.

    Attributes
    ----------
    image : ndarray, shape (rows, columns)
        Photons a pixel; what is not measured does not matter.
    is_measured : ndarray of bool, shape (rows, columns)
    inverse_angstrom_per_pixel : float
        1/d that a pixel covers everywhere.
    centre_px : tuple of float
        Row and column of the direct beam; pixel centres are whole numbers, rows count downwards.
    """

    image: Float32Array
    is_measured: BoolArray
    inverse_angstrom_per_pixel: float
    centre_px: tuple[float, float]


def flat_frame(
    image: NDArray[Any], is_measured: BoolArray, geometry: DetectorGeometry
) -> FlatFrame:
    """Return the frame of any detector with means of its pixels in even cells of 1/d.

    Cells are as wide as the pixels that look widest, so that hardly any is without one.

    Raises
    ------
    GeometryError
        If the image is not of the detector's shape.
    """
    check_image_shape(image.shape, geometry, "the image")
    cells = flat_cells(geometry)
    chosen = cells.cell[is_measured]
    n_cells = cells.shape[0] * cells.shape[1]
    number = np.bincount(chosen, minlength=n_cells)
    total = np.bincount(chosen, image[is_measured], minlength=n_cells)
    mean = (total / np.maximum(number, 1)).astype(np.float32)
    centre = ((cells.shape[0] - 1) / 2, (cells.shape[1] - 1) / 2)
    return FlatFrame(
        mean.reshape(cells.shape),
        (number > 0).reshape(cells.shape),
        cells.inverse_angstrom_per_pixel,
        centre,
    )


@dataclass(frozen=True, slots=True, eq=False)
class FlatCells:
    """Where the pixels of a detector lie on a `FlatFrame` with the beam in its middle.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the frame.
    inverse_angstrom_per_pixel : float
    cell : ndarray of int, shape of the detector
        Numbered row by row.
    """

    shape: tuple[int, int]
    inverse_angstrom_per_pixel: float
    cell: IntArray


@lru_cache(maxsize=4)
def flat_cells(geometry: DetectorGeometry) -> FlatCells:
    """Return the cells of a detector, kept for the next frame."""
    integrator = pyfai_integrator(geometry)
    two_theta = np.degrees(integrator.center_array(geometry.shape, unit="2th_rad"))
    chi = integrator.center_array(geometry.shape, unit="chi_rad")
    length = q_from_two_theta(two_theta, geometry.wavelength_angstrom) / (2 * np.pi)
    # Azimuths of pyFAI turn from the columns to the rows, which count downwards.
    right, down = length * np.cos(chi), length * np.sin(chi)
    reach = float(length.max())
    steps = [np.abs(np.diff(part, axis=axis)).max() for part, axis in ((right, 1), (down, 0))]
    pixel = max(float(max(steps)), 2 * reach / _MOST_CELLS)
    half = int(np.ceil(reach / pixel))
    size = 2 * half + 1
    row, column = (np.rint(part / pixel).astype(np.int64) + half for part in (down, right))
    return FlatCells((size, size), pixel, row * size + column)
