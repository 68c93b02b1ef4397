"""What moves powder lines: strain of the lattice, and a diffractometer that is a little out."""

from functools import cache

import numpy as np
from array_api_compat import array_namespace

from phasepilot.models.arrays import Array, IntArray
from phasepilot.models.diffraction.crystals.symmetry import N_SPACE_GROUPS, standard_setting
from phasepilot.models.diffraction.powder.axis import DEGREE

# Which of six draws is each of e11, e22, e33, e23, e13, e12 of a strain that keeps the crystal
# system; 6 stands for 0. Axes as in the standard settings: a along x, c* along z, monoclinic b
# along y.
_FREE_COMPONENTS = {
    "triclinic": (0, 1, 2, 3, 4, 5),
    "monoclinic": (0, 1, 2, 6, 4, 6),
    "orthorhombic": (0, 1, 2, 6, 6, 6),
    "tetragonal": (0, 0, 2, 6, 6, 6),
    "trigonal": (0, 0, 2, 6, 6, 6),
    "hexagonal": (0, 0, 2, 6, 6, 6),
    "cubic": (0, 0, 0, 6, 6, 6),
}
# Row by row of the matrix, which of e11, e22, e33, e23, e13, e12.
_MATRIX = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])


@cache
def free_strain_components() -> IntArray:
    """Return which of seven columns each entry of a space group's strain is, shape (231, 3, 3).

    Index by space group number; column 6 is to hold zeros.
    """
    table = np.full((N_SPACE_GROUPS + 1, 3, 3), 6)
    for number in range(1, N_SPACE_GROUPS + 1):
        components = np.array(_FREE_COMPONENTS[standard_setting(number).crystal_system])
        table[number] = components[_MATRIX]
    return table


def strained_reciprocal(reciprocal: Array, strain: Array) -> Array:
    """Return the reciprocal axes of lattices whose vectors r have become (1 + strain) r.

    Parameters
    ----------
    reciprocal : array, shape (n, 3, 3)
        Rows a*, b*, c*.
    strain : array, shape (n, 3, 3)
        Symmetric, in the same Cartesian axes: scattering vectors go with its inverse.
    """
    xp = array_namespace(reciprocal)
    stretch = xp.eye(3, dtype=strain.dtype, device=strain.device) + strain
    return reciprocal @ xp.linalg.inv(stretch)


def displacement_shift_deg(two_theta_deg: Array, displacement_over_radius: Array) -> Array:
    """Return how far a sample that lies too low or too high moves a line, -2 (s / R) cos theta.

    Parameters
    ----------
    displacement_over_radius : array
        Depth s of the sample below the axis of a Bragg-Brentano diffractometer, away from tube and
        detector, over its radius R: too low a sample (s > 0) shows its lines at lower angles.

    References
    ----------
    Klug & Alexander, X-ray Diffraction Procedures, 2nd ed. (1974), section 5-2.1.
    """
    xp = array_namespace(two_theta_deg)
    cosine = xp.cos(two_theta_deg * (DEGREE / 2))
    return -2 / DEGREE * displacement_over_radius * cosine
