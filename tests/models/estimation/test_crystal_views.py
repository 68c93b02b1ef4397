"""Views of one crystal: their sum, and the product of two answers."""

import numpy as np
import pytest
from powder_on_detector import ceria_lines, make_geometry

from phasepilot.models.diffraction.images.frame_reduction import FrameReducer
from phasepilot.models.diffraction.images.polar_views import pattern_of_polar
from phasepilot.models.diffraction.images.ring_image import smooth_rings
from phasepilot.models.estimation.crystal_views import CrystalViews
from phasepilot.models.estimation.view_combination import (
    KnownViews,
    Powers,
    fit_powers,
    joined,
)
from phasepilot.models.networks.estimate import PhaseEstimate, Verdict


def estimate(probabilities: dict[int, float]) -> PhaseEstimate:
    rest = (1 - sum(probabilities.values())) / (230 - len(probabilities))
    values = np.full(230, rest)
    for number, probability in probabilities.items():
        values[number - 1] = probability
    return PhaseEstimate(values, (), (), 0.9, 1.0, 0.1, 0.1, Verdict(True, ""))


def test_the_sum_of_equal_views_is_the_pattern_of_one_with_more_counts() -> None:
    geometry = make_geometry()
    image = smooth_rings(ceria_lines(geometry), geometry)
    polar = FrameReducer(geometry, n_bins=300).reduce(image)
    views = CrystalViews.first(polar, 0.4).with_view(polar).with_view(polar)
    one = pattern_of_polar(polar, 0.4)
    np.testing.assert_allclose(views.pattern.intensity, 3 * one.intensity, rtol=1e-6)
    assert views.n_views == 3


def test_two_answers_that_agree_are_surer_than_either() -> None:
    one = estimate({225: 0.6})
    both = joined(one, one, Powers(pattern=0.9, image=0.9), set_level=0.9)
    assert both.space_group_probabilities[224] > 0.9
    assert both.space_group_set == (225,)
    assert both.entropy_bits < one.entropy_bits + 5
    assert both.space_group_probabilities.sum() == pytest.approx(1.0)


def test_a_power_of_nothing_leaves_the_other_as_it_is() -> None:
    one, other = estimate({225: 0.6}), estimate({14: 0.9})
    alone = joined(one, other, Powers(pattern=1.0, image=0.0), set_level=0.9)
    np.testing.assert_allclose(
        alone.space_group_probabilities, one.space_group_probabilities, rtol=1e-6
    )


def test_the_answer_that_is_worth_more_gets_the_larger_power() -> None:
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(300):
        truth = int(rng.integers(230))
        # Right as often as it says that it is.
        named = truth if rng.random() < 0.8 else int(rng.integers(230))
        right = estimate({named + 1: 0.8}).space_group_probabilities
        guess = estimate({int(rng.integers(230)) + 1: 0.8}).space_group_probabilities
        cases.append(KnownViews(truth, pattern=guess, image=right))
    powers = fit_powers(cases)
    assert powers.image == pytest.approx(1.0, abs=0.15)
    assert powers.pattern < powers.image / 2
