"""Maps over a cake, e.g. of what mattered for an answer, put back onto the pixels of a detector."""

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.diffraction.images.cake_grid import CakeGrid
from phasepilot.models.diffraction.images.detector_geometry import (
    DetectorGeometry,
    pyfai_integrator,
)
from phasepilot.models.diffraction.images.pixel_map import pixel_map
from phasepilot.models.errors import GeometryError
from phasepilot.models.pattern import q_from_two_theta


def on_detector(
    values: FloatArray | Float32Array, grid: CakeGrid, geometry: DetectorGeometry
) -> Float32Array:
    """Return the value of the cell that each pixel falls into, shape (rows, columns).

    Parameters
    ----------
    values : ndarray, shape (n_chi, n_bins)
        On the cells of `grid`.

    Returns
    -------
    ndarray of float32
        NaN for pixels outside the grid.

    Raises
    ------
    GeometryError
        If the map is not of the grid's shape.
    """
    if values.shape != grid.shape:
        raise GeometryError(
            f"a map must have the shape {grid.shape} of its grid, but has {values.shape}; give what"
            " ImageModel.attribution returns and that model's grid."
        )
    two_theta = np.maximum(pixel_map(geometry).pixel_two_theta_deg, 1e-6)
    log_q = np.log(q_from_two_theta(two_theta.astype(np.float64), geometry.wavelength_angstrom))
    column = np.floor((log_q - grid.radial.log_edges[0]) / grid.radial.bin_width).astype(np.int64)
    chi = pyfai_integrator(geometry).center_array(geometry.shape, unit="chi_rad")
    row = np.floor((chi / (2 * np.pi) + 0.5) * grid.n_chi).astype(np.int64) % grid.n_chi
    inside = (column >= 0) & (column < grid.radial.n_bins)
    found = values[row, np.clip(column, 0, grid.radial.n_bins - 1)]
    return np.where(inside, found, np.nan).astype(np.float32)
