"""Fuzzed crystals in all 230 space groups: absences, multiplicities and sum rules.

The oracle is a copy of each crystal in P 1 with all its atoms listed: it knows no symmetry, so
that what cancels in it does so by interference alone.
"""

from math import pi

import gemmi
import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.symmetry import (
    N_HALL_NUMBERS,
    N_SPACE_GROUPS,
    setting,
    standard_setting,
)
from phasepilot.models.diffraction.reflections import form_factors, powder_sticks

# High enough for 006 along the six-fold screw axes of the cells below.
Q_MAX = 6.6
# Phases are in single precision, which leaves amplitudes of 1e-6 of the strongest.
EXTINCT = 1e-9
ELEMENTS = np.array([26, 33, 20])
CELLS = {
    "triclinic": (5.0, 5.7, 6.1, 81.0, 97.0, 103.0),
    "monoclinic": (5.0, 5.7, 6.1, 90.0, 104.0, 90.0),
    "orthorhombic": (5.0, 5.7, 6.1, 90.0, 90.0, 90.0),
    "tetragonal": (5.4, 5.4, 6.1, 90.0, 90.0, 90.0),
    "trigonal": (5.4, 5.4, 6.1, 90.0, 90.0, 120.0),
    "hexagonal": (5.4, 5.4, 6.1, 90.0, 90.0, 120.0),
    "cubic": (5.9, 5.9, 5.9, 90.0, 90.0, 90.0),
}


def make_crystal(space_group_number, seed=0, n_atoms=2):
    """Atoms of different elements on general positions."""
    group = standard_setting(space_group_number)
    rng = np.random.default_rng([seed, space_group_number])
    return crystal(
        group.symbol,
        hall_number=group.hall_number,
        cell=CELLS[group.crystal_system],
        atomic_numbers=ELEMENTS[:n_atoms],
        fractional=rng.random((n_atoms, 3)),
    )


def in_p1(original: Crystal, shift=(0.0, 0.0, 0.0)) -> Crystal:
    """The same atoms, listed one by one."""
    return crystal(
        "P 1 copy",
        hall_number=1,
        cell=original.cell,
        atomic_numbers=original.atomic_numbers,
        fractional=original.fractional + np.array(shift),
        occupancies=original.occupancies,
    )


def in_cell(original: Crystal, basis) -> Crystal:
    """The same atoms in P 1, in the cell whose axes are integer sums of the original's (rows)."""
    axes = np.array(basis) @ original.direct
    lengths = np.linalg.norm(axes, axis=1)
    cosines = (axes @ axes.T / np.outer(lengths, lengths))[[1, 0, 0], [2, 2, 1]]
    reach = np.abs(basis).sum(axis=0).max()
    steps = np.arange(-reach, reach + 1)
    shifts = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 1, 3)
    fractional = (original.fractional + shifts).reshape(-1, 3) @ np.linalg.inv(basis)
    numbers = np.tile(original.atomic_numbers, len(shifts))
    inside = ((fractional > -1e-6) & (fractional < 1 - 1e-6)).all(axis=1)
    return crystal(
        "in another cell",
        hall_number=1,
        cell=(*lengths, *np.degrees(np.arccos(cosines))),
        atomic_numbers=numbers[inside],
        fractional=fractional[inside],
    )


def lines_per_volume(of: Crystal, q_max=Q_MAX):
    """Positions of all lines that are not extinct, and |F|^2 summed over each, over volume^2."""
    sticks = powder_sticks(of, q_max, b_square_angstrom=0.6)
    starts = np.flatnonzero(np.diff(sticks.q_per_angstrom, prepend=-1.0) > 1e-6)
    strength = np.add.reduceat(sticks.structure_factor_squared, starts)
    seen = strength > EXTINCT * strength.max()
    return (
        sticks.q_per_angstrom[starts][seen],
        strength[seen] / of.volume_cubic_angstrom**2,
    )


def assert_same_lines(first, second):
    assert first[0] == pytest.approx(second[0], rel=1e-6)
    assert first[1] == pytest.approx(second[1], rel=1e-3, abs=1e-5 * second[1].max())


