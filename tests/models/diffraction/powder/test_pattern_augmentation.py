import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import shift as scipy_shift

from phasepilot.models.diffraction.powder.pattern_augmentation import (
    LabelledPatterns,
    ThinFilmAugmentation,
    add_bounded_noise,
    add_uniform_noise,
    augment_thin_film,
    draw_synthetic_patterns,
    eliminate_selected,
    rescale_min_max,
    scale_selected,
    shift_patterns,
    synthesise_patterns,
)
from phasepilot.models.errors import PatternError

# The axis of Oviedo et al.: 1,200 points of 0.04 deg.
STEP_DEG = 0.04
NOTHING = {"scaled_fraction": 0.0, "eliminated_fraction": 0.0, "largest_shift_deg": 0.0}

patterns = arrays(np.float64, (3, 40), elements=st.floats(0, 1e6, width=32))
selections = arrays(np.bool_, (3, 40))


def make_gaussians(centres, *, n_points=1200, sigma=5.0):
    points = np.arange(n_points)
    return np.exp(-0.5 * ((points - np.asarray(centres)[:, None]) / sigma) ** 2)


def augment(intensity, *, seed=0, step_deg=STEP_DEG, **changes):
    return augment_thin_film(
        intensity,
        step_deg=step_deg,
        augmentation=ThinFilmAugmentation(**changes),
        rng=np.random.default_rng(seed),
    )


@settings(deadline=None)
@given(intensity=patterns, is_selected=selections, factor=st.floats(0, 10))
def test_scaling_touches_the_selected_points_only(intensity, is_selected, factor):
    scaled = scale_selected(intensity, is_selected, factor)
    np.testing.assert_array_equal(scaled[~is_selected], intensity[~is_selected])
    np.testing.assert_array_equal(scaled[is_selected], factor * intensity[is_selected])


@settings(deadline=None)
@given(intensity=patterns, is_selected=selections)
def test_elimination_is_scaling_by_zero(intensity, is_selected):
    np.testing.assert_array_equal(
        eliminate_selected(intensity, is_selected), scale_selected(intensity, is_selected, 0.0)
    )


@pytest.mark.parametrize(
    ("n_steps", "expected"),
    [(2, [0, 0, 1, 2, 3]), (-2, [3, 4, 5, 0, 0]), (0, [1, 2, 3, 4, 5]), (-4, [5, 0, 0, 0, 0])],
)
def test_a_shift_by_whole_steps_is_exact_and_brings_in_zeros(n_steps, expected):
    intensity = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    shifted = shift_patterns(intensity, shift_deg=np.array([n_steps * 0.04]), step_deg=0.04)
    np.testing.assert_array_equal(shifted, [expected])


@settings(deadline=None)
@given(intensity=patterns, steps=arrays(np.float64, 3, elements=st.floats(-39, 39)))
def test_each_pattern_is_shifted_as_scipy_shifts_it(intensity, steps):
    shifted = shift_patterns(intensity, shift_deg=steps * STEP_DEG, step_deg=STEP_DEG)
    expected = [
        scipy_shift(row, by, order=1, mode="grid-constant")
        for row, by in zip(intensity, steps, strict=True)
    ]
    # 1e6 counts times the rounding of a shift by 40 steps.
    np.testing.assert_allclose(shifted, expected, atol=1e-7)


@settings(deadline=None)
@given(shift_deg=arrays(np.float64, 2, elements=st.floats(-0.8, 0.8)))
def test_a_shift_moves_the_centroid_and_keeps_the_area(shift_deg):
    intensity = make_gaussians([500.0, 700.0])
    shifted = shift_patterns(intensity, shift_deg=shift_deg, step_deg=STEP_DEG)
    points = np.arange(intensity.shape[1])
    np.testing.assert_allclose(shifted.sum(axis=1), intensity.sum(axis=1), rtol=1e-9)
    centroids = shifted @ points / shifted.sum(axis=1)
    np.testing.assert_allclose(centroids, [500, 700] + shift_deg / STEP_DEG, atol=1e-6)


@pytest.mark.parametrize("shift_deg", [0.2, -0.2, np.nan, np.inf])
def test_a_shift_off_the_axis_is_refused(shift_deg):
    with pytest.raises(PatternError, match=r"smaller than the axis of 0\.2 deg.*both degrees\?"):
        shift_patterns(np.ones((1, 5)), shift_deg=np.array([shift_deg]), step_deg=0.04)


