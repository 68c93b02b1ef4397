import numpy as np
import pytest
from scipy.special import voigt_profile

from phasepilot.models.diffraction.powder.line_widths import (
    caglioti_fwhm_deg,
    microstrain_fwhm_deg,
    size_fwhm_deg,
    thompson_cox_hastings,
)


def array(backend, *values):
    return backend.asarray(np.array(values, dtype=float))


def test_caglioti_s_width_has_its_known_values(backend):
    u, v, w = (array(backend, value) for value in (0.04, -0.02, 0.01))
    # tan theta is 0, 1/sqrt(3) and 1.
    width = np.asarray(caglioti_fwhm_deg(array(backend, 0.0, 60.0, 90.0), u, v, w))
    expected = [0.1, np.sqrt(0.04 / 3 - 0.02 / np.sqrt(3) + 0.01), np.sqrt(0.03)]
    assert width == pytest.approx(expected)


def test_caglioti_s_width_is_smallest_where_its_derivative_vanishes(backend):
    u, v, w = (array(backend, value) for value in (0.05, -0.04, 0.02))
    angles = np.linspace(5, 120, 4001)
    width = np.asarray(caglioti_fwhm_deg(backend.asarray(angles), u, v, w))
    # d/dt (U t^2 + V t + W) = 0 at t = -V / 2U = 0.4.
    assert angles[width.argmin()] == pytest.approx(2 * np.degrees(np.arctan(0.4)), abs=0.05)


def test_a_negative_square_of_a_width_leaves_the_least_width(backend):
    zero, minus = array(backend, 0.0), array(backend, -1.0)
    assert np.asarray(caglioti_fwhm_deg(array(backend, 40.0), zero, minus, zero)) == pytest.approx(
        1e-4
    )


def test_ten_nanometres_broaden_copper_radiation_by_the_textbook_width(backend):
    # 0.9 * 1.5406 / (100 cos 20 deg) = 0.014755 rad.
    width = size_fwhm_deg(*(array(backend, value) for value in (40.0, 1.5406, 10.0)))
    assert np.asarray(width) == pytest.approx(0.8454, abs=1e-4)


def test_size_broadening_is_the_same_in_q_at_every_angle_and_wavelength(backend):
    # FWHM in q is 2 pi K / L.
    for wavelength in (0.3, 1.0, 1.5406):
        angle = np.array([5.0, 40.0, 90.0, 150.0])
        width = np.asarray(
            size_fwhm_deg(backend.asarray(angle), array(backend, wavelength), array(backend, 500.0))
        )
        edges = angle + width[:, None].T * np.array([[-0.5], [0.5]])
        q = 4 * np.pi / wavelength * np.sin(np.radians(edges / 2))
        assert q[1] - q[0] == pytest.approx(np.full(4, 2 * np.pi * 0.9 / 5000), rel=1e-4)


def test_an_infinite_crystal_does_not_broaden(backend):
    infinite = array(backend, np.inf)
    assert np.asarray(size_fwhm_deg(array(backend, 40.0), array(backend, 1.54), infinite)) == 0


def test_microstrain_broadens_by_four_e_tan_theta(backend):
    width = microstrain_fwhm_deg(array(backend, 60.0, 90.0), array(backend, 1e-3))
    expected = np.degrees([4e-3 / np.sqrt(3), 4e-3])
    assert np.asarray(width) == pytest.approx(expected)


def test_microstrain_is_the_same_in_ln_q_at_every_angle(backend):
    # Bragg's law, differentiated: 2 e of relative width in d.
    angle = np.array([10.0, 60.0, 140.0])
    width = np.asarray(microstrain_fwhm_deg(backend.asarray(angle), array(backend, 1e-4)))
    low, high = (
        np.sin(np.radians((angle - width / 2) / 2)),
        np.sin(np.radians((angle + width / 2) / 2)),
    )
    assert np.log(high / low) == pytest.approx(np.full(3, 2e-4), rel=1e-4)


def pseudo_voigt(x, fwhm, eta):
    gauss = np.sqrt(4 * np.log(2) / np.pi) / fwhm * np.exp(-4 * np.log(2) * (x / fwhm) ** 2)
    lorentz = 2 / np.pi / fwhm / (1 + 4 * (x / fwhm) ** 2)
    return eta * lorentz + (1 - eta) * gauss


@pytest.mark.parametrize("ratio", [0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 50.0])
def test_the_pseudo_voigt_is_the_convolution_of_gaussian_and_lorentzian(backend, ratio):
    gauss, lorentz = 0.1, 0.1 * ratio
    fwhm, eta = (
        float(value[0])
        for value in thompson_cox_hastings(array(backend, gauss), array(backend, lorentz))
    )
    x = np.linspace(0, 10 * fwhm, 20001)
    voigt = voigt_profile(x, gauss / np.sqrt(8 * np.log(2)), lorentz / 2)
    # The pseudo-Voigt itself is wide of a Voigt by 1.3 % of the height where both parts are alike.
    assert pseudo_voigt(x, fwhm, eta) == pytest.approx(voigt, abs=0.013 * voigt[0])


def test_the_fwhm_of_a_voigt_agrees_with_olivero_and_longbothum(backend):
    gauss = np.linspace(0.01, 1, 50)
    fwhm, eta = thompson_cox_hastings(backend.asarray(gauss), backend.asarray(1 - gauss))
    lorentz = 1 - gauss
    # Olivero & Longbothum, J. Quant. Spectrosc. Radiat. Transfer 17, 233 (1977): good to 2e-4;
    # the polynomial of Thompson, Cox & Hastings to 5e-3.
    expected = 0.5346 * lorentz + np.sqrt(0.2166 * lorentz**2 + gauss**2)
    assert np.asarray(fwhm) == pytest.approx(expected, rel=5e-3)
    assert (np.asarray(eta) >= 0).all()
    assert (np.asarray(eta) <= 1 + 1e-6).all()
