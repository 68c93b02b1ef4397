"""The ONNX file of a `CakeNet`: weights stored in half precision under torch's names."""

from pathlib import Path

import numpy as np
from onnx import TensorProto

from phasepilot.models.networks.cake_net import SMALL_ROOT, SMALL_SQUARE, CakeNet
from phasepilot.models.networks.network_session import EMBEDDING, INPUT, LOGITS
from phasepilot.models.networks.onnx_file import OnnxGraph, serialised


def write_cake_network(network: CakeNet, path: Path) -> None:
    """Write the network; it takes cakes (n, 2, n_chi, n_bins) and gives logits and embedding."""
    shape, graph = network.shape, OnnxGraph()
    n_points = network.n_local_points
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():  # how many batches a normalisation has seen
            continue
        graph.add_constant(name, tensor.detach().cpu().numpy().astype(np.float16))
        graph.add("Cast", [name], f"{name}.float", to=TensorProto.FLOAT)
    _add_harmonics(graph, network)
    graph.add(
        "Conv",
        ["harmonics", _add_complex(graph, "local")],
        "local.products",
        strides=[shape.local_stride],
        pads=[shape.local_kernel // 2] * 2,
    )
    local = _add_strengths(graph, "local", [-1, shape.n_waves * shape.local_filters, n_points])
    local = _add_norm(graph, "local_norm", local)
    flat = _add_reshaped(graph, "harmonics", "everywhere.input", [-1, 6 * shape.n_bins])
    filters = _add_reshaped(
        graph, _add_complex(graph, "everywhere"), "everywhere.flat", [-1, 6 * shape.n_bins]
    )
    graph.add("Gemm", [flat, filters], "everywhere.products", transB=1)
    around = _add_strengths(graph, "everywhere", [-1, shape.n_waves * shape.global_filters])
    around = _add_norm(graph, "everywhere_norm", around)
    along = local
    for name in ("first", "second"):
        weights = [f"{name}.weight.float", f"{name}.bias.float"]
        graph.add("Conv", [along, *weights], f"{name}.sum", strides=[2], pads=[1, 1])
        along = graph.add(
            "Relu", [_add_norm(graph, f"{name}_norm", f"{name}.sum")], f"{name}.output"
        )
    graph.add("Flatten", [along], "along.flat")
    value = graph.add("Concat", ["along.flat", around], "features", axis=1)
    value = _add_norm(graph, "dense_norm", _add_linear(graph, "dense", value))
    value = graph.add("Relu", [value], "dense.output")
    value = graph.add("Relu", [_add_linear(graph, "last", value)], "last.output")
    graph.add("Identity", [value], EMBEDDING)
    graph.add("Identity", [_add_linear(graph, "space_group", value)], LOGITS)
    proto = graph.proto(
        "cake_net",
        {INPUT: ["n", 2, shape.n_chi, shape.n_bins]},
        {LOGITS: ["n", 230], EMBEDDING: ["n", shape.embedding]},
    )
    path.write_bytes(serialised(proto))


def _add_harmonics(graph: OnnxGraph, network: CakeNet) -> None:
    """Append the step from cakes to harmonics (n * n_waves, 6, n_bins)."""
    shape = network.shape
    graph.add_constant("waves", network.waves.cpu().numpy().astype(np.float32))
    graph.add_constant("small_root", np.array(SMALL_ROOT, dtype=np.float32))
    graph.add_constant("least_faint", np.array(SMALL_ROOT**0.5, dtype=np.float32))
    graph.add_constant("small_square", np.array(SMALL_SQUARE, dtype=np.float32))
    graph.add_constant("halves", np.array([1, 1]))
    graph.add("Split", [INPUT, "halves"], "root", axis=1)
    graph.nodes[-1].output.append("mask")
    graph.add("Add", ["root", "small_root"], "root.lifted")
    graph.add("Sqrt", ["root.lifted"], "root.root")
    graph.add("Sub", ["root.root", "least_faint"], "faint")
    graph.add_constant("one", np.array(1, dtype=np.float32))
    graph.add("Sub", ["one", "mask"], "not_measured")
    graph.add("Concat", ["root", "not_measured", "faint"], "channels", axis=1)
    graph.add("MatMul", ["waves", "channels"], "parts")
    parts = _add_reshaped(graph, "parts", "parts.split", [-1, 3, 2, shape.n_waves, shape.n_bins])
    graph.add("Transpose", [parts], "parts.ordered", perm=[0, 3, 2, 1, 4])
    _add_reshaped(graph, "parts.ordered", "harmonics", [-1, 6, shape.n_bins])


def _add_complex(graph: OnnxGraph, name: str) -> str:
    """Append what `cake_net` makes of the two parts of its filters."""
    graph.add("Split", [f"{name}.float", "halves"], f"{name}.real.first", axis=0)
    graph.nodes[-1].output.append(f"{name}.imaginary.first")
    graph.add_constant(f"{name}.axis", np.array([0]))
    for part in ("real", "imaginary"):
        graph.add("Squeeze", [f"{name}.{part}.first", f"{name}.axis"], f"{name}.{part}")
    graph.add("Neg", [f"{name}.imaginary"], f"{name}.minus")
    graph.add("Concat", [f"{name}.real", f"{name}.minus"], f"{name}.above", axis=1)
    graph.add("Concat", [f"{name}.imaginary", f"{name}.real"], f"{name}.below", axis=1)
    return graph.add("Concat", [f"{name}.above", f"{name}.below"], f"{name}.complex", axis=0)


def _add_strengths(graph: OnnxGraph, name: str, shape: list[int]) -> str:
    """Append absolute values of complex products, in that shape; 0 keeps a length."""
    squares = graph.add("Mul", [f"{name}.products"] * 2, f"{name}.squares")
    graph.add("Split", [squares], f"{name}.squares.real", axis=1)
    graph.nodes[-1].output.append(f"{name}.squares.imaginary")
    graph.add("Add", [f"{name}.squares.real", f"{name}.squares.imaginary"], f"{name}.sum")
    graph.add("Add", [f"{name}.sum", "small_square"], f"{name}.lifted")
    graph.add("Sqrt", [f"{name}.lifted"], f"{name}.strengths")
    return _add_reshaped(graph, f"{name}.strengths", f"{name}.output", shape)


def _add_reshaped(graph: OnnxGraph, value: str, output: str, shape: list[int]) -> str:
    graph.add_constant(f"{output}.shape", np.array(shape))
    return graph.add("Reshape", [value, f"{output}.shape"], output)


def _add_norm(graph: OnnxGraph, name: str, value: str) -> str:
    parts = ("weight", "bias", "running_mean", "running_var")
    numbers = [f"{name}.{part}.float" for part in parts]
    return graph.add("BatchNormalization", [value, *numbers], f"{name}.output", epsilon=1e-5)


def _add_linear(graph: OnnxGraph, name: str, value: str) -> str:
    weights = [f"{name}.weight.float", f"{name}.bias.float"]
    return graph.add("Gemm", [value, *weights], f"{name}.sum", transB=1)
