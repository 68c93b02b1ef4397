"""Powder lines of one crystal as we, pymatgen and gemmi compute them, and how far they are apart.

All carry the Lorentz-polarisation factor of pymatgen, (1 + cos^2 2theta) / (sin^2 theta cos theta),
and the same isotropic displacement parameter. pymatgen has form factors of its own, fits in another
form than those of International Tables; ours can be computed with either.
"""

import time
from dataclasses import dataclass, replace
from unittest.mock import patch

import gemmi
import numpy as np
from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS, XRDCalculator
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from rich.table import Table

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction import reflections
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.reflections import powder_sticks

WAVELENGTH_ANGSTROM = 1.54184
B_SQUARE_ANGSTROM = 0.6
# pymatgen's default range ends here.
MAX_TWO_THETA_DEG = 90.0
Q_MAX = 4 * np.pi * np.sin(np.radians(MAX_TWO_THETA_DEG / 2)) / WAVELENGTH_ANGSTROM
# Lines nearer than this are one: pymatgen takes those together that round to the same 1e-5 degree.
SAME_LINE_DEG = 1e-4
# Positions are compared of lines above this share of the strongest; pymatgen drops those below.
SEEN = 1e-5
SYSTEMS = [
    *("triclinic", "monoclinic", "orthorhombic"),
    *("tetragonal", "trigonal", "hexagonal", "cubic"),
]


@dataclass(frozen=True, slots=True)
class AngleLines:
    """Angles and intensities of powder lines, in the same units for all who compute them."""

    two_theta_deg: FloatArray
    intensity: FloatArray


@dataclass(frozen=True, slots=True)
class Deviations:
    """How far two computations of one crystal's lines are apart, an entry a line.

    Attributes
    ----------
    intensity : ndarray
        Difference over the intensity of the strongest line, for every line that either has.
    position_deg : ndarray
        Difference of the angles of lines that both have.
    """

    intensity: FloatArray
    position_deg: FloatArray


@dataclass(frozen=True, slots=True)
class Comparison:
    """Lines of one crystal against the others', and the seconds that they took us and pymatgen."""

    crystal_system: str
    to_pymatgen: Deviations
    to_gemmi: Deviations
    by_form_factors: Deviations
    our_s: float
    pymatgen_s: float


def compare(crystal: Crystal) -> Comparison:
    """Return how far our lines are from those of the others."""
    structure = pymatgen_structure(crystal)
    started = time.perf_counter()
    theirs = pymatgen_lines(structure)
    pymatgen_s = time.perf_counter() - started
    ours_with_theirs = our_lines_with_pymatgen_form_factors(crystal)
    fresh = replace(crystal)  # nothing cached
    started = time.perf_counter()
    ours = our_lines(fresh)
    our_s = time.perf_counter() - started
    return Comparison(
        crystal.crystal_system,
        to_pymatgen=deviations(ours_with_theirs, theirs),
        to_gemmi=deviations(ours, gemmi_lines(crystal)),
        by_form_factors=deviations(ours, theirs),
        our_s=our_s,
        pymatgen_s=pymatgen_s,
    )


def correctness_table(comparisons: list[Comparison]) -> Table:
    """Return the largest deviations and their 99th percentiles, a row a crystal system."""
    table = Table(title="Lines against pymatgen and gemmi: largest deviation, 99th percentile")
    for heading in (
        *("crystal system", "structures", "lines", "position, degree", "intensity, %"),
        *("to gemmi, %", "by form factors, %", "times faster"),
    ):
        table.add_column(heading, justify="left" if heading == "crystal system" else "right")
    for system in [*SYSTEMS, "all"]:
        chosen = [one for one in comparisons if system in (one.crystal_system, "all")]
        our_s, pymatgen_s = np.sum([(one.our_s, one.pymatgen_s) for one in chosen], axis=0)
        positions = [
            one.position_deg for both in chosen for one in (both.to_pymatgen, both.to_gemmi)
        ]
        table.add_row(
            system,
            f"{len(chosen)}",
            f"{sum(one.to_pymatgen.intensity.size for one in chosen):,}",
            f"{np.concatenate(positions).max():.0e}",
            _percent([one.to_pymatgen for one in chosen]),
            _percent([one.to_gemmi for one in chosen]),
            _percent([one.by_form_factors for one in chosen]),
            f"{pymatgen_s / our_s:.0f}",
        )
    return table


def _percent(several: list[Deviations]) -> str:
    percent = 100 * np.concatenate([one.intensity for one in several])
    return f"{percent.max():.2g}, {np.quantile(percent, 0.99):.1g}"


def deviations(ours: AngleLines, theirs: AngleLines) -> Deviations:
    """Return the differences line by line, lines nearer than `SAME_LINE_DEG` taken together."""
    angles = np.concatenate([ours.two_theta_deg, theirs.two_theta_deg])
    order = np.argsort(angles)
    line = np.empty(angles.size, dtype=np.int64)
    line[order] = np.cumsum(np.diff(angles[order], prepend=-1.0) > SAME_LINE_DEG) - 1
    n_ours, n_lines = ours.two_theta_deg.size, int(line.max()) + 1
    first, first_angle = _summed(line[:n_ours], ours, n_lines)
    second, second_angle = _summed(line[n_ours:], theirs, n_lines)
    strongest = second.max()
    in_both = np.minimum(first, second) > SEEN * strongest
    return Deviations(
        np.abs(first - second) / strongest, np.abs(first_angle - second_angle)[in_both]
    )


