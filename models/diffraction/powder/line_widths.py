"""Widths of powder lines: instrument, crystallite size and microstrain, and the Voigt they make."""

from array_api_compat import array_namespace

from phasepilot.models.arrays import Array
from phasepilot.models.diffraction.powder.axis import DEGREE

# Shape factor of the Scherrer equation for roughly cube-shaped crystallites, FWHM and size along
# the scattering vector: Langford & Wilson, J. Appl. Cryst. 11, 102 (1978).
SCHERRER_CONSTANT = 0.9


def caglioti_fwhm_deg(two_theta_deg: Array, u: Array, v: Array, w: Array) -> Array:
    """Return the instrument's FWHM, sqrt(U tan^2 theta + V tan theta + W), in degree.

    U, V and W are in square degree; where they make the square negative the width is 1e-4 degree.

    References
    ----------
    Caglioti, Paoletti & Ricci, Nucl. Instrum. 3, 223 (1958), doi:10.1016/0369-643X(58)90029-X.
    """
    xp = array_namespace(two_theta_deg)
    tangent = xp.tan(two_theta_deg * (DEGREE / 2))
    return xp.sqrt(xp.clip((u * tangent + v) * tangent + w, 1e-8, None))


def size_fwhm_deg(
    two_theta_deg: Array, wavelength_angstrom: Array, crystallite_size_nm: Array
) -> Array:
    """Return the Scherrer broadening K lambda / (L cos theta) in degree.

    References
    ----------
    Scherrer, Nachr. Ges. Wiss. Goettingen, 98 (1918).
    """
    xp = array_namespace(two_theta_deg)
    cosine = xp.cos(two_theta_deg * (DEGREE / 2))
    return SCHERRER_CONSTANT / DEGREE * wavelength_angstrom / (10 * crystallite_size_nm * cosine)


def microstrain_fwhm_deg(two_theta_deg: Array, microstrain: Array) -> Array:
    """Return the broadening 4 e tan theta of a spread e of lattice spacings, in degree.

    References
    ----------
    Stokes & Wilson, Proc. Phys. Soc. 56, 174 (1944), doi:10.1088/0959-5309/56/3/303.
    """
    xp = array_namespace(two_theta_deg)
    return 4 / DEGREE * microstrain * xp.tan(two_theta_deg * (DEGREE / 2))


def thompson_cox_hastings(gauss_fwhm: Array, lorentz_fwhm: Array) -> tuple[Array, Array]:
    """Return FWHM and Lorentz fraction of the pseudo-Voigt that stands for a Voigt.

    References
    ----------
    Thompson, Cox & Hastings, J. Appl. Cryst. 20, 79 (1987), doi:10.1107/S0021889887087090,
    equations 1 to 3.

    Examples
    --------
    >>> import numpy as np
    >>> fwhm, fraction = thompson_cox_hastings(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    >>> fwhm.tolist(), fraction.round(5).tolist()
    ([1.0, 1.0], [0.0, 1.0])
    """
    g, h = gauss_fwhm, lorentz_fwhm
    polynomial = (g + 2.69269 * h) * g + 2.42843 * h * h
    polynomial = (polynomial * g + 4.47163 * h * h * h) * g + 0.07842 * h**4
    fwhm = (polynomial * g + h**5) ** 0.2
    ratio = h / fwhm
    return fwhm, ((0.11116 * ratio - 0.47719) * ratio + 1.36603) * ratio
