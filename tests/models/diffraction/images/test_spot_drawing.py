import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.spot_drawing import draw_spots
from phasepilot.models.diffraction.images.spot_pattern import (
    Spots,
    spots,
    turned_in_plane,
    zone_axis_orientation,
)
from phasepilot.models.diffraction.images.spot_settings import (
    GaussianSpots,
    SolidSpots,
    SpotSettings,
)

CUBE = (90.0,) * 3


def make_spots(*places_and_intensities):
    rows, columns, intensity = np.array(places_and_intensities, dtype=float).T
    hkl = np.zeros((rows.size, 3), dtype=np.int64)
    return Spots(hkl, rows, columns, intensity)


def solid(radius_px, shape=(64, 80)):
    return SpotSettings(shape=shape, profile=SolidSpots(largest_radius_px=radius_px))


def gaussian(sigma_px, shape=(64, 80)):
    return SpotSettings(shape=shape, profile=GaussianSpots(sigma_px=sigma_px))


def centroid(image):
    rows, columns = np.indices(image.shape)
    return [(rows * image).sum() / image.sum(), (columns * image).sum() / image.sum()]


def draw_crystal(crystal, zone_axis, image, turn_deg=0.0):
    orientation = turned_in_plane(zone_axis_orientation(crystal, zone_axis), turn_deg)
    return draw_spots(spots(crystal, orientation, image), image)


@pytest.fixture
def rock_salt():
    sites = [("Na", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))]
    return crystal_from_sites("NaCl", "F m -3 m", (5.64,) * 3 + CUBE, sites)


@pytest.fixture
def polar_crystal():
    """No symmetry but translation."""
    sites = [("Ti", (0.11, 0.23, 0.37)), ("O", (0.31, 0.07, 0.19)), ("Pb", (0.0, 0.0, 0.0))]
    return crystal_from_sites("polar", "P 1", (5.1, 6.2, 7.3, 82.0, 97.0, 104.0), sites)


@pytest.mark.parametrize("radius_px", [2.0, 5.3, 12.5])
def test_a_disc_has_its_area_and_its_place(radius_px):
    image = draw_spots(make_spots((30.2, 41.7, 5.0)), solid(radius_px))
    assert image.sum() == pytest.approx(np.pi * radius_px**2, rel=0.025)
    assert centroid(image) == pytest.approx([30.2, 41.7], abs=0.02)
    assert image.max() == 1.0


def test_radii_are_in_proportion_to_intensity():
    image = draw_spots(make_spots((20, 20, 100.0), (20, 60, 50.0)), solid(12.0))
    strong, weak = image[:, :40].sum(), image[:, 40:].sum()
    assert weak / strong == pytest.approx(0.25, rel=0.02)


def test_discs_below_a_pixel_fade_with_their_area():
    weak = [(10, 10, 4.0), (10, 30, 2.0), (10, 50, 1.0)]
    image = draw_spots(make_spots((40, 40, 100.0), *weak), solid(10.0))
    sums = [image[5:16, column - 5 : column + 6].sum() for _, column, _ in weak]
    assert sums[0] / sums[1] == pytest.approx(4.0, rel=1e-5)
    assert sums[0] / sums[2] == pytest.approx(16.0, rel=1e-5)


def test_overlapping_discs_are_not_brighter_than_one():
    image = draw_spots(make_spots((30, 40, 1.0), (33, 42, 1.0)), solid(6.0))
    assert image.max() == 1.0
    assert image[31, 41] == 1.0


@pytest.mark.parametrize("sigma_px", [0.3, 1.5, 4.0])
def test_gaussian_spots_hold_their_relative_intensity(sigma_px):
    # Far apart compared with sigma.
    image = draw_spots(make_spots((31.4, 20.3, 8.0), (31.4, 59.8, 2.0)), gaussian(sigma_px))
    assert image[:, :40].sum() == pytest.approx(1.0, abs=1e-5)
    assert image[:, 40:].sum() == pytest.approx(0.25, abs=1e-5)


def test_gaussian_spots_are_in_their_place():
    image = draw_spots(make_spots((31.4, 20.3, 8.0)), gaussian(1.5))
    assert centroid(image) == pytest.approx([31.4, 20.3], abs=1e-3)


def test_gaussian_spots_have_the_width_of_gaussian_and_pixel():
    image = draw_spots(make_spots((30.0, 40.3, 1.0)), gaussian(2.0))
    profile, columns = image.sum(axis=0), np.arange(80)
    variance = (profile * (columns - 40.3) ** 2).sum() / profile.sum()
    assert variance == pytest.approx(2.0**2 + 1 / 12, rel=1e-4)


@pytest.mark.parametrize("settings", [solid(9.0), gaussian(3.0)], ids=["solid", "gaussian"])
def test_spots_over_the_edge_are_cut_not_lost(settings):
    edge = [(0.3, 5.0), (63.4, 79.2), (30.0, -0.4), (20.0, 40.0)]
    cut = draw_spots(make_spots(*((*place, 1.0) for place in edge)), settings)
    whole = draw_spots(
        make_spots(*((row + 20, column + 20, 1.0) for row, column in edge)),
        settings.model_copy(update={"shape": (104, 120)}),
    )
    np.testing.assert_allclose(cut, whole[20:-20, 20:-20], atol=1e-6)


@pytest.mark.parametrize("settings", [SpotSettings(), gaussian(1.5, (321, 322))])
def test_images_are_float32_of_the_asked_shape(rock_salt, settings):
    image = draw_crystal(rock_salt, (0, 0, 1), settings)
    assert image.shape == (321, 322)
    assert image.dtype == np.float32
    assert image.min() >= 0


@pytest.mark.parametrize("settings", [solid(12.5, (321, 321)), gaussian(1.5, (321, 321))])
def test_the_fourfold_axis_of_a_cube_gives_a_fourfold_image(rock_salt, settings):
    image = draw_crystal(rock_salt, (0, 0, 1), settings)
    np.testing.assert_allclose(np.rot90(image), image, atol=1e-5)
    np.testing.assert_allclose(np.flipud(image), image, atol=1e-5)


@pytest.mark.parametrize("settings", [solid(12.5, (321, 321)), gaussian(1.5, (321, 321))])
def test_a_quarter_turn_of_the_crystal_turns_the_image_counter_clockwise(polar_crystal, settings):
    image = draw_crystal(polar_crystal, (1, 1, 2), settings)
    turned = draw_crystal(polar_crystal, (1, 1, 2), settings, turn_deg=90.0)
    np.testing.assert_allclose(turned, np.rot90(image), atol=1e-5)
    assert np.abs(turned - image).max() > 0.5 * image.max()


def test_a_crystal_without_centre_gives_a_centred_image_all_the_same(polar_crystal):
    settings = gaussian(1.5, (321, 321))
    image = draw_crystal(polar_crystal, (0, 0, 1), settings)
    np.testing.assert_allclose(image[::-1, ::-1], image, atol=1e-5)
    assert np.abs(np.flipud(image) - image).max() > 0.5 * image.max()
