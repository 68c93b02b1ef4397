"""Weights fitted to made-up cases whose best answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from phasepilot.models.errors import TrainingError
from phasepilot.models.estimation.combination import N_FEATURES, CombinedAnswer, combine
from phasepilot.models.estimation.combination_fit import KnownCase, fit_combination
from phasepilot.models.estimation.evidence import CANDIDATE_FEATURES, CandidateEvidence

COSINE = CANDIDATE_FEATURES.index("cosine")
N_CASES, N_CANDIDATES = 60, 6
NOTHING_KNOWN = np.full(230, -np.log(230))


def make_case(
    rng: np.random.Generator, *, search_is_right: bool = True, network_is_right: bool = False
) -> KnownCase:
    """The truth has the best cosine or not, and the network's favour or not."""
    groups = rng.choice(230, N_CANDIDATES, replace=False)
    features = rng.normal(0.5, 0.05, (N_CANDIDATES, N_FEATURES))
    features[1 if search_is_right else 0, COSINE] = 0.9
    truth = int(groups[1]) if search_is_right else int(rng.choice(230))
    network = NOTHING_KNOWN.copy()
    if network_is_right:
        network = np.full(230, np.log(0.1 / 229))
        network[truth] = np.log(0.9)
    return KnownCase(
        space_group_index=truth,
        network_log_probabilities=network,
        candidates=CandidateEvidence(
            np.arange(N_CANDIDATES), groups, features, np.zeros(N_CANDIDATES)
        ),
        pattern=rng.normal(size=2),
        is_withheld=np.zeros(N_CANDIDATES, dtype=bool),
    )


def make_cases(seed: int, *, search_is_right: bool, network_is_right: bool) -> list[KnownCase]:
    rng = np.random.default_rng(seed)
    return [
        make_case(rng, search_is_right=search_is_right, network_is_right=network_is_right)
        for _ in range(N_CASES)
    ]


def answered(cases: list[KnownCase], new: list[KnownCase]) -> list[CombinedAnswer]:
    weights = fit_combination(cases)
    return [
        combine(
            weights,
            case.network_log_probabilities,
            case.candidates,
            case.pattern,
            is_excluded=case.is_withheld,
        )
        for case in new
    ]


def likelihood_of_truth(answers: list[CombinedAnswer], cases: list[KnownCase]) -> float:
    of_truth = [
        answer.space_group_probabilities[case.space_group_index]
        for answer, case in zip(answers, cases, strict=True)
    ]
    return float(np.exp(np.log(of_truth).mean()))


def test_a_search_that_is_right_is_believed_where_the_network_knows_nothing() -> None:
    cases, new = (make_cases(seed, search_is_right=True, network_is_right=False) for seed in (0, 1))
    answers = answered(cases, new)
    assert np.mean([answer.search_share for answer in answers]) > 0.9
    assert likelihood_of_truth(answers, new) > 0.85


def test_a_network_that_is_right_is_believed_where_the_search_is_wrong() -> None:
    cases, new = (make_cases(seed, search_is_right=False, network_is_right=True) for seed in (2, 3))
    answers = answered(cases, new)
    assert np.mean([answer.search_share for answer in answers]) < 0.1
    assert likelihood_of_truth(answers, new) > 0.85


def test_what_is_withheld_is_not_learnt_from() -> None:
    cases = make_cases(4, search_is_right=True, network_is_right=False)
    is_truth = np.arange(N_CANDIDATES) == 1
    withheld = [replace(case, is_withheld=is_truth) for case in cases]
    # Without the truth among the candidates, the search is never right.
    answers = answered(withheld, withheld)
    assert np.mean([answer.search_share for answer in answers]) < 0.2
    assert all(answer.candidate_probabilities[1] == 0 for answer in answers)


def test_the_share_of_withheld_cases_is_what_is_left_to_the_network() -> None:
    cases = make_cases(5, search_is_right=True, network_is_right=False)
    is_truth = np.arange(N_CANDIDATES) == 1
    mixed = [
        replace(case, is_withheld=is_truth) if number % 4 == 0 else case
        for number, case in enumerate(cases)
    ]
    known = [case for number, case in enumerate(mixed) if number % 4]
    shares = [answer.search_share for answer in answered(mixed, known)]
    assert np.mean(shares) > 0.7


def test_cases_with_unequally_many_candidates_are_refused() -> None:
    rng = np.random.default_rng(0)
    case = make_case(rng)
    found = case.candidates
    fewer = CandidateEvidence(
        found.structure[:3],
        found.space_group_index[:3],
        found.features[:3],
        found.mean_strain[:3],
    )
    with pytest.raises(TrainingError, match=r"equally many candidates each, but have \[3, 6\];"):
        fit_combination([case, replace(case, candidates=fewer)])


def test_no_cases_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"equally many candidates each, but have \[\];"):
        fit_combination([])
