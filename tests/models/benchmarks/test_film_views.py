"""Thin films on a common axis, and what is compared of them."""

import numpy as np
import pytest

from phasepilot.models.benchmarks.film_views import (
    NEAREST_NEIGHBOUR_VIEW,
    TWO_THETA_DEG,
    VIEWS,
    Films,
    films,
    unit_vectors,
)
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern

CU_ANGSTROM = 1.5418


def make_pattern(lines_deg, *, start=5.0, stop=60.0, step=0.04, background=200.0):
    angles = np.arange(start, stop, step)
    counts = background + sum(
        5000 * np.exp(-0.5 * ((angles - line) / 0.12) ** 2) for line in lines_deg
    )
    return Pattern.from_two_theta(angles, counts, wavelength_angstrom=CU_ANGSTROM)


def test_counts_of_measured_points_are_kept_whatever_the_step() -> None:
    seen = films([make_pattern([20.0, 30.0]), make_pattern([20.0, 30.0], step=0.02)])
    np.testing.assert_allclose(seen.counts[0], seen.counts[1], rtol=1e-6)
    assert seen.is_measured.all()


def test_what_lies_outside_the_measured_range_is_marked() -> None:
    seen = films([make_pattern([20.0], start=10.0)])
    np.testing.assert_array_equal(seen.is_measured[0], TWO_THETA_DEG >= 10.0 - 1e-6)
    shown = unit_vectors(seen, NEAREST_NEIGHBOUR_VIEW)[0]
    assert not shown[TWO_THETA_DEG < 9.99].any()


def test_vectors_have_length_one_and_ignore_scale() -> None:
    faint, bright = make_pattern([20.0, 30.0]), make_pattern([20.0, 30.0])
    bright = Pattern(bright.q_per_angstrom, 50 * bright.intensity, bright.is_measured, CU_ANGSTROM)
    first, second = unit_vectors(films([faint, bright]), VIEWS)
    assert np.linalg.norm(first) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_flat_background_is_not_seen() -> None:
    low, high = unit_vectors(
        films([make_pattern([20.0], background=10.0), make_pattern([20.0], background=4000.0)]),
        VIEWS,
    )
    assert float(low @ high) > 0.999


def test_a_coarse_scan_still_resembles_the_fine_one_more_than_another_film() -> None:
    seen = films([make_pattern([14.0, 24.4, 31.8]), make_pattern([15.2, 22.0, 35.0])])
    own, other = unit_vectors(seen, VIEWS) @ unit_vectors(seen.coarser(16), VIEWS)[0]
    assert own > 0.8 > 0.3 > other


def test_coarser_films_keep_every_kth_point_from_the_first_asked_for() -> None:
    seen = films([make_pattern([20.0])])
    coarse = seen.coarser(8, first=2)
    np.testing.assert_array_equal(coarse.counts, seen.counts[:, 2::8])
    assert coarse.step_deg == pytest.approx(0.32)


def test_thinned_counts_are_poisson_counts_of_the_share() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(100.0, (50, 1200)).astype(float)
    thin = Films(TWO_THETA_DEG, counts, counts > -1).thinned(0.1, rng).counts
    assert thin.mean() == pytest.approx(10.0, rel=0.01)
    # Of Poisson counts the variance is the mean.
    assert thin.var() == pytest.approx(10.0, rel=0.03)


def test_a_pattern_without_wavelength_is_refused() -> None:
    pattern = Pattern.from_q(np.linspace(1, 4, 50), np.ones(50))
    with pytest.raises(PatternError, match="thin films are compared at the angles"):
        films([pattern])
