import numpy as np
import pytest
from scipy.special import softmax

from phasepilot.models.arrays import Array, FloatArray, IntArray
from phasepilot.models.errors import TrainingError
from phasepilot.models.estimation.network_fit import LabelledOutputs
from phasepilot.models.training.calibration import calibrated_log_probabilities, fit_calibration
from phasepilot.models.uncertainty.temperature import log_loss

LOG_PRIOR = np.log(np.full(230, 1 / 230))
N_FEATURES = 6


def make_labels(logits: FloatArray, rng: np.random.Generator) -> IntArray:
    """Space group indices drawn just as the logits say."""
    # The largest of Gumbel-perturbed logits is a draw from their softmax.
    return np.asarray((logits + rng.gumbel(size=logits.shape)).argmax(axis=1))


def make_outputs(n: int, *, overconfidence: float, seed: int) -> LabelledOutputs:
    """Outputs of a network whose logits are too large by a factor, and that tells no embedding."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, (n, 230))
    labels = make_labels(logits, rng)
    return LabelledOutputs(overconfidence * logits, np.zeros((n, 0)), labels)


def make_flagship_outputs(n: int, *, overconfidence: float, seed: int) -> LabelledOutputs:
    """The same, of a network that tells what its last layer sees."""
    weights = 3.0 * np.random.default_rng(0).normal(size=(N_FEATURES, 230))
    rng = np.random.default_rng(seed)
    embedding = np.abs(rng.normal(size=(n, N_FEATURES)))
    logits = embedding @ weights
    return LabelledOutputs(overconfidence * logits, embedding, make_labels(logits, rng))


def fit(trained: LabelledOutputs, held_out: LabelledOutputs) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return fit_calibration(trained, held_out, log_prior=LOG_PRIOR, n_structures=1000, rng=rng)


@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_overconfidence(overconfidence: float) -> None:
    outputs = make_outputs(4000, overconfidence=overconfidence, seed=0)
    # The spread over seeds is 1 % of the temperature.
    assert fit(outputs, outputs)["temperature"] == pytest.approx(overconfidence, rel=0.05)


def test_a_network_that_tells_no_embedding_gets_temperature_and_prior_only() -> None:
    outputs = make_outputs(200, overconfidence=2.0, seed=1)
    arrays = fit(outputs, outputs)
    assert sorted(arrays) == ["log_prior", "temperature"]
    assert arrays["log_prior"].tolist() == LOG_PRIOR.tolist()
    expected = softmax(outputs.logits / arrays["temperature"], axis=1)
    found = np.exp(calibrated_log_probabilities(outputs, arrays))
    np.testing.assert_allclose(found, expected)


def test_the_flagship_gets_all_that_an_answer_needs() -> None:
    trained, held_out = (
        make_flagship_outputs(200, overconfidence=2.0, seed=seed) for seed in (1, 2)
    )
    parts = {name.split(".")[0] for name in fit(trained, held_out)}
    assert parts == {"temperature", "log_prior", "laplace", "sets", "novelty"}


def test_calibration_helps_on_patterns_that_it_was_not_fitted_to() -> None:
    trained, held_out, fresh = (
        make_flagship_outputs(600, overconfidence=3.0, seed=seed) for seed in (1, 2, 3)
    )
    p = np.exp(calibrated_log_probabilities(fresh, fit(trained, held_out)))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    calibrated = log_loss(p, fresh.space_group_index)
    as_it_was = log_loss(softmax(fresh.logits, axis=1), fresh.space_group_index)
    best = log_loss(softmax(fresh.logits / 3.0, axis=1), fresh.space_group_index)
    assert calibrated < best + 0.1 * (as_it_was - best)


def test_too_few_patterns_are_refused() -> None:
    trained, held_out = (make_flagship_outputs(n, overconfidence=1.0, seed=n) for n in (40, 15))
    with pytest.raises(TrainingError, match=r"at least 16 held-out .* are 15; raise n_validation"):
        fit(trained, held_out)
