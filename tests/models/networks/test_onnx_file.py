from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.testing import assert_allclose

from phasepilot.models.networks.npcnn import Npcnn, NpcnnShape
from phasepilot.models.networks.onnx_file import INPUT, OUTPUTS, read_state_dict, write_npcnn

SHAPES = (
    NpcnnShape(n_bins=512, channels=3, dense=(16, 8)),
    NpcnnShape(n_bins=300, channels=4, kernels=(9, 5, 3), strides=(3, 2, 1), dense=(8, 4)),
)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_written_network_says_what_torch_says(tmp_path: Path, shape: NpcnnShape) -> None:
    torch.manual_seed(0)
    written = Npcnn(shape)
    path = tmp_path / "network.onnx"
    write_npcnn(written, path)
    network = Npcnn(shape)
    network.load_state_dict(read_state_dict(path))
    inputs = np.random.default_rng(0).random((4, 2, shape.n_bins)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    of_onnx = session.run(list(OUTPUTS), {INPUT: inputs})
    with torch.inference_mode():
        of_torch = network.eval()(torch.from_numpy(inputs))
    for from_onnx, from_torch in zip(of_onnx, of_torch, strict=True):
        assert_allclose(from_onnx, from_torch.numpy(), rtol=1e-4, atol=1e-5)


def test_weights_are_kept_in_half_precision_and_nothing_is_pickled(tmp_path: Path) -> None:
    network = Npcnn(SHAPES[0])
    path = tmp_path / "network.onnx"
    write_npcnn(network, path)
    initialisers = onnx.load(path).graph.initializer
    assert {tensor.data_type for tensor in initialisers} == {onnx.TensorProto.FLOAT16}
    for name, weights in read_state_dict(path).items():
        original = network.state_dict()[name].numpy()
        np.testing.assert_array_equal(weights.numpy(), original.astype(np.float16))
