from dataclasses import replace

import numpy as np
import pytest
from powder_on_detector import ceria_lines, ceria_sticks, make_geometry

from phasepilot.models.diffraction.images.detector_geometry import pyfai_integrator
from phasepilot.models.diffraction.images.pixel_map import N_CHI_BINS
from phasepilot.models.diffraction.images.ring_image import (
    RingLines,
    modulated_rings,
    radial_image,
    ring_lines,
    smooth_rings,
)
from phasepilot.models.errors import GeometryError


def make_line(two_theta_deg, *, fwhm_deg=0.3, area=100.0, lorentz_fraction=0.0):
    values = (two_theta_deg, area, fwhm_deg, lorentz_fraction)
    return RingLines(*(np.array([value]) for value in values))


def integrated_by_pyfai(image, geometry, n_bins=1500):
    """Return angles and intensity, corrected for solid angle and polarisation."""
    result = pyfai_integrator(geometry).integrate1d_ng(
        image, n_bins, unit="2th_deg", method=("full", "csr", "cython"), polarization_factor=0.99
    )
    return result.radial, result.intensity


def line_centre_and_area(angles, intensity, near_deg, reach_deg):
    chosen = abs(angles - near_deg) < reach_deg
    step = angles[1] - angles[0]
    area = intensity[chosen].sum() * step
    return (intensity[chosen] * angles[chosen]).sum() * step / area, area


@pytest.mark.parametrize("calibrant", ["CeO2", "LaB6", "Si"])
def test_rings_lie_where_pyfai_expects_those_of_a_calibrant(calibrant):
    from pyFAI.calibrant import get_calibrant

    geometry = make_geometry(tilt_rad=0.3)
    expected = np.degrees(get_calibrant(calibrant, wavelength=0.4e-10).get_2th())
    expected = expected[(expected > 3) & (expected < 18)]
    for centre in expected[:5]:
        image = smooth_rings(make_line(centre), geometry)
        angles, intensity = integrated_by_pyfai(image, geometry)
        found, _ = line_centre_and_area(angles, intensity, centre, 1.0)
        # A pixel is 0.1 degree wide.
        assert found == pytest.approx(centre, abs=5e-4)


def test_the_areas_that_integration_finds_are_those_of_the_powder_equation():
    geometry = make_geometry(tilt_rad=0.2)
    lines = ceria_lines(geometry)
    angles, intensity = integrated_by_pyfai(smooth_rings(lines, geometry), geometry)
    apart = [0, 1, 2, 5, 8]
    centres, areas = np.transpose(
        [line_centre_and_area(angles, intensity, lines.two_theta_deg[k], 0.5) for k in apart]
    )
    assert centres == pytest.approx(lines.two_theta_deg[apart], abs=1e-3)
    assert areas == pytest.approx(lines.area[apart], rel=3e-3)


def test_line_strengths_are_f_squared_times_the_lorentz_factor():
    geometry, sticks = make_geometry(), ceria_sticks()
    lines = ring_lines(
        sticks.q_per_angstrom,
        sticks.structure_factor_squared,
        geometry,
        fwhm_deg=0.1,
        lorentz_fraction=0.5,
    )
    theta = np.arcsin(sticks.q_per_angstrom * 0.4 / (4 * np.pi))
    expected = sticks.structure_factor_squared / (np.sin(theta) ** 2 * np.cos(theta))
    assert lines.area == pytest.approx(expected)
    assert lines.fwhm_deg.shape == lines.lorentz_fraction.shape == lines.area.shape


@pytest.mark.parametrize(("fwhm_deg", "tolerance"), [(0.1, 0.12), (0.2, 0.04)])
def test_pixels_average_over_their_whole_square(fwhm_deg, tolerance):
    # Pixels are 0.23 degree wide: without the average the narrow line would be twice as high.
    coarse = make_geometry(shape=(80, 80), pixel_size_m=1e-3, tilt_rad=0.1)
    fine = make_geometry(shape=(640, 640), pixel_size_m=1.25e-4, tilt_rad=0.1)
    line = make_line(6.0, fwhm_deg=fwhm_deg)
    # The same detector in eight times finer pixels, averaged to the pixels of the coarse one.
    averaged = smooth_rings(line, fine).reshape(80, 8, 80, 8).mean(axis=(1, 3))
    image = smooth_rings(line, coarse)
    # Where the ring crosses pixels along their diagonal the blur is a triangle, not a box.
    assert abs(image - averaged).max() < tolerance * averaged.max()
    assert image.sum() == pytest.approx(averaged.sum(), rel=0.01)


