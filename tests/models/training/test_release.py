from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from training_run import training_configuration

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.networks.registry import load_model
from phasepilot.models.networks.space_groups import crystal_system_index
from phasepilot.models.pattern import Pattern
from phasepilot.models.training.release import SET_LEVEL, calibrate, measure, write_release
from phasepilot.models.training.training_loop import Trainer, validation_batches

SYSTEM_OF_GROUP = crystal_system_index(np.arange(1, 231))


def make_calibrated_logits(seed: int, n: int) -> tuple[FloatArray, FloatArray, IntArray]:
    """System logits, group logits and space group indices drawn just as the logits say."""
    rng = np.random.default_rng(seed)
    groups = log_softmax(rng.normal(0.0, 3.0, (n, 230)), axis=1)
    systems = np.stack(
        [logsumexp(groups[:, system == SYSTEM_OF_GROUP], axis=1) for system in range(7)], axis=1
    )
    # The largest of Gumbel-perturbed logits is a draw from their softmax.
    return systems, groups, (groups + rng.gumbel(size=groups.shape)).argmax(axis=1)


@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_overconfidence(overconfidence: float) -> None:
    systems, groups, labels = make_calibrated_logits(seed=0, n=4000)
    calibration = calibrate(overconfidence * systems, overconfidence * groups, labels)
    # The spread over seeds is 2 % of the temperature of 7 classes, 1 % of that of 230.
    assert calibration.crystal_system_temperature == pytest.approx(overconfidence, rel=0.08)
    assert calibration.space_group_temperature == pytest.approx(overconfidence, rel=0.05)


def test_calibrated_logits_measure_as_calibrated() -> None:
    calibration = calibrate(*make_calibrated_logits(seed=1, n=4000))
    measured = measure(calibration, *make_calibrated_logits(seed=2, n=4000))
    assert measured["n_simulated_held_out_patterns"] == 4000
    # With 267 patterns a bin, sampling alone leaves gaps of 2 %.
    assert measured["crystal_system_calibration_error"] < 0.04
    assert measured["space_group_accuracy"] < measured["space_group_top3"]
    assert measured["space_group_accuracy"] < measured["crystal_system_accuracy"]


def test_sets_cover_as_often_as_they_promise() -> None:
    n_calibrated, n_measured, n_seeds = 500, 2000, 8
    coverage = []
    for seed in range(n_seeds):
        calibration = calibrate(*make_calibrated_logits(2 * seed, n_calibrated))
        measured = measure(calibration, *make_calibrated_logits(2 * seed + 1, n_measured))
        coverage.append(
            [measured["crystal_system_set_coverage"], measured["space_group_set_coverage"]]
        )
        assert 1 <= measured["crystal_system_set_size"] <= 7
    # Binomial error of the threshold's rank and of the measurement itself.
    spread = np.sqrt(SET_LEVEL * (1 - SET_LEVEL) * (1 / n_calibrated + 1 / n_measured))
    assert np.min(coverage) > SET_LEVEL - 3.5 * spread
    np.testing.assert_allclose(np.mean(coverage, axis=0), SET_LEVEL, atol=3 * spread / n_seeds**0.5)


def test_familiarity_quantiles_rise_and_span_the_calibration_patterns() -> None:
    systems, groups, labels = make_calibrated_logits(seed=3, n=200)
    shifted = groups + np.linspace(-5, 5, 200)[:, None]
    quantiles = np.array(calibrate(systems, shifted, labels).familiarity_quantiles)
    assert quantiles.size == 101
    assert (np.diff(quantiles) >= 0).all()
    np.testing.assert_allclose(quantiles[[0, 50, 100]], [-5, 0, 5], atol=1e-9)


def test_a_release_is_loaded_by_its_card_and_names_patterns(
    tmp_path: Path, store: StickStore
) -> None:
    configuration = training_configuration(tmp_path)
    trainer = Trainer(configuration, store)
    trainer.run()
    validation = validation_batches(configuration, store)
    card = write_release(trainer.averaged, configuration, store, validation, code_version="1.2.3")
    model = load_model(str(configuration.work_directory / "tiny.json"))
    assert model.card == card
    assert card.name == "tiny"
    assert (card.code_version, card.n_bins, card.structure_licences) == (
        "1.2.3",
        1024,
        configuration.licences,
    )
    assert (card.n_structures, card.n_structures_held_out) == (10, 6)
    assert card.n_parameters == trainer.network.n_parameters()
    assert card.measured["n_simulated_held_out_patterns"] == 32
    q_per_angstrom = np.linspace(1.0, 6.0, 2000)
    counts = 20 + 900 * np.exp(-(((q_per_angstrom - 3.0) / 0.02) ** 2))
    estimate = model.predict(Pattern.from_q(q_per_angstrom, counts))
    assert estimate.space_group_probabilities.sum() == pytest.approx(1)
    assert estimate.set_level == SET_LEVEL
