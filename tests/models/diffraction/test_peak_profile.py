import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasepilot.models.diffraction.peak_profile import (
    caglioti_fwhm_deg,
    draw_pseudo_voigts,
    lorentz_polarisation,
    size_fwhm_deg,
)


def draw_one(centre, *, area=1.0, fwhm, lorentz_fraction=0.0, reach_fwhm=8.0):
    return draw_pseudo_voigts(
        np.array([centre]),
        np.array([area]),
        np.array([fwhm]),
        np.array([lorentz_fraction]),
        axis_start=0.0,
        axis_step=0.01,
        n_bins=2000,
        reach_fwhm=reach_fwhm,
    )[0]


@settings(deadline=None)
@given(centre=st.floats(5, 15), area=st.floats(0.1, 1e5), fwhm=st.floats(1e-4, 0.3))
def test_a_gaussian_keeps_its_area_however_narrow(centre, area, fwhm):
    assert draw_one(centre, area=area, fwhm=fwhm).sum() == pytest.approx(area, rel=1e-9)


@settings(deadline=None)
@given(lorentz_fraction=st.floats(0, 1), fwhm=st.floats(0.05, 0.3))
def test_a_pseudo_voigt_loses_only_the_tails_of_its_lorentzian(lorentz_fraction, fwhm):
    total = draw_one(10.0, fwhm=fwhm, lorentz_fraction=lorentz_fraction).sum()
    # A Lorentzian holds 2/pi atan(2r) of its area within r FWHM: 96 % at the reach of 8, which is
    # rounded up to whole bins of 0.01.
    within_8, within_window = 2 / np.pi * np.arctan([16.0, 16.0 + 2 * 3 * 0.01 / fwhm])
    assert total >= 1 - lorentz_fraction * (1 - within_8) - 1e-9
    assert total <= 1 - lorentz_fraction * (1 - within_window) + 1e-9


@settings(deadline=None)
@given(centre=st.floats(5, 15), fwhm=st.floats(0.02, 0.3))
def test_the_centroid_is_the_centre(centre, fwhm):
    drawn = draw_one(centre, fwhm=fwhm)
    bin_centres = (np.arange(2000) + 0.5) * 0.01
    assert (drawn * bin_centres).sum() == pytest.approx(centre, abs=1e-4)


@pytest.mark.parametrize("lorentz_fraction", [0.0, 0.5, 1.0])
def test_half_the_height_is_reached_half_a_fwhm_away(lorentz_fraction):
    drawn = draw_one(10.005, fwhm=0.2, lorentz_fraction=lorentz_fraction)
    # The bins are centred on the peak and on the two half-height points.
    assert drawn[1010] / drawn[1000] == pytest.approx(0.5, abs=0.01)
    assert drawn[990] / drawn[1000] == pytest.approx(0.5, abs=0.01)


def test_lines_of_very_different_width_are_drawn_as_if_alone():
    centres, fwhms = np.array([4.0, 8.0, 12.0, 16.0]), np.array([0.02, 0.05, 0.5, 0.1])
    ones, zeros = np.ones(4), np.zeros(4)
    together = draw_pseudo_voigts(
        centres, ones, fwhms, zeros, axis_start=0.0, axis_step=0.01, n_bins=2000
    )[0]
    alone = sum(draw_one(c, fwhm=w) for c, w in zip(centres, fwhms, strict=True))
    assert together == pytest.approx(alone, abs=1e-12)


def test_a_line_beyond_the_edge_leaves_only_its_tail():
    assert draw_one(-0.2, fwhm=0.3).sum() == pytest.approx(draw_one(20.2, fwhm=0.3).sum())
    assert draw_one(-10.0, fwhm=0.3).sum() == 0


def test_rows_are_drawn_apart():
    drawn = draw_pseudo_voigts(
        np.array([1.0, 2.0, 3.0]),
        np.array([1.0, 2.0, 4.0]),
        np.full(3, 0.05),
        np.zeros(3),
        axis_start=0.0,
        axis_step=0.01,
        n_bins=500,
        rows=np.array([0, 2, 0]),
        n_rows=3,
    )
    assert drawn.sum(axis=1) == pytest.approx([5.0, 0.0, 2.0])


def test_no_lines_draw_nothing():
    nothing = np.array([])
    drawn = draw_pseudo_voigts(
        nothing, nothing, nothing, nothing, axis_start=0.0, axis_step=0.01, n_bins=10
    )
    assert drawn.shape == (1, 10)
    assert not drawn.any()


def test_lorentz_polarisation_at_ninety_degrees():
    # theta = 45: sin^2 cos = 2^-1.5; an unpolarised beam keeps half, a fully polarised one all.
    angles = np.array([90.0])
    assert lorentz_polarisation(angles, 0.0) == pytest.approx([2**0.5])
    assert lorentz_polarisation(angles, 1.0) == pytest.approx([2**1.5])


def test_caglioti_width_is_the_root_of_the_quadratic():
    assert caglioti_fwhm_deg(np.array([90.0]), 0.03, -0.02, 0.03) == pytest.approx([0.2])


def test_scherrer_width_of_a_known_crystallite():
    # 0.9 * 1 angstrom / (100 angstrom * cos 30)
    width = size_fwhm_deg(np.array([60.0]), 1.0, 10.0)
    assert width == pytest.approx([np.degrees(0.9 / 100 / np.cos(np.pi / 6))])
