"""The asymmetry of lines at low angle, where a flat detector slit cuts a curved cone."""

from functools import cache

import numpy as np
from array_api_compat import array_namespace

from phasepilot.models.arrays import Array
from phasepilot.models.diffraction.powder.axis import DEGREE


def axial_divergence(
    two_theta_deg: Array,
    sample_over_radius: Array,
    slit_over_radius: Array,
    *,
    n_nodes: int = 5,
) -> tuple[Array, Array]:
    """Return where axial divergence puts shares of a line, and how large they are.

    The asymmetric line is the sum of a few symmetric ones: Gauss-Legendre nodes in the height h
    on the slit, in which the singular distribution of Finger, Cox & Jephcoat is smooth. With
    h = L sqrt(cos^2 2phi / cos^2 2theta - 1), the share between 2phi and 2phi + d2phi is
    W(h) / ((1 + h^2 / L^2) sin 2phi) dh: all of it below 2theta up to 90 degree, above beyond.

    Parameters
    ----------
    two_theta_deg : array, shape (n_lines,)
    sample_over_radius, slit_over_radius : array, shape (n_lines,)
        S / L and H / L: half heights of sample and slit over the radius. Both above 0.
    n_nodes : int
        Symmetric lines that stand for one. For a profile good to 1 % of its height, lines whose
        `axial_spread_deg` is up to 1, 2, 3, 4.5, 8 and 12 FWHM need 3, 5, 7, 10, 16 and 24; with
        too few, a line falls apart into several.

    Returns
    -------
    two_phi_deg, share : array, shape (n_lines, n_nodes)
        Shares add up to 1.

    References
    ----------
    Finger, Cox & Jephcoat, J. Appl. Cryst. 27, 892 (1994), doi:10.1107/S0021889894004218,
    equations 2 to 14.
    """
    xp = array_namespace(two_theta_deg)
    nodes, weights = (
        xp.asarray(values, dtype=two_theta_deg.dtype, device=two_theta_deg.device)
        for values in _gauss_legendre(n_nodes)
    )
    top = (sample_over_radius + slit_over_radius)[:, None]
    angle = two_theta_deg[:, None] * DEGREE
    # Close to the beam the cone is so narrow that it misses the upper part of the slit.
    highest = xp.minimum(top, xp.abs(xp.tan(angle)))
    height = highest * (nodes + 1) / 2
    two_phi = xp.acos(xp.cos(angle) * xp.sqrt(1 + height**2))
    smaller = xp.minimum(sample_over_radius, slit_over_radius)[:, None]
    width = xp.minimum(top - height, 2 * smaller)
    share = weights * width / ((1 + height**2) * xp.sin(two_phi))
    return two_phi / DEGREE, share / xp.sum(share, axis=1, keepdims=True)


@cache
def _gauss_legendre(n_nodes: int) -> tuple[list[float], list[float]]:
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return nodes.tolist(), weights.tolist()


def axial_spread_deg(
    two_theta_deg: Array, sample_over_radius: Array, slit_over_radius: Array
) -> Array:
    """Return about how far axial divergence reaches, (H + S)^2 / (2 L^2 tan 2theta), in degree."""
    xp = array_namespace(two_theta_deg)
    top = sample_over_radius + slit_over_radius
    return top**2 / (2 * DEGREE) / xp.abs(xp.tan(two_theta_deg * DEGREE))


def axial_centroid_deg(
    two_theta_deg: Array, sample_over_radius: Array, slit_over_radius: Array
) -> Array:
    """Return how far axial divergence moves a line's centroid, in degree.

    -(H^2 + S^2) / (6 L^2 tan 2theta): what remains to be done to a line that it hardly broadens.

    References
    ----------
    Second moment of h = h_sample - h_slit, both even over their heights, in the equation of
    `axial_divergence` for small h.
    """
    xp = array_namespace(two_theta_deg)
    squared = sample_over_radius**2 + slit_over_radius**2
    return -squared / (6 * DEGREE) / xp.tan(two_theta_deg * DEGREE)
