from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from phasepilot.models.diffraction.powder.axial_divergence import (
    axial_centroid_deg,
    axial_divergence,
    axial_spread_deg,
)


def shares(backend, two_theta_deg, sample, slit, **options):
    arrays = (backend.asarray(np.array([value])) for value in (two_theta_deg, sample, slit))
    two_phi, share = axial_divergence(*arrays, **options)
    return np.asarray(two_phi)[0], np.asarray(share)[0]


def spread(two_theta_deg, sample, slit):
    return float(axial_spread_deg(*(np.array([v]) for v in (two_theta_deg, sample, slit)))[0])


def distribution(two_phi, two_theta, sample, slit):
    """Return equation 7 of Finger, Cox & Jephcoat up to a constant; angles in radian, L = 1."""
    height = np.sqrt((np.cos(two_phi) / np.cos(two_theta)) ** 2 - 1)
    lowest, reach = np.cos(two_theta) * np.sqrt(1 + np.array([slit - sample, slit + sample]) ** 2)
    if abs(np.cos(two_phi)) > abs(reach):
        return 0.0
    is_whole = abs(np.cos(two_phi)) < abs(lowest)
    seen = 2 * min(sample, slit) if is_whole else sample + slit - height
    return seen / (height * abs(np.cos(two_phi)))


def mean_of(function, two_theta_deg, sample, slit):
    """Return the mean of a function of 2phi (degree) over the distribution, by quadrature."""
    two_theta = np.radians(two_theta_deg)
    end = np.arccos(np.clip(np.cos(two_theta) * np.sqrt(1 + (sample + slit) ** 2), -1, 1))
    kink = np.arccos(np.clip(np.cos(two_theta) * np.sqrt(1 + (sample - slit) ** 2), -1, 1))
    sign = np.sign(end - two_theta)
    reach, kink = np.sqrt(abs(end - two_theta)), np.sqrt(abs(kink - two_theta))

    # With 2phi = 2theta +- u^2 the singularity at 2theta, one over a root, is gone.
    def integral(weight):
        def integrand(u):
            two_phi = two_theta + sign * u * u
            value = distribution(two_phi, two_theta, sample, slit)
            return 2 * u * value * weight(np.degrees(two_phi))

        pieces = [1e-7, *([kink] if 1e-6 < kink < reach else []), reach]
        return sum(quad(integrand, *part, limit=200)[0] for part in pairwise(pieces))

    return integral(function) / integral(lambda _: 1.0)


def gauss(offset, fwhm):
    return np.exp(-4 * np.log(2) * (offset / fwhm) ** 2)


@pytest.mark.parametrize("two_theta_deg", [4.0, 10.0, 25.0, 70.0, 110.0, 165.0])
def test_shares_have_the_moments_of_the_distribution_of_the_paper(backend, two_theta_deg):
    sample = slit = 0.025
    two_phi, share = shares(backend, two_theta_deg, sample, slit)
    scale = spread(two_theta_deg, sample, slit)
    for power in (1, 2, 3):
        expected = mean_of(
            lambda angle, power=power: ((angle - two_theta_deg) / scale) ** power,
            two_theta_deg,
            sample,
            slit,
        )
        found = share @ ((two_phi - two_theta_deg) / scale) ** power
        assert found == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("sample", "slit"), [(0.01, 0.03), (0.03, 0.01)])
def test_unequal_heights_of_sample_and_slit_give_the_paper_s_centroid(backend, sample, slit):
    two_phi, share = shares(backend, 20.0, sample, slit, n_nodes=20)
    expected = mean_of(lambda angle: angle - 20.0, 20.0, sample, slit)
    # The kink where the slit begins to cut the sample off costs quadrature its accuracy.
    assert share @ (two_phi - 20.0) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("spread_fwhm", "n_nodes"), [(1, 3), (2, 5), (3, 7), (4.5, 10), (8, 16), (12, 24)]
)
def test_the_stated_number_of_shares_draws_the_paper_s_profile(backend, spread_fwhm, n_nodes):
    two_theta_deg, sample = 15.0, 0.03
    reach = spread(two_theta_deg, sample, sample)
    fwhm = reach / spread_fwhm
    two_phi, share = shares(backend, two_theta_deg, sample, sample, n_nodes=n_nodes)
    places = two_theta_deg + np.linspace(-reach - fwhm, 1.5 * fwhm, 60)
    drawn = gauss(places[:, None] - two_phi, fwhm) @ share
    expected = np.array(
        [
            mean_of(lambda angle, at=at: gauss(at - angle, fwhm), two_theta_deg, sample, sample)
            for at in places
        ]
    )
    assert drawn == pytest.approx(expected, abs=0.01 * expected.max())


@pytest.mark.parametrize("two_theta_deg", [0.05, 1.0, 3.0, 40.0, 89.9, 90.0, 90.1, 140.0, 169.9])
def test_shares_are_positive_and_add_up_to_one(backend, two_theta_deg):
    two_phi, share = shares(backend, two_theta_deg, 0.03, 0.02)
    assert share.sum() == pytest.approx(1.0)
    assert (share > 0).all()
    assert (two_phi > 0).all()
    assert (two_phi < 180).all()


def test_the_line_leans_to_low_angles_below_90_degree_and_mirrored_above(backend):
    below, share = shares(backend, 30.0, 0.02, 0.02)
    above, mirrored = shares(backend, 150.0, 0.02, 0.02)
    assert (below < 30).all()
    assert 180 - above == pytest.approx(below)
    assert mirrored == pytest.approx(share)
    upright, _ = shares(backend, 90.0, 0.02, 0.02)
    assert upright == pytest.approx(np.full(5, 90.0))


def test_asymmetry_vanishes_with_the_heights(backend):
    for height in (1e-2, 1e-3, 1e-4):
        two_phi, _ = shares(backend, 15.0, height, height)
        reach = np.degrees(2 * height**2 / np.tan(np.radians(15)))
        assert (two_phi > 15 - 1.1 * reach).all()
        assert spread(15.0, height, height) == pytest.approx(reach)


@pytest.mark.parametrize("two_theta_deg", [25.0, 60.0, 130.0])
@pytest.mark.parametrize(("sample", "slit"), [(0.01, 0.01), (0.004, 0.012)])
def test_the_centroid_moves_as_the_distribution_of_the_paper_says(
    backend, two_theta_deg, sample, slit
):
    arrays = (backend.asarray(np.array([value])) for value in (two_theta_deg, sample, slit))
    expected = mean_of(lambda angle: angle - two_theta_deg, two_theta_deg, sample, slit)
    assert np.asarray(axial_centroid_deg(*arrays)) == pytest.approx(expected, rel=3e-3)
