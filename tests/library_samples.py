"""Known crystals, and clean patterns of them, for the tests of matching."""

import numpy as np

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.identification.known_phase import known_phase
from phasepilot.models.identification.phase_library import phase_library
from phasepilot.models.pattern import Pattern, q_from_two_theta
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepare_pattern

CU_ANGSTROM = 1.5406
_RIGHT = (90.0, 90.0, 90.0)


def salt():
    return crystal_from_sites(
        "NaCl", "F m -3 m", (5.640, 5.640, 5.640, *_RIGHT), [("Na", (0, 0, 0)), ("Cl", (0.5, 0, 0))]
    )


def rutile():
    sites = [("Ti", (0, 0, 0)), ("O", (0.305, 0.305, 0))]
    return crystal_from_sites("TiO2", "P 42/m n m", (4.594, 4.594, 2.959, *_RIGHT), sites)


def anatase():
    sites = [("Ti", (0, 0.25, 0.375)), ("O", (0, 0.25, 0.1669))]
    return crystal_from_sites("TiO2", "I 41/a m d:2", (3.785, 3.785, 9.514, *_RIGHT), sites)


def fluorite():
    sites = [("Ca", (0, 0, 0)), ("F", (0.25, 0.25, 0.25))]
    return crystal_from_sites("CaF2", "F m -3 m", (5.463, 5.463, 5.463, *_RIGHT), sites)


def iron():
    return crystal_from_sites("Fe", "I m -3 m", (2.866, 2.866, 2.866, *_RIGHT), [("Fe", (0, 0, 0))])


def corundum():
    sites = [("Al", (0, 0, 0.3523)), ("O", (0.3064, 0, 0.25))]
    return crystal_from_sites("Al2O3", "R -3 c:H", (4.760, 4.760, 12.993, 90, 90, 120), sites)


SAMPLES = {
    "salt": salt,
    "rutile": rutile,
    "anatase": anatase,
    "fluorite": fluorite,
    "iron": iron,
    "corundum": corundum,
}


def make_known(name, crystal=None):
    return known_phase(crystal or SAMPLES[name](), name)


def make_library(*names):
    return phase_library([make_known(name) for name in names or SAMPLES])


def intensity_of(phase, two_theta_deg, *, fwhm_deg=0.15):
    """Return a pattern of area 1 over the angle: Gaussian lines, Lorentz factor, a tube's beam.

    Written out here once more, in angles, so that it does not share mistakes with what it tests.
    """
    q = phase.q_per_angstrom
    sine = q * CU_ANGSTROM / (4 * np.pi)
    q, sine = q[sine < 1], sine[sine < 1]
    strength = phase.strength[: sine.size] * np.exp(-2 * 0.8 * (sine / CU_ANGSTROM) ** 2)
    theta = np.arcsin(sine)
    strength *= (1 + np.cos(2 * theta) ** 2) / 2 / (np.sin(theta) ** 2 * np.cos(theta))
    distance = two_theta_deg[:, None] - np.degrees(2 * theta)
    lines = np.exp(-4 * np.log(2) * (distance / fwhm_deg) ** 2) @ strength
    return lines / lines.sum()


def make_pattern(parts, *, counts=1e5, background=50.0, seed=0, span=(15.0, 90.0), fwhm_deg=0.15):
    """Return a counted pattern of phases with shares of its intensity, prepared for matching."""
    two_theta = np.arange(*span, 0.02)
    total = sum(share * intensity_of(phase, two_theta, fwhm_deg=fwhm_deg) for phase, share in parts)
    expected = background + (counts * total / total.max() if parts else np.zeros(two_theta.size))
    measured = np.random.default_rng(seed).poisson(expected)
    q = q_from_two_theta(two_theta, CU_ANGSTROM)
    pattern = Pattern.from_q(q, measured, wavelength_angstrom=CU_ANGSTROM)
    return prepare_pattern(pattern, Preprocessing())
