"""Where the atoms of a random crystal sit: on their Wyckoff positions, anywhere that is free.

Compiled by numba, because each try depends on the one before.
"""

from dataclasses import dataclass

import numba
import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray

# No two atoms come nearer than this part of the sum of their radii.
CLOSEST_IN_RADII = 0.7
N_TRIALS = 10
# What becomes of a crystal whose atoms are to be placed.
CROWDED, PLACED, TOO_SYMMETRIC = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Placement:
    """What atoms are placed by in one space group.

    Attributes
    ----------
    matrices, translations : ndarray, shapes (n_positions, n, 3, 3), (n_positions, n, 3)
        Points of the orbit on a Wyckoff position are M p + t, the representative's first; those
        beyond its multiplicity are ignored.
    multiplicities : ndarray of int, shape (n_positions,)
    is_oblique : ndarray of bool, shape (3,)
        Whether an axis is not at right angles to both others: there the nearest image may be one
        cell away from where rounding finds it.
    centrings : ndarray, shape (n_centrings, 3)
        Translations of the space group within a cell, 0 0 0 among them.
    cosets : ndarray, shape (n_cosets, 3, 3)
        Identity first, and one of each further kind of rotation that the lattice has and the space
        group lacks: representatives of the cosets of the crystal class in the lattice's class.
    """

    matrices: FloatArray
    translations: FloatArray
    multiplicities: IntArray
    is_oblique: BoolArray
    centrings: FloatArray
    cosets: FloatArray


def place_atoms(
    placement: Placement,
    positions: IntArray,
    numbers: IntArray,
    radii: FloatArray,
    lattices: FloatArray,
    *,
    tolerance_angstrom: float,
    rng: np.random.Generator,
) -> tuple[FloatArray, IntArray]:
    """Return a point for each orbit, shape (n, n_slots, 3), and what became of each crystal, (n,).

    Orbits are placed one after the other, each where it keeps clear of those before it and of its
    own images, in this and the neighbouring cells. A crystal with an orbit that finds no such
    place in ten trials is crowded. One that an operation beyond its space group turns into itself,
    to the tolerance, is too symmetric.

    Parameters
    ----------
    positions, numbers, radii : ndarray, shape (n, n_slots)
        Wyckoff position, atomic number and radius in angstrom of each orbit; empty slots have
        number 0 and come last.
    lattices : ndarray, shape (n, 3, 3)
        Rows a, b, c in angstrom. Beyond what the crystal system demands of it, a lattice is taken
        to have no symmetry.
    """
    n, n_slots = positions.shape
    points = np.zeros((n, n_slots, 3))
    outcomes = np.empty(n, dtype=np.int64)
    n_atoms = int((placement.multiplicities[positions] * (numbers > 0)).sum(axis=1).max(initial=0))
    _place_all(
        placement.matrices,
        placement.translations,
        placement.multiplicities,
        placement.is_oblique,
        placement.centrings,
        placement.cosets,
        positions,
        numbers,
        radii,
        lattices,
        rng.random((n, n_slots, N_TRIALS, 3)),
        np.empty((n_atoms, 3)),
        np.empty(n_atoms, dtype=np.int64),
        tolerance_angstrom**2,
        points,
        outcomes,
    )
    return points % 1.0, outcomes


@numba.njit(cache=True, nogil=True)
def _place_all(  # type: ignore[no-untyped-def]  # compiled for the types that come
    matrices,
    translations,
    multiplicities,
    is_oblique,
    centrings,
    cosets,
    positions,
    numbers,
    radii,
    lattices,
    parameters,
    atoms,
    kinds,
    squared_tolerance,
    points,
    outcomes,
):
    for row in range(len(positions)):
        lattice = lattices[row]
        outcomes[row] = CROWDED
        if _shortest_translation(lattice) < 2 * CLOSEST_IN_RADII * radii[row].max():
            continue
        n_atoms, n_placed = 0, 0
        for slot in range(positions.shape[1]):
            number, position = numbers[row, slot], positions[row, slot]
            if number == 0:
                break
            images = atoms[n_atoms : n_atoms + multiplicities[position]]
            if not _find_place(
                matrices[position],
                translations[position],
                parameters[row, slot],
                points[row, : slot + 1],
                radii[row],
                lattice,
                is_oblique,
                images,
            ):
                break
            kinds[n_atoms : n_atoms + len(images)] = number
            n_atoms += len(images)
            n_placed += 1
        if n_placed < (numbers[row] > 0).sum():
            continue
        outcomes[row] = PLACED
        if _has_more_symmetry(
            atoms[:n_atoms], kinds[:n_atoms], lattice, centrings, cosets, squared_tolerance
        ):
            outcomes[row] = TOO_SYMMETRIC


@numba.njit(cache=True, nogil=True)
def _shortest_translation(lattice):  # type: ignore[no-untyped-def]
    shortest = np.inf
    for i in range(-1, 2):
        for j in range(-1, 2):
            for k in range(-1, 2):
                if i != 0 or j != 0 or k != 0:
                    squared = _squared_length(float(i), float(j), float(k), lattice)
                    shortest = min(shortest, squared)
    return np.sqrt(shortest)


