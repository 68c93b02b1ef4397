"""Frames whose pixels are even in 1/d, as the flat section of reciprocal space that a zone is."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import BoolArray, Float32Array
from phasepilot.models.diffraction.images.detector_geometry import (
    DetectorGeometry,
    check_image_shape,
    pyfai_integrator,
)
from phasepilot.models.pattern import q_from_two_theta

# Cells a side, at most: the size of a frame that takes a tenth of a second.
_MOST_CELLS = 768


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
    image: Float32Array, is_measured: BoolArray, geometry: DetectorGeometry
) -> FlatFrame:
    """Return the frame of any detector with means of its pixels in even cells of 1/d.

    Cells are as wide as the pixels that look widest, so that hardly any is without one.

    Raises
    ------
    GeometryError
        If the image is not of the detector's shape.
    """
    check_image_shape(image.shape, geometry, "the image")
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
    cell = (np.rint(down / pixel).astype(int) + half) * size + np.rint(right / pixel).astype(int)
    cell = (cell + half)[is_measured]
    number = np.bincount(cell, minlength=size * size)
    total = np.bincount(cell, np.asarray(image)[is_measured], minlength=size * size)
    mean = (total / np.maximum(number, 1)).astype(np.float32)
    shape = (size, size)
    return FlatFrame(mean.reshape(shape), (number > 0).reshape(shape), pixel, (half, half))
