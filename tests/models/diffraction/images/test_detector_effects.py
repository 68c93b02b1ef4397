import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasepilot.models.diffraction.images.detector_effects import (
    air_scatter,
    beam_stop,
    counted,
    dead_pixels,
    diffuse_ring,
    gaussian_spread,
    module_gaps,
    quantised,
    radius_px,
    saturated,
    scaled_to_brightest,
    tailed_spread,
    with_hot_pixels,
)
from phasepilot.models.errors import PatternError


def make_point(shape=(101, 121), place=(50, 60), photons=1000.0):
    image = np.zeros(shape, dtype=np.float32)
    image[place] = photons
    return image


def make_stack():
    rng = np.random.default_rng(5)
    return rng.random((2, 3, 40, 50), dtype=np.float32)


def test_air_scatter_falls_by_e_in_its_decay_length():
    background = air_scatter(radius_px((1, 60), (0, 0)), amplitude=200.0, decay=25.0)
    assert background[0, [0, 25, 50]] == pytest.approx([200.0, 200 / np.e, 200 / np.e**2])


def test_a_diffuse_ring_is_highest_at_its_radius_and_has_its_width():
    ring = diffuse_ring(radius_px((1, 200), (0, 0)), amplitude=30.0, centre=80.0, width=12.0)
    assert ring.argmax() == 80
    assert ring[0, [80, 92, 56]] == pytest.approx([30, 30 * np.exp(-0.5), 30 * np.exp(-2)])


def test_the_brightest_pixel_of_each_image_is_scaled_alike():
    scaled = scaled_to_brightest(make_stack(), 500.0)
    assert scaled.max(axis=(-2, -1)) == pytest.approx(np.full((2, 3), 500.0))
    assert scaled.dtype == np.float32


def test_an_empty_image_cannot_be_scaled():
    with pytest.raises(PatternError, match="to be scaled, but its brightest is 0; draw"):
        scaled_to_brightest(np.zeros((4, 4), dtype=np.float32), 100.0)


def test_a_gaussian_spread_keeps_the_photons_and_adds_its_variance():
    spread = gaussian_spread(make_point(), 2.5)
    variance = (spread.sum(axis=0) * (np.arange(121) - 60) ** 2).sum() / spread.sum()
    assert spread.sum() == pytest.approx(1000.0, rel=1e-5)
    assert variance == pytest.approx(2.5**2, rel=0.01)


def test_a_gaussian_spread_leaves_an_even_background_even():
    assert gaussian_spread(np.full((30, 30), 7.0, dtype=np.float32), 3.0) == pytest.approx(7.0)


@pytest.mark.parametrize("spread", [gaussian_spread, tailed_spread])
def test_images_of_a_stack_are_spread_one_by_one(spread):
    stack = make_stack()
    together = spread(stack, 1.2)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together[1, 2], spread(stack[1, 2], 1.2), atol=1e-5)


def test_half_of_the_light_of_a_tailed_spread_is_within_root_three_heights():
    # 1 - g / sqrt(g^2 + r^2) = 1/2
    spread = tailed_spread(make_point((601, 601), (300, 300), 1.0), 20.0)
    inside = radius_px((601, 601), (300, 300)) <= 20.0 * np.sqrt(3)
    assert spread[inside].sum() == pytest.approx(0.5, abs=0.005)


def test_the_tails_fall_with_the_cube_of_the_distance():
    spread = tailed_spread(make_point((301, 301), (150, 150), 1e6), 0.5)
    assert spread[150, 170] / spread[150, 190] == pytest.approx(8.0, rel=0.01)
    assert spread[150, 170] == pytest.approx(1e6 * 0.5 / (2 * np.pi * 20**3), rel=0.01)


def test_two_tailed_spreads_are_one_of_the_summed_height():
    # Their transforms are exp(-2 pi g |f|); heights of many pixels make the pixels negligible.
    point = make_point((201, 201), (100, 100), 1.0)
    twice, once = tailed_spread(tailed_spread(point, 4.0), 6.0), tailed_spread(point, 10.0)
    near = np.s_[80:121, 80:121]
    np.testing.assert_allclose(twice[near], once[near], rtol=0.02)


def test_light_that_leaves_one_edge_does_not_come_in_at_the_other():
    spread = tailed_spread(make_point((64, 96), (2, 3), 1e6), 0.5)
    whole = tailed_spread(make_point((164, 196), (52, 53), 1e6), 0.5)
    np.testing.assert_allclose(spread, whole[50:114, 50:146], rtol=1e-3, atol=0.1)
    assert spread.min() >= 0


def test_counts_have_the_mean_and_the_variance_of_poisson():
    image = np.full((400, 400), 25.0, dtype=np.float32)
    counts = counted(image, np.random.default_rng(0))
    # Five standard errors of 160,000 pixels.
    assert counts.mean() == pytest.approx(25.0, abs=5 * 5 / 400)
    assert counts.var() == pytest.approx(25.0, abs=5 * 25 * np.sqrt(2) / 400)
    assert (counts == np.rint(counts)).all()


