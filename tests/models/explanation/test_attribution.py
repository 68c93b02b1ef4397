from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from phasepilot.models.errors import ModelsError
from phasepilot.models.explanation.attribution import Attribution, attribute, class_weights
from phasepilot.models.networks.network_session import NetworkSession
from phasepilot.models.networks.onnx_file import read_state_dict, write_network
from phasepilot.models.networks.pilot_net import PilotNet, PilotNetShape

SHAPE = PilotNetShape(
    n_bins=512, channels=(6, 8, 8), kernels=(32, 8, 8), strides=(8, 4, 2), dense=(16, 8)
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = PilotNet(SHAPE)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # Biases as large as a trained network's, so that the intercept counts.
            parameter.mul_(1.5 if "weight" in name else 3.0)
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    write_network(network, path)
    return path


@pytest.fixture(scope="module")
def session(path: Path) -> NetworkSession:
    return NetworkSession(path.read_bytes())


@pytest.fixture(scope="module")
def network(path: Path) -> PilotNet:
    network = PilotNet(SHAPE)
    network.load_state_dict(read_state_dict(path))
    return network.double().eval()


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([rng.random(512) ** 4, np.arange(512) < 400]).astype(np.float32)


def what_biases_add(network: PilotNet, inputs: np.ndarray, weights: np.ndarray) -> float:
    """The sum over layers of bias times gradient: the intercept, by another way."""
    logits = network(torch.from_numpy(inputs[None]).double())
    (logits * torch.from_numpy(weights).double()).sum().backward()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv1d | nn.Linear)]
    added = sum(float(layer.bias.detach() @ layer.bias.grad) for layer in layers)
    network.zero_grad()
    return added


@pytest.mark.parametrize("against", [None, 14])
def test_contributions_and_biases_add_up_to_the_logit(
    network: PilotNet, session: NetworkSession, inputs: np.ndarray, against: int | None
) -> None:
    weights = class_weights(62, against=against)
    with torch.inference_mode():
        logits = network(torch.from_numpy(inputs[None]).double())[0].numpy()
    expected = logits[61] - (logits[against - 1] if against else 0.0)
    attribution = attribute(session, inputs, weights)
    biases = what_biases_add(network, inputs, weights)
    assert attribution.contributions.sum() + biases == pytest.approx(expected, abs=1e-4)
    assert attribution.total == pytest.approx(expected, abs=1e-4)
    assert attribution.intercept == pytest.approx(biases, abs=1e-4)
    assert abs(biases) > 0.01


def test_a_small_change_of_a_bin_changes_the_logit_in_proportion(
    network: PilotNet, session: NetworkSession, inputs: np.ndarray
) -> None:
    attribution = attribute(session, inputs, class_weights(62))
    peak = int(inputs[0].argmax())
    changed = torch.from_numpy(inputs[None]).double().repeat(2, 1, 1)
    changed[1, 0, peak] *= 1.0 + 1e-6
    with torch.inference_mode():
        before, after = network(changed)[:, 61].tolist()
    slope = (after - before) / 1e-6
    assert attribution.contributions[0, peak] == pytest.approx(slope, rel=1e-3)


def test_by_default_the_most_probable_space_group_is_explained(
    session: NetworkSession, inputs: np.ndarray
) -> None:
    logits = session.run(inputs[None]).space_group_logits[0]
    best = attribute(session, inputs)
    named = attribute(session, inputs, class_weights(int(logits.argmax()) + 1))
    assert best.total == named.total == logits.max()
    np.testing.assert_array_equal(best.contributions, named.contributions)


def test_one_against_another_is_the_difference_of_both(
    session: NetworkSession, inputs: np.ndarray
) -> None:
    one, other = (attribute(session, inputs, class_weights(number)) for number in (225, 221))
    between = attribute(session, inputs, class_weights(225, against=221))
    difference = one.contributions - other.contributions
    np.testing.assert_allclose(between.contributions, difference, atol=1e-6)


def test_a_bin_adds_what_both_channels_add() -> None:
    attribution = Attribution(np.array([[1.0, 2.0], [0.5, -3.0]]), total=4.0)
    assert attribution.of_bins.tolist() == [1.5, -1.0]
    assert attribution.intercept == 3.5


@pytest.mark.parametrize("number", [0, 231])
def test_only_the_230_space_groups_can_be_explained(number: int) -> None:
    with pytest.raises(ModelsError, match=f"number from 1 to 230, but is {number}; take the"):
        class_weights(number)
    with pytest.raises(ModelsError, match=f"number from 1 to 230, but is {number}; take the"):
        class_weights(1, against=number)


def test_a_space_group_is_not_set_against_itself() -> None:
    with pytest.raises(ModelsError, match="against another, but both are 62; choose two"):
        class_weights(62, against=62)
