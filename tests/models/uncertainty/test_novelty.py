import numpy as np
import pytest

from phasepilot.models.errors import ModelsError, TrainingError
from phasepilot.models.uncertainty.novelty import (
    NoveltyDetector,
    calibrate_novelty,
    prototypes_of,
)

N_FEATURES, N_CLASSES = 16, 10
CENTRES = np.random.default_rng(0).normal(size=(N_CLASSES, N_FEATURES))


def familiar(n_patterns, seed):
    """Features about ten centres, and the logits of a layer that tells them apart."""
    rng = np.random.default_rng(seed)
    embedding = CENTRES[rng.integers(N_CLASSES, size=n_patterns)]
    embedding = embedding + 0.5 * rng.normal(size=embedding.shape)
    return embedding @ CENTRES.T, embedding


def strange(n_patterns, seed):
    embedding = np.random.default_rng(seed).normal(size=(n_patterns, N_FEATURES))
    return embedding @ CENTRES.T, embedding


def residuals(n_patterns, seed):
    return np.random.default_rng(seed).beta(2, 20, size=n_patterns)


@pytest.fixture(scope="module")
def prototypes():
    rng = np.random.default_rng(1)
    return prototypes_of(familiar(3000, seed=1)[1], n_prototypes=40, rng=rng)


@pytest.fixture(scope="module")
def detector(prototypes):
    return calibrate_novelty(prototypes, *familiar(4000, seed=2), unexplained=residuals(4000, 2))


def judged(detector, patterns, unexplained=None):
    logits, embedding = patterns
    known = [None] * len(logits) if unexplained is None else list(unexplained)
    return [
        detector.judge(*row, unexplained=left)
        for *row, left in zip(logits, embedding, known, strict=True)
    ]


@pytest.mark.parametrize("with_library", [False, True])
def test_one_familiar_pattern_of_a_hundred_raises_an_alarm(detector, with_library):
    left = residuals(4000, seed=3) if with_library else None
    answers = judged(detector, familiar(4000, seed=3), left)
    alarms = np.mean([not answer.verdict.is_known for answer in answers])
    # Two binomial deviations of 4000 and of the calibration's 4000.
    assert alarms == pytest.approx(0.01, abs=0.005)


def test_novelty_of_familiar_patterns_is_uniform(detector):
    novelty = np.sort([answer.novelty for answer in judged(detector, familiar(2000, seed=4))])
    np.testing.assert_allclose(novelty, np.linspace(0, 1, 2000), atol=0.04)


def test_strange_patterns_are_told_apart(detector):
    known = [answer.novelty for answer in judged(detector, familiar(500, seed=5))]
    novel = [answer.novelty for answer in judged(detector, strange(500, seed=5))]
    assert np.mean(np.array(novel)[:, None] > np.array(known)[None]) > 0.9


def test_pattern_that_known_phases_explain_is_known_however_strange(detector):
    answers = judged(detector, strange(200, seed=6), np.full(200, 0.03))
    assert np.mean([answer.verdict.is_known for answer in answers]) > 0.95


def test_familiar_pattern_that_no_known_phase_explains_is_unknown(detector):
    answers = judged(detector, familiar(200, seed=7), np.full(200, 0.8))
    assert np.mean([answer.verdict.is_known for answer in answers]) < 0.3


def test_more_unexplained_intensity_never_lowers_novelty(detector):
    logits, embedding = familiar(1, seed=8)
    novelty = [
        detector.judge(logits[0], embedding[0], unexplained=left).novelty
        for left in np.linspace(0, 1, 21)
    ]
    assert (np.diff(novelty) >= 0).all()


def test_length_of_the_features_does_not_matter(detector):
    logits, embedding = familiar(1, seed=9)
    short = detector.judge(logits[0], 0.01 * embedding[0])
    assert short.novelty == detector.judge(logits[0], embedding[0]).novelty


def test_dead_features_are_novel_not_an_error(detector):
    assert detector.judge(np.zeros(N_CLASSES), np.zeros(N_FEATURES)).novelty == 1


def test_stated_false_alarm_rate_decides(detector):
    logits, embedding = familiar(300, seed=10)
    share = np.mean(
        [
            detector.judge(*row, false_alarm_rate=0.2).verdict.is_known
            for row in zip(logits, embedding, strict=True)
        ]
    )
    assert share == pytest.approx(0.8, abs=0.06)


def test_reasons_are_sentences_with_their_numbers(detector):
    logits, embedding = familiar(1, seed=11)
    known = detector.judge(logits[0], embedding[0])
    assert known.verdict.reason.startswith("The network knows patterns like it;")
    unlike = detector.judge(np.zeros(N_CLASSES), np.zeros(N_FEATURES))
    assert unlike.verdict.reason.startswith("The network has hardly seen anything like it; 100.0 %")
    left = detector.judge(logits[0], embedding[0], unexplained=0.43)
    assert left.verdict.reason.startswith("Known phases leave 43 % of the intensity unexplained")


