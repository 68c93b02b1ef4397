import numpy as np
import pytest
from pymatgen.analysis.diffraction.xrd import XRDCalculator
from pymatgen.core import Lattice, Structure

from phasepilot.models.diffraction.powder.intensity_factors import (
    debye_waller,
    lorentz,
    polarisation,
)
from phasepilot.models.diffraction.reflections import form_factors

ANGLES = np.array([20.0, 60.0, 90.0, 120.0])


def array(backend, *values):
    return backend.asarray(np.array(values, dtype=float))


def test_lorentz_polarisation_has_the_values_of_the_tables(backend):
    angle = backend.asarray(ANGLES)
    # (1 + cos^2 2theta) / (sin^2 theta cos theta) in Cullity, Elements of X-ray Diffraction, 2nd
    # ed. (1978), appendix 13.
    factor = 2 * lorentz(angle) * polarisation(angle, array(backend, 0.0))
    assert np.asarray(factor) == pytest.approx([63.41, 5.774, 2.828, 3.333], rel=2e-3)


def test_lorentz_polarisation_is_what_pymatgen_puts_on_its_sticks(backend):
    # One atom in a primitive cube: strength is multiplicity, f^2 and this factor.
    iron = Structure(Lattice.cubic(3.0), ["Fe"], [[0, 0, 0]])
    pattern = XRDCalculator("CuKa1").get_pattern(iron, scaled=False, two_theta_range=(20, 140))
    angle = backend.asarray(pattern.x)
    factor = np.asarray(lorentz(angle) * polarisation(angle, array(backend, 0.0)))
    multiplicity = np.array([sum(one["multiplicity"] for one in hkl) for hkl in pattern.hkls])
    s_squared = 1 / (2 * np.array(pattern.d_hkls)) ** 2
    squared = form_factors(np.array([26]), s_squared)[:, 0] ** 2
    # 1 + cos^2 against (1 + cos^2) / 2; pymatgen takes f from another table, 1 % apart.
    assert pattern.y / (2 * multiplicity * factor) == pytest.approx(squared, rel=0.03)


def test_a_wholly_polarised_beam_is_not_weakened(backend):
    factor = polarisation(backend.asarray(ANGLES), array(backend, 1.0))
    assert np.asarray(factor) == pytest.approx(np.ones(4))


def test_a_tube_without_monochromator_loses_half_at_a_right_angle(backend):
    factor = polarisation(array(backend, 0.0, 90.0, 180.0), array(backend, 0.0))
    assert np.asarray(factor) == pytest.approx([1.0, 0.5, 1.0])


def test_a_monochromator_at_a_right_angle_polarises_wholly(backend):
    angle, zero = backend.asarray(ANGLES), array(backend, 0.0)
    through = polarisation(angle, zero, array(backend, 90.0))
    assert np.asarray(through) == pytest.approx(np.ones(4))
    # And one that hardly turns the beam does not polarise.
    without = polarisation(angle, zero, array(backend, 1e-4))
    assert np.asarray(without) == pytest.approx(np.asarray(polarisation(angle, zero)))


def test_graphite_weakens_the_right_angle_by_its_known_factor(backend):
    # A = cos^2 26.4 deg = 0.8023: 1 / (1 + A) at 90 degree.
    factor = polarisation(array(backend, 90.0), array(backend, 0.0), array(backend, 26.4))
    assert np.asarray(factor) == pytest.approx(0.5548, abs=1e-4)


def test_thermal_motion_weakens_by_b_over_two_d_squared(backend):
    # d = 1 angstrom: exp(-2 B / (4 d^2)).
    factor = debye_waller(array(backend, 0.0, 2 * np.pi), array(backend, 0.8))
    assert np.asarray(factor) == pytest.approx([1.0, np.exp(-0.4)])
