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


def test_some_are_only_strained_and_some_only_cut_off_farther_in():
    n_same = n_cut = 0
    for one, other in zip(patterns(WORN.spots), patterns(IDEAL), strict=True):
        n = WORN.spots.intensity[one].size
        length = np.hypot(IDEAL.x_per_angstrom[other], IDEAL.y_per_angstrom[other])
        left = np.sort(np.argsort(length, kind="stable")[:n])
        same = n <= length.size and np.allclose(
            WORN.spots.intensity[one], IDEAL.intensity[other][left]
        )
        n_same += same and n == length.size
        n_cut += same and n < length.size
    # Two fifths are not worn; a radial factor and a shorter reach leave 0.7 of them as they are.
    assert 0.2 < n_same / N_PATTERNS < 0.35
    assert 0.05 < n_cut / N_PATTERNS < 0.2


def test_friedel_mates_are_alike_in_ideal_and_integrated_patterns():
    n_alike = 0
    for own in patterns(WORN.spots):
        x, y, intensity = (
            WORN.spots.x_per_angstrom[own],
            WORN.spots.y_per_angstrom[own],
            WORN.spots.intensity[own],
        )
        n_alike += (
            x.size % 2 == 0
            and np.allclose(x[::2], -x[1::2])
            and np.allclose(y[::2], -y[1::2])
            and np.array_equal(intensity[::2], intensity[1::2])
        )
    # Two fifths are ideal, three tenths integrated.
    assert 0.6 < n_alike / N_PATTERNS < 0.85


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
