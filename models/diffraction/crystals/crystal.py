"""A crystal as diffraction sees it: a cell, a space group, and scatterers on its sites."""

from dataclasses import dataclass, replace
from functools import cached_property

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystals.symmetry import Setting, setting, setting_of_symbol
from phasepilot.models.errors import CrystalError

Cell = tuple[float, float, float, float, float, float]

# Coordinates such as 0.3333 mean one third: positions nearer to a symmetry element than this
# fraction of the cell edge lie on it.
SITE_TOLERANCE = 1e-3
# Relative; two lengths that symmetry makes equal may differ by half of it.
METRIC_TOLERANCE = 2e-3
_HEAVIEST_SCATTERER = 98


@dataclass(frozen=True)
class Crystal:
    """A crystal structure: its asymmetric unit and the setting that repeats it.

    Attributes
    ----------
    name : str
        What to call it, usually the formula.
    hall_number : int
        Setting of the space group, see `phasepilot.models.diffraction.crystals.symmetry`.
    cell : tuple of float
        a, b, c in angstrom and alpha, beta, gamma in degree.
    site_atomic_numbers : ndarray of int, shape (n_sites,)
        One entry a scatterer of the asymmetric unit; elements that share a site have one each.
    site_fractional : ndarray, shape (n_sites, 3)
        Exactly on their special positions; `crystal` puts them there.
    site_occupancies : ndarray, shape (n_sites,)
    """

    name: str
    hall_number: int
    cell: Cell
    site_atomic_numbers: IntArray
    site_fractional: FloatArray
    site_occupancies: FloatArray

    @property
    def setting(self) -> Setting:
        """Operations of the space group."""
        return setting(self.hall_number)

    @property
    def space_group_number(self) -> int:
        """1 to 230."""
        return self.setting.space_group_number

    @property
    def crystal_system(self) -> str:
        """One of the seven."""
        return self.setting.crystal_system

    @cached_property
    def _expanded(self) -> tuple[IntArray, FloatArray]:
        """Site of each atom of the cell, and its position."""
        images = np.einsum("nij,sj->sni", self.setting.rotations, self.site_fractional)
        images = (images + self.setting.translations + 1e-7) % 1.0 - 1e-7
        millionths = np.round(images * 1e6).astype(np.int64)
        keys = millionths @ np.array([1 << 40, 1 << 20, 1])
        order = np.argsort(keys, axis=1, kind="stable")
        ordered = np.take_along_axis(keys, order, axis=1)
        # Images of a special position agree to rounding, which may straddle a millionth.
        is_first = np.concatenate(
            [np.ones((len(keys), 1), dtype=bool), np.diff(ordered, axis=1) != 0], axis=1
        )
        sites, places = np.nonzero(is_first)
        return sites, images[sites, order[sites, places]]

    @cached_property
    def multiplicities(self) -> IntArray:
        """Atoms that each site puts into the cell, shape (n_sites,)."""
        return np.bincount(self._expanded[0], minlength=self.site_atomic_numbers.size)

    @property
    def atomic_numbers(self) -> IntArray:
        """Of all atoms of the conventional cell, shape (n_atoms,)."""
        return np.asarray(self.site_atomic_numbers[self._expanded[0]])

    @property
    def occupancies(self) -> FloatArray:
        """Of all atoms of the conventional cell, shape (n_atoms,)."""
        return np.asarray(self.site_occupancies[self._expanded[0]])

    @property
    def fractional(self) -> FloatArray:
        """Positions of all atoms of the conventional cell, shape (n_atoms, 3)."""
        return self._expanded[1]

    @cached_property
    def direct(self) -> FloatArray:
        """Rows a, b, c as Cartesian vectors, shape (3, 3), in angstrom."""
        return np.asarray(gemmi.UnitCell(*self.cell).orth.mat.tolist(), dtype=np.float64).T

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


def crystal(
    name: str,
    *,
    hall_number: int,
    cell: Cell,
    atomic_numbers: IntArray,
    fractional: FloatArray,
    occupancies: FloatArray | None = None,
) -> Crystal:
    """Return the checked crystal of these sites, each moved onto its special position.

    Parameters
    ----------
    atomic_numbers, fractional, occupancies : ndarray, shapes (n_sites,), (n_sites, 3), (n_sites,)
        The asymmetric unit; all sites are full if no occupancies are given.

    Raises
    ------
    CrystalError
        If the cell, an element, a position or an occupancy is impossible; the text says which.
    """
    numbers = np.asarray(atomic_numbers, dtype=np.int64)
    positions = np.asarray(fractional, dtype=np.float64).reshape(-1, 3)
    weights = np.ones(numbers.size) if occupancies is None else np.asarray(occupancies, dtype=float)
    _check_cell(name, cell, setting(hall_number))
    _check_sites(name, numbers, positions, weights)
    snapped = _on_special_positions(positions, setting(hall_number))
    return Crystal(name, hall_number, cell, numbers, snapped, weights)


