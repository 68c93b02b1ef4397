"""Crystals with another cell of the same symmetry."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from phasepilot.models.diffraction.crystals.crystal import Cell, Crystal
from phasepilot.models.diffraction.crystals.symmetry import Setting
from phasepilot.models.errors import CrystalError

LENGTHS = ("a", "b", "c")
ANGLES = ("alpha", "beta", "gamma")

# What each of a, b, c, alpha, beta, gamma follows: a free parameter, or an angle in degree.
# International Tables A (2016), table 2.1.1.1.
CellPattern = tuple[str | float, str | float, str | float, str | float, str | float, str | float]
_PATTERNS: dict[str, CellPattern] = {
    "triclinic": ("a", "b", "c", "alpha", "beta", "gamma"),
    "orthorhombic": ("a", "b", "c", 90.0, 90.0, 90.0),
    "tetragonal": ("a", "a", "c", 90.0, 90.0, 90.0),
    "trigonal": ("a", "a", "c", 90.0, 90.0, 120.0),
    "hexagonal": ("a", "a", "c", 90.0, 90.0, 120.0),
    "cubic": ("a", "a", "a", 90.0, 90.0, 90.0),
}
_RHOMBOHEDRAL: CellPattern = ("a", "a", "a", "alpha", "alpha", "alpha")
_MONOCLINIC: dict[str, CellPattern] = {
    "a": ("a", "b", "c", "alpha", 90.0, 90.0),
    "b": ("a", "b", "c", 90.0, "beta", 90.0),
    "c": ("a", "b", "c", 90.0, 90.0, "gamma"),
}


def cell_pattern(setting: Setting) -> CellPattern:
    """Return, for each of the six cell parameters, which free one it follows or its fixed angle.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.symmetry import setting_of_symbol
    >>> cell_pattern(setting_of_symbol("I 4/m m m"))
    ('a', 'a', 'c', 90.0, 90.0, 90.0)
    >>> cell_pattern(setting_of_symbol("R -3 m:R"))
    ('a', 'a', 'a', 'alpha', 'alpha', 'alpha')
    """
    if setting.crystal_system == "monoclinic":
        return _MONOCLINIC[setting.gemmi.monoclinic_unique_axis()]
    if setting.gemmi.ext == "R":
        return _RHOMBOHEDRAL
    return _PATTERNS[setting.crystal_system]


def free_cell_parameters(setting: Setting) -> tuple[str, ...]:
    """Return the names of the cell parameters that symmetry leaves free, e.g. ``("a", "c")``."""
    names = [entry for entry in cell_pattern(setting) if isinstance(entry, str)]
    return tuple(dict.fromkeys(names))


def isotropically_strained(crystal: Crystal, strain: float) -> Crystal:
    """Return the crystal with every length 1 + strain times what it was; 0.01 is 1 % longer.

    Raises
    ------
    CrystalError
        If the strain is not above -1.
    """
    return strained(crystal, dict.fromkeys(_free(crystal, LENGTHS), strain))


def strained(
    crystal: Crystal,
    length_strains: Mapping[str, float],
    angle_changes_deg: Mapping[str, float] | None = None,
) -> Crystal:
    """Return the crystal with some of its free cell parameters changed, its symmetry kept.

    Parameters
    ----------
    length_strains : mapping of str to float
        Relative change of a, b or c; those that symmetry ties to it follow.
    angle_changes_deg : mapping of str to float, optional
        Change of alpha, beta or gamma.

    Raises
    ------
    CrystalError
        If a parameter is not free in this setting, or the cell is left without a volume.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> cell = (3.79, 3.79, 9.51, 90.0, 90.0, 90.0)
    >>> anatase = crystal_from_sites("anatase", "I 41/a m d:2", cell, [("Ti", (0.0, 0.25, 0.375))])
    >>> [round(length, 4) for length in strained(anatase, {"a": 0.01}).cell[:3]]
    [3.8279, 3.8279, 9.51]
    """
    angle_changes_deg = angle_changes_deg or {}
    _check_free(crystal, length_strains, LENGTHS)
    _check_free(crystal, angle_changes_deg, ANGLES)
    values = _free_values(crystal)
    for name, strain in length_strains.items():
        values[name] *= 1 + strain
    for name, change_deg in angle_changes_deg.items():
        values[name] += change_deg
    cell = _cell_of(crystal.setting, values)
    _check_volume(crystal, cell)
    return replace(crystal, cell=cell)


def randomly_strained(
    crystal: Crystal,
    rng: np.random.Generator,
    *,
    largest_strain: float,
    largest_angle_change_deg: float = 0.0,
) -> Crystal:
    """Return the crystal with each free cell parameter changed by chance, its symmetry kept.

    Strains of the free lengths are uniform within +- `largest_strain` and independent of one
    another, changes of the free angles uniform within +- `largest_angle_change_deg`. B-VGGNet was
    trained on lattice parameters varied by up to 3 %.

    Raises
    ------
    CrystalError
        If the cell is left without a volume.
    """
    lengths, angles = _free(crystal, LENGTHS), _free(crystal, ANGLES)
    strains = rng.uniform(-largest_strain, largest_strain, size=len(lengths))
    changes_deg = rng.uniform(-largest_angle_change_deg, largest_angle_change_deg, len(angles))
    return strained(
        crystal,
        dict(zip(lengths, strains.tolist(), strict=True)),
        dict(zip(angles, changes_deg.tolist(), strict=True)),
    )


def _free(crystal: Crystal, names: tuple[str, ...]) -> list[str]:
    return [name for name in free_cell_parameters(crystal.setting) if name in names]


def _free_values(crystal: Crystal) -> dict[str, float]:
    entries = zip(cell_pattern(crystal.setting), crystal.cell, strict=True)
    values: dict[str, float] = {}
    for entry, value in entries:
        if isinstance(entry, str):
            values.setdefault(entry, value)
    return values


def _cell_of(setting: Setting, values: Mapping[str, float]) -> Cell:
    a, b, c, alpha, beta, gamma = (
        values[entry] if isinstance(entry, str) else entry for entry in cell_pattern(setting)
    )
    return (a, b, c, alpha, beta, gamma)


def _check_free(crystal: Crystal, changes: Mapping[str, float], names: tuple[str, ...]) -> None:
    free = _free(crystal, names)
    tied = sorted(set(changes) - set(free))
    if tied:
        raise CrystalError(
            f"of {', '.join(names)} only {', '.join(free) or 'none'} is free in"
            f" {crystal.setting.symbol}, but {crystal.name} is to change {tied[0]!r}; name free"
            " cell parameters only, and those that symmetry ties to them follow."
        )


def _check_volume(crystal: Crystal, cell: Cell) -> None:
    lengths, cosines = np.array(cell[:3]), np.cos(np.radians(cell[3:]))
    square = 1 + 2 * cosines.prod() - (cosines**2).sum()
    angles_span = (np.array(cell[3:]) > 0).all() and (np.array(cell[3:]) < 180).all()
    if not (np.isfinite(cell).all() and (lengths > 0).all() and angles_span and square > 1e-8):
        raise CrystalError(
            f"a strained cell must have a volume, but that of {crystal.name} would be {cell};"
            " give strains as fractions (0.01 is 1 %) above -1, and changes of angles in degree."
        )
