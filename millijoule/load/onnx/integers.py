"""Quantized ONNX models: QuantizeLinear and DequantizeLinear around float operators become an int8 model.

A value has the scale of the QuantizeLinear that reads it; DequantizeLinear is left out. A constant behind
DequantizeLinear is an integer weight. uint8 is read as int8: the same reals, integers and zero points less 128.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from millijoule.graph import Graph, Node, Operator, Shape
from millijoule.load.names import unique
from millijoule.load.onnx.network import Integers, OnnxNetwork
from millijoule.model import Quantization
from millijoule.ops import AveragePool2d, Concat, GlobalAveragePool, Opaque, PRelu, Relu, Relu6, Requantize
from millijoule.ops.quantization import SAME_SCALE, prescribed_output

NOTE = (
    "integers are computed by TFLite's rules (fixed-point requantization); ONNX Runtime requantizes in float, so a "
    "layer's numbers may differ by one step, and a network's by more"
)
COMPRESSED = "weights stored as integers were turned into float32"
LARGEST_BIAS = 2**31 - 1


def quantization_of(network: OnnxNetwork, slots: tuple[int, int] = (1, 2)) -> Quantization:
    """Scales and zero point that the current operator's inputs give."""
    scales = network.constant(slots[0]).astype(np.float32).reshape(-1)
    zero_points = network.optional(slots[1])
    if zero_points is None:
        zero_points = np.zeros(1, np.uint8)
    if not scales.size or not np.all((scales > 1e-20) & (scales < 1e18)):
        network.fail(f"its scale is {scales[:1].tolist()}; a number above 0 is needed")
    if zero_points.dtype.name not in ("int8", "uint8", "int32") or not zero_points.size:
        network.fail(f"it is of type {zero_points.dtype.name}; int8 and uint8 are supported")
    if np.any(zero_points != zero_points.reshape(-1)[0]):
        network.fail("its channels have different zero points; one is supported")
    shift = 128 if zero_points.dtype == np.uint8 else 0
    return Quantization(scales, int(zero_points.reshape(-1)[0]) - shift)


def quantize_linear(network: OnnxNetwork) -> None:
    """Gives the value before it a scale; another one after the first."""
    quantization = quantization_of(network)
    if quantization.scales.size != 1:
        network.fail(f"gives a value {quantization.scales.size} scales; one is supported")
    network.give(network.quantize(network.value(), quantization))


def dequantize_linear(network: OnnxNetwork) -> None:
    """Left out behind a quantized value; a constant behind it is an integer weight."""
    quantization = quantization_of(network)
    if not network.is_constant(0):
        value = network.value()
        if network.build.quantization.get(value.name) != quantization:
            network.fail("reads integers under another scale than they were quantized with")
        network.give(value)
        return
    array = network.constant(0)
    if array.dtype.name not in ("int8", "uint8", "int32"):
        network.fail(f"its integers are {array.dtype.name}; int8, uint8 and int32 are supported")
    if array.dtype == np.uint8:
        array = (array.astype(np.int16) - 128).astype(np.int8)
    axis, size = network.attribute("axis", 1), quantization.scales.size
    scales = quantization.scales
    if size > 1:
        axis = network.axis(axis, array.ndim)
        if array.shape[axis] != size:
            network.fail(f"has {size} scales for {array.shape[axis]} slices along axis {axis}")
        scales = scales.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    output = network.node.output[0]
    network.integers[output] = Integers(array, quantization, axis)
    # float64, so that int32 biases survive.
    network.constants[output] = (array.astype(np.float64) - quantization.zero_point) * scales.astype(np.float64)
    if array.dtype != np.int32:
        network.constants[output] = network.constants[output].astype(np.float32)


