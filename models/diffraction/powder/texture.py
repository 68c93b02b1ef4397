"""Preferred orientation: how often crystallites of a powder turn each plane to the beam."""

from functools import cache

import numpy as np
from array_api_compat import array_namespace

from phasepilot.models.arrays import Array, IntArray
from phasepilot.models.diffraction.crystals.symmetry import N_SPACE_GROUPS, standard_setting

MAX_ROTATIONS = 24


def march_dollase(direction: Array, axes: Array, r: Array) -> Array:
    """Return the March-Dollase factor of each line, averaged over its equivalent reflections.

    (r^2 cos^2 a + sin^2 a / r)^(-3/2) with a the angle between scattering vector and texture axis.
    Turning the axis by the symmetry instead of the reflection gives the same average.

    Parameters
    ----------
    direction : array, shape (n_lines, 3)
        Unit scattering vectors, Cartesian.
    axes : array, shape (n_lines, n_rotations, 3)
        Unit vectors of the texture axis and its equivalents.
    r : array, shape (n_lines,)
        1 for no texture; below 1 for plates that lie flat (the axis along the scattering vector),
        above 1 for needles.

    References
    ----------
    Dollase, J. Appl. Cryst. 19, 267 (1986), doi:10.1107/S0021889886089458, equation 4.

    Examples
    --------
    >>> up = np.array([[0.0, 0.0, 1.0]])
    >>> march_dollase(up, up[:, None, :], np.array([0.5]))
    array([8.])
    """
    xp = array_namespace(direction)
    # Written out: a sum over an axis of three costs several times as much.
    cosine_squared = (
        axes[:, :, 0] * direction[:, None, 0]
        + axes[:, :, 1] * direction[:, None, 1]
        + axes[:, :, 2] * direction[:, None, 2]
    ) ** 2
    base = (r**2)[:, None] * cosine_squared + (1 - cosine_squared) / r[:, None]
    return xp.mean(1 / (base * xp.sqrt(base)), axis=1)


def cosine_texture(hkl: Array, axis_hkl: Array, strength: Array) -> Array:
    """Return 1 - m + m |cos| of the angle between index vectors: 1 along the axis, 1 - m across.

    The angle is taken as if the cell were a cube. It is the texture that the synthetic data of
    several papers were made with; `march_dollase` is the physical one.

    Parameters
    ----------
    hkl, axis_hkl : array, shape (n_lines, 3)
    strength : array, shape (n_lines,)
        m, from 0 (none) to 1.

    References
    ----------
    As in python-powder-diffraction (MIT), powdiffrac/simulation/core.py, and the paper of Szymanski
    et al., Chem. Mater. 33, 4204 (2021), doi:10.1021/acs.chemmater.1c01071.
    """
    xp = array_namespace(strength)
    lengths = xp.sum(hkl * hkl, axis=1) * xp.sum(axis_hkl * axis_hkl, axis=1)
    product = xp.abs(xp.sum(hkl * axis_hkl, axis=1))
    return 1 - strength + strength * product / xp.sqrt(lengths)


@cache
def n_laue_rotations() -> IntArray:
    """Return how many of the 24 rotations of each space group differ, shape (231,); 1 for none."""
    counts = [
        len(standard_setting(number).laue_rotations) for number in range(1, N_SPACE_GROUPS + 1)
    ]
    return np.array([1, *counts])


@cache
def laue_rotations_of_space_groups() -> IntArray:
    """Return the rotations of hkl of each space group's Laue class, shape (231, 24, 3, 3).

    Index by space group number. Smaller Laue classes are repeated to 24, which divides evenly and
    so leaves averages as they are.
    """
    table = np.zeros((N_SPACE_GROUPS + 1, MAX_ROTATIONS, 3, 3), dtype=np.int64)
    table[0] = np.eye(3)
    for number in range(1, N_SPACE_GROUPS + 1):
        rotations = standard_setting(number).laue_rotations
        table[number] = np.tile(rotations, (MAX_ROTATIONS // len(rotations), 1, 1))
    table.setflags(write=False)
    return table
