"""Stick lists: where a crystal diffracts and how strongly, before any instrument."""

from dataclasses import dataclass
from functools import cache

import gemmi
import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, Int32Array, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.symmetry import setting
from phasepilot.models.errors import CrystalError

# A usual isotropic displacement parameter of inorganic crystals at room temperature, in angstrom^2;
# structures in open tables rarely carry their own.
DEFAULT_B_SQUARE_ANGSTROM = 0.6
_MAX_REFLECTIONS = 3_000_000
_MAX_PHASE_TERMS = 200_000
_KEV_ANGSTROM = 12.398419843


@dataclass(frozen=True, slots=True)
class Sticks:
    """Powder lines of one crystal, sorted by q; they hold for every wavelength.

    A line is one family of symmetry-equivalent reflections. Families that happen to share a q
    (333 and 511 of a cube) stay apart, because texture tells them apart.

    Attributes
    ----------
    q_per_angstrom : ndarray, shape (n_lines,)
    structure_factor_squared : ndarray, shape (n_lines,)
        Sum of |F|^2 over all reflections of the line (multiplicity included), in electrons squared
        per conventional cell, with the Debye-Waller factor.
    hkl : ndarray of int, shape (n_lines, 3)
        One reflection of each family.
    multiplicity : ndarray of int, shape (n_lines,)
        Reflections in the family, Friedel pairs counted as two.
    """

    q_per_angstrom: FloatArray
    structure_factor_squared: FloatArray
    hkl: IntArray
    multiplicity: IntArray

    def chosen(self, which: BoolArray | IntArray) -> "Sticks":
        """Return these lines only, by mask or by index."""
        return Sticks(
            self.q_per_angstrom[which],
            self.structure_factor_squared[which],
            self.hkl[which],
            self.multiplicity[which],
        )


def powder_sticks(
    crystal: Crystal,
    q_max_per_angstrom: float,
    *,
    b_square_angstrom: float = DEFAULT_B_SQUARE_ANGSTROM,
    anomalous_at_angstrom: float | None = None,
) -> Sticks:
    """Return every line of the crystal up to q_max that its space group allows.

    |F|^2 with f of the neutral atoms from International Tables C, table 6.1.1.4, as held by gemmi.

    Parameters
    ----------
    b_square_angstrom : float
        Isotropic displacement parameter B of all atoms: f is damped by exp(-B s^2).
    anomalous_at_angstrom : float, optional
        Wavelength to take the dispersion terms f' and f'' for (Cromer & Liberman, by gemmi);
        without it they are left out, and the lines hold for every wavelength.

    Raises
    ------
    CrystalError
        If q_max or the wavelength is not positive, or the cell so large that its lines would not
        fit in memory.

    References
    ----------
    Salgado et al., npj Comput. Mater. 9, 214 (2023), section "1D XRD pattern generation".
    """
    _check_reach(crystal, q_max_per_angstrom)
    cell = gemmi.UnitCell(*crystal.cell)
    hkl = gemmi.make_miller_array(
        cell, crystal.setting.gemmi, 2 * np.pi / q_max_per_angstrom, 0.0, True
    )
    q = 2 * np.pi * np.linalg.norm(hkl @ crystal.reciprocal, axis=1)
    order = np.argsort(q)
    q, hkl = q[order], hkl[order]
    multiplicity = _family_sizes(crystal.hall_number, hkl)
    squared = _structure_factor_squared(crystal, hkl, q, b_square_angstrom, anomalous_at_angstrom)
    return Sticks(q, multiplicity * squared, hkl.astype(np.int64), multiplicity)


def _check_reach(crystal: Crystal, q_max_per_angstrom: float) -> None:
    if not (np.isfinite(q_max_per_angstrom) and q_max_per_angstrom > 0):
        raise CrystalError(
            f"q_max_per_angstrom must be a positive number, but is {q_max_per_angstrom:g};"
            " give the largest q of interest, e.g. 6."
        )
    sphere = 4 / 3 * np.pi * (q_max_per_angstrom / (2 * np.pi)) ** 3
    n_reflections = sphere * crystal.volume_cubic_angstrom
    if n_reflections > _MAX_REFLECTIONS:
        raise CrystalError(
            f"a structure may have at most {_MAX_REFLECTIONS:,} reflections, but {crystal.name} has"
            f" about {n_reflections:.0f}; lower q_max or leave this structure out."
        )


@cache
def _laue_operations(hall_number: int) -> gemmi.GroupOps:
    operations = setting(hall_number).gemmi.operations()
    operations.add_inversion()
    return operations


def _family_sizes(hall_number: int, hkl: Int32Array) -> IntArray:
    operations = _laue_operations(hall_number)
    repeats = operations.epsilon_factor_without_centering_array(hkl)
    return np.asarray(len(operations.sym_ops) // repeats, dtype=np.int64)


def _structure_factor_squared(
    crystal: Crystal,
    hkl: Int32Array,
    q: FloatArray,
    b_square_angstrom: float,
    anomalous_at_angstrom: float | None,
) -> FloatArray:
    """Return |F|^2 of each reflection, averaged over its Friedel pair."""
    elements, index = np.unique(crystal.atomic_numbers, return_inverse=True)
    weights = np.zeros((index.size, elements.size), dtype=np.float32)
    weights[np.arange(index.size), index] = crystal.occupancies
    s_squared = (q / (4 * np.pi)) ** 2
    real_terms, imaginary_terms = _dispersion(elements, anomalous_at_angstrom)
    damping = np.exp(-b_square_angstrom * s_squared)[:, None]
    factors = (form_factors(elements, s_squared) + real_terms) * damping
    lagging = imaginary_terms * damping
    result = np.empty(q.size)
    # float32 phases are good to 1e-5 of a turn and several times faster.
    positions = (2 * np.pi * crystal.fractional.T).astype(np.float32)
    # Blocks that stay in the processor's cache.
    n_rows = max(1, _MAX_PHASE_TERMS // max(1, index.size))
    for start in range(0, q.size, n_rows):
        rows = slice(start, start + n_rows)
        phases = hkl[rows].astype(np.float32) @ positions
        cosines, sines = np.cos(phases) @ weights, np.sin(phases) @ weights
        # Over a Friedel pair the cross terms of f + f' and f'' cancel.
        result[rows] = sum(
            np.einsum("ij,ij->i", part, factor[rows]) ** 2
            for factor in ((factors,) if anomalous_at_angstrom is None else (factors, lagging))
            for part in (cosines, sines)
        )
    return result


def _dispersion(
    elements: IntArray, wavelength_angstrom: float | None
) -> tuple[FloatArray, FloatArray]:
    if wavelength_angstrom is None:
        return np.zeros(elements.size), np.zeros(elements.size)
    if not (np.isfinite(wavelength_angstrom) and wavelength_angstrom > 0):
        raise CrystalError(
            f"anomalous_at_angstrom must be a positive wavelength, but is {wavelength_angstrom:g};"
            " state the wavelength of the beam in angstrom."
        )
    energy_ev = 1000 * _KEV_ANGSTROM / wavelength_angstrom
    terms = np.array([gemmi.cromer_liberman(int(number), energy_ev) for number in elements])
    return terms[:, 0], terms[:, 1]


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