def _summed(line: IntArray, lines: AngleLines, n_lines: int) -> tuple[FloatArray, FloatArray]:
    """Return intensity and mean angle of each line; 0 for lines that there are none of."""
    intensity = np.bincount(line, lines.intensity, n_lines).astype(np.float64)
    moment = np.bincount(line, lines.intensity * lines.two_theta_deg, n_lines)
    return intensity, moment / np.where(intensity > 0, intensity, 1.0)


def our_lines(crystal: Crystal) -> AngleLines:
    """Return the lines of `powder_sticks`."""
    sticks = powder_sticks(crystal, Q_MAX, b_square_angstrom=B_SQUARE_ANGSTROM)
    return _with_geometry(sticks.q_per_angstrom, sticks.structure_factor_squared)


def our_lines_with_pymatgen_form_factors(crystal: Crystal) -> AngleLines:
    """Return the lines of `powder_sticks`, given the form factors of pymatgen."""
    with patch.object(reflections, "form_factors", pymatgen_form_factors):
        return our_lines(crystal)


def pymatgen_form_factors(atomic_numbers: IntArray, s_squared: FloatArray) -> FloatArray:
    """Return f = Z - 41.78214 s^2 sum a exp(-b s^2), as the calculator of pymatgen has it."""
    columns = []
    for number in atomic_numbers:
        a, b = np.array(ATOMIC_SCATTERING_PARAMS[gemmi.Element(int(number)).name]).T
        missing = (a * np.exp(-b * s_squared[:, None])).sum(axis=1)
        columns.append(number - 41.78214 * s_squared * missing)
    return np.stack(columns, axis=1)


def pymatgen_structure(crystal: Crystal) -> Structure:
    """Return all atoms of the crystal's cell; elements that share a position share its site."""
    rounded = crystal.fractional.round(6)
    _, first, site = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    species: list[dict[str, float]] = [{} for _ in first]
    # Rounded, as sites of tables in single precision can be full by 1.00000001.
    occupancies = crystal.occupancies.round(6).tolist()
    for number, one, occupancy in zip(crystal.atomic_numbers, site, occupancies, strict=True):
        species[one][gemmi.Element(int(number)).name] = occupancy
    return Structure(Lattice.from_parameters(*crystal.cell), species, crystal.fractional[first])


def pymatgen_calculator(structure: Structure) -> XRDCalculator:
    """Return the calculator of pymatgen with our displacement parameter for all elements."""
    elements = [element.symbol for element in structure.composition.elements]
    return XRDCalculator(
        WAVELENGTH_ANGSTROM, debye_waller_factors=dict.fromkeys(elements, B_SQUARE_ANGSTROM)
    )


def pymatgen_lines(structure: Structure) -> AngleLines:
    """Return the lines of pymatgen."""
    pattern = pymatgen_calculator(structure).get_pattern(
        structure, scaled=False, two_theta_range=(0, MAX_TWO_THETA_DEG)
    )
    return AngleLines(np.array(pattern.x), np.array(pattern.y))


def gemmi_lines(crystal: Crystal) -> AngleLines:
    """Return every reflection by gemmi's structure factor calculator, which expands the sites."""
    structure = gemmi.SmallStructure()
    structure.cell = gemmi.UnitCell(*crystal.cell)
    structure.spacegroup = crystal.setting.gemmi
    for number, position, occupancy in zip(
        crystal.site_atomic_numbers,
        crystal.site_fractional,
        crystal.site_occupancies,
        strict=True,
    ):
        site = gemmi.SmallStructure.Site()
        site.element = gemmi.Element(int(number))
        site.fract = gemmi.Fractional(*position)
        site.occ = float(occupancy)
        site.u_iso = B_SQUARE_ANGSTROM / (8 * np.pi**2)
        structure.add_site(site)
    structure.setup_cell_images()
    structure.change_occupancies_to_crystallographic()
    calculator = gemmi.StructureFactorCalculatorX(structure.cell)
    one_of_each_pair = gemmi.make_miller_array(
        structure.cell, gemmi.SpaceGroup("P 1"), 2 * np.pi / Q_MAX, 0.0, True
    )
    amplitudes = [
        calculator.calculate_sf_from_small_structure(structure, hkl)
        for hkl in one_of_each_pair.tolist()
    ]
    q = 2 * np.pi / structure.cell.calculate_d_array(one_of_each_pair)
    return _with_geometry(q, 2 * np.abs(amplitudes) ** 2)


def _with_geometry(q: FloatArray, squared: FloatArray) -> AngleLines:
    theta = np.arcsin(np.minimum(q * WAVELENGTH_ANGSTROM / (4 * np.pi), 1.0))
    factor = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    return AngleLines(np.degrees(2 * theta), squared * factor)