def crystal_from_sites(
    name: str,
    space_group: str,
    cell: Cell,
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
        If the symbol is unknown, or as `crystal`.

    Examples
    --------
    >>> rock_salt = [("K", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))]
    >>> kcl = crystal_from_sites("KCl", "F m -3 m", (6.29,) * 3 + (90.0,) * 3, rock_salt)
    >>> len(kcl.atomic_numbers)
    8
    """
    return crystal(
        name,
        hall_number=setting_of_symbol(space_group).hall_number,
        cell=cell,
        atomic_numbers=np.array([gemmi.Element(element).atomic_number for element, _ in sites]),
        fractional=np.array([position for _, position in sites]),
    )


def _on_special_positions(positions: FloatArray, group: Setting) -> FloatArray:
    """Return each position averaged with those of its images that all but coincide with it.

    The average over the operations that leave a point in place projects onto what they all leave
    in place: its Wyckoff position.
    """
    images = np.einsum("nij,sj->sni", group.rotations, positions) + group.translations
    offsets = images - positions[:, None, :]
    offsets -= np.round(offsets)
    stays = (np.abs(offsets) < SITE_TOLERANCE).all(axis=2)
    shift = (offsets * stays[:, :, None]).sum(axis=1) / stays.sum(axis=1)[:, None]
    return np.asarray((positions + shift) % 1.0)


def _check_cell(name: str, cell: Cell, group: Setting) -> None:
    lengths, angles = np.array(cell[:3]), np.array(cell[3:])
    if not (np.isfinite(cell).all() and (lengths > 0).all() and (angles > 0).all()):
        raise CrystalError(
            f"{name} must have a cell of three positive lengths and three angles, but it is"
            f" {tuple(cell)}; check the structure's cell parameters."
        )
    cosines = np.cos(np.radians(angles))
    square = 1 + 2 * cosines.prod() - (cosines**2).sum()
    if not (square > 1e-8 and (angles < 180).all()):
        raise CrystalError(
            f"{name} must have a cell with a volume, but angles of {tuple(cell[3:])} degree span"
            " none; check alpha, beta and gamma."
        )
    basis = lengths[:, None] * np.eye(3)
    metric = (
        basis
        @ np.array(
            [[1, cosines[2], cosines[1]], [cosines[2], 1, cosines[0]], [cosines[1], cosines[0], 1]]
        )
        @ basis
    )
    turned = group.rotations.transpose(0, 2, 1) @ metric @ group.rotations
    # Operations must leave lengths and angles as they are, or equivalent lines would lie apart.
    if np.abs(turned - metric).max() > METRIC_TOLERANCE * metric.max():
        raise CrystalError(
            f"{name} must have a cell that its space group {group.symbol} allows, but has"
            f" {tuple(cell)}; check the setting, or give the cell with its symmetry exact."
        )


def _check_sites(
    name: str, numbers: IntArray, positions: FloatArray, occupancies: FloatArray
) -> None:
    if not numbers.size or positions.shape[0] != numbers.size or occupancies.size != numbers.size:
        raise CrystalError(
            f"{name} must have one position and occupancy for each of its atoms, but has"
            f" {numbers.size} atoms, {positions.shape[0]} positions and {occupancies.size}"
            " occupancies; check the structure's atom list."
        )
    if not np.isfinite(positions).all():
        raise CrystalError(
            f"{name} must have finite positions, but has {positions[~np.isfinite(positions)][0]};"
            " check the structure's fractional coordinates."
        )
    unknown = numbers[(numbers < 1) | (numbers > _HEAVIEST_SCATTERER)]
    if unknown.size:
        raise CrystalError(
            f"{name} must be of elements with a form factor (hydrogen to californium), but holds"
            f" the atomic number {unknown[0]}; replace or leave out that element."
        )
    wrong = occupancies[~((occupancies > 0) & (occupancies <= 1))]
    if wrong.size:
        raise CrystalError(
            f"{name} must have occupancies above 0 and at most 1, but has {wrong[0]:g};"
            " check the structure's occupancies."
        )
