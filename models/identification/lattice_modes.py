"""How a lattice may differ from the one in the library: the strains that its symmetry allows."""

from functools import cache

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.powder.line_positions import free_strain_components

N_MODES = 6


@cache
def lattice_modes() -> FloatArray:
    """Return the strains that each space group's symmetry leaves free, shape (231, 6, 3, 3).

    Index by space group number. The first of each six is the isotropic one, the identity; the
    others change no volume, are orthogonal, and have squares that add up to 1. What is not free is
    zero. Axes as in the standard settings: a along x, c* along z.

    Examples
    --------
    >>> cubic = lattice_modes()[225]
    >>> int((abs(cubic) > 0).any(axis=(1, 2)).sum())
    1
    >>> lattice_modes()[194, 1].round(3)
    array([[ 0.408,  0.   ,  0.   ],
           [ 0.   ,  0.408,  0.   ],
           [ 0.   ,  0.   , -0.816]])
    """
    columns = free_strain_components()
    table = np.zeros((columns.shape[0], N_MODES, 3, 3))
    for number in range(1, columns.shape[0]):
        table[number] = _modes(columns[number])
    table.setflags(write=False)
    return table


def _modes(columns: IntArray) -> FloatArray:
    modes = np.zeros((N_MODES, 3, 3))
    modes[0] = np.eye(3)
    basis = [np.eye(3) / np.sqrt(3)]
    for column in np.unique(columns[columns < N_MODES]):
        candidate = (columns == column).astype(np.float64)
        for known in basis:
            candidate = candidate - (candidate * known).sum() * known
        size = np.sqrt((candidate**2).sum())
        if size > 1e-9:
            modes[len(basis)] = candidate / size
            basis.append(candidate / size)
    return modes


def position_slopes(space_group_number: int, reciprocal: FloatArray, hkl: IntArray) -> FloatArray:
    """Return how far each unit of each mode moves each line in ln q, shape (n_lines, 6).

    A strain E takes a line with the unit normal n by -n E n: exactly for the isotropic strain if
    that is the change of ln a, to first order for the others.

    Examples
    --------
    >>> position_slopes(225, np.eye(3) / 4, np.array([[1, 1, 1]]))[0].round(3) + 0.0
    array([-1.,  0.,  0.,  0.,  0.,  0.])
    """
    normal = hkl @ reciprocal
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    modes = lattice_modes()[space_group_number]
    return np.asarray(-np.einsum("li,mij,lj->lm", normal, modes, normal))
