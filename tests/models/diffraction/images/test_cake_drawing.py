import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.images.azimuthal_integration import integrate_cake
from phasepilot.models.diffraction.images.cake_drawing import (
    RadialFactors,
    ReflectionList,
    SpotShape,
    Texture,
    layer_cake,
    ring_cake,
    sphere_cake,
    zone_cake,
)
from phasepilot.models.diffraction.images.cake_grid import CakeGrid, cake_on_grid
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.reflection_store import crystal_reflections
from phasepilot.models.diffraction.images.spot_drawing import draw_spots
from phasepilot.models.diffraction.images.spot_pattern import (
    spots,
    turned_in_plane,
    zone_axis_orientation,
)
from phasepilot.models.diffraction.images.spot_settings import (
    FlatDetector,
    GaussianSpots,
    SpotSettings,
)
from phasepilot.models.log_q import LogQGrid

GRID = CakeGrid(LogQGrid(0.8, 6.0, 120), 72)


@pytest.fixture(scope="module")
def anatase() -> Crystal:
    cell = (3.785, 3.785, 9.514, 90.0, 90.0, 90.0)
    sites = [("Ti", (0.0, 0.75, 0.125)), ("O", (0.0, 0.75, 0.333))]
    return crystal_from_sites("anatase", "I 41/a m d", cell, sites)


def reflection_list(crystal: Crystal) -> ReflectionList:
    found = crystal_reflections(crystal)
    return ReflectionList(found.hkl.astype(float) @ found.reciprocal, found.intensity.astype(float))


def test_a_drawn_cake_is_that_of_the_image_of_the_same_crystal(anatase: Crystal) -> None:
    wavelength, orientation = 0.3, zone_axis_orientation(anatase, (1, 2, 3))
    settings = SpotSettings(
        wavelength_angstrom=wavelength,
        shape=(801, 801),
        geometry=FlatDetector(distance_mm=200.0, pixel_size_mm=0.15, mosaicity_deg=3.0),
        profile=GaussianSpots(sigma_px=2.0),
    )
    image = draw_spots(spots(anatase, orientation, settings), settings)
    geometry = centred_geometry(
        PLAIN_DETECTOR,
        distance_m=0.2,
        wavelength_angstrom=wavelength,
        detector_config=plain_detector_config((801, 801), (1.5e-4, 1.5e-4)),
    )
    fine = LogQGrid(0.8, 6.0, 240)
    of_image, is_measured = cake_on_grid(
        integrate_cake(image, geometry, fine, n_chi=180, polarization_factor=0.0), GRID
    )
    drawn = sphere_cake(
        reflection_list(anatase),
        orientation[None],
        np.ones(1),
        GRID,
        SpotShape(2.0 * 0.15 / 200 / wavelength),
        wavelength_angstrom=wavelength,
        mosaicity_deg=3.0,
    )
    # Roots, as the network sees them; what is left is the curvature of the detector.
    first, second = np.sqrt(of_image[is_measured]), np.sqrt(drawn[is_measured])
    assert np.corrcoef(first, second)[0, 1] > 0.98


def test_a_turn_by_one_cell_is_a_shift_by_one_cell(anatase: Crystal) -> None:
    orientation = zone_axis_orientation(anatase, (1, 1, 1))
    cakes = [
        layer_cake(
            reflection_list(anatase),
            turned_in_plane(orientation, angle_deg),
            GRID,
            SpotShape(),
            half_thickness_per_angstrom=1e-4,
        )
        for angle_deg in (0.0, 360 / GRID.n_chi)
    ]
    # Counter-clockwise as seen from the source is against the azimuth of a cake.
    np.testing.assert_allclose(np.roll(cakes[0], -1, axis=0), cakes[1], atol=1e-3 * cakes[0].max())


def test_a_smooth_powder_is_the_same_all_round(anatase: Crystal) -> None:
    texture = Texture(np.array([0.0, 0.0, 1.0]), 0.0, 1.0, np.pi, 0.0)
    cake = ring_cake(
        reflection_list(anatase),
        texture,
        GRID,
        SpotShape(),
        wavelength_angstrom=0.5,
        rng=np.random.default_rng(0),
    )
    assert cake.max() > 0
    np.testing.assert_allclose(cake, np.broadcast_to(cake[:1], cake.shape), rtol=1e-5)


def test_a_texture_gathers_basal_poles_at_its_axis(anatase: Crystal) -> None:
    basal = reflection_list(anatase)
    along_c = np.flatnonzero(np.abs(basal.vectors[:, :2]).max(axis=1) < 1e-9)
    basal = ReflectionList(basal.vectors[along_c], basal.intensity[along_c])
    texture = Texture(np.array([0.0, 0.0, 1.0]), np.radians(30.0), np.pi / 2, 0.3, 0.0)
    cake = ring_cake(
        basal,
        texture,
        GRID,
        SpotShape(),
        wavelength_angstrom=0.2,
        rng=np.random.default_rng(0),
    )
    around = cake.sum(axis=1)
    centres_deg = -180 + (np.arange(GRID.n_chi) + 0.5) * 5.0
    off_deg = np.abs((centres_deg - 30 + 90) % 180 - 90)
    assert around[off_deg < 10].mean() > 20 * around[off_deg > 70].mean()


def test_a_zone_is_the_layer_across_its_axis(anatase: Crystal) -> None:
    found = crystal_reflections(anatase)
    layer = layer_cake(
        reflection_list(anatase),
        zone_axis_orientation(anatase, (1, 2, 1)),
        GRID,
        SpotShape(0.01),
        half_thickness_per_angstrom=1e-4,
    )
    zone = zone_cake(
        found.hkl,
        found.intensity,
        found.reciprocal,
        np.array([1, 2, 1]),
        0.3,
        GRID,
        SpotShape(0.01),
        RadialFactors(),
    )
    # Up to a turn about the beam: strengths of waves.
    waves = [np.abs(np.fft.rfft(np.sqrt(cake), axis=0)[:20]) for cake in (layer, zone)]
    np.testing.assert_allclose(waves[1], waves[0], atol=0.02 * waves[0].max())