@pytest.mark.parametrize("number", range(1, N_SPACE_GROUPS + 1))
def test_a_reflection_is_extinct_exactly_where_the_space_group_says(number):
    operations = standard_setting(number).gemmi.operations()
    copies = [in_p1(make_crystal(number, seed)) for seed in range(2)]
    found = [powder_sticks(copy, Q_MAX, b_square_angstrom=0.0) for copy in copies]
    # A reflection may be weak by chance, but not in two random crystals.
    strength = np.max(
        [one.structure_factor_squared / one.structure_factor_squared.max() for one in found], axis=0
    )
    is_extinct = strength < EXTINCT
    expected = operations.systematic_absences(found[0].hkl.astype(np.int32))
    assert found[0].hkl[is_extinct != expected].tolist() == []


@pytest.mark.parametrize("number", range(1, N_SPACE_GROUPS + 1))
def test_lines_hold_every_reflection_that_their_p1_copy_has(number):
    original = make_crystal(number)
    sticks = powder_sticks(original, 5.0, b_square_angstrom=0.0)
    alone = powder_sticks(in_p1(original), 5.0, b_square_angstrom=0.0)
    # P 1 lines are Friedel pairs.
    strength = {
        tuple(sign * np.array(hkl)): squared / 2
        for hkl, squared in zip(alone.hkl.tolist(), alone.structure_factor_squared, strict=True)
        for sign in (1, -1)
    }
    n_counted = 0
    for hkl, multiplicity, squared in zip(
        sticks.hkl, sticks.multiplicity, sticks.structure_factor_squared, strict=True
    ):
        turned = hkl @ np.round(original.setting.rotations).astype(int)
        family = {tuple(one) for one in np.concatenate([turned, -turned]).tolist()}
        assert len(family) == multiplicity
        assert sum(strength[one] for one in family) == pytest.approx(
            squared, rel=1e-3, abs=1e-5 * sticks.structure_factor_squared.max()
        )
        n_counted += len(family)
    operations = original.setting.gemmi.operations()
    assert n_counted == 2 * (~operations.systematic_absences(alone.hkl.astype(np.int32))).sum()


@pytest.mark.parametrize("number", [1, 19, 62, 88, 146, 166, 167, 205, 227, 230])
def test_lines_do_not_depend_on_the_origin(number):
    original = make_crystal(number, n_atoms=3)
    shifted = in_p1(original, shift=(0.1234, 0.567, 0.891))
    assert_same_lines(lines_per_volume(shifted), lines_per_volume(original))