def complete(
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    given: Mapping[str, Quantization],
    fail: Callable[[str], NoReturn],
) -> tuple[Graph, dict[str, np.ndarray], dict[str, Quantization]]:
    """The int8 form of a graph with integer weights and float biases, some of whose values have a quantization.

    Activations move into the operator before them; what moves numbers keeps their scale; where the file asks for
    another scale than an operator's rule, Requantize follows. Biases: int32, scale of the input times the weights'.
    """
    graph, given = _fuse(graph, given)
    for entry in graph.inputs:
        if entry.name not in given:
            fail(f"input '{entry.name}' has no QuantizeLinear behind it: quantize the whole model")
    values = {entry.name: given[entry.name] for entry in graph.inputs}
    used = set(graph.shapes)
    nodes: list[Node] = []

    def requantized(name: str, wanted: Quantization) -> str:
        if values[name] == wanted:
            return name
        made = unique(f"{name}_requantize", used)
        nodes.append(Node(made, Requantize(), (name,)))
        values[made] = wanted
        return made

    for node in graph.nodes:
        if isinstance(node.op, Opaque):
            # Its numbers are float, for which an int8 model has no place; what is counted is "at least" anyway.
            node = replace(node, op=replace(node.op, arrays=()))
        wanted, own = given.get(node.name), prescribed_output(node.op)
        if isinstance(node.op, AveragePool2d) and wanted not in (None, values[node.inputs[0]]):
            node = replace(node, op=_rescaled_mean(node.op, *graph.input_shapes(node)))
        if isinstance(node.op, Concat):
            own = wanted or values[node.inputs[0]]
            node = replace(node, inputs=tuple(requantized(name, own) for name in node.inputs))
        elif isinstance(node.op, SAME_SCALE) or (isinstance(node.op, Opaque) and wanted is None and node.inputs):
            # What is not known is never run; its scale only has to be there.
            own = values[node.inputs[0]]
        own = own or wanted
        if own is None:
            fail(
                f"node '{node.name}' ({type(node.op).__name__}) has no QuantizeLinear behind it: quantize the whole "
                "model"
            )
        if wanted is None or wanted == own:
            nodes.append(node)
            values[node.name] = own
        else:
            raw = unique(f"{node.name}_raw", used)
            nodes += [replace(node, name=raw), Node(node.name, Requantize(), (raw,))]
            values |= {raw: own, node.name: wanted}
    graph = replace(graph, nodes=tuple(nodes))
    integers, scales = _integer_weights(graph, weights, values, given, fail)
    return graph, integers, values | scales


def _rescaled_mean(op: AveragePool2d, x: Shape) -> Operator:
    """An average of another scale than its input's: over the whole map, TFLite's MEAN, which rounds once."""
    whole = (1, 1, x[2]) == op.shape(x) and op.window(x).pads_nothing and op.activation == "none"
    return GlobalAveragePool(keep_dims=True) if whole and op.kernel == x[:2] else op


def _fuse(graph: Graph, given: Mapping[str, Quantization]) -> tuple[Graph, dict[str, Quantization]]:
    """Relu and Relu6 into the operator before them, where that has no quantization of its own and gets theirs."""
    given = dict(given)
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    readers = [name for node in graph.nodes for name in node.inputs] + list(graph.outputs)
    for node in graph.nodes:
        node = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
        maker = nodes.get(node.inputs[0])
        if (
            isinstance(node.op, Relu | Relu6)
            and maker is not None
            and maker.name not in given
            and readers.count(maker.name) == 1
            and getattr(maker.op, "activation", None) == "none"
        ):
            activation: Any = "relu" if isinstance(node.op, Relu) else "relu6"
            op = replace(maker.op, activation=activation)  # type: ignore[type-var]
            nodes[maker.name] = replace(maker, op=op)
            renamed[node.name] = maker.name
            if node.name in given:
                given[maker.name] = given[node.name]
            continue
        nodes[node.name] = node
    outputs = tuple(renamed.get(name, name) for name in graph.outputs)
    return replace(graph, nodes=tuple(nodes.values()), outputs=outputs), given


def _integer_weights(
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    values: Mapping[str, Quantization],
    given: Mapping[str, Quantization],
    fail: Callable[[str], NoReturn],
) -> tuple[dict[str, np.ndarray], dict[str, Quantization]]:
    integers: dict[str, np.ndarray] = {}
    scales: dict[str, Quantization] = {}
    for node in graph.nodes:
        names = node.op.params(*graph.input_shapes(node))
        if not names:
            continue
        kind = "slope" if isinstance(node.op, PRelu) else "weight"
        key = f"{node.name}.{kind}"
        if key not in given or weights[key].dtype != np.int8 or set(names) - {kind, "bias"}:
            fail(f"node '{node.name}' ({type(node.op).__name__}) has float weights in a quantized network")
        integers[key], scales[key] = weights[key], given[key]
        if "bias" in names:
            bias = _in_steps(weights[f"{node.name}.bias"], values[node.inputs[0]], given[key])
            integers[f"{node.name}.bias"] = np.clip(bias, -LARGEST_BIAS, LARGEST_BIAS).astype(np.int32)
    return integers, scales


def _in_steps(bias: np.ndarray, value: Quantization, weight: Quantization) -> np.ndarray:
    """float64 whole numbers: a bias in steps of a layer's sums.

    Files state the step as float32, rounded: a bias that is whole numbers of those was meant so.
    """
    stated = (value.scale * weight.scales).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        counted = bias.astype(np.float64) / stated
    if np.all(np.abs(counted - np.round(counted)) < 1e-6):
        return np.round(counted)
    return np.round(bias.astype(np.float64) / (float(value.scale) * weight.scales.astype(np.float64)))