def test_a_thin_film_of_no_changes_is_the_pattern_from_0_to_1():
    intensity = 3 + 700 * make_gaussians([300.0, 900.0])
    np.testing.assert_array_equal(augment(intensity, **NOTHING), rescale_min_max(intensity))


def test_blocks_of_the_stated_width_share_one_factor():
    factors = augment(np.ones((50, 1200)), **NOTHING | {"scaled_fraction": 1.0})
    changes_at = np.flatnonzero((np.diff(factors, axis=1) != 0).any(axis=0)) + 1
    # 0.52 deg are 13 points; 1200 / 13 leaves a shorter block at the end, scaled like the others.
    np.testing.assert_array_equal(changes_at, np.arange(13, 1200, 13))


@pytest.mark.parametrize(("block_deg", "points"), [(0.15, 4), (0.17, 4), (0.01, 1)])
def test_a_block_is_the_nearest_number_of_points_and_at_least_one(block_deg, points):
    scaling = {"scaled_fraction": 1.0, "scaling_block_deg": block_deg}
    factors = augment(np.ones((50, 60)), **NOTHING | scaling)
    changes_at = np.flatnonzero((np.diff(factors, axis=1) != 0).any(axis=0)) + 1
    np.testing.assert_array_equal(changes_at, np.arange(points, 60, points))


def test_factors_are_drawn_evenly_from_the_smallest_to_1():
    # A single point at 1 in front keeps the scale through the normalisation to 0..1.
    intensity = np.ones((4000, 40))
    intensity[:, 0] = 0
    scaled = augment(
        intensity, **NOTHING | {"scaled_fraction": 1.0, "smallest_factor": 0.6}, step_deg=1.0
    )
    # The highest of 39 even draws from 0.6 to 1 becomes 1, so the lowest lies above 0.6.
    assert scaled[:, 1:].min() >= 0.6
    # Mean 0.8 over a mean largest of 0.6 + 0.4 * 39/40; 156,000 draws are good to 1e-3.
    assert scaled[:, 1:].mean() == pytest.approx(0.8 / (0.6 + 0.4 * 39 / 40), abs=2e-3)


def test_a_third_of_the_blocks_of_four_points_is_eliminated():
    intensity = np.ones((200, 1200))
    left = augment(intensity, **NOTHING | {"eliminated_fraction": 1 / 3})
    blocks = left.reshape(200, 300, 4)
    assert set(np.unique(left)) == {0.0, 1.0}
    np.testing.assert_array_equal(blocks.min(axis=2), blocks.max(axis=2))
    # 60,000 blocks: one standard deviation is 0.0019.
    assert (left == 0).mean() == pytest.approx(1 / 3, abs=0.01)


def test_scaling_and_elimination_choose_their_blocks_apart():
    same_width = {"scaling_block_deg": 0.16, "scaled_fraction": 0.5, "eliminated_fraction": 0.5}
    left = augment(np.ones((400, 1200)), **NOTHING | same_width)
    # Half of what is not eliminated is not scaled either: the highest value, 1.
    assert (left == 1).mean() == pytest.approx(0.25, abs=0.01)


def test_shifts_fill_the_stated_range():
    intensity = make_gaussians(np.full(2000, 600.0))
    shifted = augment(intensity, **NOTHING | {"largest_shift_deg": 0.8})
    centroids = shifted @ np.arange(1200) / shifted.sum(axis=1)
    moved_deg = (centroids - 600) * STEP_DEG
    assert -0.8 <= moved_deg.min() < -0.79
    assert 0.79 < moved_deg.max() <= 0.8
    assert moved_deg.mean() == pytest.approx(0, abs=0.05)


def test_lines_shift_after_their_neighbourhood_was_eliminated():
    # Were the pattern shifted first, cut edges would lie at whole blocks of four points.
    left = augment(np.ones((300, 1200)), eliminated_fraction=0.3, scaled_fraction=0.0)
    starts = np.argmax((left[:, 100:-1] == 0) & (left[:, 101:] > 0), axis=1)
    assert set(starts % 4) == {0, 1, 2, 3}