def test_prototypes_are_directions_near_the_training_patterns(prototypes):
    np.testing.assert_allclose(np.linalg.norm(prototypes, axis=1), 1)
    centres = CENTRES / np.linalg.norm(CENTRES, axis=1, keepdims=True)
    assert ((centres @ prototypes.T).max(axis=1) > 0.9).all()


def test_detector_comes_back_from_a_file(detector, tmp_path):
    np.savez(tmp_path / "novelty.npz", **detector.to_arrays())
    with np.load(tmp_path / "novelty.npz", allow_pickle=False) as stored:
        again = NoveltyDetector.from_arrays(stored)
    patterns = familiar(100, seed=12)
    first = [answer.novelty for answer in judged(detector, patterns)]
    np.testing.assert_allclose(
        [answer.novelty for answer in judged(again, patterns)], first, atol=0.02
    )


def test_residual_without_calibration_is_refused(prototypes):
    blind = calibrate_novelty(prototypes, *familiar(100, seed=13))
    with pytest.raises(ModelsError, match="this detector has none; calibrate it with a library"):
        blind.judge(np.zeros(N_CLASSES), np.zeros(N_FEATURES), unexplained=0.1)


def test_rows_and_prototypes_that_do_not_fit_are_refused(prototypes):
    logits, embedding = familiar(10, seed=14)
    with pytest.raises(TrainingError, match=r"have \[9, 10\] rows; take them"):
        calibrate_novelty(prototypes, logits[:9], embedding)
    with pytest.raises(TrainingError, match="there are 10 for 300; give more"):
        prototypes_of(embedding, rng=np.random.default_rng(0))


def test_what_no_structure_of_a_table_resembles_is_novel(prototypes):
    logits, embedding = familiar(2000, seed=15)
    usual = residuals(2000, 15)
    detector = calibrate_novelty(prototypes, logits, embedding, dissimilarity=usual)
    answers = [
        detector.judge(logits[0], embedding[0], unexplained=0.0, dissimilarity=value)
        for value in (*np.quantile(usual, [0.1, 0.5, 0.999]), 0.75)
    ]
    told = [answer.novelty for answer in answers]
    assert told == sorted(told)
    assert told[2] > 0.95
    reason = answers[3].verdict.reason
    assert reason.startswith("The most similar known structure agrees to 25 %; ")
    with pytest.raises(ModelsError, match="this detector has none"):
        detector.judge(logits[0], embedding[0], unexplained=0.1)


def test_what_looks_like_two_phases_is_novel_and_familiar_patterns_stay_so(prototypes):
    logits, embedding = familiar(4000, seed=16)
    usual = np.random.default_rng(16).normal(size=4000)
    detector = calibrate_novelty(prototypes, logits, embedding, novelty_logit=usual)
    told = [
        detector.judge(logits[0], embedding[0], novelty_logit=value).novelty
        for value in (-2.0, 0.0, 2.0, 4.0)
    ]
    assert told == sorted(told)
    assert told[3] > 0.95
    reason = detector.judge(logits[0], embedding[0], novelty_logit=9.0).verdict.reason
    assert reason.startswith("It looks like several phases, or like another wavelength")
    rows = zip(*familiar(1000, seed=17), np.random.default_rng(17).normal(size=1000), strict=True)
    novelty = np.sort([detector.judge(x, y, novelty_logit=z).novelty for x, y, z in rows])
    np.testing.assert_allclose(novelty, np.linspace(0, 1, 1000), atol=0.05)


def test_mixtures_of_a_library_are_judged_by_what_it_leaves_unexplained(prototypes):
    logits, embedding = familiar(2000, seed=18)
    usual, mixture = residuals(2000, 18), np.random.default_rng(18).normal(size=2000)
    detector = calibrate_novelty(
        prototypes, logits, embedding, novelty_logit=mixture, unexplained=usual
    )
    one, other = (
        detector.judge(logits[0], embedding[0], novelty_logit=value, unexplained=0.05)
        for value in (-3.0, 3.0)
    )
    assert one == other


def test_a_table_and_the_look_of_two_phases_count_together(prototypes):
    logits, embedding = familiar(2000, seed=19)
    usual, mixture = residuals(2000, 19), np.random.default_rng(19).normal(size=2000)
    detector = calibrate_novelty(
        prototypes, logits, embedding, novelty_logit=mixture, dissimilarity=usual
    )
    again = NoveltyDetector.from_arrays(detector.to_arrays())
    dissimilarity = float(np.median(usual))
    for judged in (detector, again):
        told = [
            judged.judge(
                logits[0],
                embedding[0],
                novelty_logit=value,
                unexplained=0.0,
                dissimilarity=dissimilarity,
            ).novelty
            for value in (-2.0, 0.0, 2.0)
        ]
        assert told == sorted(told)
        assert told[2] > told[0] + 0.3


def test_a_detector_that_never_saw_novelty_logits_ignores_them(detector):
    logits, embedding = familiar(1, seed=20)
    told = {
        detector.judge(logits[0], embedding[0], novelty_logit=value).novelty
        for value in (None, -9.0, 9.0)
    }
    assert len(told) == 1
