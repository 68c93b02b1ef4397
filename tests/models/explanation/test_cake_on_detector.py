import numpy as np
import pytest

from phasepilot.models.diffraction.images.azimuthal_integration import integrate_cake
from phasepilot.models.diffraction.images.cake_grid import CakeGrid
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.errors import GeometryError
from phasepilot.models.explanation.cake_on_detector import on_detector
from phasepilot.models.log_q import LogQGrid

GEOMETRY = centred_geometry(
    PLAIN_DETECTOR,
    distance_m=0.1,
    wavelength_angstrom=0.5,
    detector_config=plain_detector_config((300, 320), (2e-4, 2e-4)),
)
GRID = CakeGrid(LogQGrid(1.0, 3.0, 30), 24)


def test_a_map_that_is_put_on_the_detector_unrolls_to_itself() -> None:
    values = np.zeros(GRID.shape)
    values[5, 10:14] = 1.0
    image = np.nan_to_num(on_detector(values, GRID, GEOMETRY))
    cake = integrate_cake(image, GEOMETRY, GRID.radial, n_chi=24, polarization_factor=0.0)
    assert cake.intensity[5, 11:13].min() > 0.9
    assert cake.intensity[np.arange(24) != 5].max() < 0.5


def test_pixels_outside_the_grid_are_not_a_number() -> None:
    image = on_detector(np.ones(GRID.shape), GRID, GEOMETRY)
    assert np.isnan(image[150, 160])
    assert np.isfinite(image[150, 220])


def test_a_map_of_another_shape_is_refused() -> None:
    with pytest.raises(GeometryError, match="must have the shape"):
        on_detector(np.ones((3, 3)), GRID, GEOMETRY)
