from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.crystals.strain import (
    cell_pattern,
    free_cell_parameters,
    isotropically_strained,
    randomly_strained,
    strained,
)
from phasepilot.models.diffraction.crystals.symmetry import (
    N_HALL_NUMBERS,
    setting,
    setting_of_symbol,
)
from phasepilot.models.diffraction.crystals.unit_cell import space_group_number_within, unit_cell_of
from phasepilot.models.errors import CrystalError

GENERIC = {"a": 5.1, "b": 6.3, "c": 7.7, "alpha": 81.0, "beta": 97.0, "gamma": 103.0}
CRYSTALS = {
    "triclinic": ("P -1", (5.0, 6.0, 7.0, 80.0, 95.0, 105.0), [("Si", (0.1, 0.2, 0.3))]),
    "monoclinic": (
        "P 1 21/c 1",
        (5.15, 5.21, 5.32, 90.0, 99.2, 90.0),
        [("Zr", (0.28, 0.04, 0.21))],
    ),
    "unique axis c": (
        "P 1 1 21/b",
        (5.15, 5.32, 5.21, 90.0, 90.0, 99.2),
        [("Zr", (0.3, 0.2, 0.04))],
    ),
    "orthorhombic": ("P n m a", (5.4, 7.6, 5.3, 90.0, 90.0, 90.0), [("Ca", (0.04, 0.25, 0.99))]),
    "tetragonal": ("P 42/m n m", (4.6, 4.6, 2.96, 90.0, 90.0, 90.0), [("O", (0.305, 0.305, 0.0))]),
    "rhombohedral": (
        "R -3 m:R",
        (4.7, 4.7, 4.7, 57.0, 57.0, 57.0),
        [("Bi", (0.234, 0.234, 0.234))],
    ),
    "hexagonal axes": (
        "R -3 m:H",
        (4.5, 4.5, 11.9, 90.0, 90.0, 120.0),
        [("Bi", (0.0, 0.0, 0.234))],
    ),
    "hexagonal": ("P 63/m m c", (3.2, 3.2, 5.2, 90.0, 90.0, 120.0), [("Mg", (1 / 3, 2 / 3, 0.25))]),
    "cubic": ("F d -3 m:1", (5.43, 5.43, 5.43, 90.0, 90.0, 90.0), [("Si", (0.0, 0.0, 0.0))]),
}
ALL_KINDS = pytest.mark.parametrize("kind", CRYSTALS)


def make_crystal(kind):
    space_group, cell, sites = CRYSTALS[kind]
    return crystal_from_sites(kind, space_group, cell, sites)


def space_group_by_spglib(crystal):
    return space_group_number_within(unit_cell_of(crystal), 1e-5)


def is_kept_by_every_operation(group):
    values = [GENERIC[e] if isinstance(e, str) else e for e in cell_pattern(group)]
    lengths, cosines = np.array(values[:3]), np.cos(np.radians(values[3:]))
    metric = np.outer(lengths, lengths)
    for cosine, (i, j) in zip(cosines, ((1, 2), (0, 2), (0, 1)), strict=True):
        metric[i, j] *= cosine
        metric[j, i] *= cosine
    turned = group.rotations.transpose(0, 2, 1) @ metric @ group.rotations
    return np.abs(turned - metric).max() < 1e-10


def test_a_cell_of_the_pattern_is_kept_by_every_operation_of_all_settings():
    groups = [setting(number) for number in range(1, N_HALL_NUMBERS + 1)]
    assert [group.symbol for group in groups if not is_kept_by_every_operation(group)] == []


@ALL_KINDS
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_strain_keeps_the_space_group(kind, seed):
    rng = np.random.default_rng(seed)
    crystal = make_crystal(kind)
    changed = randomly_strained(crystal, rng, largest_strain=0.05, largest_angle_change_deg=2.0)
    assert space_group_by_spglib(changed) == space_group_by_spglib(crystal)
    assert changed.cell != crystal.cell


