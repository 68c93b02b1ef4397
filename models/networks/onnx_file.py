"""The one file of a trained network: ONNX, weights stored in half precision, torch's names.

ONNX Runtime runs it; torch loads its weights from the same file. Nothing is unpickled.

Besides logits the graph gives what each input bin contributes to them. Between the kinks of its
rectifiers a network of convolutions, rectifiers and dense layers is an affine function of its
input x, so that a sum of logits s = sum_c w_c z_c is exactly

    s = sum_i x_i ds/dx_i + intercept.

The graph therefore holds the network twice, forwards and backwards: the transpose of each layer,
and at each rectifier its derivative, the sign of what it gave out. Weights are stored once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from phasepilot.models.errors import WeightsError
from phasepilot.models.networks.network_session import (
    ATTRIBUTION,
    CLASS_WEIGHTS,
    EMBEDDING,
    INPUT,
    LOGITS,
    NOVELTY_LOGIT,
    SAID,
)
from phasepilot.models.networks.novelty_net import NoveltyNet
from phasepilot.models.networks.pilot_net import PilotNet

_OPSET = 17
_IR_VERSION = 10

_Shapes = Mapping[str, Sequence[int | str] | None]


def write_network(network: PilotNet, path: Path) -> None:
    """Write the network to an ONNX file; initialisers are float16, cast to float32 at load.

    Its inputs and outputs are those that `phasepilot.models.networks.network_session` describes.

    Raises
    ------
    WeightsError
        If the body holds another layer than Conv1d without padding, ReLU, Flatten, Linear and
        Dropout.
    """
    layers = _layers(network)
    n_classes, n_embedding = network.space_group.weight.shape
    pattern = layers[0].input_shape
    graph, value = _forward_graph(layers, network.state_dict())
    graph.add("Identity", [layers[-2].output], EMBEDDING)
    graph.add("Identity", [value], LOGITS)
    _add_attribution(graph, layers, n_classes)
    inputs: _Shapes = {INPUT: ["n", *pattern], CLASS_WEIGHTS: ["n_asked", n_classes]}
    outputs: _Shapes = {
        LOGITS: ["n", n_classes],
        EMBEDDING: ["n", n_embedding],
        ATTRIBUTION: ["n_attributed", *pattern],
    }
    path.write_bytes(_serialised(graph.proto("pilot_net", inputs, outputs)))


def write_novelty_net(network: NoveltyNet, path: Path) -> None:
    """Write the network to an ONNX file, stored alike; it gives its logit and nothing else.

    Raises
    ------
    WeightsError
        As `write_network`.
    """
    layers = _layers(network)
    graph, features = _forward_graph(layers, network.state_dict())
    graph.add("Sub", [SAID, "said_mean.float"], "said.centred")
    graph.add("Div", ["said.centred", "said_scale.float"], "said.scaled")
    joined = graph.add("Concat", [features, "said.scaled"], "joined", axis=1)
    graph.add("Relu", [_add_linear(graph, "hidden", joined)], "hidden.lit")
    logits = [_add_linear(graph, "direct", joined), _add_linear(graph, "mixture", "hidden.lit")]
    mixture = graph.add("Add", logits, "mixture.logit")
    misplaced = _add_linear(graph, "misplaced", "said.scaled")
    graph.add("Concat", [mixture, misplaced], "either", axis=1)
    graph.add("ReduceLogSumExp", ["either"], NOVELTY_LOGIT, axes=[1], keepdims=1)
    inputs: _Shapes = {
        INPUT: ["n", *layers[0].input_shape],
        SAID: ["n", network.said_mean.shape[0]],
    }
    path.write_bytes(_serialised(graph.proto("novelty_net", inputs, {NOVELTY_LOGIT: ["n", 1]})))


def _serialised(graph: onnx.GraphProto) -> bytes:
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


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
        if tensor.data_type == TensorProto.FLOAT16
    }


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer that does something when a network is run.

    Attributes
    ----------
    name : str
        In the state dict.
    input_shape : tuple of int
        Of one pattern: (channels, length), or (features,).
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]

    @property
    def output(self) -> str:
        """What the graph calls the layer's output."""
        return f"{self.name}.output"


def _layers(network: PilotNet | NoveltyNet) -> list[_Layer]:
    """Return the layers that act on the pattern in order.

    Without dropout, which does nothing when a network is run.
    """
    layers: list[_Layer] = []
    first = network.state_dict()["body.0.weight"]
    value = first.new_zeros(1, first.shape[1], network.shape.n_bins)
    named = {f"body.{index}": module for index, module in enumerate(network.body)}
    if isinstance(network, PilotNet):
        named["space_group"] = network.space_group
    with torch.no_grad():
        for name, module in named.items():
            if isinstance(module, nn.Dropout):
                continue
            layers.append(_Layer(name, module, tuple(value.shape[1:])))
            value = module(value)
    return layers


