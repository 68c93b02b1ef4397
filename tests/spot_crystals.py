"""Crystals of every system for tests of spot patterns, and where their spots lie."""

import numpy as np

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites

RIGHT_ANGLES = (90.0, 90.0, 90.0)
GENERAL_SITES = [("Ti", (0.11, 0.23, 0.37)), ("O", (0.31, 0.07, 0.19))]
SYSTEMS = {
    "triclinic": ("P 1", (5.1, 6.2, 7.3, 82.0, 97.0, 104.0)),
    "monoclinic": ("P 1 21/c 1", (5.15, 5.21, 5.32, 90.0, 99.2, 90.0)),
    "orthorhombic": ("P n m a", (5.4, 7.6, 5.3, *RIGHT_ANGLES)),
    "tetragonal": ("I 41/a m d:1", (3.78, 3.78, 9.51, *RIGHT_ANGLES)),
    "trigonal": ("R -3 c:H", (4.76, 4.76, 12.99, 90.0, 90.0, 120.0)),
    "hexagonal": ("P 63/m m c", (3.2, 3.2, 5.2, 90.0, 90.0, 120.0)),
    "cubic": ("P 21 3", (6.1, 6.1, 6.1, *RIGHT_ANGLES)),
}


def make_crystal(system):
    space_group, cell = SYSTEMS[system]
    return crystal_from_sites(system, space_group, cell, GENERAL_SITES)


def make_cubic(space_group, edge, sites):
    return crystal_from_sites("cubic", space_group, (edge,) * 3 + RIGHT_ANGLES, sites)


def make_silicon():
    return make_cubic("F d -3 m:1", 5.431, [("Si", (0.0, 0.0, 0.0))])


def right_and_up(found, image_settings):
    """Return positions relative to the direct beam, in pixels, shape (n_spots, 2)."""
    row, column = image_settings.centre_px
    return np.stack([found.column_px - column, row - found.row_px], axis=1)
