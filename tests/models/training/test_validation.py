import numpy as np
import pytest
import torch
from training_run import REFERENCE, Configure

from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.estimation.network_fit import LabelledOutputs
from phasepilot.models.networks.pilot_net import PilotNet
from phasepilot.models.training.network_choice import create_network
from phasepilot.models.training.pattern_stream import validation_batches
from phasepilot.models.training.validation import network_outputs, score


def outputs(logits: np.ndarray, labels: list[int]) -> LabelledOutputs:  # type: ignore[type-arg]
    return LabelledOutputs(logits, np.zeros((len(labels), 0)), np.array(labels))


def test_knowing_nothing_costs_the_logarithm_of_230() -> None:
    assert score(outputs(np.zeros((3, 230)), [0, 1, 2])).loss == pytest.approx(np.log(230))


def test_levels_are_answered_by_summed_probabilities() -> None:
    logits = np.full((1, 230), -9.0)
    # Half of the probability is on one monoclinic group, the rest on many cubic ones.
    logits[0, 13] = 0.0
    logits[0, 194:230] = np.log(1.2 / 36)
    found = score(outputs(logits, [224]))
    assert found.crystal_system_accuracy == 1.0
    assert found.space_group_accuracy == 0.0


def test_rare_groups_count_as_much_as_common_ones_in_the_recall() -> None:
    logits = np.zeros((10, 230))
    logits[:, 0] = 5.0
    found = score(outputs(logits, [0] * 9 + [1]))
    assert found.space_group_accuracy == 0.9
    assert found.space_group_recall == 0.5


def test_the_third_most_probable_group_counts_in_the_first_three() -> None:
    logits = np.tile(-np.arange(230.0), (4, 1))
    assert score(outputs(logits, [0, 2, 3, 200])).space_group_top3 == 0.5


def test_outputs_are_those_of_the_network_batch_by_batch(
    configure: Configure, store: StickStore
) -> None:
    network = create_network(configure()).eval()
    assert isinstance(network, PilotNet)
    batches = list(validation_batches(configure(), store, n_patterns=300))
    found = network_outputs(network, batches)
    assert found.logits.shape == (300, 230)
    assert found.embedding.shape == (300, 6)
    with torch.inference_mode():
        alone = network(batches[1].inputs[:1].float())
    np.testing.assert_allclose(found.logits[256], alone[0].numpy(), rtol=1e-4, atol=1e-5)
    assert found.space_group_index[256] == batches[1].space_group_index[0]
    weight, bias = (tensor.detach().numpy() for tensor in network.space_group.parameters())
    np.testing.assert_allclose(found.logits, found.embedding @ weight.T + bias, atol=1e-4)


def test_reference_networks_tell_no_embedding(configure: Configure, store: StickStore) -> None:
    configuration = configure(**REFERENCE)
    network = create_network(configuration).eval()
    found = network_outputs(network, validation_batches(configuration, store, n_patterns=4))
    assert found.logits.shape == (4, 230)
    assert found.embedding.shape == (4, 0)