@dataclass(frozen=True, slots=True)
class _Graph:
    """An ONNX graph while it is put together."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initialisers: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def add_constant(self, name: str, values: NDArray[Any]) -> str:
        """Append numbers under a name and return it."""
        self.initialisers.append(numpy_helper.from_array(values, name))
        return name

    def proto(self, name: str, inputs: _Shapes, outputs: _Shapes) -> onnx.GraphProto:
        """Return the graph with float inputs and outputs of these shapes, None if any."""
        ins, outs = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side]
            for side in (inputs.items(), outputs.items())
        )
        return helper.make_graph(self.nodes, name, ins, outs, self.initialisers)


def _forward_graph(layers: list[_Layer], state_dict: dict[str, torch.Tensor]) -> tuple[_Graph, str]:
    """Return the graph from the input to the output of the last layer, and that output's name."""
    graph = _Graph()
    for name, tensor in state_dict.items():
        graph.add_constant(name, tensor.detach().cpu().numpy().astype(np.float16))
        graph.add("Cast", [name], f"{name}.float", to=TensorProto.FLOAT)
    value = INPUT
    for layer in layers:
        value = _add_forward(graph, layer, value)
    return graph, value


def _add_attribution(graph: _Graph, layers: list[_Layer], n_classes: int) -> None:
    """Append the attribution: no rows where no class weights are given."""
    # ONNX Runtime computes what nobody asked for, except in the branch of an If that is not taken.
    graph.add_constant(CLASS_WEIGHTS, np.zeros((0, n_classes), dtype=np.float32))
    graph.add("Size", [CLASS_WEIGHTS], "n_asked")
    graph.add("Cast", ["n_asked"], "is_asked", to=TensorProto.BOOL)
    asked, not_asked = _backward_graph(layers, n_classes), _Graph()
    not_asked.add_constant("no_rows", np.zeros((0, *layers[0].input_shape), dtype=np.float32))
    not_asked.add("Identity", ["no_rows"], "not_asked")
    branches = {
        "then_branch": asked.proto("asked", {}, {"asked": None}),
        "else_branch": not_asked.proto("not_asked", {}, {"not_asked": None}),
    }
    graph.add("If", ["is_asked"], ATTRIBUTION, **branches)


def _backward_graph(layers: list[_Layer], n_classes: int) -> _Graph:
    """Return the graph from class weights to the attribution; it sees the forward graph's values.

    A row of zeros stands for weight 1 at the largest logit.
    """
    graph = _Graph()
    graph.add_constant("n_classes", np.array(n_classes))
    graph.add_constant("off_on", np.array([0, 1], dtype=np.float32))
    graph.add("ArgMax", [LOGITS], "largest", axis=1, keepdims=0)
    graph.add("OneHot", ["largest", "n_classes", "off_on"], "largest.weights", axis=1)
    graph.add("ReduceL1", [CLASS_WEIGHTS], "row.size", axes=[1], keepdims=1)
    graph.add("Cast", ["row.size"], "has_weights", to=TensorProto.BOOL)
    gradient = graph.add("Where", ["has_weights", CLASS_WEIGHTS, "largest.weights"], "weights")
    for layer in reversed(layers):
        gradient = _add_backward(graph, layer, gradient)
    graph.add("Mul", [gradient, INPUT], "asked")
    return graph


def _add_forward(graph: _Graph, layer: _Layer, value: str) -> str:
    """Append what the layer does to a value and return the name of its output."""
    weights = [f"{layer.name}.weight.float", f"{layer.name}.bias.float"]
    match layer.module:
        case nn.Conv1d(stride=stride, padding=(0,), dilation=(1,), groups=1):
            return graph.add("Conv", [value, *weights], layer.output, strides=list(stride))
        case nn.Linear():
            return _add_linear(graph, layer.name, value)
        case nn.ReLU():
            return graph.add("Relu", [value], layer.output)
        case nn.Flatten():
            return graph.add("Flatten", [value], layer.output)
    raise WeightsError(
        "a network that is written must be made of Conv1d without padding, ReLU, Flatten, Linear"
        f" and Dropout, but {layer.name} is {layer.module}; leave it out, or add its forward and"
        " backward form to models/networks/onnx_file.py."
    )


def _add_linear(graph: _Graph, name: str, value: str) -> str:
    """Append a dense layer and return the name of its output."""
    weights = [f"{name}.weight.float", f"{name}.bias.float"]
    return graph.add("Gemm", [value, *weights], f"{name}.output", transB=1)


def _add_backward(graph: _Graph, layer: _Layer, gradient: str) -> str:
    """Append the step from the gradient at a layer's output to that at its input; return that."""
    name, weights = f"{layer.name}.gradient", f"{layer.name}.weight.float"
    match layer.module:
        case nn.Conv1d(stride=(stride,), kernel_size=(kernel,)):
            # Bins at the end that fill no stride were not seen: their gradient is 0.
            unseen = (layer.input_shape[1] - kernel) % stride
            lengths = {"strides": [stride], "output_padding": [unseen]}
            return graph.add("ConvTranspose", [gradient, weights], name, **lengths)
        case nn.ReLU():
            graph.add("Sign", [layer.output], f"{layer.name}.slope")
            return graph.add("Mul", [gradient, f"{layer.name}.slope"], name)
        case nn.Flatten():
            graph.add_constant(f"{layer.name}.shape", np.array([-1, *layer.input_shape]))
            return graph.add("Reshape", [gradient, f"{layer.name}.shape"], name)
    return graph.add("MatMul", [gradient, weights], name)
