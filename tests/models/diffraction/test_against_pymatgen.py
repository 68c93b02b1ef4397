"""Powder lines against pymatgen's XRDCalculator, both with pymatgen's form factors.

Its form factors are fits of another form than those of International Tables, and up to 2 % apart
from them; `powder_sticks` is given them here, so that all else can be compared. Form factors of
International Tables are compared with gemmi's in test_reflections.py.
"""

import os
from pathlib import Path

import gemmi
import numpy as np
import pytest

from phasepilot.models.diffraction import reflections
from phasepilot.models.diffraction.crystals.crystal import crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.pymatgen_structure import pymatgen_from_crystal
from phasepilot.models.diffraction.crystals.structure_table import count_structures, read_structures
from phasepilot.models.diffraction.reflections import powder_sticks

xrd = pytest.importorskip("pymatgen.analysis.diffraction.xrd")

WAVELENGTH_ANGSTROM = 1.54184
B_SQUARE_ANGSTROM = 0.6
# pymatgen's default range, 2-theta up to 90 degree.
Q_MAX = 4 * np.pi * np.sin(np.pi / 4) / WAVELENGTH_ANGSTROM


def pymatgen_form_factors(atomic_numbers, s_squared):
    """f = Z - 41.78214 s^2 sum a exp(-b s^2), as XRDCalculator states it."""
    columns = []
    for number in atomic_numbers:
        a, b = np.array(xrd.ATOMIC_SCATTERING_PARAMS[gemmi.Element(int(number)).name]).T
        missing = (a * np.exp(-b * s_squared[:, None])).sum(axis=1)
        columns.append(number - 41.78214 * s_squared * missing)
    return np.stack(columns, axis=1)


@pytest.fixture(autouse=True)
def same_form_factors(monkeypatch):
    monkeypatch.setattr(reflections, "form_factors", pymatgen_form_factors)


def our_lines(of):
    """Angles and intensities with pymatgen's Lorentz-polarisation factor, strongest 1."""
    sticks = powder_sticks(of, Q_MAX, b_square_angstrom=B_SQUARE_ANGSTROM)
    theta = np.arcsin(sticks.q_per_angstrom * WAVELENGTH_ANGSTROM / (4 * np.pi))
    factor = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    return np.degrees(2 * theta), sticks.structure_factor_squared * factor


def pymatgen_lines(of):
    structure = pymatgen_from_crystal(of)
    elements = [element.symbol for element in structure.composition.elements]
    calculator = xrd.XRDCalculator(
        WAVELENGTH_ANGSTROM, debye_waller_factors=dict.fromkeys(elements, B_SQUARE_ANGSTROM)
    )
    pattern = calculator.get_pattern(structure, scaled=False)
    return np.array(pattern.x), np.array(pattern.y)


def assert_same_lines(of):
    """Compare positions to 2e-5 degree and intensities, unscaled, to 2e-5 of the strongest."""
    ours, theirs = our_lines(of), pymatgen_lines(of)
    angles = np.concatenate([ours[0], theirs[0]])
    order = np.argsort(angles)
    # pymatgen takes lines within 1e-5 degree together, unless rounding happens to part them.
    line = np.empty(angles.size, dtype=int)
    line[order] = np.cumsum(np.diff(angles[order], prepend=0.0) > 2e-5) - 1
    n_lines, n_ours = line.max() + 1, ours[0].size
    found = np.bincount(line[:n_ours], ours[1], n_lines)
    expected = np.bincount(line[n_ours:], theirs[1], n_lines)
    # Lines below 1e-5 of the strongest are left out by pymatgen.
    assert found == pytest.approx(expected, rel=1e-5, abs=2e-5 * expected.max())


STRUCTURES = {
    "silicon": ("F d -3 m:1", (5.431,) * 3 + (90.0,) * 3, [("Si", (0, 0, 0))]),
    "rock salt": (
        "F m -3 m",
        (5.640,) * 3 + (90.0,) * 3,
        [("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))],
    ),
    "pyrite": (
        "P a -3",
        (5.418,) * 3 + (90.0,) * 3,
        [("Fe", (0, 0, 0)), ("S", (0.3849, 0.3849, 0.3849))],
    ),
    "rutile": (
        "P 42/m n m",
        (4.594, 4.594, 2.959, 90.0, 90.0, 90.0),
        [("Ti", (0, 0, 0)), ("O", (0.3053, 0.3053, 0))],
    ),
    "wurtzite": (
        "P 63 m c",
        (3.250, 3.250, 5.207, 90.0, 90.0, 120.0),
        [("Zn", (1 / 3, 2 / 3, 0)), ("O", (1 / 3, 2 / 3, 0.3819))],
    ),
    "quartz": (
        "P 32 2 1",
        (4.913, 4.913, 5.405, 90.0, 90.0, 120.0),
        [("Si", (0.4697, 0, 2 / 3)), ("O", (0.4133, 0.2672, 0.7855))],
    ),
    "corundum": (
        "R -3 c:H",
        (4.759, 4.759, 12.991, 90.0, 90.0, 120.0),
        [("Al", (0, 0, 0.3522)), ("O", (0.3063, 0, 0.25))],
    ),
    "aragonite": (
        "P m c n",
        (4.961, 7.967, 5.741, 90.0, 90.0, 90.0),
        [
            *[("Ca", (0.25, 0.4151, 0.7597)), ("C", (0.25, 0.7627, -0.0862))],
            *[("O", (0.25, 0.9231, -0.0952)), ("O", (0.4729, 0.6801, -0.0872))],
        ],
    ),
    "baddeleyite": (
        "P 1 21/c 1",
        (5.150, 5.212, 5.317, 90.0, 99.23, 90.0),
        [
            ("Zr", (0.2754, 0.0395, 0.2083)),
            *[("O", (0.0700, 0.3317, 0.3447)), ("O", (0.4496, 0.7569, 0.4792))],
        ],
    ),
    "an oblique cell": (
        "P -1",
        (5.0, 6.0, 7.0, 80.0, 95.0, 105.0),
        [("Ba", (0.1, 0.2, 0.3)), ("S", (0.4, 0.7, 0.1)), ("O", (0.6, 0.1, 0.8))],
    ),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_textbook_structures_have_the_lines_that_pymatgen_finds(name):
    assert_same_lines(crystal_from_sites(name, *STRUCTURES[name]))


def test_mixed_and_partly_empty_sites_scatter_as_pymatgen_has_them():
    wustite = crystal(
        "(Fe, Mg)0.95 O",
        hall_number=523,
        cell=(4.28, 4.28, 4.28, 90.0, 90.0, 90.0),
        atomic_numbers=np.array([26, 12, 8]),
        fractional=np.array([[0, 0, 0], [0, 0, 0], [0.5, 0.5, 0.5]]),
        occupancies=np.array([0.6, 0.35, 1.0]),
    )
    assert_same_lines(wustite)


@pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ,
    reason="PHASEPILOT_DATA does not name the folder with structures/structures.parquet",
)
def test_structures_of_the_table_have_the_lines_that_pymatgen_finds():
    path = Path(os.environ["PHASEPILOT_DATA"]) / "structures" / "structures.parquet"
    starts = np.random.default_rng(1).integers(0, count_structures(path) - 5, 5)
    rows = [
        row
        for start in starts.tolist()
        for row in read_structures(path, start=start, stop=start + 5, max_atoms=100)
    ]
    assert len(rows) >= 15
    for row in rows:
        assert_same_lines(row.crystal)
