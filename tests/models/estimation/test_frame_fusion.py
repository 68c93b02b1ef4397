import numpy as np
import pytest
from scipy.special import log_softmax

from phasepilot.models.estimation.frame_fusion import FrameFusion, fit_fusion, fused

N_CRYSTALS, N_FRAMES = 3000, 3
EVEN = np.full(230, -np.log(230))


def make_frames(n_crystals: int, *, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated answers of frames whose errors are shared to that part, and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 230, n_crystals)
    # Log odds with Gaussian noise of this variance are calibrated where signal equals variance.
    strength = 4.0
    common = rng.normal(size=(n_crystals, 1, 230))
    own = rng.normal(size=(n_crystals, N_FRAMES, 230))
    noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    logits = np.sqrt(strength) * noise
    logits[np.arange(n_crystals), :, labels] += strength
    return np.exp(log_softmax(logits, axis=2)), labels


@pytest.mark.parametrize(("shared", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_the_fit_finds_whether_frames_err_alike(shared: float, expected: float) -> None:
    fusion = fit_fusion(*make_frames(N_CRYSTALS, shared=shared), EVEN)
    assert fusion.sameness == pytest.approx(expected, abs=0.1)


def test_three_independent_frames_are_right_more_often_than_one() -> None:
    frames, labels = make_frames(N_CRYSTALS, shared=0.0)
    one = (frames[:, 0].argmax(axis=1) == labels).mean()
    three = (fused(frames, EVEN, 0.0).argmax(axis=1) == labels).mean()
    assert three > one + 0.2


def test_the_prior_counts_once() -> None:
    log_prior = log_softmax(np.random.default_rng(1).normal(size=230))
    # Frames that say nothing beyond the prior.
    frames = np.exp(np.tile(log_prior, (5, 1)))
    np.testing.assert_allclose(fused(frames[None], log_prior, 0.3)[0], log_prior, atol=1e-9)


def test_one_frame_stays_what_it_is() -> None:
    frames, _ = make_frames(4, shared=0.0)
    np.testing.assert_allclose(
        np.exp(fused(frames[:, :1], EVEN, 0.4)), frames[:, 0], rtol=1e-6, atol=1e-8
    )


def test_a_fusion_comes_back_from_its_arrays() -> None:
    fusion = fit_fusion(*make_frames(400, shared=0.5), EVEN)
    again = FrameFusion.from_arrays(fusion.to_arrays())
    assert again.sameness == fusion.sameness
    probabilities = np.full(230, 1 / 230)
    assert again.sets.space_groups(probabilities, 0.9) == fusion.sets.space_groups(
        probabilities, 0.9
    )
