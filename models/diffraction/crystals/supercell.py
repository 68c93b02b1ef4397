"""Cells without symmetry: every atom a site of its own, so that single atoms can be changed."""

import itertools

import numpy as np

from phasepilot.models.diffraction.crystals.crystal import Cell, Crystal
from phasepilot.models.errors import CrystalError

P1_HALL_NUMBER = 1


def supercell(crystal: Crystal, repeats: tuple[int, int, int] = (1, 1, 1)) -> Crystal:
    """Return the crystal in P1, its conventional cell repeated along a, b and c.

    It diffracts as before: at the same angles, each line counting more reflections.

    Raises
    ------
    CrystalError
        If a number of repeats is not positive.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> iron = crystal_from_sites("Fe", "I m -3 m", (2.87,) * 3 + (90.0,) * 3, [("Fe", (0, 0, 0))])
    >>> supercell(iron, (2, 1, 1)).site_fractional
    array([[0.  , 0.  , 0.  ],
           [0.25, 0.5 , 0.5 ],
           [0.5 , 0.  , 0.  ],
           [0.75, 0.5 , 0.5 ]])
    """
    if min(repeats) < 1:
        raise CrystalError(
            f"a cell must be repeated at least once along each axis, but repeats of {crystal.name}"
            f" are {repeats}; give three whole numbers from 1."
        )
    a, b, c, *angles = crystal.cell
    along_a, along_b, along_c = repeats
    cell: Cell = (a * along_a, b * along_b, c * along_c, angles[0], angles[1], angles[2])
    corners = np.array(list(itertools.product(*(range(n) for n in repeats))), dtype=np.float64)
    fractional = (crystal.fractional % 1.0 + corners[:, None]) / np.array(repeats)
    return Crystal(
        name=crystal.name,
        hall_number=P1_HALL_NUMBER,
        cell=cell,
        site_atomic_numbers=np.tile(crystal.atomic_numbers, len(corners)),
        site_fractional=fractional.reshape(-1, 3),
        site_occupancies=np.tile(crystal.occupancies, len(corners)),
    )
