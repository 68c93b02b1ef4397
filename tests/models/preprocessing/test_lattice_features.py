import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.reflection_store import reflection_store
from phasepilot.models.diffraction.images.zone_spots import SpotLists, zone_spots
from phasepilot.models.preprocessing.lattice_features import (
    BLOCKS,
    N_FEATURES,
    lattice_features,
)

# The tetragonal one has a four-fold axis without mirrors, the hexagonal one a screw axis.
CRYSTALS = (
    DIAMOND,
    crystal_from_sites(
        "X", "P 4/m", (4.5, 4.5, 3.0, 90, 90, 90), [("Ti", (0.2, 0.1, 0)), ("O", (0.4, 0.3, 0.5))]
    ),
    crystal_from_sites(
        "Mg", "P 63/m m c", (3.2, 3.2, 5.2, 90, 90, 120), [("Mg", (1 / 3, 2 / 3, 0.25))]
    ),
    crystal_from_sites(
        "M",
        "P 1 2/m 1",
        (5.1, 6.3, 7.2, 90, 104, 90),
        [("Fe", (0, 0, 0)), ("S", (0.31, 0.22, 0.13))],
    ),
)
STORE = reflection_store(CRYSTALS)
AXES = np.array([(1, 0, 0), (0, 0, 1), (1, 1, 1), (0, 1, 1), (2, 1, 0)])
STRUCTURES = np.repeat(np.arange(4), len(AXES))
IDEAL = zone_spots(STORE, STRUCTURES, np.tile(AXES, (4, 1)))
FEATURES = lattice_features(IDEAL)


def block(name, structure, axis):
    return FEATURES[structure * len(AXES) + axis, BLOCKS[name]]


def test_blocks_cover_all_features_once():
    places = np.concatenate([np.arange(N_FEATURES)[own] for own in BLOCKS.values()])
    np.testing.assert_array_equal(places, np.arange(N_FEATURES))


def test_turning_a_pattern_changes_nothing():
    for seed in range(5):
        angles = np.random.default_rng(seed).uniform(0, 360, STRUCTURES.size)
        turned = zone_spots(STORE, STRUCTURES, np.tile(AXES, (4, 1)), angles)
        np.testing.assert_allclose(lattice_features(turned), FEATURES, atol=1e-5)


def test_a_mirror_image_and_another_order_of_spots_change_nothing():
    order = np.concatenate(
        [np.arange(*pair)[::-1] for pair in zip(IDEAL.offsets[:-1], IDEAL.offsets[1:], strict=True)]
    )
    mirrored = SpotLists(
        IDEAL.offsets,
        -IDEAL.x_per_angstrom[order],
        IDEAL.y_per_angstrom[order],
        IDEAL.intensity[order],
    )
    np.testing.assert_allclose(lattice_features(mirrored), FEATURES, atol=1e-5)


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_a_space_group_has_no_size(scale):
    strained = SpotLists(
        IDEAL.offsets, scale * IDEAL.x_per_angstrom, scale * IDEAL.y_per_angstrom, IDEAL.intensity
    )
    np.testing.assert_allclose(lattice_features(strained, 5e-4 * scale), FEATURES, atol=1e-5)


def test_a_four_fold_axis_without_mirrors_is_told_from_one_with():
    # Agreement of amplitudes: under the turn by 90 degree, and under the mirror between a and b.
    turn, mirror = 2, 4 * 4 + 2
    assert block("symmetry", 1, 1)[turn] == pytest.approx(1, abs=1e-4)
    assert block("symmetry", 1, 1)[mirror] < 0.9
    assert block("symmetry", 0, 1)[mirror] == pytest.approx(1, abs=1e-4)


def test_a_six_fold_axis_is_seen_in_lattice_and_intensity():
    six_fold = block("symmetry", 2, 1)[4:8]
    np.testing.assert_allclose(six_fold, 1, atol=1e-4)


def test_a_screw_axis_leaves_no_odd_spot_in_its_row():
    # Along [100] the rows are 0 0 l, extinct where l is odd, and 0 k 0.
    rows = block("rows", 2, 0).reshape(-1, 10)
    largest_odd, n_points = rows[:2, 6], rows[:2, 9]
    assert (largest_odd == 0).sum() == 1
    assert (n_points > 1).all()


def test_patterns_without_a_lattice_have_counts_only():
    x = np.array([0.2, -0.2])
    spots = SpotLists(np.array([0, 0, 2]), x, np.zeros(2), np.ones(2))
    found = lattice_features(spots)
    assert not found[0].any()
    assert found[1, BLOCKS["counts"]].any()
    assert not found[1, BLOCKS["counts"].stop :].any()


def test_the_shortest_spots_are_at_the_beginning_of_the_profile():
    x, y = np.array([0.2, -0.2, 0.0, 0.0]), np.array([0.0, 0.0, 0.3, -0.3])
    found = lattice_features(SpotLists(np.array([0, 4]), x, y, np.array([1, 1, 0.25, 0.25])))
    profile = found[0, BLOCKS["profile"]]
    np.testing.assert_allclose(profile[profile > 0], [0.5, 0.25])
    assert profile[0] > 0


def test_spots_too_weak_to_be_seen_are_not_looked_at():
    x = np.array([0.2, -0.2, 0.0, 0.0, 0.1, -0.1])
    y = np.array([0.0, 0.0, 0.3, -0.3, 0.0, 0.0])
    intensity = np.array([1, 1, 0.5, 0.5, 1e-5, 1e-5])
    seen = lattice_features(SpotLists(np.array([0, 6]), x, y, intensity))
    alone = lattice_features(SpotLists(np.array([0, 4]), x[:4], y[:4], intensity[:4]))
    np.testing.assert_array_equal(seen, alone)
    # |b| / |a| - 1.
    assert seen[0, BLOCKS["metric"].start] == pytest.approx(0.5)
