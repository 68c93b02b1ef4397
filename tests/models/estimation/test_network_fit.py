"""A made-up network whose features and errors are known, calibrated."""

import numpy as np
import pytest
from scipy.special import softmax

from phasepilot.models.errors import TrainingError
from phasepilot.models.estimation.answer_calibration import NetworkCalibration
from phasepilot.models.estimation.network_fit import LabelledOutputs, fit_network

N_FEATURES = 8
LAYER = np.random.default_rng(0).normal(size=(N_FEATURES, 230))
LOG_PRIOR = np.log(np.arange(1.0, 231.0))


def make_view(n_patterns: int, seed: int, *, sharpened: float = 1.0) -> LabelledOutputs:
    """Truths are drawn from the softmax of the logits, before these are sharpened."""
    rng = np.random.default_rng(seed)
    embedding = np.maximum(rng.normal(size=(n_patterns, N_FEATURES)), 0.0)
    # The last two features never light up in what was seen.
    embedding[:, -2:] = 0.0
    logits = 2 * embedding @ LAYER
    cumulative = softmax(logits, axis=1).cumsum(axis=1)
    truth = (rng.random((n_patterns, 1)) > cumulative).sum(axis=1)
    return LabelledOutputs(sharpened * logits, embedding, np.minimum(truth, 229))


def fitted(**changes: LabelledOutputs) -> NetworkCalibration:
    views = {"trained": make_view(400, seed=1), "held_out": make_view(600, seed=2)} | changes
    return fit_network(
        views["trained"],
        views["held_out"],
        log_prior=LOG_PRIOR,
        n_structures=50_000,
        rng=np.random.default_rng(3),
    )


@pytest.fixture(scope="module")
def calibration() -> NetworkCalibration:
    return fitted()


def test_a_network_that_is_right_about_itself_is_left_as_it_is(
    calibration: NetworkCalibration,
) -> None:
    assert calibration.temperature == pytest.approx(1.0, abs=0.1)


def test_a_network_that_is_too_sure_is_cooled_down() -> None:
    too_sure = fitted(
        trained=make_view(400, seed=1, sharpened=4.0),
        held_out=make_view(600, seed=2, sharpened=4.0),
    )
    assert too_sure.temperature == pytest.approx(4.0, rel=0.15)


def test_features_that_were_never_seen_lit_are_new(calibration: NetworkCalibration) -> None:
    new = make_view(50, seed=4)
    unseen = np.zeros(N_FEATURES)
    unseen[-1] = 3.0
    familiar = [
        calibration.novelty.judge(logits, embedding).novelty
        for logits, embedding in zip(new.logits, new.embedding, strict=True)
    ]
    found = calibration.novelty.judge(new.logits[0], unseen)
    # Half of the score is the entropy of the logits, which are the same.
    assert found.novelty > calibration.novelty.judge(new.logits[0], new.embedding[0]).novelty
    assert np.mean(familiar) == pytest.approx(0.5, abs=0.15)
    assert calibration.laplace.feature_variance(unseen) > 10 * np.median(
        calibration.laplace.feature_variance(new.embedding)
    )


def test_the_prior_is_kept_as_given(calibration: NetworkCalibration) -> None:
    np.testing.assert_array_equal(calibration.log_prior, LOG_PRIOR)


def test_sets_hold_the_truth_of_new_patterns(calibration: NetworkCalibration) -> None:
    new = make_view(500, seed=5)
    rows = np.exp(calibration.log_probabilities(new.logits, new.embedding))
    covered = [
        int(truth) + 1 in calibration.sets.space_groups(row, 0.9)
        for row, truth in zip(rows, new.space_group_index, strict=True)
    ]
    # Of 300 patterns that calibrate, pools of rare classes hold about 40: sets are cautious.
    assert np.mean(covered) == pytest.approx(0.92, abs=0.06)


def test_the_same_seed_gives_the_same_calibration(calibration: NetworkCalibration) -> None:
    one, other = calibration.to_arrays(), fitted().to_arrays()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_too_few_held_out_patterns_are_refused() -> None:
    with pytest.raises(
        TrainingError, match=r"needs at least 16 held-out patterns, but there are 10; raise n_val"
    ):
        fitted(held_out=make_view(10, seed=2))
