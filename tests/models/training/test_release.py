import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_run import REFERENCE, Configure, training_configuration

from phasepilot.models.diffraction.stick_store import StickStore, open_stick_store
from phasepilot.models.estimation.cubic_indexing import checked_logits
from phasepilot.models.networks.model_card import ModelCard, read_card
from phasepilot.models.networks.onnx_file import read_state_dict
from phasepilot.models.networks.pilot_net import PilotNet
from phasepilot.models.networks.registry import load_model
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import network_input, prepare_pattern
from phasepilot.models.training.calibration import calibrated_log_probabilities
from phasepilot.models.training.configuration import TrainingConfiguration
from phasepilot.models.training.network_choice import create_network, n_parameters
from phasepilot.models.training.pattern_stream import TensorBatch
from phasepilot.models.training.release import training_record, write_release, write_weights
from phasepilot.models.training.structure_choice import trained_structures
from phasepilot.models.training.training_loop import Trainer
from phasepilot.models.training.validation import network_outputs


@pytest.fixture(scope="module")
def released(
    tmp_path_factory: pytest.TempPathFactory, store_directory: Path
) -> tuple[TrainingConfiguration, ModelCard]:
    """A run of two batches and the card of what it gave."""
    configuration = training_configuration(
        tmp_path_factory.mktemp("released"), sticks=str(store_directory), n_patterns=16
    )
    trainer = Trainer(configuration)
    trainer.run()
    store = open_stick_store(store_directory)
    return configuration, write_release(
        trainer.averaged, configuration, store, code_version="1.2.3"
    )


def test_a_release_is_weights_arrays_and_a_card(
    released: tuple[TrainingConfiguration, ModelCard], store: StickStore
) -> None:
    configuration, card = released
    directory = configuration.work_directory
    assert read_card(directory / "tiny.json") == card
    assert (card.name, card.file, card.code_version) == ("tiny", "tiny.onnx", "1.2.3")
    assert card.sha256 == hashlib.sha256((directory / "tiny.onnx").read_bytes()).hexdigest()
    assert card.n_parameters == n_parameters(create_network(configuration))
    assert card.n_structures + card.n_structures_held_out == store.n_structures
    assert (card.n_patterns, card.n_bins) == (16, 1024)
    assert card.measured["n_simulated_held_out_patterns"] == 32
    rates = [value for name, value in card.measured.items() if "accuracy" in name]
    assert len(rates) == 3
    assert all(0 <= rate <= 1 for rate in rates)


def test_a_release_is_loaded_by_the_path_of_its_card_and_answers(
    released: tuple[TrainingConfiguration, ModelCard],
) -> None:
    configuration, _ = released
    path = configuration.work_directory / "tiny.json"
    # Lines of a face-centred lattice, so that the check of cubic lattices has something to say.
    q = np.linspace(0.8, 6.0, 3000)
    places = 1.1 * np.sqrt([3, 4, 8, 11, 12, 16, 19, 20, 24])
    lines = np.exp(-(((q[:, None] - places) / 0.02) ** 2)).sum(axis=1)
    pattern = Pattern.from_q(q, 20 + 900 * lines)
    estimate = load_model(str(path)).predict(pattern)
    # The same from torch with the weights of the file.
    network = create_network(configuration).eval()
    network.load_state_dict(read_state_dict(path.with_suffix(".onnx")))
    preprocessing = configuration.preprocessing
    inputs = network_input(prepare_pattern(pattern, preprocessing), preprocessing)[None]
    outputs = network_outputs(network, [TensorBatch(torch.from_numpy(inputs), torch.tensor([0]))])
    logits = checked_logits(inputs, outputs.logits, preprocessing.grid.grid())
    assert not np.array_equal(logits, outputs.logits)
    outputs = replace(outputs, logits=logits)
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        expected = np.exp(calibrated_log_probabilities(outputs, arrays))[0]
    np.testing.assert_allclose(estimate.space_group_probabilities, expected, rtol=1e-4, atol=1e-7)
    assert set(estimate.space_group_set) <= set(range(1, 231))
    assert 0 <= estimate.epistemic_bits <= estimate.entropy_bits
    assert 0 <= estimate.novelty <= 1


def test_arrays_say_what_the_network_takes_for_common(
    configure: Configure,
    store: StickStore,
    released: tuple[TrainingConfiguration, ModelCard],
) -> None:
    adjusted = configure(logit_adjustment=1.0)
    write_release(create_network(adjusted), adjusted, store, code_version="1")
    frequency = trained_structures(adjusted, store).log_space_group_frequency
    for configuration, expected in ((released[0], frequency), (adjusted, 0 * frequency)):
        with np.load(configuration.work_directory / "tiny.npz", allow_pickle=False) as arrays:
            # Single precision.
            np.testing.assert_allclose(arrays["log_prior"], expected, rtol=1e-6)


def test_what_is_measured_are_the_weights_as_rounded_in_the_file(
    configure: Configure, store: StickStore
) -> None:
    configuration = configure()
    network = create_network(configuration)
    assert isinstance(network, PilotNet)
    card = write_release(network, configuration, store, code_version="1")
    rounded = create_network(configuration)
    rounded.load_state_dict(read_state_dict(configuration.work_directory / card.file))
    again = write_release(rounded, configuration, store, code_version="1")
    assert again.measured == card.measured
    assert again.sha256 == card.sha256


def test_reference_networks_stay_torch_weights(configure: Configure, store: StickStore) -> None:
    configuration = configure(**REFERENCE)
    network = create_network(configuration)
    card = write_release(network, configuration, store, code_version="1")
    assert card.file == "tiny.pt"
    assert "Oviedo" in card.reference
    state = torch.load(configuration.work_directory / card.file, weights_only=True)
    for name, weights in network.state_dict().items():
        assert torch.equal(state[name], weights), name


def test_dots_in_a_name_are_kept(configure: Configure) -> None:
    configuration = configure()
    stem = configuration.structures.parent / "net-1.5"
    assert write_weights(create_network(configuration), stem).name == "net-1.5.onnx"


@pytest.mark.parametrize("kind", ["pilotnet", "acnn"])
def test_the_card_tells_how_it_was_trained(configure: Configure, kind: str) -> None:
    record = training_record(configure(**({} if kind == "pilotnet" else REFERENCE)))
    assert record["loss_extinction_class"] == 1.0
    assert record["class_exponent"] == 0.7
    assert record.get("channels") == ([4, 4] if kind == "pilotnet" else None)
    assert record["torch"] == torch.__version__
