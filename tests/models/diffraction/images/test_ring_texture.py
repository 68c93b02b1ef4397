import numpy as np
import pytest
from powder_on_detector import ceria

from phasepilot.models.diffraction.images.pixel_map import N_CHI_BINS, chi_bin_centres_deg
from phasepilot.models.diffraction.images.ring_texture import (
    equivalent_cosines,
    expected_spots,
    fibre_texture,
    grain_spots,
    spots_at_random,
)
from phasepilot.models.errors import GeometryError

ALONG_AXIS = np.array([[1.0]])
TWO_THETA_DEG = np.array([10.0])


def march_density(cosine, r):
    return (r**2 * cosine**2 + (1 - cosine**2) / r) ** -1.5


def random_directions(n_directions, rng):
    vectors = rng.normal(size=(n_directions, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_cubes_have_the_angles_of_a_cube():
    hkl = np.array([[1, 1, 1], [2, 0, 0], [2, 2, 0]])
    cosines = equivalent_cosines(ceria(), hkl, (1, 0, 0))
    assert abs(cosines[0]) == pytest.approx(np.full(24, 1 / np.sqrt(3)))
    assert np.sort(abs(cosines[1])) == pytest.approx(np.repeat([0.0, 1.0], [16, 8]))
    assert np.sort(abs(cosines[2])) == pytest.approx(np.repeat([0.0, np.sqrt(0.5)], [8, 16]))


def test_without_texture_rings_are_even():
    cosines = equivalent_cosines(ceria(), np.array([[1, 1, 1]]), (1, 0, 0))
    even = fibre_texture(TWO_THETA_DEG, cosines, 1.0, axis_chi_deg=20.0)
    assert even == pytest.approx(np.ones((1, N_CHI_BINS)), abs=1e-6)


@pytest.mark.parametrize("march_r", [0.5, 0.8, 2.0])
def test_poles_of_the_texture_axis_have_the_march_dollase_density(march_r):
    modulation = fibre_texture(TWO_THETA_DEG, ALONG_AXIS, march_r, axis_chi_deg=30.0)
    cosine = np.cos(np.radians(5)) * np.cos(np.radians(chi_bin_centres_deg() - 30))
    expected = march_density(cosine, march_r)
    assert modulation[0] == pytest.approx(expected, abs=2e-3 * expected.max())


def test_a_load_along_the_beam_keeps_rings_even_and_changes_their_strength():
    modulation = fibre_texture(
        np.array([10.0, 60.0]), np.ones((2, 1)), 0.5, axis_chi_deg=0.0, axis_to_beam_deg=0.0
    )
    expected = march_density(np.sin(np.radians([5.0, 30.0])), 0.5)
    assert np.ptp(modulation, axis=1) == pytest.approx([0, 0], abs=1e-5)
    assert modulation[:, 0] == pytest.approx(expected, rel=5e-3)


def test_tilted_poles_are_as_dense_as_in_a_drawn_set_of_crystallites():
    rng = np.random.default_rng(5)
    # Texture axes with the March-Dollase density around z, by rejection; 111 poles at 54.7 degree
    # from them, at any turn around them.
    axes = random_directions(4_000_000, rng)
    axes = axes[rng.random(len(axes)) * 8 < march_density(axes[:, 2], 0.5)]
    tilt, turn = np.arccos(1 / np.sqrt(3)), rng.uniform(0, 2 * np.pi, len(axes))
    across = np.sqrt(1 - axes[:, 2] ** 2)
    poles_z = axes[:, 2] * np.cos(tilt) + across * np.sin(tilt) * np.cos(turn)
    counts, edges = np.histogram(abs(poles_z), bins=20, range=(0, 1))
    drawn = counts / counts.mean()
    modulation = fibre_texture(
        np.array([0.0]), np.full((1, 1), 1 / np.sqrt(3)), 0.5, axis_chi_deg=0.0
    )[0]
    cosine = abs(np.cos(np.radians(chi_bin_centres_deg())))
    order = np.argsort(cosine)
    centres = (edges[1:] + edges[:-1]) / 2
    predicted = np.interp(centres, cosine[order], modulation[order])
    assert predicted == pytest.approx(drawn, rel=0.02)


def test_textures_beyond_the_series_are_an_error():
    with pytest.raises(GeometryError, match=r"march_r must be from 0\.35 to 3, but is 0\.1;"):
        fibre_texture(TWO_THETA_DEG, ALONG_AXIS, 0.1, axis_chi_deg=0.0)


def test_the_expected_spots_are_the_poles_near_the_bragg_cone():
    rng = np.random.default_rng(2)
    towards_beam = random_directions(1_000_000, rng)[:, 2]
    off_cone_deg = abs(np.degrees(np.arccos(towards_beam)) - (90 - 15.0))
    n_found = (off_cone_deg < 1.0).sum()
    n_expected = expected_spots(
        np.array([30.0]), np.array([8]), n_grains=1_000_000 / 8, mosaic_fwhm_deg=2.0
    )
    assert n_found == pytest.approx(n_expected[0], rel=0.03)


def test_lines_that_the_beam_does_not_reach_get_no_spots():
    two_theta = np.array([10.0, np.nan])
    n_expected = expected_spots(two_theta, np.array([8, 6]), n_grains=5000, mosaic_fwhm_deg=0.5)
    assert n_expected[1] == 0
    spots = grain_spots(two_theta, n_expected, mosaic_fwhm_deg=0.5, rng=np.random.default_rng(0))
    assert spots[0].any()
    assert not spots[1].any()


def test_rings_of_grains_are_as_strong_as_smooth_ones_on_average():
    rng = np.random.default_rng(0)
    n_rings = 2000
    spots = grain_spots(
        np.full(n_rings, 10.0), np.full(n_rings, 10.0), mosaic_fwhm_deg=0.5, rng=rng
    )
    strengths = spots.mean(axis=1)
    assert strengths.mean() == pytest.approx(1, abs=0.03)
    # A Poisson number n of spots of exponential strength: relative variance 2 / n.
    assert strengths.var() == pytest.approx(2 / 10, rel=0.15)


def test_a_spot_is_as_wide_as_the_mosaic_over_the_cosine_of_theta():
    spot = spots_at_random(
        np.array([120.0]),
        np.array([0]),
        np.array([1.0]),
        mosaic_fwhm_deg=2.0,
        rng=np.random.default_rng(0),
    )[0]
    assert spot.mean() == pytest.approx(1)
    n_above_half = (spot > spot.max() / 2).sum()
    assert n_above_half * 360 / N_CHI_BINS == pytest.approx(2.0 / np.cos(np.radians(60)), abs=0.1)


def test_the_same_seed_gives_the_same_grains():
    drawn = [
        grain_spots(TWO_THETA_DEG, np.array([30.0]), mosaic_fwhm_deg=0.5, rng=rng)
        for rng in (np.random.default_rng(4), np.random.default_rng(4))
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_spots_sharper_than_the_azimuthal_bins_are_an_error():
    with pytest.raises(GeometryError, match=r"must be at least 0\.1, .* but is 0\.01;"):
        grain_spots(
            TWO_THETA_DEG, np.array([3.0]), mosaic_fwhm_deg=0.01, rng=np.random.default_rng(0)
        )
