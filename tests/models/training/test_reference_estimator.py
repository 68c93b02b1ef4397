"""A network of the papers, from the file of its weights to its answer."""

from pathlib import Path

import bluesky.plans as bp
import numpy as np
import pytest
import torch
from bluesky import RunEngine
from experiment import Emitted, configuration, make_beamline
from torch import nn
from training_run import REFERENCE, training_configuration

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.diffraction.stick_store import open_stick_store
from phasepilot.models.errors import PatternError, WeightsError
from phasepilot.models.networks.registry import model_names, open_model
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import network_input, prepare_pattern
from phasepilot.models.training.network_choice import create_network
from phasepilot.models.training.reference_estimator import ReferenceEstimator
from phasepilot.models.training.release import write_release
from phasepilot.models.training.training_loop import Trainer


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, store_directory: Path
) -> tuple[Path, nn.Module]:
    """The card of a network that saw eight patterns, and the network."""
    configuration = training_configuration(
        tmp_path_factory.mktemp("reference"),
        **{**REFERENCE, "sticks": str(store_directory), "n_patterns": 8, "n_watched": 2},
    )
    trainer = Trainer(configuration)
    trainer.run()
    store = open_stick_store(store_directory)
    card = write_release(trainer.averaged, configuration, store, code_version="1")
    return configuration.work_directory / f"{card.name}.json", trainer.averaged


def make_pattern(*lines_per_angstrom: float) -> Pattern:
    q = np.linspace(0.8, 6.0, 3000)
    counts = 20 + sum(900 * np.exp(-(((q - line) / 0.02) ** 2)) for line in lines_per_angstrom)
    return Pattern.from_q(q, np.asarray(counts))


def test_it_answers_what_the_network_says_at_its_temperature(
    trained: tuple[Path, nn.Module],
) -> None:
    path, network = trained
    patterns = [make_pattern(2.0, 3.1), make_pattern(1.2)]
    estimator = ReferenceEstimator(path)
    preprocessing = estimator.card.preprocessing
    inputs = [network_input(prepare_pattern(one, preprocessing), preprocessing) for one in patterns]
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.array(inputs)))
    with np.load(path.with_suffix(".npz")) as arrays:
        expected = torch.softmax(logits / float(arrays["temperature"][0]), dim=1).numpy()
    for one, p in zip(estimator.predict_many(patterns), expected, strict=True):
        np.testing.assert_allclose(one.space_group_probabilities, p, rtol=1e-4)
    alone = estimator.predict(patterns[1])
    np.testing.assert_allclose(alone.space_group_probabilities, expected[1], rtol=1e-4)


def test_it_opens_by_the_path_of_its_card_and_answers_prepared_patterns(
    trained: tuple[Path, nn.Module],
) -> None:
    model, pattern = open_model(str(trained[0])), make_pattern(2.0, 3.1)
    prepared = prepare_pattern(pattern, model.card.preprocessing)
    np.testing.assert_array_equal(
        model.predict_prepared(prepared).space_group_probabilities,
        model.predict(pattern).space_group_probabilities,
    )
    assert isinstance(model, ReferenceEstimator)
    assert not isinstance(open_model(), ReferenceEstimator)


def test_a_run_is_judged_by_a_network_of_the_papers_that_is_called_by_its_name(
    trained: tuple[Path, nn.Module], monkeypatch: pytest.MonkeyPatch, run_engine: RunEngine
) -> None:
    monkeypatch.setenv("PHASEPILOT_MODELS", str(trained[0].parent))
    assert "tiny" in model_names()
    agent, emitted = PhaseAgent(configuration(model="tiny")), Emitted()
    for callback in (agent, emitted):
        run_engine.subscribe(callback)
    beamline = make_beamline()
    run_engine(bp.scan([beamline.detector], beamline.cell, 0.4, 1.0, 3))
    assert agent.wait()
    report = agent.report()
    assert report.problems == ()
    assert len(report.advice) == 3
    diffractometer = beamline.sample.diffractometer
    counts = emitted.events("primary")[1]["data"]["detector_intensity"]
    pattern = Pattern.from_two_theta(
        diffractometer.two_theta_deg,
        counts,
        wavelength_angstrom=diffractometer.wavelength_angstrom,
    )
    expected = ReferenceEstimator(trained[0]).predict(pattern).space_group_probabilities
    np.testing.assert_allclose(report.advice[1].space_group_probabilities, expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["tio2-cnn", "b-vggnet"])
def test_the_wide_networks_of_the_papers_answer_from_their_card_too(
    kind: str, tmp_path: Path, store_directory: Path
) -> None:
    entries = {**REFERENCE, "network": {"kind": kind}, "sticks": str(store_directory)}
    configuration = training_configuration(tmp_path, **entries)
    store = open_stick_store(store_directory)
    write_release(create_network(configuration), configuration, store, code_version="1")
    estimate = open_model(str(tmp_path / "run" / "tiny.json")).predict(make_pattern(2.0, 3.1))
    assert estimate.space_group_probabilities.sum() == pytest.approx(1.0)


def test_its_sets_leave_nothing_out_and_all_is_known_to_it(
    trained: tuple[Path, nn.Module],
) -> None:
    estimate = ReferenceEstimator(trained[0]).predict(make_pattern(2.0))
    assert len(estimate.crystal_system_set) == 7
    assert estimate.space_group_set == tuple(range(1, 231))
    assert estimate.set_level == 1.0
    assert estimate.verdict.is_known


def test_a_pattern_outside_its_range_is_refused(trained: tuple[Path, nn.Module]) -> None:
    q = np.linspace(7.0, 9.0, 500)
    beyond = Pattern.from_q(q, 100 + q)
    with pytest.raises(PatternError, match=r"must .*6\.3"):
        ReferenceEstimator(trained[0]).predict_many([make_pattern(2.0), beyond])


@pytest.mark.parametrize("file", ["tiny.pt", "tiny.npz"])
def test_files_that_do_not_belong_to_the_card_are_refused(
    trained: tuple[Path, nn.Module], tmp_path: Path, file: str
) -> None:
    for one in trained[0].parent.glob("tiny.*"):
        (tmp_path / one.name).write_bytes(one.read_bytes())
    (tmp_path / file).write_bytes(b"something else")
    with pytest.raises(WeightsError, match=file):
        ReferenceEstimator(tmp_path / "tiny.json")