def test_a_film_whose_lines_are_all_gone_is_zero_not_nan():
    left = augment(make_gaussians([600.0]), eliminated_fraction=1.0)
    np.testing.assert_array_equal(left, 0.0)


def test_the_seed_decides_the_film_and_the_input_is_left_alone():
    intensity = make_gaussians([300.0, 900.0])
    before = intensity.copy()
    first, again, other = (augment(intensity, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(intensity, before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eliminated_fraction": 33.0}, r"eliminated_fraction must lie in \[0, 1\], but is 33;.*"),
        ({"scaled_fraction": -0.1}, "scaled_fraction must .* but is -0.1; give a fraction"),
        ({"smallest_factor": 1.5}, "smallest_factor must .* but is 1.5"),
        ({"scaling_block_deg": 0.0}, "scaling_block_deg must be positive.*set its fraction to 0"),
        ({"elimination_block_deg": float("nan")}, "elimination_block_deg must .* but is nan"),
        ({"largest_shift_deg": -1.0}, "largest_shift_deg must be 0 or more, but is -1;"),
    ],
)
def test_an_impossible_thin_film_is_refused(changes, message):
    with pytest.raises(PatternError, match=message):
        ThinFilmAugmentation(**changes)


@settings(deadline=None)
@given(intensity=patterns)
def test_rescaled_patterns_run_from_0_to_1_or_are_flat(intensity):
    rescaled = rescale_min_max(intensity)
    assert (rescaled.min(axis=1) == 0).all()
    is_flat = np.ptp(intensity, axis=1) == 0
    np.testing.assert_array_equal(rescaled.max(axis=1), np.where(is_flat, 0.0, 1.0))


def test_a_mixture_does_not_depend_on_the_scale_of_its_parts():
    real, virtual = make_gaussians([300.0]), make_gaussians([700.0])
    mixed = synthesise_patterns(1000 * real, 5 + 0.1 * virtual, np.array([0.25]))
    np.testing.assert_allclose(mixed, real + 0.25 * virtual, atol=1e-12)


def test_a_mixture_without_virtual_weight_is_the_real_pattern():
    real, virtual = make_gaussians([300.0]), make_gaussians([700.0])
    mixed = synthesise_patterns(real, virtual, np.array([0.0]))
    np.testing.assert_array_equal(mixed, rescale_min_max(real))


def test_parts_on_different_axes_are_refused():
    with pytest.raises(PatternError, match=r"\(1, 5\) and \(1, 6\); simulate both on one axis"):
        synthesise_patterns(np.ones((1, 5)), np.ones((1, 6)), np.ones(1))


def make_spikes(labels, *, first_point, n_points=40):
    """Return patterns that are zero but for a 1 at a point that tells their label."""
    labels = np.asarray(labels)
    intensity = np.zeros((labels.size, n_points))
    intensity[np.arange(labels.size), first_point + labels] = 1
    return LabelledPatterns(intensity, labels)


def test_real_patterns_are_mixed_with_virtual_ones_of_their_class():
    real = make_spikes([3, 3, 3, 1, 7], first_point=0)
    virtual = make_spikes([1, 3, 5, 1, 3], first_point=20)
    mixed = draw_synthetic_patterns(real, virtual, n_patterns=4000, rng=np.random.default_rng(0))
    rows = np.arange(4000)
    # Class 7 has no virtual partner, class 5 no real one.
    assert set(mixed.labels) == {1, 3}
    np.testing.assert_array_equal(mixed.intensity[rows, mixed.labels], 1.0)
    epsilon = mixed.intensity[rows, 20 + mixed.labels]
    np.testing.assert_allclose(mixed.intensity.sum(axis=1), 1 + epsilon)
    # Even draws: mean 1/2 and variance 1/12, each good to 1 % with 4,000.
    assert epsilon.mean() == pytest.approx(0.5, abs=0.02)
    assert epsilon.var() == pytest.approx(1 / 12, abs=0.005)
    # Three real patterns of class 3 to one of class 1.
    assert (mixed.labels == 3).mean() == pytest.approx(0.75, abs=0.03)


def test_every_virtual_pattern_of_a_class_is_used():
    real = LabelledPatterns(np.eye(1, 9, 8), np.array([62]))
    # Six virtual patterns of class 62 among others, told apart by the point of their spike.
    labels = np.array([14, 62, 62, 14, 62, 62, 62, 62])
    virtual = LabelledPatterns(np.eye(8, 9), labels)
    mixed = draw_synthetic_patterns(real, virtual, n_patterns=300, rng=np.random.default_rng(0))
    partners = np.argmax(mixed.intensity[:, :8], axis=1)
    counts = np.bincount(partners, minlength=8)
    assert (counts[labels == 14] == 0).all()
    # 50 expected each; 25 would be four standard deviations off.
    assert (counts[labels == 62] > 25).all()


def test_sets_without_a_common_class_are_refused():
    with pytest.raises(PatternError, match=r"are of \[1, 2\] and the virtual ones of \[3\]; label"):
        draw_synthetic_patterns(
            make_spikes([2, 1, 1], first_point=0),
            make_spikes([3], first_point=0),
            n_patterns=1,
            rng=np.random.default_rng(0),
        )


def test_patterns_without_their_labels_are_refused():
    with pytest.raises(PatternError, match=r"2 patterns came with labels of shape \(3,\)"):
        LabelledPatterns(np.zeros((2, 5)), np.array([1, 2, 3]))


def test_uniform_noise_lies_between_0_2_and_2_percent_of_the_highest_point():
    intensity = np.array([[1000.0], [5.0]]) * make_gaussians([300.0, 900.0])
    noisy = add_uniform_noise(intensity, smallest=0.002, largest=0.02, rng=np.random.default_rng(0))
    share = (noisy - intensity) / intensity.max(axis=1, keepdims=True)
    assert share.min() >= 0.002 - 1e-12
    assert share.max() <= 0.02 + 1e-12
    # 2,400 even draws: mean 0.011, standard deviation 0.018 / sqrt(12).
    assert share.mean() == pytest.approx(0.011, abs=5e-4)
    assert share.std() == pytest.approx(0.018 / np.sqrt(12), rel=0.05)


def test_uniform_noise_also_fills_the_space_between_lines():
    noisy = add_uniform_noise(
        np.eye(1, 100), smallest=0.002, largest=0.02, rng=np.random.default_rng(0)
    )
    assert (noisy[0, 1:] > 0).all()


def test_bounded_noise_stays_between_0_and_its_level():
    intensity = 1000 * make_gaussians(np.full(200, 600.0))
    noisy = add_bounded_noise(intensity, smallest=0.05, largest=0.05, rng=np.random.default_rng(0))
    share = (noisy - intensity) / 1000
    assert share.min() >= -1e-12
    assert share.max() <= 0.05 + 1e-12
    assert share.mean() == pytest.approx(0.025, abs=1e-4)
    # Cutting at three standard deviations takes 0.3 % of the width.
    assert share.std() == pytest.approx(0.05 / 6, rel=0.01)


def test_bounded_noise_has_a_level_of_its_own_for_each_pattern():
    intensity = make_gaussians(np.full(500, 600.0))
    noisy = add_bounded_noise(intensity, smallest=0.01, largest=0.05, rng=np.random.default_rng(0))
    levels = 2 * (noisy - intensity).mean(axis=1)
    # The mean of 1,200 draws is good to 1 % of the level.
    assert levels.min() == pytest.approx(0.01, abs=1e-3)
    assert levels.max() == pytest.approx(0.05, abs=1e-3)
    assert levels.mean() == pytest.approx(0.03, abs=2e-3)


@pytest.mark.parametrize(
    "act",
    [
        lambda intensity, rng: augment_thin_film(
            intensity, step_deg=0.04, augmentation=ThinFilmAugmentation(), rng=rng
        ),
        lambda intensity, rng: shift_patterns(intensity, shift_deg=np.zeros(1), step_deg=0.04),
        lambda intensity, rng: synthesise_patterns(intensity, intensity, np.zeros(1)),
        lambda intensity, rng: LabelledPatterns(intensity, np.zeros(1)),
        lambda intensity, rng: add_uniform_noise(intensity, smallest=0, largest=1, rng=rng),
        lambda intensity, rng: add_bounded_noise(intensity, smallest=0, largest=1, rng=rng),
    ],
)
def test_a_single_pattern_must_come_as_a_batch_of_one(act):
    with pytest.raises(PatternError, match=r"\(n_patterns, n_points\), but has \(10,\); give"):
        act(np.ones(10), np.random.default_rng(0))
