"""Stick lists: where a crystal diffracts and how strongly, before any instrument."""

from dataclasses import dataclass
from functools import cache

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.crystal import Crystal
from phasepilot.models.errors import CrystalError

# A usual isotropic displacement parameter of inorganic crystals at room temperature, in angstrom^2;
# structures in open tables rarely carry their own.
DEFAULT_B_SQUARE_ANGSTROM = 0.6
# Lines closer than this in ln q are one powder line: a tenth of the finest bin that we use.
MERGE_LOG_Q = 2e-5
_MAX_PHASE_TERMS = 4_000_000


@dataclass(frozen=True, slots=True)
class Sticks:
    """Powder lines of one crystal, sorted by q; they hold for every wavelength.

    Attributes
    ----------
    q_per_angstrom : ndarray, shape (n_lines,)
    structure_factor_squared : ndarray, shape (n_lines,)
        Sum of |F|^2 over all reflections of the line (multiplicity included), in electrons squared
        per conventional cell, with the Debye-Waller factor.
    """

    q_per_angstrom: FloatArray
    structure_factor_squared: FloatArray


def powder_sticks(
    crystal: Crystal,
    q_max_per_angstrom: float,
    *,
    b_square_angstrom: float = DEFAULT_B_SQUARE_ANGSTROM,
) -> Sticks:
    """Return every line of the crystal up to q_max.

    |F|^2 with f of the neutral atoms from International Tables C, table 6.1.1.4, as held by gemmi;
    no anomalous terms.

    Raises
    ------
    CrystalError
        If the cell is so large that its lines would not fit in memory.

    References
    ----------
    Salgado et al., npj Comput. Mater. 9, 214 (2023), section "1D XRD pattern generation".
    """
    hkl = _half_sphere(crystal, q_max_per_angstrom)
    q = 2 * np.pi * np.linalg.norm(hkl @ crystal.reciprocal, axis=1)
    order = np.argsort(q)
    order = order[(q[order] > 0) & (q[order] <= q_max_per_angstrom)]
    q, hkl = q[order], hkl[order]
    squared = 2 * _structure_factor_squared(crystal, hkl, q, b_square_angstrom)
    if not q.size:
        return Sticks(q, squared)
    is_first = np.concatenate(([True], np.diff(np.log(q)) > MERGE_LOG_Q))
    starts = np.flatnonzero(is_first)
    return Sticks(q[starts], np.add.reduceat(squared, starts))


def _half_sphere(crystal: Crystal, q_max_per_angstrom: float) -> IntArray:
    """Return one of each Friedel pair of all hkl in the box that holds the sphere."""
    edges = np.linalg.norm(np.linalg.inv(crystal.reciprocal), axis=0)
    reach = np.floor(edges * q_max_per_angstrom / (2 * np.pi)).astype(int)
    n_box = int(np.prod(2 * reach + 1))
    if n_box > 3_000_000:
        raise CrystalError(
            f"a structure may have at most 3,000,000 reflections in its box, but {crystal.name} has"
            f" {n_box}; lower q_max or leave this structure out."
        )
    axes = [np.arange(-n, n + 1) for n in reach]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # The box is symmetric about its middle row, which is 000: the second half has the partners.
    return hkl[n_box // 2 + 1 :]


def _structure_factor_squared(
    crystal: Crystal, hkl: IntArray, q: FloatArray, b_square_angstrom: float
) -> FloatArray:
    elements, index = np.unique(crystal.atomic_numbers, return_inverse=True)
    weights = np.zeros((index.size, elements.size), dtype=np.float32)
    weights[np.arange(index.size), index] = crystal.occupancies
    s_squared = (q / (4 * np.pi)) ** 2
    factors = form_factors(elements, s_squared) * np.exp(-b_square_angstrom * s_squared)[:, None]
    result = np.empty(q.size)
    # float32 phases are good to 1e-5 of a turn and several times faster.
    positions = (2 * np.pi * crystal.fractional.T).astype(np.float32)
    n_rows = max(1, _MAX_PHASE_TERMS // max(1, index.size))
    for start in range(0, q.size, n_rows):
        rows = slice(start, start + n_rows)
        phases = hkl[rows].astype(np.float32) @ positions
        real = np.einsum("ij,ij->i", np.cos(phases) @ weights, factors[rows])
        imaginary = np.einsum("ij,ij->i", np.sin(phases) @ weights, factors[rows])
        result[rows] = real**2 + imaginary**2
    return result


@cache
def _it92_coefficients(atomic_number: int) -> tuple[float, ...]:
    return tuple(gemmi.Element(atomic_number).it92.get_coefs())


def form_factors(atomic_numbers: IntArray, s_squared: FloatArray) -> FloatArray:
    """Return f of each element at s^2 = (sin(theta) / lambda)^2, shape (n_s, n_elements).

    f = sum_i a_i exp(-b_i s^2) + c, International Tables C, equation 6.1.1.15.

    Examples
    --------
    >>> form_factors(np.array([14]), np.array([0.0])).round(1)
    array([[14.]])
    """
    coefficients = np.array([_it92_coefficients(int(number)) for number in atomic_numbers])
    a, b, c = coefficients[:, :4], coefficients[:, 4:8], coefficients[:, 8]
    return np.asarray(np.einsum("ei,nei->ne", a, np.exp(-s_squared[:, None, None] * b)) + c)
