"""Lines of what else is in the beam: anvils, gasket, window."""

from functools import cache

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.reflections import powder_sticks

# Space group, cell and sites at ambient conditions. Ranges reach a percent to both sides, so that
# rounded textbook cells serve: nothing is measured with them.
_CUBIC = (90.0, 90.0, 90.0)
_HEXAGONAL = (90.0, 90.0, 120.0)
_STRUCTURES = {
    "diamond": ("F d -3 m :1", (3.567, 3.567, 3.567, *_CUBIC), ("C", (0.0, 0.0, 0.0))),
    "W": ("I m -3 m", (3.165, 3.165, 3.165, *_CUBIC), ("W", (0.0, 0.0, 0.0))),
    "Re": ("P 63/m m c", (2.761, 2.761, 4.458, *_HEXAGONAL), ("Re", (1 / 3, 2 / 3, 0.25))),
    "Be": ("P 63/m m c", (2.286, 2.286, 3.584, *_HEXAGONAL), ("Be", (1 / 3, 2 / 3, 0.25))),
    "Al": ("F m -3 m", (4.050, 4.050, 4.050, *_CUBIC), ("Al", (0.0, 0.0, 0.0))),
    "austenite": ("F m -3 m", (3.59, 3.59, 3.59, *_CUBIC), ("Fe", (0.0, 0.0, 0.0))),
}
MATERIALS = tuple(sorted(_STRUCTURES))


def known_material(name: str) -> Crystal:
    """Return the structure of a material at ambient conditions."""
    group, cell, site = _STRUCTURES[name]
    return crystal_from_sites(name, group, cell, [site])


@cache
def line_positions(name: str, q_max_per_angstrom: float) -> FloatArray:
    """Return where a material has lines up to that q, in 1/angstrom.

    Examples
    --------
    >>> (2 * np.pi / line_positions("diamond", 5.5)).round(3).tolist()
    [2.059, 1.261]
    """
    found = powder_sticks(known_material(name), q_max_per_angstrom).q_per_angstrom
    return np.unique(np.round(found, 9))