def test_where_nothing_is_expected_nothing_is_counted():
    assert not counted(np.zeros((50, 50), dtype=np.float32), np.random.default_rng(0)).any()


@pytest.mark.parametrize(("bad", "shown"), [(-0.5, "-0.5"), (np.nan, "nan")])
def test_negative_or_missing_expectations_are_refused(bad, shown):
    image = make_point(photons=3.0)
    image[1, 1] = bad
    with pytest.raises(PatternError, match=f"go down to {shown}; clip or mask the image"):
        counted(image, np.random.default_rng(0))


def test_saturated_pixels_are_cut_and_flagged():
    image = np.array([[1.0, 9.9, 10.0, 1e6]], dtype=np.float32)
    cut, is_measured = saturated(image, 10.0)
    assert cut == pytest.approx(np.array([[1.0, 9.9, 10.0, 10.0]]))
    assert is_measured.tolist() == [[True, True, False, False]]


def test_quantised_images_are_rounded_int32():
    image = np.array([[-3.2, 0.4, 0.6, 21.0, 1e12]], dtype=np.float32)
    assert quantised(image).tolist() == [[-3, 0, 1, 21, 2**31 - 1]]
    assert quantised(image, photons_per_unit=10.0)[0, 3] == 2
    assert quantised(image).dtype == np.int32


def test_hot_pixels_are_the_same_in_all_images_of_a_stack():
    stack = np.zeros((3, 200, 300), dtype=np.float32)
    hot = with_hot_pixels(stack, 0.01, photons=5e4, rng=np.random.default_rng(1))
    assert set(np.unique(hot)) == {0.0, 5e4}
    assert (hot == hot[0]).all()
    # Five standard deviations of a binomial of 60,000 pixels.
    assert np.count_nonzero(hot[0]) == pytest.approx(600, abs=5 * np.sqrt(600))
    assert not stack.any()


@given(fraction=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_dead_pixels_make_up_their_fraction(fraction, seed):
    mask = dead_pixels((100, 100), fraction, np.random.default_rng(seed))
    assert mask.shape == (100, 100)
    assert (~mask).sum() == pytest.approx(10_000 * fraction, abs=6 * 50 + 1)
    assert not (fraction == 1 and mask.any())
    assert not (fraction == 0 and not mask.all())


def test_a_seed_repeats_everything():
    image = np.full((60, 60), 4.0, dtype=np.float32)

    def measured(seed):
        rng = np.random.default_rng(seed)
        return with_hot_pixels(counted(image, rng), 0.01, photons=100.0, rng=rng)

    assert (measured(8) == measured(8)).all()
    assert (measured(8) != measured(9)).any()


def test_a_beam_stop_hides_a_disc_and_its_arm_to_the_edge():
    mask = beam_stop((200, 300), (100, 120), radius=20, arm_width=8, arm_angle_deg=0)
    assert not mask[100, 120]
    assert not mask[100, 120:].any()
    assert mask[100, :99].all()
    assert not mask[100:105, 299].any()
    assert mask[106, 299]
    # The disc, and what the arm (9 rows) has beyond its right half.
    expected = np.pi * 20**2 + 9 * (300 - 120 - 20)
    assert (~mask).sum() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("angle_deg", "dark", "lit"),
    [(90, (0, 50), (99, 50)), (180, (50, 0), (50, 99)), (270, (99, 50), (0, 50))],
)
def test_the_arm_of_a_beam_stop_points_counter_clockwise(angle_deg, dark, lit):
    mask = beam_stop((100, 100), (50, 50), radius=5, arm_width=3, arm_angle_deg=angle_deg)
    assert not mask[dark]
    assert mask[lit]


def test_module_gaps_are_those_of_a_pilatus():
    detectors = pytest.importorskip("pyFAI.detectors", reason="pyFAI knows the real detector")
    pilatus = detectors.detector_factory("Pilatus1M")
    mask = module_gaps(pilatus.shape, module=(195, 487), gap=(17, 7))
    assert (mask == (pilatus.mask == 0)).all()


@pytest.mark.parametrize("fraction", [-0.1, 1.5, np.nan])
def test_fractions_are_from_zero_to_one(fraction):
    with pytest.raises(PatternError, match="fraction must be from 0 to 1, but is"):
        dead_pixels((10, 10), fraction, np.random.default_rng(0))


def test_spreads_have_a_width():
    with pytest.raises(PatternError, match="sigma_px must not be negative, but is -1"):
        gaussian_spread(make_point(), -1.0)
    with pytest.raises(PatternError, match="height_px must be positive, but is 0"):
        tailed_spread(make_point(), 0.0)
