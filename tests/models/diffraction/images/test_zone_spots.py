import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.reflection_store import reflection_store
from phasepilot.models.diffraction.images.spot_drawing import draw_spots
from phasepilot.models.diffraction.images.spot_pattern import (
    spots,
    turned_in_plane,
    zone_axis_orientation,
)
from phasepilot.models.diffraction.images.spot_settings import SpotSettings
from phasepilot.models.diffraction.images.zone_spots import (
    FULL_SHAPE,
    SpotLists,
    draw_discs,
    draw_gaussians,
    pixel_for,
    zone_spots,
)

TRICLINIC = crystal_from_sites(
    "X", "P 1", (5.0, 6.0, 7.0, 80.0, 95.0, 103.0), [("Fe", (0, 0, 0)), ("O", (0.2, 0.3, 0.1))]
)
STORE = reflection_store([DIAMOND, TRICLINIC])


def make_spots(x_px, intensity, n_columns):
    x = np.array([x_px * pixel_for(n_columns)])
    return SpotLists(np.array([0, 1]), x, np.zeros(1), np.array([intensity]))


@pytest.mark.parametrize(("number", "crystal"), [(0, DIAMOND), (1, TRICLINIC)])
@pytest.mark.parametrize("axis", [(1, 0, 0), (1, 1, 1), (0, 2, 3), (0, 0, 1)])
def test_full_size_images_are_those_of_one_crystal_at_a_time(number, crystal, axis):
    orientation = turned_in_plane(zone_axis_orientation(crystal, axis), 20.0)
    expected = draw_spots(spots(crystal, orientation, SpotSettings()), SpotSettings())
    found = zone_spots(STORE, np.array([number]), np.array([axis]), np.array([20.0]))
    np.testing.assert_allclose(draw_discs(found, FULL_SHAPE)[0], expected, atol=2e-3)


def test_every_spot_has_its_friedel_mate_and_the_strongest_is_one():
    found = zone_spots(STORE, np.array([1]), np.array([[1, 1, 0]]))
    places = np.stack([found.x_per_angstrom, found.y_per_angstrom], axis=1).round(9)
    assert {tuple(place) for place in places} == {tuple(place) for place in -places + 0.0}
    assert found.intensity.max() == 1


def test_patterns_follow_each_other():
    both = zone_spots(STORE, np.array([0, 1]), np.array([[1, 0, 0], [1, 1, 1]]))
    second = zone_spots(STORE, np.array([1]), np.array([[1, 1, 1]]))
    np.testing.assert_array_equal(both.x_per_angstrom[both.offsets[1] :], second.x_per_angstrom)


def test_a_small_image_covers_what_the_full_one_does():
    assert 64 * pixel_for(64) == pytest.approx(322 * pixel_for(322))
    assert pixel_for(322) == SpotSettings().geometry.inverse_angstrom_per_pixel


def test_a_spot_smaller_than_a_pixel_fades_with_its_area():
    # On the pixel grid of 64, 12.5 of 321 pixels are 2.48: a hundredth of it is far below one.
    whole, half = (draw_discs(make_spots(0.5, i, 64), (64, 64)).sum() for i in (0.02, 0.01))
    assert whole == pytest.approx(4 * half, rel=1e-5)


def test_a_gaussian_holds_its_intensity():
    image = draw_gaussians(
        make_spots(7.3, 1.0, 64), (64, 64), np.array([1.5]), np.array([50.0], dtype=float)
    )
    assert image.sum() == pytest.approx(50.0, rel=1e-3)
    columns = (image[0] * np.arange(64)).sum() / image.sum()
    assert columns == pytest.approx(31.5 + 7.3, abs=0.01)
