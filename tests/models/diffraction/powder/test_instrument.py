import numpy as np
import pytest
from powder_samples import CU_ANGSTROM, make_backend, make_settings

from phasepilot.models.diffraction.powder.axial_divergence import axial_divergence
from phasepilot.models.diffraction.powder.instrument import (
    MAX_TWO_THETA_DEG,
    measured_lines,
)
from phasepilot.models.diffraction.powder.scattering import Reflections

CU_ALPHA_2 = 1.544427


def bragg_deg(q, wavelength):
    return 2 * np.degrees(np.arcsin(q * wavelength / (4 * np.pi)))


def q_of(two_theta_deg, wavelength=CU_ANGSTROM):
    return 4 * np.pi / wavelength * np.sin(np.radians(np.asarray(two_theta_deg) / 2))


def lines(q, *, strength=1.0, row=0, n_patterns=1, backend=None, **fields):
    """Return the lines as an array of angle, area, FWHM and Lorentz fraction, sorted by angle."""
    backend = backend or make_backend()
    row, q, strength = np.broadcast_arrays(row, np.asarray(q, dtype=float), strength)
    settings = make_settings(n_patterns, **fields)
    found = measured_lines(
        Reflections(
            backend.asarray(row.copy()),
            backend.asarray(q.copy()),
            backend.asarray(strength.astype(float)),
        ),
        settings,
        backend,
    )
    columns = np.array(
        [
            np.asarray(part)
            for part in (found.two_theta_deg, found.area, found.fwhm_deg, found.lorentz_fraction)
        ]
    )
    return columns[:, np.argsort(columns[0], kind="stable")]


def lorentz_polarisation(two_theta_deg):
    theta = np.radians(two_theta_deg / 2)
    return (1 + np.cos(2 * theta) ** 2) / 2 / (np.sin(theta) ** 2 * np.cos(theta))


def test_lines_lie_where_bragg_s_law_puts_them_with_lorentz_and_polarisation(backend):
    q = np.array([1.0, 3.0, 5.0])
    angle, area, _, _ = lines(q, strength=[1.0, 2.0, 3.0], backend=backend)
    assert angle == pytest.approx(bragg_deg(q, CU_ANGSTROM))
    assert area == pytest.approx([1, 2, 3] * lorentz_polarisation(angle), rel=1e-6)


def test_a_doublet_shows_every_line_twice_the_second_half_as_strong(backend):
    angle, area, _, _ = lines([3.0], emission=["CuKa12"], backend=backend)
    assert angle == pytest.approx([bragg_deg(3.0, CU_ANGSTROM), bragg_deg(3.0, CU_ALPHA_2)])
    expected = lorentz_polarisation(angle)
    assert area == pytest.approx(expected * [1.0, 0.5], rel=1e-6)


def test_a_monochromatic_beam_shows_every_line_once(backend):
    angle, _, _, _ = lines([1.0, 3.0], wavelength_angstrom=0.5, backend=backend)
    assert angle == pytest.approx(bragg_deg(np.array([1.0, 3.0]), 0.5))


def test_lines_beyond_the_reach_of_the_beam_are_left_out(backend):
    q = q_of([100.0, MAX_TWO_THETA_DEG - 0.1, MAX_TWO_THETA_DEG + 0.1])
    angle, _, _, _ = lines([*q, 9.0, 90.0], backend=backend)
    assert angle == pytest.approx([100.0, MAX_TWO_THETA_DEG - 0.1])


def test_a_monochromator_changes_the_polarisation(backend):
    _, area, _, _ = lines(
        q_of([90.0]), monochromator_two_theta_deg=26.4, polarised_fraction=0, backend=backend
    )
    assert area * np.sin(np.radians(45)) ** 3 == pytest.approx(0.5548, abs=1e-4)


@pytest.mark.parametrize(
    ("fields", "gauss", "lorentz"),
    [
        ({"caglioti_w": 0.04}, 0.2, 0.0),
        ({"caglioti_u": 0.03, "caglioti_v": -0.01, "caglioti_w": 0.02}, 0.2, 0.0),
        ({"lorentz_fwhm_deg": 0.3, "caglioti_w": 0}, 1e-4, 0.3),
        ({"microstrain": 1e-3, "caglioti_w": 0}, 1e-4, np.degrees(4e-3)),
        (
            {"crystallite_size_nm": 10, "caglioti_w": 0},
            1e-4,
            np.degrees(0.9 * 0.01540593 / np.sqrt(0.5)),
        ),
    ],
)
def test_each_cause_of_width_broadens_in_its_own_way(backend, fields, gauss, lorentz):
    # At 90 degree tan theta is 1.
    _, _, fwhm, eta = lines(q_of([90.0]), backend=backend, **fields)
    assert fwhm == pytest.approx(max(gauss, lorentz), rel=1e-3)
    assert eta == pytest.approx(float(lorentz > gauss), abs=1e-3)


def test_lorentzian_widths_add_and_gaussian_ones_add_in_squares(backend):
    size = np.degrees(0.9 * 0.01540593 / np.sqrt(0.5))
    _, _, fwhm, eta = lines(
        q_of([90.0]), caglioti_w=0.09, crystallite_size_nm=10, size_profile="gauss", backend=backend
    )
    assert fwhm == pytest.approx(np.hypot(0.3, size), rel=1e-4)
    assert eta == pytest.approx(0.0, abs=1e-6)
    _, _, fwhm, _ = lines(
        q_of([90.0]), caglioti_w=0, lorentz_fwhm_deg=0.2, crystallite_size_nm=10, backend=backend
    )
    assert fwhm == pytest.approx(0.2 + size, rel=1e-3)