@numba.njit(cache=True, nogil=True)
def _squared_length(x, y, z, lattice):  # type: ignore[no-untyped-def]
    squared = 0.0
    for axis in range(3):
        component = x * lattice[0, axis] + y * lattice[1, axis] + z * lattice[2, axis]
        squared += component * component
    return squared


@numba.njit(cache=True, nogil=True)
def _find_place(  # type: ignore[no-untyped-def]
    matrices, translations, parameters, points, radii, lattice, is_oblique, images
):
    """Put the last point and its images where they fit; return whether they do anywhere."""
    last = len(points) - 1
    for trial in range(len(parameters)):
        for image in range(len(images)):
            images[image] = translations[image]
            for i in range(3):
                for j in range(3):
                    images[image, i] += matrices[image, i, j] * parameters[trial, j]
        points[last] = images[0]
        if _keeps_apart(points, images, radii, lattice, is_oblique):
            return True
        if not matrices[0].any():
            # A fixed point has no second try.
            return False
    return False


@numba.njit(cache=True, nogil=True)
def _keeps_apart(points, images, radii, lattice, is_oblique):  # type: ignore[no-untyped-def]
    last = len(points) - 1
    for image in range(len(images)):
        # The first image is the last point itself.
        for other in range(last + (image > 0)):
            closest = CLOSEST_IN_RADII * (radii[other] + radii[last])
            if _squared_distance(images[image], points[other], lattice, is_oblique) < closest**2:
                return False
    return True


@numba.njit(cache=True, nogil=True)
def _squared_distance(one, other, lattice, is_oblique):  # type: ignore[no-untyped-def]
    """Return that of the nearest images of two points."""
    x, y, z = one[0] - other[0], one[1] - other[1], one[2] - other[2]
    x, y, z = x - np.rint(x), y - np.rint(y), z - np.rint(z)
    reach_x, reach_y, reach_z = int(is_oblique[0]), int(is_oblique[1]), int(is_oblique[2])
    nearest = np.inf
    for i in range(-reach_x, reach_x + 1):
        for j in range(-reach_y, reach_y + 1):
            for k in range(-reach_z, reach_z + 1):
                nearest = min(nearest, _squared_length(x + i, y + j, z + k, lattice))
    return nearest


@numba.njit(cache=True, nogil=True)
def _has_more_symmetry(  # type: ignore[no-untyped-def]
    atoms, kinds, lattice, centrings, cosets, squared_tolerance
):
    """Return whether an operation outside the space group maps the atoms onto themselves.

    Such an operation takes the first atom of the rarest kind to one of that kind, which leaves few
    translations to try with each rotation.
    """
    rarest, first = _rarest_kind(kinds)
    for coset in range(len(cosets)):
        turned = cosets[coset] @ atoms[first]
        for target in range(len(atoms)):
            if kinds[target] != rarest:
                continue
            shift = atoms[target] - turned
            is_known = coset == 0 and _is_lattice_translation(shift, centrings)
            if not is_known and _maps_onto_itself(
                atoms, kinds, cosets[coset], shift, lattice, squared_tolerance
            ):
                return True
    return False


@numba.njit(cache=True, nogil=True)
def _rarest_kind(kinds):  # type: ignore[no-untyped-def]
    rarest, first, fewest = 0, 0, len(kinds) + 1
    for atom in range(len(kinds)):
        if atom > 0 and kinds[atom] == kinds[atom - 1]:
            continue
        count = (kinds == kinds[atom]).sum()
        if count < fewest:
            rarest, first, fewest = kinds[atom], atom, count
    return rarest, first


@numba.njit(cache=True, nogil=True)
def _is_lattice_translation(shift, centrings):  # type: ignore[no-untyped-def]
    for centring in centrings:
        rest = shift - centring
        if np.abs(rest - np.rint(rest)).max() < 1e-6:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _maps_onto_itself(  # type: ignore[no-untyped-def]
    atoms, kinds, rotation, shift, lattice, squared_tolerance
):
    image = np.empty(3)
    # The general positions, which are hardest to map, come last.
    for atom in range(len(atoms) - 1, -1, -1):
        for i in range(3):
            image[i] = shift[i]
            for j in range(3):
                image[i] += rotation[i, j] * atoms[atom, j]
        if not _is_atom(image, kinds[atom], atoms, kinds, lattice, squared_tolerance):
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _is_atom(point, kind, atoms, kinds, lattice, squared_tolerance):  # type: ignore[no-untyped-def]
    for atom in range(len(atoms)):
        if kinds[atom] != kind:
            continue
        x, y, z = point[0] - atoms[atom, 0], point[1] - atoms[atom, 1], point[2] - atoms[atom, 2]
        x, y, z = x - np.rint(x), y - np.rint(y), z - np.rint(z)
        if _squared_length(x, y, z, lattice) < squared_tolerance:
            return True
    return False
