"""Random crystals of a given space group: made-up atoms on Wyckoff positions, chemically sized.

A crystal is drawn in four steps, each for many crystals at a time:

1. which Wyckoff positions are occupied, and
2. which elements they hold (`phasepilot.models.diffraction.crystals.random_composition`);
3. a cell: the volume that the atoms take in known crystals times a log-normal factor, its shape
   within the limits of the crystal system;
4. where on their positions the atoms sit (`phasepilot.models.diffraction.crystals.atom_placement`).

Crystals that turn out to have a higher symmetry are drawn again, so that the space group is what a
network may learn. Schopmans et al., Digital Discovery 2, 1414 (2023), doi:10.1039/d3dd00071k, found
that networks trained on such crystals recognise structure types that no database holds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import gemmi
import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.atom_placement import (
    CROWDED,
    PLACED,
    Placement,
    place_atoms,
)
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.element_statistics import (
    atomic_volumes,
    common_elements,
)
from phasepilot.models.diffraction.crystals.formula import reduced_formula
from phasepilot.models.diffraction.crystals.random_composition import (
    draw_elements,
    draw_positions,
    occupation_weight,
)
from phasepilot.models.diffraction.crystals.strain import ANGLES, LENGTHS, cell_pattern
from phasepilot.models.diffraction.crystals.symmetry import Setting, standard_setting
from phasepilot.models.diffraction.crystals.unit_cell import SYMMETRY_TOLERANCE_ANGSTROM
from phasepilot.models.diffraction.crystals.wyckoff import (
    LETTERS,
    WyckoffPosition,
    wyckoff_positions,
)

# Of the logarithm of the volume; in known crystals it is 0.12.
_VOLUME_SPREAD = 0.25
_LONGEST_TO_SHORTEST = 3.0
_TRICLINIC_ANGLES_DEG = (70.0, 110.0)
_MONOCLINIC_ANGLES_DEG = (90.0, 120.0)
# With its own radius of 0.31, hydrogen would come nearer to hydrogen than in its molecule.
_SMALLEST_RADIUS_ANGSTROM = 0.5
# Free edges more alike than this would make a lattice look more symmetric than it is.
_DISTINCT_EDGES_ANGSTROM = 0.03
# What the entries of a cell pattern stand for, as columns of the drawn values.
_COLUMNS = {entry: column for column, entry in enumerate((*LENGTHS, *ANGLES, 90.0, 120.0))}
# Cells in which the chosen atoms are tried before other atoms are chosen.
_N_CELLS = 5
# The group of highest symmetry whose lattice is that of each crystal system.
_LATTICE_GROUPS = {
    **{"triclinic": 2, "monoclinic": 10, "orthorhombic": 47, "tetragonal": 123},
    **{"trigonal": 191, "hexagonal": 191, "cubic": 221},
}
_RHOMBOHEDRAL_LATTICE_GROUP = 166


def random_crystal(space_group_number: int, rng: np.random.Generator) -> Crystal:
    """Return one crystal of that space group; `random_crystals` is far quicker for many.

    Raises
    ------
    CrystalError
        If the number is not from 1 to 230.

    Examples
    --------
    >>> made_up = random_crystal(227, np.random.default_rng(1))
    >>> made_up.space_group_number, made_up.crystal_system
    (227, 'cubic')
    """
    return random_crystals([space_group_number], rng)[0]


def random_crystals(
    space_group_numbers: Sequence[int] | IntArray, rng: np.random.Generator
) -> list[Crystal]:
    """Return one crystal in the standard setting for each of these space groups, in that order.

    Each has exactly that space group, as spglib finds it within 0.01 angstrom. (A cell that looks
    more symmetric by chance has not been met in 27,600 crystals, but it can occur.)

    Raises
    ------
    CrystalError
        If a number is not from 1 to 230.

    Examples
    --------
    >>> crystals = random_crystals([2, 225, 225], np.random.default_rng(0))
    >>> [crystal.space_group_number for crystal in crystals]
    [2, 225, 225]
    """
    wanted = np.array(
        [_group(int(number)).setting.space_group_number for number in space_group_numbers]
    )
    crystals: dict[int, Crystal] = {}
    lacking = np.arange(wanted.size)
    while lacking.size:
        for index, crystal in _attempts(wanted[lacking], rng):
            crystals[int(lacking[index])] = crystal
        lacking = np.array([place for place in lacking.tolist() if place not in crystals], int)
    return [crystals[place] for place in range(wanted.size)]


@dataclass(frozen=True, eq=False)
class _Group:
    """What the steps need to know of a space group.

    Arrays over Wyckoff positions are filled up to 27 with positions of weight 0: `multiplicities`,
    `is_fixed` and `log_weights` (27,). `columns` (6,) are those of `_COLUMNS` that make a cell.
    """

    setting: Setting
    multiplicities: IntArray
    is_fixed: BoolArray
    log_weights: FloatArray
    columns: IntArray
    placement: Placement


@cache
def _group(space_group_number: int) -> _Group:
    setting = standard_setting(space_group_number)
    positions = wyckoff_positions(space_group_number)
    n_lacking = len(LETTERS) - len(positions)
    multiplicities = np.array([position.multiplicity for position in positions])
    freedom = np.array([position.degrees_of_freedom for position in positions])
    weights = occupation_weight(multiplicities, freedom)
    return _Group(
        setting=setting,
        multiplicities=np.pad(multiplicities, (0, n_lacking)),
        is_fixed=np.pad(freedom == 0, (0, n_lacking)),
        log_weights=np.pad(weights, (0, n_lacking), constant_values=-np.inf),
        columns=np.array([_COLUMNS[entry] for entry in cell_pattern(setting)]),
        placement=_placement(setting, positions),
    )


def _placement(setting: Setting, positions: Sequence[WyckoffPosition]) -> Placement:
    n_most = positions[-1].multiplicity
    matrices = np.zeros((len(positions), n_most, 3, 3))
    translations = np.zeros((len(positions), n_most, 3))
    for index, position in enumerate(positions):
        matrices[index, : position.multiplicity] = position.matrices
        translations[index, : position.multiplicity] = position.translations
    is_square = [angle == 90.0 for angle in cell_pattern(setting)[3:]]
    is_pure = (setting.rotations == np.eye(3)).all(axis=(1, 2))
    return Placement(
        matrices=matrices,
        translations=translations,
        multiplicities=np.array([position.multiplicity for position in positions]),
        # The angle at an axis' place is that between the two other axes.
        is_oblique=np.array(
            [not all(is_square[:axis] + is_square[axis + 1 :]) for axis in range(3)]
        ),
        centrings=setting.translations[is_pure],
        cosets=_cosets(setting),
    )


def _cosets(setting: Setting) -> FloatArray:
    """Return one rotation of the lattice for each coset of the crystal class, identity first."""
    lattice_group = _LATTICE_GROUPS[setting.crystal_system]
    if setting.gemmi.ext == "H":
        lattice_group = _RHOMBOHEDRAL_LATTICE_GROUP
    of_class = {_key(rotation) for rotation in setting.rotations}
    cosets, known = [np.eye(3)], set(of_class)
    for rotation in standard_setting(lattice_group).rotations:
        if _key(rotation) not in known:
            cosets.append(rotation)
            known |= {_key(rotation @ other) for other in setting.rotations}
    return np.array(cosets)


def _key(rotation: FloatArray) -> tuple[int, ...]:
    return tuple(np.rint(rotation).astype(int).ravel().tolist())


def _attempts(numbers: IntArray, rng: np.random.Generator) -> Iterator[tuple[int, Crystal]]:
    """Draw a crystal of each of the space groups; yield those that are good, with their index."""
    groups = [_group(number) for number in numbers.tolist()]
    atoms = _draw_atoms(groups, rng)
    volumes = (_volumes()[atoms.elements] * atoms.amounts).sum(axis=1)
    left = np.arange(numbers.size)
    for _ in range(_N_CELLS):
        factors = rng.lognormal(0.0, _VOLUME_SPREAD, left.size)
        cells = _draw_cells([groups[index] for index in left], volumes[left] * factors, rng)
        points, outcomes = _place(numbers[left], atoms.of(left), cells, rng)
        outcomes[_looks_more_symmetric(cells)] = CROWDED
        for row in np.flatnonzero(outcomes == PLACED):
            index = int(left[row])
            setting = groups[index].setting
            yield index, _crystal(setting, atoms.of(index), points[row], cells[row])
        left = left[outcomes == CROWDED]
        if not left.size:
            return


@dataclass(frozen=True, eq=False)
class _Atoms:
    """Wyckoff position, element and number of atoms in the cell of each orbit, (n, n_slots)."""

    positions: IntArray
    elements: IntArray
    amounts: IntArray

    def of(self, rows: IntArray | int) -> "_Atoms":
        return _Atoms(self.positions[rows], self.elements[rows], self.amounts[rows])


def _draw_atoms(groups: Sequence[_Group], rng: np.random.Generator) -> _Atoms:
    multiplicities = np.stack([group.multiplicities for group in groups])
    positions = draw_positions(
        np.stack([group.log_weights for group in groups]),
        multiplicities,
        np.stack([group.is_fixed for group in groups]),
        rng,
    )
    elements = draw_elements(positions >= 0, rng)
    amounts = np.take_along_axis(multiplicities, positions, axis=1) * (elements > 0)
    return _Atoms(positions, elements, amounts)


def _place(
    numbers: IntArray, atoms: _Atoms, cells: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, IntArray]:
    """Return `place_atoms` of each crystal, one space group after the other."""
    points = np.zeros((*atoms.positions.shape, 3))
    outcomes = np.zeros(numbers.size, dtype=np.int64)
    lattices = _lattices(cells)
    for number in np.unique(numbers).tolist():
        rows = np.flatnonzero(numbers == number)
        elements = atoms.elements[rows]
        points[rows], outcomes[rows] = place_atoms(
            _group(number).placement,
            atoms.positions[rows],
            elements,
            _radii()[elements],
            lattices[rows],
            tolerance_angstrom=SYMMETRY_TOLERANCE_ANGSTROM,
            rng=rng,
        )
    return points, outcomes


def _draw_cells(
    groups: Sequence[_Group], volumes: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Return cells of these volumes that the crystal systems allow, shape (n, 6)."""
    n = volumes.size
    half = np.log(_LONGEST_TO_SHORTEST) / 2
    is_triclinic = np.array([group.setting.crystal_system == "triclinic" for group in groups])
    limits = np.where(is_triclinic[:, None], _TRICLINIC_ANGLES_DEG, _MONOCLINIC_ANGLES_DEG)
    values = np.column_stack(
        [
            np.exp(rng.uniform(-half, half, size=(n, 3))),
            rng.uniform(limits[:, :1], limits[:, 1:], size=(n, 3)),
            np.full(n, 90.0),
            np.full(n, 120.0),
        ]
    )
    columns = np.stack([group.columns for group in groups])
    cells = np.take_along_axis(values, columns, axis=1)
    scale = np.cbrt(volumes / np.linalg.det(_lattices(cells)))
    cells[:, :3] *= scale[:, None]
    return cells