def test_parameters_that_symmetry_ties_stay_exactly_equal():
    rutile = make_crystal("tetragonal")
    a, b, c, *angles = strained(rutile, {"a": 0.0137, "c": -0.021}).cell
    assert (a, c) == pytest.approx((4.6 * 1.0137, 2.96 * 0.979))
    assert a == b
    assert angles == [90.0, 90.0, 90.0]


def test_a_cell_that_is_not_quite_of_its_system_becomes_exact():
    sloppy = replace(make_crystal("tetragonal"), cell=(4.6, 4.60001, 2.96, 90.0, 90.0, 90.00001))
    assert strained(sloppy, {}).cell == (4.6, 4.6, 2.96, 90.0, 90.0, 90.0)


@ALL_KINDS
@given(strain=st.floats(-0.2, 0.2))
def test_isotropic_strain_scales_the_volume_and_no_angle(kind, strain):
    crystal = make_crystal(kind)
    changed = isotropically_strained(crystal, strain)
    ratio = changed.volume_cubic_angstrom / crystal.volume_cubic_angstrom
    assert ratio == pytest.approx((1 + strain) ** 3)
    assert changed.cell[3:] == crystal.cell[3:]


def test_angles_change_by_degrees():
    zirconia = make_crystal("monoclinic")
    assert strained(zirconia, {}, {"beta": 0.5}).cell[4] == pytest.approx(99.7)


@given(seed=st.integers(0, 2**32 - 1))
def test_random_strain_stays_within_its_limits(seed):
    rng = np.random.default_rng(seed)
    crystal = make_crystal("triclinic")
    changed = randomly_strained(crystal, rng, largest_strain=0.03, largest_angle_change_deg=1.0)
    ratios = np.array(changed.cell[:3]) / crystal.cell[:3]
    assert np.abs(ratios - 1).max() <= 0.03
    assert np.abs(np.subtract(changed.cell[3:], crystal.cell[3:])).max() <= 1.0


def test_random_strain_is_independent_for_each_free_length():
    rng = np.random.default_rng(0)
    crystal = make_crystal("orthorhombic")
    cells = [randomly_strained(crystal, rng, largest_strain=0.03).cell[:3] for _ in range(400)]
    correlations = np.corrcoef(np.array(cells).T)
    assert np.abs(correlations - np.eye(3)).max() < 0.2


@pytest.mark.parametrize(
    ("symbol", "names"),
    [
        ("P 1", ("a", "b", "c", "alpha", "beta", "gamma")),
        ("A 1 1 2", ("a", "b", "c", "gamma")),
        ("R 3:R", ("a", "alpha")),
        ("P 3", ("a", "c")),
        ("I a -3 d", ("a",)),
    ],
)
def test_free_parameters_are_those_of_the_setting(symbol, names):
    assert free_cell_parameters(setting_of_symbol(symbol)) == names


def test_a_tied_length_is_refused_with_the_free_ones():
    with pytest.raises(CrystalError, match=r"of a, b, c only a, c is free in P 42/m n m, .*'b'"):
        strained(make_crystal("tetragonal"), {"b": 0.01})


def test_a_fixed_angle_is_refused():
    with pytest.raises(CrystalError, match=r"only none is free in F d -3 m:1, .*'gamma'"):
        strained(make_crystal("cubic"), {}, {"gamma": 1.0})


@pytest.mark.parametrize("strain", [-1.0, np.nan])
def test_a_strain_that_leaves_no_volume_is_refused(strain):
    with pytest.raises(CrystalError, match="a strained cell must have a volume"):
        isotropically_strained(make_crystal("cubic"), strain)


def test_angles_that_span_no_volume_are_refused():
    with pytest.raises(CrystalError, match="changes of angles in degree"):
        strained(make_crystal("monoclinic"), {}, {"beta": 90.0})
