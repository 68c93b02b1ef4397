"""Network and search weighed against each other, by weights chosen for a known answer."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit, softmax

from phasepilot.models.arrays import FloatArray
from phasepilot.models.estimation.combination import (
    N_FEATURES,
    N_GATE,
    N_SHARPNESS,
    CombinationWeights,
    combine,
)
from phasepilot.models.estimation.evidence import (
    CANDIDATE_FEATURES,
    PATTERN_FEATURES,
    CandidateEvidence,
)

COSINE = CANDIDATE_FEATURES.index("cosine")
N_PATTERN = len(PATTERN_FEATURES)
SHUT, OPEN = -800.0, 800.0
# Rock salt twice, zinc blende and diamond, and how well they fit.
GROUPS, COSINES = (224, 224, 215, 226), (0.9, 0.7, 0.8, 0.2)
PATTERN = np.array([2.0, 0.5])


def make_weights(*, gate: float = 0.0, cosine: float = 10.0, **changes: Any) -> CombinationWeights:
    """The cosine alone decides about candidates, a constant about the gate."""
    values = {
        "feature_mean": (0.0,) * N_FEATURES,
        "feature_scale": (1.0,) * N_FEATURES,
        "pattern_mean": (0.0,) * N_PATTERN,
        "pattern_scale": (1.0,) * N_PATTERN,
        "candidate": tuple(cosine * (k == COSINE) for k in range(N_FEATURES)),
        "network": 0.0,
        "network_sharpness": 1.0,
        "gate": (gate, *(0.0,) * (N_GATE - 1)),
        "sharpness": (0.0,) * N_SHARPNESS,
    }
    return CombinationWeights(**{**values, **changes})


@pytest.fixture
def candidates() -> CandidateEvidence:
    features = np.zeros((len(GROUPS), N_FEATURES))
    features[:, COSINE] = COSINES
    return CandidateEvidence(np.arange(4), np.array(GROUPS), features, np.zeros(4))


@pytest.fixture
def network() -> FloatArray:
    probabilities = np.random.default_rng(0).dirichlet(np.full(230, 0.1))
    return np.log(probabilities + 1e-300)


def test_with_the_gate_shut_the_network_answers(
    candidates: CandidateEvidence, network: FloatArray
) -> None:
    answer = combine(make_weights(gate=SHUT), network, candidates, PATTERN)
    assert answer.search_share == 0
    np.testing.assert_allclose(answer.space_group_probabilities, np.exp(network), atol=1e-15)


def test_with_the_gate_open_candidates_add_up_by_space_group(
    candidates: CandidateEvidence, network: FloatArray
) -> None:
    answer = combine(make_weights(gate=OPEN), network, candidates, PATTERN)
    expected = softmax(10 * np.array(COSINES))
    assert answer.search_share == 1
    np.testing.assert_allclose(answer.candidate_probabilities, expected, rtol=1e-12)
    groups = answer.space_group_probabilities
    assert groups[224] == pytest.approx(expected[0] + expected[1])
    assert groups[215] == pytest.approx(expected[2])
    assert np.count_nonzero(groups) == 3


def test_the_gate_mixes_the_two_linearly(
    candidates: CandidateEvidence, network: FloatArray
) -> None:
    shut, half, opened = (
        combine(make_weights(gate=gate), network, candidates, PATTERN).space_group_probabilities
        for gate in (SHUT, 0.0, OPEN)
    )
    np.testing.assert_allclose(half, (shut + opened) / 2, atol=1e-15)


def test_the_gate_sees_the_best_candidate_and_the_pattern(
    candidates: CandidateEvidence, network: FloatArray
) -> None:
    gate = (0.0, 3.0, *(0.0,) * (N_GATE - 4), 0.5, -2.0)
    weights = make_weights().model_copy(update={"gate": gate})
    answer = combine(weights, network, candidates, PATTERN)
    assert answer.search_share == pytest.approx(expit(3.0 * 0.9 + 0.5 * 2.0 - 2.0 * 0.5))


def test_the_opinion_of_the_network_decides_between_equal_fits() -> None:
    features = np.zeros((2, N_FEATURES))
    candidates = CandidateEvidence(np.arange(2), np.array([10, 20]), features, np.zeros(2))
    network = np.full(230, -9.0)
    network[20] = -1.0
    answer = combine(make_weights(network=1.0), network, candidates, PATTERN)
    np.testing.assert_allclose(answer.candidate_probabilities, softmax([-9.0, -1.0]))


def test_excluded_candidates_get_nothing(
    candidates: CandidateEvidence, network: FloatArray
) -> None:
    is_excluded = np.array([True, True, False, False])
    answer = combine(make_weights(gate=OPEN), network, candidates, PATTERN, is_excluded=is_excluded)
    assert (answer.candidate_probabilities[:2] == 0).all()
    assert answer.space_group_probabilities[224] == 0
    assert answer.space_group_probabilities.sum() == pytest.approx(1)


def test_without_a_candidate_the_network_answers(network: FloatArray) -> None:
    nobody = np.zeros(0, dtype=np.int64)
    candidates = CandidateEvidence(nobody, nobody, np.zeros((0, N_FEATURES)), np.zeros(0))
    answer = combine(make_weights(gate=OPEN), network, candidates, PATTERN)
    assert (answer.search_share, answer.candidate_probabilities.size) == (0, 0)
    np.testing.assert_allclose(answer.space_group_probabilities, np.exp(network), atol=1e-15)


def test_the_order_of_candidates_does_not_matter(
    candidates: CandidateEvidence, network: FloatArray
) -> None:
    order = np.array([2, 0, 3, 1])
    turned = CandidateEvidence(
        candidates.structure[order],
        candidates.space_group_index[order],
        candidates.features[order],
        candidates.mean_strain[order],
    )
    one, other = (combine(make_weights(), network, any_, PATTERN) for any_ in (candidates, turned))
    np.testing.assert_allclose(
        one.space_group_probabilities, other.space_group_probabilities, rtol=1e-12
    )


def test_a_sharper_softmax_leaves_the_ranking_and_is_bounded(
    candidates: CandidateEvidence, network: FloatArray
) -> None:
    for exponent in (1.0, 1e6):
        sharp = (0.0, exponent, 0.0)
        answer = combine(make_weights(gate=OPEN, sharpness=sharp), network, candidates, PATTERN)
        scale = np.exp(min(exponent * PATTERN[0], 1.5))
        np.testing.assert_allclose(
            answer.candidate_probabilities, softmax(10 * scale * np.array(COSINES))
        )


def test_the_power_of_the_network_is_its_sharpness(
    candidates: CandidateEvidence, network: FloatArray
) -> None:
    weights = make_weights(gate=SHUT, network_sharpness=0.5)
    answer = combine(weights, network, candidates, PATTERN)
    root = np.sqrt(np.exp(network))
    np.testing.assert_allclose(answer.space_group_probabilities, root / root.sum(), atol=1e-12)


@pytest.mark.parametrize("name", ["candidate", "gate", "sharpness", "pattern_mean"])
def test_weights_of_another_length_are_refused(name: str) -> None:
    values = make_weights().model_dump() | {name: (0.0,) * 20}
    with pytest.raises(ValidationError, match=rf"{name} must have \d numbers"):
        CombinationWeights(**values)


def test_weights_come_back_from_their_json() -> None:
    weights = make_weights(gate=0.3)
    assert CombinationWeights.model_validate_json(weights.model_dump_json()) == weights
