import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.element_statistics import (
    common_elements,
    element_shares,
)
from phasepilot.models.diffraction.crystals.random_composition import (
    MOST_ATOMS,
    MOST_ORBITS,
    draw_elements,
    draw_positions,
    occupation_weight,
)

# As in F m -3 m: a, b and c are fixed, f may move on a line, l is general.
MULTIPLICITIES = np.array([4, 4, 8, 32, 192])
FREEDOM = np.array([0, 0, 0, 1, 3])
N = 4000


@pytest.fixture(scope="module")
def positions():
    return draw_positions(
        np.tile(occupation_weight(MULTIPLICITIES, FREEDOM), (N, 1)),
        np.tile(MULTIPLICITIES, (N, 1)),
        np.tile(FREEDOM == 0, (N, 1)),
        np.random.default_rng(0),
    )


def test_one_to_eight_orbits_are_drawn_special_ones_first(positions):
    n_orbits = (positions >= 0).sum(axis=1)
    assert n_orbits.min() == 1
    assert n_orbits.max() == MOST_ORBITS
    ordered = np.where(positions < 0, len(MULTIPLICITIES), positions)
    assert (np.diff(ordered, axis=1) >= 0).all()


def test_a_fixed_point_is_occupied_once_at_most(positions):
    for fixed in np.flatnonzero(FREEDOM == 0):
        assert (positions == fixed).sum(axis=1).max() == 1


def test_the_cell_never_overflows(positions):
    n_atoms = np.where(positions >= 0, MULTIPLICITIES[positions], 0).sum(axis=1)
    assert n_atoms.max() <= MOST_ATOMS


def test_single_orbits_are_drawn_by_weight(positions):
    single = positions[(positions >= 0).sum(axis=1) == 1, 0]
    weights = np.exp(occupation_weight(MULTIPLICITIES, FREEDOM))
    found = np.bincount(single, minlength=5) / single.size
    assert found == pytest.approx(weights / weights.sum(), abs=0.08)


def test_elements_are_drawn_as_often_as_crystals_hold_them():
    drawn = draw_elements(np.ones((N, 1), dtype=bool), np.random.default_rng(0))
    shares = element_shares() / element_shares().sum()
    found = np.bincount(drawn[:, 0], minlength=common_elements().max() + 1)[common_elements()] / N
    assert np.abs(found - shares).max() < 0.02


def test_every_element_has_an_orbit_and_empty_slots_have_none():
    rng = np.random.default_rng(1)
    is_occupied = np.arange(MOST_ORBITS) < rng.integers(1, MOST_ORBITS + 1, size=(N, 1))
    drawn = draw_elements(is_occupied, rng)
    assert ((drawn > 0) == is_occupied).all()
    n_elements = np.array([np.unique(row[row > 0]).size for row in drawn])
    full = is_occupied.sum(axis=1) >= 6
    # One to six elements in a thousand of the structures of the table.
    shares = np.bincount(n_elements[full], minlength=7)[1:] / full.sum()
    assert shares == pytest.approx([0.010, 0.143, 0.427, 0.284, 0.102, 0.034], abs=0.04)
