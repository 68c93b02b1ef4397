"""Where wyckoff.json comes from; run as a script, it writes the file anew.

Positions and letters of International Tables A are taken from PyXtal (MIT licence), which keeps
them for origin choice 2, and moved to our standard settings. Relabellings are computed: how the
affine normaliser of a space group permutes its letters.
"""

import ast
import csv
import itertools
import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystals.symmetry import Setting, standard_setting
from phasepilot.models.diffraction.crystals.wyckoff import LETTERS, WyckoffPosition, positions_of

WYCKOFF_TABLE = (
    Path(__file__).parent.parent / "models" / "diffraction" / "crystals" / "wyckoff.json"
)
DEN = gemmi.Op.DEN
Word = tuple[int, ...]

# Origin choice 1 as seen from origin choice 2 (the centre), in eighths of the cell, as
# International Tables A, chapter 2.3, print it under "Origin". gemmi's own shifts differ for 134,
# 137, 138, 141 and 201 by a translation that exchanges letters.
ORIGIN_1_EIGHTHS = {
    **{48: (2, 2, 2), 50: (2, 2, 0), 59: (2, 2, 0), 68: (0, 2, 2), 70: (-1, -1, -1)},
    **{85: (-2, 2, 0), 86: (-2, -2, -2), 88: (0, -2, -1), 125: (-2, -2, 0)},
    **{126: (-2, -2, -2), 129: (-2, 2, 0), 130: (-2, 2, 0), 133: (-2, 2, -2)},
    **{134: (-2, 2, -2), 137: (-2, 2, -2), 138: (-2, 2, -2), 141: (0, 2, -1)},
    **{142: (0, 2, -1), 201: (-2, -2, -2), 203: (-1, -1, -1), 222: (-2, -2, -2)},
    **{224: (-2, -2, -2), 227: (-1, -1, -1), 228: (-3, -3, -3)},
}
GENERIC = np.array([0.1234, 0.3217, 0.7131])


def positions_of_pyxtal() -> dict[int, list[str]]:
    """One representative of each Wyckoff position of each group, a first, in our settings."""
    # Found without being imported, which takes seconds.
    (folder,) = find_spec("pyxtal").submodule_search_locations
    text = Path(folder, "database", "wyckoff_list.csv").read_text()
    rows = list(csv.reader(text.splitlines()))[2:]
    return {
        number: [_in_our_setting(number, orbit[0]) for orbit in reversed(ast.literal_eval(row[1]))]
        for number, row in enumerate(rows, start=1)
    }


