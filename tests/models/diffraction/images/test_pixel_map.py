import numpy as np
import pytest
from powder_on_detector import make_geometry

from phasepilot.models.diffraction.images.detector_geometry import pyfai_integrator
from phasepilot.models.diffraction.images.pixel_map import (
    N_CHI_BINS,
    chi_bin_centres_deg,
    pixel_map,
    pixel_response,
    polar_order,
    q_range_per_angstrom,
)

SHAPE = (320, 300)


def offsets_from_beam():
    """Return rows and columns from the beam, in pixels, of every pixel."""
    rows = np.arange(SHAPE[0])[:, None] - (SHAPE[0] - 1) / 2
    columns = np.arange(SHAPE[1]) - (SHAPE[1] - 1) / 2
    return np.broadcast_arrays(rows, columns)


def test_angles_are_those_of_a_triangle():
    pixels = pixel_map(make_geometry())
    expected = np.degrees(np.arctan(np.hypot(*offsets_from_beam()) * 5e-4 / 0.25))
    assert pixels.pixel_two_theta_deg == pytest.approx(expected, abs=2e-6)


def test_angles_of_a_tilted_detector_are_pyfais():
    geometry = make_geometry(tilt_rad=0.4)
    theirs = pyfai_integrator(geometry).center_array(SHAPE, unit="2th_deg")
    pixels = pixel_map(geometry)
    assert pixels.pixel_two_theta_deg == pytest.approx(theirs, abs=2e-6)
    assert pixels.two_theta_deg[0] == pytest.approx(theirs.min())
    assert pixels.two_theta_deg[-1] >= theirs.max()


def test_pixels_look_smaller_at_higher_angles():
    # d(2 theta) / dr = cos^2(2 theta) / distance; too near the beam 2-theta is not smooth.
    pixels = pixel_map(make_geometry())
    away = pixels.two_theta_deg > 2
    expected = np.degrees(5e-4 / 0.25 * np.cos(np.radians(pixels.two_theta_deg)) ** 2)
    assert pixels.pixel_width_deg[away] == pytest.approx(expected[away], rel=3e-3)
    assert pixels.pixel_width_deg.min() >= pixels.step_deg


def test_a_ring_is_one_slice_of_the_sorted_pixels():
    geometry = make_geometry(tilt_rad=0.2)
    pixels, order = pixel_map(geometry), polar_order(geometry)
    point = pixels.two_theta_deg.size // 2
    in_slice = np.zeros(pixels.lower.size, dtype=bool)
    in_slice[order.starts[point] : order.starts[point + 1]] = True
    assert 0 < in_slice.sum() < 1000
    np.testing.assert_array_equal(in_slice[order.place], pixels.lower == point)


def test_azimuth_is_0_where_columns_and_90_where_rows_increase():
    geometry = make_geometry()
    order = polar_order(geometry)
    chi = chi_bin_centres_deg()[order.chi_bin][order.place].reshape(SHAPE)
    rows, columns = offsets_from_beam()
    expected = np.degrees(np.arctan2(rows, columns))
    assert abs(chi - expected).max() <= 180 / N_CHI_BINS + 1e-6


def test_a_pixel_receives_its_solid_angle_and_its_polarisation():
    rows, columns = offsets_from_beam()
    two_theta = np.arctan(np.hypot(rows, columns) * 5e-4 / 0.25)
    chi = np.arctan2(rows, columns)
    # A beam polarised along the columns does not scatter by 90 degree along them.
    polarisation = 1 - np.sin(two_theta) ** 2 * np.cos(chi) ** 2
    expected = np.cos(two_theta) ** 3 * polarisation
    assert pixel_response(make_geometry(), 1.0) == pytest.approx(expected, rel=1e-5)


def test_the_range_of_q_reaches_from_the_beam_to_the_corner():
    lowest, highest = q_range_per_angstrom(make_geometry())
    corner = np.arctan(np.hypot(159.5, 149.5) * 5e-4 / 0.25)
    assert highest == pytest.approx(4 * np.pi / 0.4 * np.sin(corner / 2), rel=1e-3)
    assert 0 < lowest < 0.05
