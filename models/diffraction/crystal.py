"""A crystal as diffraction sees it: a cell, and weighted scatterers in it."""

from dataclasses import dataclass, replace
from functools import cached_property

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import CrystalError


@dataclass(frozen=True)
class Crystal:
    """A crystal structure, written out over its conventional cell.

    Attributes
    ----------
    name : str
        What to call it, usually the formula.
    space_group_number : int
        1 to 230.
    cell : tuple of float
        a, b, c in angstrom and alpha, beta, gamma in degree.
    atomic_numbers : ndarray of int, shape (n_atoms,)
    fractional : ndarray, shape (n_atoms, 3)
    occupancies : ndarray, shape (n_atoms,)
    """

    name: str
    space_group_number: int
    cell: tuple[float, float, float, float, float, float]
    atomic_numbers: IntArray
    fractional: FloatArray
    occupancies: FloatArray

    @cached_property
    def reciprocal(self) -> FloatArray:
        """Rows a*, b*, c* without the factor 2 pi, shape (3, 3), in 1/angstrom."""
        return np.asarray(gemmi.UnitCell(*self.cell).frac.mat.tolist(), dtype=np.float64)

    @property
    def volume_cubic_angstrom(self) -> float:
        """Volume of the conventional cell."""
        return float(gemmi.UnitCell(*self.cell).volume)

    def scaled_to_volume_ratio(self, volume_ratio: float) -> "Crystal":
        """Return the crystal strained isotropically to this V/V0.

        Raises
        ------
        CrystalError
            If the ratio is not positive.
        """
        if not volume_ratio > 0:
            raise CrystalError(
                f"volume_ratio must be positive, but is {volume_ratio:g}; is the pressure beyond"
                " the range of the equation of state?"
            )
        scale = volume_ratio ** (1 / 3)
        a, b, c, *angles = self.cell
        return replace(self, cell=(a * scale, b * scale, c * scale, *angles))


def crystal_from_sites(
    name: str,
    space_group: str,
    cell: tuple[float, float, float, float, float, float],
    sites: list[tuple[str, tuple[float, float, float]]],
) -> Crystal:
    """Return the crystal whose asymmetric unit these (element, position) sites are.

    Parameters
    ----------
    space_group : str
        Hermann-Mauguin symbol as gemmi reads it, e.g. ``"F m -3 m"``.

    Raises
    ------
    CrystalError
        If the symbol is unknown.

    Examples
    --------
    >>> rock_salt = [("K", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))]
    >>> crystal = crystal_from_sites("KCl", "F m -3 m", (6.29,) * 3 + (90.0,) * 3, rock_salt)
    >>> len(crystal.atomic_numbers)
    8
    """
    group = gemmi.find_spacegroup_by_name(space_group)
    if group is None:
        raise CrystalError(
            f"space_group must be a Hermann-Mauguin symbol such as 'F m -3 m', but is"
            f" {space_group!r}; check the spelling and the spaces."
        )
    operations = list(group.operations())
    numbers, positions, weights = [], [], []
    for element, position in sites:
        images = np.array([operation.apply_to_xyz(list(position)) for operation in operations])
        distinct, counts = distinct_images(images)
        numbers += [gemmi.Element(element).atomic_number] * len(distinct)
        positions.append(distinct)
        weights.append(np.round(counts * len(distinct) / len(operations)))
    return Crystal(
        name,
        group.number,
        cell,
        np.array(numbers, dtype=np.int64),
        np.concatenate(positions),
        np.concatenate(weights).astype(np.float64),
    )


def distinct_images(images: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the different positions among symmetry images, and how often each occurs.

    Positions that agree within 0.001 of the cell edge are one: parsed coordinates such as 0.3333
    put the images of a special position slightly apart.
    """
    wrapped = images % 1.0
    thousandths = np.round(wrapped * 1000).astype(np.int64) % 1000
    keys = thousandths @ np.array([1_000_000, 1000, 1])
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return wrapped[first], counts
