from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from phasepilot.models.arrays import Float32Array
from phasepilot.models.errors import WeightsError
from phasepilot.models.networks.network_session import (
    PREDICTED_CLASS,
    NetworkSession,
    NoveltySession,
)
from phasepilot.models.networks.novelty_net import NoveltyNet
from phasepilot.models.networks.onnx_file import (
    read_state_dict,
    write_network,
    write_novelty_net,
)
from phasepilot.models.networks.pilot_net import PilotNet, PilotNetShape

N_SPACE_GROUPS = 230
# 510 bins leave some at the end that fill no stride of the first convolution.
SHAPES = (
    PilotNetShape(
        n_bins=512, channels=(3, 4, 5), kernels=(32, 8, 8), strides=(8, 4, 2), dense=(16, 8)
    ),
    PilotNetShape(
        n_bins=510, channels=(4, 6), kernels=(11, 5), strides=(4, 3), dense=(7,), dropout=0.5
    ),
)


def written_network(shape: PilotNetShape, path: Path) -> tuple[PilotNet, NetworkSession]:
    """A network as it is after its weights went through the file, in torch and as a session."""
    torch.manual_seed(0)
    network = PilotNet(shape)
    write_network(network, path)
    network.load_state_dict(read_state_dict(path))
    return network.double().eval(), NetworkSession(path.read_bytes())


def make_inputs(n_patterns: int, n_bins: int) -> Float32Array:
    rng = np.random.default_rng(0)
    return rng.random((n_patterns, 2, n_bins), dtype=np.float32) ** 3


def attribution_by_torch(
    network: PilotNet, inputs: Float32Array, weights: Float32Array
) -> Float32Array:
    values = torch.from_numpy(inputs).double().requires_grad_()
    (gradient,) = torch.autograd.grad((network(values) * torch.from_numpy(weights)).sum(), values)
    return (values * gradient).detach().numpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_written_network_says_what_torch_says(tmp_path: Path, shape: PilotNetShape) -> None:
    network, session = written_network(shape, tmp_path / "network.onnx")
    inputs = make_inputs(4, shape.n_bins)
    outputs = session.run(inputs)
    with torch.inference_mode():
        values = torch.from_numpy(inputs).double()
        assert_allclose(outputs.space_group_logits, network(values), rtol=1e-4, atol=1e-5)
        assert_allclose(outputs.embedding, network.embedding(values), rtol=1e-4, atol=1e-5)
    assert outputs.attribution.shape == (0, 2, shape.n_bins)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_attribution_is_input_times_gradient(tmp_path: Path, shape: PilotNetShape) -> None:
    network, session = written_network(shape, tmp_path / "network.onnx")
    inputs = make_inputs(3, shape.n_bins)
    weights = np.random.default_rng(1).normal(size=(3, N_SPACE_GROUPS)).astype(np.float32)
    found = session.run(inputs, weights).attribution
    expected = attribution_by_torch(network, inputs, weights)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    shared = session.run(inputs, weights[:1]).attribution
    assert_array_equal(shared[0], found[0])
    assert_allclose(shared[1], session.run(inputs[1:2], weights[:1]).attribution[0], atol=1e-6)


def test_a_row_of_zeros_asks_for_the_largest_logit(tmp_path: Path) -> None:
    network, session = written_network(SHAPES[0], tmp_path / "network.onnx")
    inputs = make_inputs(5, SHAPES[0].n_bins)
    outputs = session.run(inputs, PREDICTED_CLASS)
    of_largest = np.eye(N_SPACE_GROUPS, dtype=np.float32)[outputs.space_group_logits.argmax(axis=1)]
    assert_array_equal(outputs.attribution, session.run(inputs, of_largest).attribution)
    expected = attribution_by_torch(network, inputs, of_largest)
    assert_allclose(outputs.attribution, expected, atol=1e-5 * np.abs(expected).max())


def test_weights_are_kept_in_half_precision_and_nothing_is_pickled(tmp_path: Path) -> None:
    network = PilotNet(SHAPES[0])
    path = tmp_path / "network.onnx"
    write_network(network, path)
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    state = read_state_dict(path)
    assert state.keys() == network.state_dict().keys()
    for name, weights in state.items():
        assert stored[name] == onnx.TensorProto.FLOAT16
        original = network.state_dict()[name].numpy()
        assert_array_equal(weights.numpy(), original.astype(np.float16))


@pytest.mark.parametrize("layer", [nn.GELU(), nn.Conv1d(3, 3, 3, padding=1)])
def test_a_layer_without_an_exact_attribution_is_refused(tmp_path: Path, layer: nn.Module) -> None:
    network = PilotNet(SHAPES[0])
    network.body.insert(1, layer)
    with pytest.raises(WeightsError, match=r"must be made of Conv1d .* but body\.1 is .*leave it"):
        write_network(network, tmp_path / "network.onnx")


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"must be an ONNX file, but .*network\.onnx could not"):
        read_state_dict(path)
    with pytest.raises(WeightsError, match=r"an ONNX file that ONNX Runtime .* runs, but it says"):
        NetworkSession(b"no network")


def test_a_network_without_attribution_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    write_network(PilotNet(SHAPES[0]), path)
    model = onnx.load(path)
    del model.graph.output[2]
    with pytest.raises(WeightsError, match=r"must give space_group_logits.* but this one gives"):
        NetworkSession(model.SerializeToString())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_written_novelty_network_says_what_torch_says(
    tmp_path: Path, shape: PilotNetShape
) -> None:
    beside, session = written_network(shape, tmp_path / "network.onnx")
    inputs = make_inputs(5, shape.n_bins)
    outputs = session.run(inputs)
    network = NoveltyNet(shape)
    network.start_from(beside.float().state_dict(), torch.from_numpy(outputs.said))
    path = tmp_path / "mixture.onnx"
    write_novelty_net(network, path)
    network.load_state_dict(read_state_dict(path))
    network.eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(inputs), torch.from_numpy(outputs.said))[:, 0]
    found = NoveltySession(path.read_bytes()).logits(inputs, outputs)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(found) > 0.01
    # The convolutions are those of the network beside it.
    assert_array_equal(network.body[0].weight.detach(), beside.body[0].weight.detach())


def test_a_network_is_no_novelty_network(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    written_network(SHAPES[0], path)
    with pytest.raises(WeightsError, match="must give novelty_logit, but this one gives"):
        NoveltySession(path.read_bytes())
