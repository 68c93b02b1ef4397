import numpy as np
import pytest

from phasepilot.models.pattern import Pattern
from phasepilot.models.uncertainty.line_contrast import (
    equivalent_counts,
    hump_contrast,
    line_contrast,
)

Q = np.linspace(0.8, 6.0, 4000)


def gaussian(position, deviation):
    return np.exp(-0.5 * ((Q - position) / deviation) ** 2)


def contrast(counts):
    return line_contrast(equivalent_counts(Pattern.from_q(Q, counts))).deviations


@pytest.mark.parametrize("scale", [1e-3, 0.37, 40.1])
def test_counts_are_recovered_from_scaled_intensities(scale):
    counts = np.random.default_rng(0).poisson(50 + 300 * gaussian(2, 0.5))
    found = equivalent_counts(Pattern.from_q(Q, scale * counts)).counts
    # Cautious by a quarter, and scattered by some tenth.
    assert found.sum() / counts.sum() == pytest.approx(0.8, abs=0.12)


def test_whole_numbers_are_counts_unless_their_maximum_is_round():
    counts = np.random.default_rng(1).poisson(50.0, size=4000).astype(float)
    np.testing.assert_array_equal(equivalent_counts(Pattern.from_q(Q, counts)).counts, counts)
    counts[2000] = 1000
    assert equivalent_counts(Pattern.from_q(Q, counts)).counts[0] != counts[0]


def test_lowest_intensity_of_a_sparse_pattern_is_one_count():
    counts = np.random.default_rng(2).poisson(0.05, size=4000)
    found = equivalent_counts(Pattern.from_q(Q, counts / 3)).counts
    np.testing.assert_allclose(found, counts)


def test_scan_with_every_fourth_point_measured_is_a_coarse_scan():
    counts = np.random.default_rng(3).poisson(50.0, size=4000).astype(float)
    gaps = np.where(np.arange(4000) % 4 == 0, counts, np.nan)
    found = equivalent_counts(Pattern.from_q(Q, gaps))
    np.testing.assert_array_equal(found.counts, counts[::4])
    assert found.step_per_angstrom == pytest.approx(4 * (Q[1] - Q[0]))


def test_deviations_are_those_of_a_matched_filter_at_most():
    # The best possible test of a known line on a flat background b: sum s^2 / (b + s).
    background, line = 100.0, 60 * gaussian(3, 0.02)
    found = [contrast(np.random.default_rng(seed).poisson(background + line)) for seed in range(20)]
    best = np.sqrt((line**2 / (background + line)).sum())
    assert 0.4 * best < np.mean(found) < best


def test_broad_line_of_small_crystallites_is_found():
    # 5 nm: 0.11 1/angstrom wide, standard deviation 0.048.
    expected = 200 + 400 * gaussian(3, 0.048)
    assert contrast(np.random.default_rng(4).poisson(expected)) > 20


@pytest.mark.parametrize("deviation", [0.2, 0.4, 0.7])
def test_humps_are_no_lines_however_many_counts(deviation):
    assert contrast(np.rint(1e7 * (0.1 + gaussian(2, deviation)))) < 1


def test_hump_is_told_from_a_background_that_falls():
    def hump(expected):
        counts = np.random.default_rng(5).poisson(expected)
        return hump_contrast(equivalent_counts(Pattern.from_q(Q, counts))).deviations

    assert hump(200 + 100 * gaussian(2, 0.4)) > 20
    assert hump(200 + 1000 * np.exp(-(Q - Q[0]) / 0.5)) < 4


def test_hot_pixel_is_no_line():
    counts = np.random.default_rng(6).poisson(20.0, size=4000)
    counts[1234] = 1_000_000
    assert contrast(counts) < 6
