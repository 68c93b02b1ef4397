import numpy as np

from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.images.reflection_store import reflection_store
from phasepilot.models.diffraction.images.worn_spots import worn_spots
from phasepilot.models.diffraction.images.zone_spots import zone_spots

N_PATTERNS = 400
STORE = reflection_store([DIAMOND])
IDEAL = zone_spots(STORE, np.zeros(N_PATTERNS, dtype=int), np.tile([1, 1, 0], (N_PATTERNS, 1)))
WORN = worn_spots(IDEAL, np.random.default_rng(0))


def patterns(spots):
    return [slice(*pair) for pair in zip(spots.offsets[:-1], spots.offsets[1:], strict=True)]


def test_the_strongest_spot_of_each_pattern_is_1():
    largest = [WORN.spots.intensity[own].max() for own in patterns(WORN.spots)]
    np.testing.assert_allclose(largest, 1)


def test_a_third_is_only_strained():
    n_same = 0
    for one, other in zip(patterns(WORN.spots), patterns(IDEAL), strict=True):
        scales = WORN.spots.x_per_angstrom[one].max() / IDEAL.x_per_angstrom[other].max()
        same_size = WORN.spots.intensity[one].size == IDEAL.intensity[other].size
        n_same += (
            same_size
            and np.allclose(WORN.spots.x_per_angstrom[one], scales * IDEAL.x_per_angstrom[other])
            and np.allclose(WORN.spots.intensity[one], IDEAL.intensity[other])
        )
    assert 0.3 < n_same / N_PATTERNS < 0.5


def test_spots_are_lost_and_strays_are_added():
    before, after = np.diff(IDEAL.offsets), np.diff(WORN.spots.offsets)
    assert (after < before).mean() > 0.1
    assert (after > before).any()
    assert (after <= before + 4).all()


def test_errors_of_positions_are_as_large_as_is_said():
    error = WORN.position_error_per_angstrom
    assert error.min() == 5e-4
    assert 1e-3 < error.max() < 3e-3


def test_the_same_seed_gives_the_same_patterns():
    again = worn_spots(IDEAL, np.random.default_rng(0))
    np.testing.assert_array_equal(again.spots.x_per_angstrom, WORN.spots.x_per_angstrom)


def test_a_pattern_without_spots_stays_without_unless_it_gets_strays():
    empty = zone_spots(STORE, np.zeros(0, dtype=int), np.zeros((0, 3), dtype=int))
    assert worn_spots(empty, np.random.default_rng(0)).spots.n_patterns == 0
