"""The shipped network of spot lattices as a network of detector images."""

import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.flat_frame import flat_cells
from phasepilot.models.diffraction.images.frame_reduction import FrameReducer
from phasepilot.models.diffraction.images.reflection_store import reflection_store
from phasepilot.models.diffraction.images.zone_spots import zone_spots
from phasepilot.models.estimation.image_estimator import ImageEstimator, SeenImage
from phasepilot.models.estimation.lattice_model import load_lattice_model

pytest.importorskip("pyFAI")

GEOMETRY = centred_geometry(
    PLAIN_DETECTOR,
    distance_m=0.15,
    wavelength_angstrom=0.4,
    detector_config=plain_detector_config((300, 300), (5e-4, 5e-4)),
)
SPOTS = zone_spots(reflection_store([DIAMOND]), np.array([0]), np.array([[1, 1, 0]]))


def seen_image(expected):
    counts = np.random.default_rng(0).poisson(expected).astype(np.int32)
    # As a detector marks a dead pixel.
    counts[40, 50] = -1
    polar = FrameReducer(GEOMETRY, n_bins=100, n_chi=72).reduce(counts)
    return SeenImage(counts, polar, GEOMETRY)


def pixel_coordinates():
    cells = flat_cells(GEOMETRY)
    row, column = np.divmod(cells.cell, cells.shape[1])
    pixel, middle = cells.inverse_angstrom_per_pixel, (cells.shape[0] - 1) / 2
    return (column - middle) * pixel, (middle - row) * pixel, pixel


def zone_image():
    x, y, pixel = pixel_coordinates()
    expected = np.ones(x.shape)
    for right, up, intensity in zip(
        SPOTS.x_per_angstrom, SPOTS.y_per_angstrom, SPOTS.intensity, strict=True
    ):
        squared = ((x - right) ** 2 + (y - up) ** 2) / pixel**2
        expected += 2000 * intensity * np.exp(-squared / 4)
    return seen_image(expected)


@pytest.fixture(scope="module")
def model() -> ImageEstimator:
    return load_lattice_model()


def test_an_image_of_a_zone_is_answered_as_its_spots_are(model):
    estimate, ideal = model.estimate_image(zone_image()), model.estimate(SPOTS)
    difference = estimate.crystal_system_probabilities - ideal.crystal_system_probabilities
    assert np.abs(difference).max() < 0.15
    assert estimate.crystal_system_set == ideal.crystal_system_set
    assert estimate.verdict.is_known


def test_images_that_show_no_zone_are_not_answered(model):
    x, y, _ = pixel_coordinates()
    rings = 1 + 200 * np.exp(-(((np.hypot(x, y) - 0.5) / 0.01) ** 2))
    assert model.estimate_image(seen_image(rings)) is None
    assert model.estimate_image(seen_image(np.ones(x.shape))) is None


def test_what_spots_say_is_shown_where_they_are(model):
    image = zone_image()
    shown = model.attribution_map(image, 227)
    assert shown.shape == image.counts.shape
    is_shown = np.isfinite(shown)
    assert 0.001 < is_shown.mean() < 0.5
    assert np.median(image.counts[is_shown]) > np.median(image.counts[~is_shown])
