"""What changes the strength of a line: geometry, polarisation, thermal motion."""

from math import pi

from array_api_compat import array_namespace

from phasepilot.models.arrays import Array
from phasepilot.models.diffraction.powder.axis import DEGREE


def lorentz(two_theta_deg: Array) -> Array:
    """Return the Lorentz factor of a powder line, 1 / (sin^2 theta cos theta).

    References
    ----------
    International Tables for Crystallography C (2006), section 6.2, powder method.
    """
    xp = array_namespace(two_theta_deg)
    theta = two_theta_deg * (DEGREE / 2)
    return 1 / (xp.sin(theta) ** 2 * xp.cos(theta))


def polarisation(
    two_theta_deg: Array,
    polarised_fraction: Array,
    monochromator_two_theta_deg: Array | float = 0.0,
) -> Array:
    """Return the polarisation factor, 1 towards the direct beam.

    Parameters
    ----------
    polarised_fraction : array
        Share of the beam that is polarised across the scattering plane beyond the even half: 0
        for a tube, about 0.95 for a synchrotron that scatters vertically.
    monochromator_two_theta_deg : array, optional
        Bragg angle 2-theta of a mosaic crystal in the beam, diffracting in the same plane as the
        sample (graphite with Cu K-alpha: 26.4 degree); 0 for none.

    References
    ----------
    Azaroff, Acta Cryst. 8, 701 (1955), doi:10.1107/S0365110X55002156: with a monochromator
    (1 + A cos^2 2theta) / (1 + A), A = cos^2 of the monochromator's 2-theta.
    """
    xp = array_namespace(two_theta_deg)
    squared = xp.cos(two_theta_deg * DEGREE) ** 2
    across = xp.cos(xp.asarray(monochromator_two_theta_deg * DEGREE) * 1.0) ** 2
    even = (1 + across * squared) / (1 + across)
    return polarised_fraction + (1 - polarised_fraction) * even


def debye_waller(q_per_angstrom: Array, b_square_angstrom: Array) -> Array:
    """Return what thermal motion leaves of an intensity, exp(-2 B (q / 4 pi)^2).

    References
    ----------
    International Tables for Crystallography C (2006), section 6.1.1.6.
    """
    xp = array_namespace(q_per_angstrom)
    return xp.exp(-2 * b_square_angstrom * (q_per_angstrom / (4 * pi)) ** 2)