@pytest.mark.parametrize("shift", [0.05, -0.05])
def test_a_zero_error_moves_every_line_alike(backend, shift):
    q = q_of([20.0, 60.0, 130.0])
    angle, area, fwhm, _ = lines(q, zero_shift_deg=shift, backend=backend)
    assert angle - bragg_deg(q, CU_ANGSTROM) == pytest.approx([shift] * 3)
    # Only the reading is wrong, not what the sample does.
    _, plain_area, plain_fwhm, _ = lines(q, backend=backend)
    assert area == pytest.approx(plain_area)
    assert fwhm == pytest.approx(plain_fwhm)


def test_a_displaced_sample_moves_lines_most_at_low_angle(backend):
    q = q_of([20.0, 60.0, 130.0])
    angle, _, _, _ = lines(q, displacement_over_radius=1e-3, backend=backend)
    expected = -np.degrees(2e-3 * np.cos(np.radians([10, 30, 65])))
    assert angle - bragg_deg(q, CU_ANGSTROM) == pytest.approx(expected)


def test_axial_divergence_keeps_area_and_leans_lines_away_from_90_degree(backend):
    for two_theta, sign in ((15.0, -1), (165.0, 1)):
        angle, area, _, _ = lines(q_of([two_theta]), axial_divergence=0.03, backend=backend)
        _, plain, _, _ = lines(q_of([two_theta]), backend=backend)
        assert area.sum() == pytest.approx(plain.sum())
        # -(S^2 + H^2) / (6 L^2 tan 2theta), see the tests of the effect.
        centroid = np.average(angle, weights=area) - two_theta
        expected = sign * np.degrees(2 * 9e-4 / 6 / np.tan(np.radians(15)))
        assert centroid == pytest.approx(expected, rel=0.03)


def test_a_shifted_line_that_is_asymmetric_moves_as_a_whole(backend):
    both, area, _, _ = lines(
        q_of([15.0]), axial_divergence=0.03, zero_shift_deg=0.1, backend=backend
    )
    alone, _, _, _ = lines(q_of([15.0]), axial_divergence=0.03, backend=backend)
    assert both - alone == pytest.approx(np.full(area.size, 0.1))


def test_patterns_of_a_batch_have_their_own_instrument(backend):
    settings = {"wavelength_angstrom": {"choice": [0.5, 1.5]}, "caglioti_w": [0.01, 0.04]}
    drawn = make_settings(6, **settings)
    angle, _, fwhm, _ = lines(
        np.full(6, 2.0), row=np.arange(6), n_patterns=6, backend=backend, **settings
    )
    expected = bragg_deg(2.0, drawn["wavelengths_angstrom"][:, 0])
    assert angle == pytest.approx(np.sort(expected))
    assert np.sort(fwhm) == pytest.approx(np.sort(np.sqrt(drawn["caglioti_w"][:, 0])), rel=1e-6)


def test_axial_divergence_moves_the_centroid_of_lines_that_it_hardly_broadens(backend):
    # As far as it reaches, not as soon as it reaches a share of the width.

    q = 4 * np.pi / CU_ANGSTROM * np.sin(np.radians(15))
    found = measured_lines(
        Reflections(*(backend.asarray(np.array([v])) for v in (0, q, 1.0))),
        make_settings(axial_divergence=0.012, caglioti_w=0.04),
        backend,
    )
    angle, area, fwhm = (
        np.asarray(part) for part in (found.two_theta_deg, found.area, found.fwhm_deg)
    )
    expected = -np.degrees(2 * 0.012**2 / 6 / np.tan(np.radians(30)))
    assert np.average(angle, weights=area) - 30.0 == pytest.approx(expected, abs=2e-3 * fwhm[0])


@pytest.mark.parametrize("fwhm", [0.06, 0.1, 0.2])
def test_an_asymmetric_line_is_one_line_and_has_the_profile_of_the_paper(fwhm):
    # Asymmetry reaches 6.4, 3.8 and 1.9 FWHM: too few shares would fall apart into several lines.

    q = 4 * np.pi / CU_ANGSTROM * np.sin(np.radians(7.5))
    numpy = make_backend()
    found = measured_lines(
        Reflections(*(numpy.asarray(np.array([v])) for v in (0, q, 1.0))),
        make_settings(axial_divergence=0.03, caglioti_w=fwhm**2),
        numpy,
    )
    places = np.linspace(14, 15.5, 800)

    def profile(centre):
        return np.exp(-4 * np.log(2) * ((places[:, None] - centre) / fwhm) ** 2)

    shown = profile(found.two_theta_deg) @ found.area / found.area.sum()
    # Forty shares agree with quadrature of the paper's distribution, see test_axial_divergence.
    many, shares = axial_divergence(
        np.array([15.0]), np.array([0.03]), np.array([0.03]), n_nodes=40
    )
    expected = profile(many[0]) @ shares[0]
    np.testing.assert_allclose(shown, expected, rtol=0, atol=0.01 * expected.max())