def test_rings_of_constant_strength_are_smooth_rings():
    geometry = make_geometry(tilt_rad=0.2)
    lines = ceria_lines(geometry, lorentz_fraction=0.5)
    even = np.ones((lines.area.size, N_CHI_BINS), dtype=np.float32)
    smooth = smooth_rings(lines, geometry)
    assert modulated_rings(lines, even, geometry) == pytest.approx(
        smooth, abs=2e-3 * float(smooth.max())
    )


def test_modulation_strengthens_its_side_of_the_ring():
    geometry = make_geometry()
    below = np.zeros((1, N_CHI_BINS), dtype=np.float32)
    below[0, N_CHI_BINS // 2 :] = 2.0  # azimuths 0 to 180: rows increase
    image = modulated_rings(make_line(6.0), below, geometry)
    smooth = smooth_rings(make_line(6.0), geometry)
    assert not image[:160].any()
    # Rings end where they have fallen to a thousandth.
    assert image[160:] == pytest.approx(2 * smooth[160:], abs=3e-3 * float(smooth.max()))


def test_a_horizontally_polarised_beam_hardly_scatters_sideways_by_90_degree():
    geometry = make_geometry(distance_m=0.02, pixel_size_m=1e-3)
    line = make_line(70.0, fwhm_deg=2.0)
    image = smooth_rings(line, geometry, polarization_factor=1.0)
    unpolarised = smooth_rings(line, geometry, polarization_factor=0.0)
    radius_px = round(20 * np.tan(np.radians(70)))
    ratio = image / np.maximum(unpolarised, 1e-9)
    cosine_squared = np.cos(np.radians(70)) ** 2
    even = (1 + cosine_squared) / 2
    assert ratio[160, 150 + radius_px] == pytest.approx(cosine_squared / even, rel=0.05)
    assert ratio[160 + radius_px, 150] == pytest.approx(1 / even, rel=0.05)


def test_a_curve_comes_back_from_its_image():
    geometry = make_geometry(tilt_rad=0.3)
    axis = np.linspace(0.0, 40.0, 200)
    curve = 50 + 40 * np.sin(axis / 3)
    angles, intensity = integrated_by_pyfai(radial_image(axis, curve, geometry), geometry, 300)
    inner = (angles > 1) & (angles < 20)
    assert intensity[inner] == pytest.approx(np.interp(angles[inner], axis, curve), abs=0.1)


def test_a_curve_is_zero_beyond_its_ends():
    image = radial_image(np.array([5.0, 6.0]), np.array([1.0, 1.0]), make_geometry())
    assert image[160, 150] == 0
    assert image[0, 0] == 0
    assert image.max() > 0.9


def test_lines_beyond_the_beam_and_the_detector_are_not_drawn():
    geometry = make_geometry()
    lines = ceria_lines(geometry)
    unreachable = replace(
        lines, two_theta_deg=np.where(np.arange(lines.area.size) > 0, np.nan, lines.two_theta_deg)
    )
    alone = make_line(lines.two_theta_deg[0], fwhm_deg=0.2, area=lines.area[0])
    np.testing.assert_array_equal(
        smooth_rings(unreachable, geometry), smooth_rings(alone, geometry)
    )
    assert not smooth_rings(make_line(60.0), geometry).any()


@pytest.mark.parametrize(
    ("q_per_angstrom", "given"),
    [([20.0, 21.0], "they lie at 20 to 21"), ([], "there are none")],
)
def test_sticks_that_miss_the_detector_are_an_error(q_per_angstrom, given):
    q = np.array(q_per_angstrom)
    with pytest.raises(GeometryError, match=rf"sees q = .* to 6\.\d+ 1/angstrom, but {given};"):
        ring_lines(q, np.ones_like(q), make_geometry(), fwhm_deg=0.1, lorentz_fraction=0.5)


def test_a_modulation_of_another_shape_is_an_error():
    with pytest.raises(GeometryError, match=r"must have the shape \(1, 7200\).* has \(1, 360\)"):
        modulated_rings(make_line(6.0), np.ones((1, 360), dtype=np.float32), make_geometry())