def _in_our_setting(number: int, triplet: str) -> str:
    operation = gemmi.Op(triplet.replace(" ", "").replace("2x", "2*x"))
    if number not in ORIGIN_1_EIGHTHS:
        return _triplet(operation)
    x, y, z = (-eighths * DEN // 8 for eighths in ORIGIN_1_EIGHTHS[number])
    shift = gemmi.Op("x,y,z").translated([x, y, z])
    moved = shift * operation
    images = (image * moved for image in standard_setting(number).gemmi.operations())
    return _triplet(min((_without_constants(image) for image in images), key=_complexity))


def _without_constants(operation: gemmi.Op) -> gemmi.Op:
    """The same line or plane with x instead of x + 1/8."""
    rotation, translation = np.array(operation.rot) // DEN, np.array(operation.tran)
    for column in range(3):
        plain = [
            row for row in range(3) if rotation[row, column] == 1 == np.abs(rotation[row]).sum()
        ]
        if plain:
            translation = translation - rotation[:, column] * translation[plain[0]]
    operation.tran = translation.tolist()
    return operation.wrap()


def _complexity(operation: gemmi.Op) -> tuple[int, ...]:
    rotation = np.array(operation.rot) // DEN
    off_diagonal = np.abs(rotation - np.diag(np.diag(rotation))).sum()
    return (
        int((rotation < 0).sum()),
        int(np.abs(rotation).sum()),
        int(off_diagonal),
        sum(operation.tran),
        *operation.tran,
    )


def _triplet(operation: gemmi.Op) -> str:
    return ",".join(
        _term(row, shift) for row, shift in zip(operation.rot, operation.tran, strict=True)
    )


def _term(row: list[int], shift: int) -> str:
    text = ""
    for factor, name in zip(row, "xyz", strict=True):
        if factor:
            times = abs(factor) // DEN
            text += ("+" if factor > 0 else "-") + (f"{times}*" if times > 1 else "") + name
    constant = Fraction(shift % DEN, DEN)
    if constant or not text:
        text += f"+{constant}"
    return text.lstrip("+")


def relabellings(number: int, representatives: list[str]) -> list[str]:
    """Words that generate all relabellings of a group: letter k becomes word[k]."""
    group = standard_setting(number)
    positions = positions_of(group, representatives)
    points = np.array([position.orbit(GENERIC)[0] for position in positions])
    words = {
        tuple(_letter_index(positions, group, point) for point in points @ matrix.T + shift)
        for matrix, shift in _normaliser(number)
    }
    identity = tuple(range(len(positions)))
    generators: list[Word] = []
    for word in sorted(words):
        if word not in closed(generators, identity):
            generators.append(word)
    for word in tuple(generators):
        others = [other for other in generators if other != word]
        if word in closed(others, identity):
            generators = others
    return ["".join(LETTERS[index] for index in word) for word in generators]


def closed(generators: list[Word], identity: Word) -> set[Word]:
    """The group that these permutations generate."""
    found, fresh = {identity}, [identity]
    while fresh:
        word = fresh.pop()
        products = {tuple(step[index] for index in word) for step in generators} - found
        found |= products
        fresh += products
    return found


def _letter_index(positions: tuple[WyckoffPosition, ...], group: Setting, point: FloatArray) -> int:
    images = group.rotations @ point + group.translations
    n_images = len(np.unique(np.round(images % 1 * 1e6).astype(int) % 10**6, axis=0))
    (index,) = [
        index
        for index, position in enumerate(positions)
        if position.multiplicity == n_images and _holds_one(position, images)
    ]
    return index


def _holds_one(position: WyckoffPosition, points: FloatArray) -> bool:
    heights = (points - position.translations[0]) @ position.normals.T
    return bool((np.abs(heights - np.round(heights)) < 1e-6).all(axis=1).any())


def _normaliser(number: int) -> Iterator[tuple[IntArray, FloatArray]]:
    """Maps x -> P x + p that turn the space group into itself, P of -1, 0 and 1.

    Together they permute the letters in every way that the affine normaliser does; p runs over
    the fractions that origins of International Tables A differ by.
    """
    group = standard_setting(number)
    rotations = np.round(group.rotations).astype(int)
    shifts = np.round(group.translations * DEN).astype(int)
    lattice = shifts[(rotations == np.eye(3)).all(axis=(1, 2))]
    centrings = _shift_code(lattice)
    codes, first = np.unique(_matrix_code(rotations), return_index=True)
    rotations, shifts = rotations[first], shifts[first]
    origins = _origins(group.crystal_system)
    matrices = _unimodular_matrices(number)
    keeps_lattice = np.isin(_shift_code(lattice @ matrices.transpose(0, 2, 1)), centrings)
    matrices = matrices[keeps_lattice.all(axis=1)]
    for rotation in rotations:
        turned = matrices @ rotation @ np.round(np.linalg.inv(matrices)).astype(int)
        is_kept = (np.abs(turned) <= 1).all(axis=(1, 2)) & np.isin(_matrix_code(turned), codes)
        matrices = matrices[is_kept]
    for matrix in matrices:
        turned = matrix @ rotations @ np.round(np.linalg.inv(matrix)).astype(int)
        goals = shifts[np.searchsorted(codes, _matrix_code(turned))]
        # (P, p) (W, w) (P, p)^-1 = (P W P^-1, P w + p - P W P^-1 p) must be in the group.
        fitting = origins
        for rotation, offset in zip(turned, shifts @ matrix.T - goals, strict=True):
            conjugate = offset + fitting - fitting @ rotation.T
            fitting = fitting[np.isin(_shift_code(conjugate), centrings)]
        yield from ((matrix, origin / DEN) for origin in fitting)


def _matrix_code(matrices: IntArray) -> IntArray:
    return (matrices + 1).reshape(-1, 9) @ 3 ** np.arange(9)


def _shift_code(shifts: IntArray) -> IntArray:
    return shifts % DEN @ np.array([DEN**2, DEN, 1])


def _origins(crystal_system: str) -> IntArray:
    if crystal_system in ("trigonal", "hexagonal"):
        steps = (range(0, DEN, 4), range(0, DEN, 4), range(0, DEN, 2))
    else:
        steps = (range(0, DEN, 3),) * 3
    return np.array(list(itertools.product(*steps)))


def _unimodular_matrices(number: int) -> IntArray:
    matrices = _small_unimodular_matrices()
    if number > 2:
        return matrices
    # In triclinic groups all of them will do; permutations and single shears generate them.
    return matrices[np.abs(matrices).sum(axis=(1, 2)) <= 4]


@cache
def _small_unimodular_matrices() -> IntArray:
    entries = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    return entries[np.abs(np.round(np.linalg.det(entries))) == 1]


def write_table(path: Path) -> None:
    """Write the table, one line a space group."""
    rows = [
        f'"{number}": '
        + json.dumps({"positions": words, "relabellings": relabellings(number, words)})
        for number, words in positions_of_pyxtal().items()
    ]
    path.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    write_table(WYCKOFF_TABLE)
