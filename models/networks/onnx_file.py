"""The one file of a trained network: ONNX, weights stored in half precision, torch's names.

ONNX Runtime runs it; torch loads its weights from the same file. Nothing is unpickled.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from phasepilot.models.errors import WeightsError
from phasepilot.models.networks.npcnn import N_CRYSTAL_SYSTEMS, N_SPACE_GROUPS, Npcnn

INPUT = "pattern"
OUTPUTS = ("crystal_system_logits", "space_group_logits")
_OPSET = 17
_IR_VERSION = 10


def write_npcnn(network: Npcnn, path: Path) -> None:
    """Write the network to an ONNX file; initialisers are float16, cast to float32 at load."""
    nodes: list[onnx.NodeProto] = []
    initialisers: list[onnx.TensorProto] = []
    for name, tensor in network.state_dict().items():
        half = tensor.detach().cpu().numpy().astype(np.float16)
        initialisers.append(numpy_helper.from_array(half, name))
        nodes.append(helper.make_node("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT))
    value = INPUT
    for index, layer in enumerate(network.body):
        value = _add_layer(nodes, layer, f"body.{index}", value)
    for head, output in zip(("crystal_system", "space_group"), OUTPUTS, strict=True):
        nodes.append(_gemm(head, value, output))
    graph = helper.make_graph(
        nodes,
        "npcnn",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 2, network.shape.n_bins])],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", n_classes])
            for output, n_classes in zip(OUTPUTS, (N_CRYSTAL_SYSTEMS, N_SPACE_GROUPS), strict=True)
        ],
        initialisers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of such a file as a torch state dict in float32.

    Raises
    ------
    WeightsError
        If the file is not ONNX.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception as error:  # protobuf raises its own DecodeError, which it does not export
        raise WeightsError(
            f"a network must be an ONNX file, but {path} could not be read as one ({error});"
            " reinstall phasepilot, or train the network again."
        ) from error
    return {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
        for tensor in model.graph.initializer
    }


def _add_layer(nodes: list[onnx.NodeProto], layer: nn.Module, name: str, value: str) -> str:
    """Append the ONNX form of a layer and return the name of what it puts out."""
    output = f"{name}.output"
    if isinstance(layer, nn.Conv1d):
        weights = [f"{name}.weight.float", f"{name}.bias.float"]
        stride = [int(step) for step in layer.stride]
        nodes.append(helper.make_node("Conv", [value, *weights], [output], strides=stride))
    elif isinstance(layer, nn.Linear):
        nodes.append(_gemm(name, value, output))
    elif isinstance(layer, nn.ReLU):
        nodes.append(helper.make_node("Relu", [value], [output]))
    elif isinstance(layer, nn.Flatten):
        nodes.append(helper.make_node("Flatten", [value], [output]))
    else:
        return value  # dropout does nothing when a network is run
    return output


def _gemm(name: str, value: str, output: str) -> onnx.NodeProto:
    weights = [f"{name}.weight.float", f"{name}.bias.float"]
    return helper.make_node("Gemm", [value, *weights], [output], transB=1)
