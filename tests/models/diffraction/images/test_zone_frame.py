"""Reflections of a zone that are read off a frame."""

import numpy as np
import pytest

from phasepilot.models.benchmarks.zone_patterns import detector_frames
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.flat_frame import FlatFrame, flat_cells, flat_frame
from phasepilot.models.diffraction.images.reflection_store import reflection_store
from phasepilot.models.diffraction.images.spot_search import search_spots
from phasepilot.models.diffraction.images.zone_frame import zone_spots_of_frame
from phasepilot.models.diffraction.images.zone_spots import zone_spots
from phasepilot.models.errors import GeometryError

CRYSTAL = crystal_from_sites(
    "X", "P 4/m", (5.5, 5.5, 3.0, 90, 90, 90), [("Ti", (0.2, 0.1, 0)), ("O", (0.4, 0.3, 0.5))]
)
IDEAL = zone_spots(reflection_store([CRYSTAL]), np.array([0]), np.array([[0, 0, 1]]))
FRAME = next(detector_frames(IDEAL, np.random.default_rng(0)).each())


def places(spots):
    return np.stack([spots.x_per_angstrom, spots.y_per_angstrom], axis=1)


def nearest_ideal(spots):
    distance = np.linalg.norm(places(spots)[:, None] - places(IDEAL), axis=2)
    return distance.argmin(axis=1), distance.min(axis=1)


def test_reflections_are_where_the_lattice_has_them_to_a_fraction_of_a_pixel():
    seen = zone_spots_of_frame(FRAME)
    assert seen.is_zone
    _, distance = nearest_ideal(seen.spots)
    assert np.median(distance) < 0.2 * FRAME.inverse_angstrom_per_pixel
    assert distance.max() < 0.6 * FRAME.inverse_angstrom_per_pixel


def test_intensities_follow_those_of_the_crystal_and_mates_are_alike():
    seen = zone_spots_of_frame(FRAME).spots
    true = IDEAL.intensity[nearest_ideal(seen)[0]]
    assert np.corrcoef(np.log(true), np.log(seen.intensity))[0, 1] > 0.95
    half = seen.intensity.size // 2
    np.testing.assert_array_equal(seen.intensity[:half], seen.intensity[half:])


def test_more_reflections_are_read_than_stand_out():
    n_found = search_spots(FRAME).photons.size
    assert zone_spots_of_frame(FRAME).spots.intensity.size > n_found


def test_a_reflection_in_a_gap_is_read_from_its_friedel_mate():
    # The four strongest are next to the beam stop.
    chosen = np.argsort(-IDEAL.intensity)[4]
    place = places(IDEAL)[chosen] / FRAME.inverse_angstrom_per_pixel
    row, column = FRAME.centre_px[0] - place[1], FRAME.centre_px[1] + place[0]
    rows, columns = np.indices(FRAME.image.shape)
    is_near = np.hypot(rows - row, columns - column) < 6
    covered = FlatFrame(
        FRAME.image,
        FRAME.is_measured & ~is_near,
        FRAME.inverse_angstrom_per_pixel,
        FRAME.centre_px,
    )
    seen = zone_spots_of_frame(covered).spots
    distance = np.linalg.norm(places(seen) / FRAME.inverse_angstrom_per_pixel - place, axis=1)
    assert distance.min() < 0.5
    assert seen.intensity[distance.argmin()] == pytest.approx(IDEAL.intensity[chosen], rel=0.1)


def test_spots_anywhere_are_no_zone():
    rng = np.random.default_rng(1)
    image = rng.poisson(1.0, FRAME.image.shape).astype(np.float32)
    image[tuple(rng.integers(20, 236, (2, 30)))] += 300
    everywhere = np.ones(image.shape, dtype=bool)
    seen = zone_spots_of_frame(FlatFrame(image, everywhere, 0.01, FRAME.centre_px))
    assert seen.n_found > 20
    assert not seen.is_zone


def test_a_frame_of_noise_shows_nothing():
    image = np.random.default_rng(2).poisson(1.0, FRAME.image.shape).astype(np.float32)
    everywhere = np.ones(image.shape, dtype=bool)
    seen = zone_spots_of_frame(FlatFrame(image, everywhere, 0.01, FRAME.centre_px))
    assert not seen.is_zone
    assert seen.spots.n_patterns == 1


GEOMETRY = centred_geometry(
    PLAIN_DETECTOR,
    distance_m=0.2,
    wavelength_angstrom=0.4,
    detector_config=plain_detector_config((200, 220), (4e-4, 4e-4)),
)


def test_a_detector_is_laid_out_evenly_in_one_over_d():
    pytest.importorskip("pyFAI")
    image = np.zeros((200, 220))
    # 60 pixels above the beam, whose row counts downwards, and 30 to the right of it.
    image[100 - 60, 110 + 30] = 100
    frame = flat_frame(image, np.ones(image.shape, dtype=bool), GEOMETRY)
    row, column = np.unravel_index(frame.image.argmax(), frame.image.shape)
    pixel = frame.inverse_angstrom_per_pixel
    seen = (column - frame.centre_px[1]) * pixel, (frame.centre_px[0] - row) * pixel
    # Pixel 100 begins at the beam: its centre is half a pixel farther.
    right_m, up_m = 30.5 * 4e-4, 59.5 * 4e-4
    radius_m = np.hypot(right_m, up_m)
    length = 2 * np.sin(np.arctan(radius_m / 0.2) / 2) / 0.4
    np.testing.assert_allclose(
        seen, np.array([right_m, up_m]) / radius_m * length, atol=0.6 * pixel
    )
    assert frame.is_measured[row, column]
    assert not frame.is_measured[0, 0]


def test_every_pixel_of_a_detector_has_a_cell_and_few_cells_in_its_middle_none():
    pytest.importorskip("pyFAI")
    cells = flat_cells(GEOMETRY)
    assert cells.cell.min() >= 0
    assert cells.cell.max() < cells.shape[0] * cells.shape[1]
    middle = flat_frame(np.ones((200, 220)), np.ones((200, 220), dtype=bool), GEOMETRY).is_measured
    half = middle.shape[0] // 2
    assert middle[half - 50 : half + 50, half - 50 : half + 50].all()


def test_an_image_of_another_shape_is_refused():
    pytest.importorskip("pyFAI")
    with pytest.raises(GeometryError, match="the image"):
        flat_frame(np.zeros((2, 3)), np.ones((2, 3), dtype=bool), GEOMETRY)
