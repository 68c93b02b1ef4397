import numpy as np
import pytest
from library_samples import make_known, make_pattern

from phasepilot.models.identification.root_pattern import noise_level, root_pattern


@pytest.mark.parametrize("deviation", [0.5, 20.0])
def test_noise_is_measured_on_a_slope(deviation):
    slope = np.linspace(0, 1000, 4096)
    noisy = slope + np.random.default_rng(1).normal(0, deviation, 4096)
    level = noise_level(noisy, np.ones(4096, dtype=bool))
    # A quarter of the windows has less than this.
    assert level == pytest.approx(deviation, rel=0.15)


def test_noise_of_next_to_nothing_measured_is_unknown():
    assert noise_level(np.ones(4096), np.arange(4096) < 40) == 0.0


def test_softening_grows_with_noise():
    quiet, noisy = (
        root_pattern(make_pattern([(make_known("salt"), 1.0)], counts=counts))
        for counts in (1e6, 1e3)
    )
    assert quiet.signal.max() == noisy.signal.max() == 1.0
    assert noisy.softening > 100 * quiet.softening


def test_without_noise_intensities_are_compared_by_roots():
    pattern = root_pattern(make_pattern([(make_known("salt"), 1.0)], counts=1e9))
    assert pattern.rooted(np.array([0.25]))[0] == pytest.approx(0.5, abs=0.01)


def test_what_is_taken_away_leaves_nothing_negative():
    pattern = root_pattern(make_pattern([(make_known("salt"), 1.0)]))
    assert (pattern.without(np.full(pattern.grid.n_bins, 2.0)).signal == 0).all()


def test_only_the_measured_part_is_kept_with_its_place_on_the_grid():
    prepared = make_pattern([(make_known("salt"), 1.0)], span=(20.0, 60.0))
    pattern = root_pattern(prepared)
    measured = np.flatnonzero(prepared.is_measured)
    assert (pattern.first_bin, pattern.grid.n_bins) == (measured[0], measured.size)
    assert np.allclose(pattern.grid.q_per_angstrom, prepared.grid.q_per_angstrom[measured])
