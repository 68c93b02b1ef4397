"""Predictions of many patterns, those that are refused among them."""

import numpy as np
import pytest
from benchmark_cases import TWO_THETA_DEG, WAVELENGTH_ANGSTROM, Librarian, make_counts

from phasepilot.models.benchmarks.predictions import Predictions, predictions
from phasepilot.models.pattern import Pattern


def make_pattern(n_points: int = TWO_THETA_DEG.size) -> Pattern:
    return Pattern.from_two_theta(
        TWO_THETA_DEG[:n_points],
        make_counts([30.0, 45.0])[:n_points],
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
    )


@pytest.fixture
def said() -> Predictions:
    """Of a pattern that is named and of one that ends too early and is refused."""
    whole, short = make_pattern(), make_pattern(600)
    librarian = Librarian([whole], [225], refuses_below=float(whole.q_per_angstrom[-1]))
    steps: list[tuple[str, int, int]] = []
    result = predictions(
        librarian, [whole, short], progress=lambda *step: steps.append(step), step="asking"
    )
    assert steps[0] == ("asking", 0, 2)
    assert steps[-1] == ("asking", 2, 2)
    return result


def test_a_refused_pattern_does_not_keep_the_others_from_being_named(said: Predictions) -> None:
    assert said.space_groups[0].argmax() == 224
    assert said.estimates[1] is None


def test_of_a_refused_pattern_nothing_is_claimed(said: Predictions) -> None:
    np.testing.assert_allclose(said.space_groups[1], 1 / 230)
    assert said.crystal_system_sets[1].all()
    assert said.space_group_sets[1].all()


def test_a_refused_pattern_is_novel(said: Predictions) -> None:
    assert said.novelty[0] < 0.01
    assert said.novelty[1] == 1.0
    assert said.is_unknown.tolist() == [False, True]


def test_sets_become_members(said: Predictions) -> None:
    assert np.flatnonzero(said.space_group_sets[0]).tolist() == [224]
    assert said.crystal_system_sets[0].tolist() == [False] * 6 + [True]


def test_levels_are_sums_of_space_groups(said: Predictions) -> None:
    np.testing.assert_allclose(said.crystal_systems.sum(axis=1), 1.0)
    np.testing.assert_allclose(said.extinction_classes.sum(axis=1), 1.0)
    assert said.crystal_systems[0, 6] == pytest.approx(said.space_groups[0, 194:].sum())