@pytest.mark.parametrize(
    ("number", "primitive"),
    [
        (5, [[0.5, 0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]]),
        (44, [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
        (43, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
        (160, [[2 / 3, 1 / 3, 1 / 3], [-1 / 3, 1 / 3, 1 / 3], [-1 / 3, -2 / 3, 1 / 3]]),
        (227, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
        (230, [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    ],
    ids=["C", "I", "F", "R", "diamond", "garnet"],
)
def test_the_primitive_cell_shows_the_lines_of_the_conventional_one(number, primitive):
    original = make_crystal(number)
    small = in_cell(original, primitive)
    ratio = original.volume_cubic_angstrom / small.volume_cubic_angstrom
    assert original.fractional.shape[0] / small.fractional.shape[0] == pytest.approx(ratio)
    assert_same_lines(lines_per_volume(small), lines_per_volume(original))


def test_a_supercell_adds_no_line():
    original = make_crystal(14)
    large = in_cell(original, [[2, 0, 0], [0, 1, 0], [1, 0, 3]])
    assert large.fractional.shape[0] == 6 * original.fractional.shape[0]
    assert_same_lines(lines_per_volume(large), lines_per_volume(original))


def in_setting(original: Crystal, hall_number: int) -> Crystal:
    """The crystal of a standard setting, described in another setting of its space group."""
    group = setting(hall_number).gemmi
    change = group.basisop * original.setting.gemmi.basisop.inverse()
    cell = gemmi.UnitCell(*original.cell).changed_basis_forward(change, set_images=False)
    return crystal(
        group.xhm(),
        hall_number=hall_number,
        cell=tuple(cell.parameters),
        atomic_numbers=original.site_atomic_numbers,
        fractional=np.array([change.apply_to_xyz(list(xyz)) for xyz in original.site_fractional]),
        occupancies=original.site_occupancies,
    )


@pytest.mark.parametrize(
    "hall_number",
    sorted(
        set(range(1, N_HALL_NUMBERS + 1))
        - {standard_setting(number).hall_number for number in range(1, N_SPACE_GROUPS + 1)}
    ),
)
def test_lines_are_the_same_in_every_setting(hall_number):
    original = make_crystal(setting(hall_number).space_group_number)
    other = in_setting(original, hall_number)
    assert other.fractional.shape[0] / original.fractional.shape[0] == pytest.approx(
        other.volume_cubic_angstrom / original.volume_cubic_angstrom
    )
    assert_same_lines(lines_per_volume(other, 4.0), lines_per_volume(original, 4.0))


def electron_overlap(of: Crystal, b_square_angstrom: float) -> float:
    """The integral over one cell of the square of the electron density, in real space.

    With f^2 = sum of Gaussians c exp(-beta s^2), two atoms a distance r apart overlap by
    c (4 pi / beta)^(3/2) exp(-4 pi^2 r^2 / beta); the sum runs over all pairs of the lattice.
    """
    a_and_b = [gemmi.Element(int(z)).it92.get_coefs() for z in of.atomic_numbers]
    # The constant c of the table is a Gaussian of no width but the thermal one.
    height = np.array([[*coefs[:4], coefs[8]] for coefs in a_and_b]) * of.occupancies[:, None]
    width = np.array([[*coefs[4:8], 0.0] for coefs in a_and_b]) + b_square_angstrom
    steps = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), axis=-1).reshape(-1, 3)
    total = 0.0
    for position, heights, widths in zip(of.fractional, height, width, strict=True):
        apart = (of.fractional - position)[:, None, :] + steps
        squared = (apart @ of.direct) ** 2
        r_squared = squared.sum(axis=-1)[:, :, None, None]
        beta = (width[:, :, None] + widths)[:, None]
        weight = (height[:, :, None] * heights)[:, None]
        overlap = weight * (4 * pi / beta) ** 1.5 * np.exp(-4 * pi**2 * r_squared / beta)
        total += overlap.sum()
    return total


@pytest.mark.parametrize("number", [1, 2, 4, 15, 19, 33, 76, 92, 144, 169, 198])
def test_all_lines_together_are_the_square_of_the_electron_density(number):
    # Parseval's theorem: sum over hkl of |F|^2 = V * integral of rho^2.
    of, b_square_angstrom = make_crystal(number, seed=3), 4.0
    sticks = powder_sticks(of, 16.0, b_square_angstrom=b_square_angstrom)
    n_electrons = form_factors(of.atomic_numbers, np.zeros(1)).sum()
    total = n_electrons**2 + sticks.structure_factor_squared.sum()
    expected = of.volume_cubic_angstrom * electron_overlap(of, b_square_angstrom)
    assert total == pytest.approx(expected, rel=1e-5)


def test_towards_the_direct_beam_all_electrons_scatter_in_phase():
    water = crystal_from_sites(
        "one molecule of water",
        "P 1",
        (400.0, 400.0, 400.0, 90.0, 90.0, 90.0),
        [("O", (0, 0, 0)), ("H", (0.0019, 0.0015, 0)), ("H", (-0.0019, 0.0015, 0))],
    )
    sticks = powder_sticks(water, 0.02)
    amplitude = np.sqrt(sticks.structure_factor_squared / sticks.multiplicity)
    assert sticks.q_per_angstrom[0] == pytest.approx(2 * pi / 400)
    assert amplitude == pytest.approx(np.full(amplitude.size, 10.0), rel=2e-3)