def _looks_more_symmetric(cells: FloatArray) -> BoolArray:
    """Return whether edges that symmetry does not tie are nearly equal by chance, shape (n,)."""
    gaps = np.abs(cells[:, :3] - cells[:, [1, 2, 0]])
    return np.asarray(((gaps > 0) & (gaps < _DISTINCT_EDGES_ANGSTROM)).any(axis=1))


def _lattices(cells: FloatArray) -> FloatArray:
    """Return rows a, b, c as Cartesian vectors, (n, 3, 3), with a along x and b in the xy plane."""
    a, b, c = cells[:, :3].T
    cos_alpha, cos_beta, cos_gamma = np.cos(np.radians(cells[:, 3:])).T
    sin_gamma = np.sin(np.radians(cells[:, 5]))
    lattices = np.zeros((len(cells), 3, 3))
    lattices[:, 0, 0] = a
    lattices[:, 1, 0], lattices[:, 1, 1] = b * cos_gamma, b * sin_gamma
    along_y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    lattices[:, 2, 0], lattices[:, 2, 1] = c * cos_beta, c * along_y
    lattices[:, 2, 2] = c * np.sqrt(1 - cos_beta**2 - along_y**2)
    return lattices


def _crystal(setting: Setting, atoms: _Atoms, points: FloatArray, cell: FloatArray) -> Crystal:
    is_held = atoms.elements > 0
    elements = atoms.elements[is_held]
    amounts: dict[int, float] = {}
    for element, amount in zip(elements.tolist(), atoms.amounts[is_held].tolist(), strict=True):
        amounts[element] = amounts.get(element, 0.0) + amount
    a, b, c, alpha, beta, gamma = cell.tolist()
    return Crystal(
        name=reduced_formula(amounts),
        hall_number=setting.hall_number,
        cell=(a, b, c, alpha, beta, gamma),
        site_atomic_numbers=elements,
        site_fractional=points[is_held],
        site_occupancies=np.ones(elements.size),
    )


@cache
def _radii() -> FloatArray:
    """Covalent radius by atomic number, in angstrom (Cordero et al., doi:10.1039/b801115j)."""
    radii = [gemmi.Element(number).covalent_r for number in range(1, common_elements().max() + 1)]
    return np.array([0.0, *np.maximum(radii, _SMALLEST_RADIUS_ANGSTROM)])


@cache
def _volumes() -> FloatArray:
    """Room of an atom by atomic number, in cubic angstrom; 0 for none and for rare elements."""
    volumes = np.zeros(int(common_elements().max()) + 1)
    volumes[common_elements()] = atomic_volumes(common_elements())
    return volumes
