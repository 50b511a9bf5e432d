"""ONNX files as models: float ones, and quantized ones with QuantizeLinear and DequantizeLinear as int8 models.

Channels first become channels last, without transposes: see `millijoule.load.channels_first`. What is computed from
constants and shapes alone, as exporters write reshapes, is computed here. An operator that is not known becomes Opaque:
it has a name, a shape and numbers, but its cost is not counted and it cannot be run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.boxes import BoxCoding
from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.load.detectors import known_detector
from millijoule.load.integer import check_kernels
from millijoule.load.metadata import NAME, from_text
from millijoule.load.names import identifier, layer_path, node_names
from millijoule.load.onnx.arrange import ARRANGEMENTS
from millijoule.load.onnx.file import OnnxFile, read_onnx, short
from millijoule.load.onnx.integers import COMPRESSED, NOTE, complete, dequantize_linear, quantize_linear
from millijoule.load.onnx.layers import LAYERS
from millijoule.load.onnx.network import OnnxNetwork, Unknown
from millijoule.model import Model, Quantization

if TYPE_CHECKING:
    from onnx import NodeProto

SUPPORTED: dict[str, Callable[[OnnxNetwork], None]] = {
    **LAYERS,
    **ARRANGEMENTS,
    "DequantizeLinear": dequantize_linear,
    "QuantizeLinear": quantize_linear,
}
"""One function for each operator; the first line of its docstring is what the documentation says of it."""


def load_onnx(data: bytes, path: Path, name: str, input_shape: Sequence[int] | None = None) -> Model:
    """The model in the bytes of an ONNX file. name: the graph's; input_shape: of its input, batch included.

    Raises ModelError, in one line that names file and node, for what is damaged, cyclic, dynamic, or control flow.
    """
    file = read_onnx(data, path, input_shape)
    nodes = _live(file)
    network = OnnxNetwork(file, name, _names(nodes))
    for entry, shape in file.inputs:
        last = len(shape) == 4 and _comes_channels_last(file, entry)
        network.values[entry] = network.build.input(
            identifier(entry).strip("_").lower()[:40] or "input", shape, channels_last=last
        )
    for node in nodes:
        network.current = node
        _import(network)
    network.current = None
    return _model(network)


def _live(file: OnnxFile) -> list[NodeProto]:
    """The nodes that the outputs depend on."""
    needed = set(file.outputs)
    live: list[NodeProto] = []
    for node in reversed(file.nodes):
        if needed.intersection(node.output):
            live.append(node)
            needed.update(node.input)
    return live[::-1]


def _import(network: OnnxNetwork) -> None:
    """Add the current node."""
    node = network.node
    known = node.op_type if node.domain in ("", "ai.onnx") else ""
    constant = all(name in network.constants for name in node.input if name)
    try:
        if known == "DequantizeLinear":
            dequantize_linear(network)
        elif constant and known.startswith(("Random", "Bernoulli", "Multinomial")):
            network.fail("computes random numbers; a network without them is needed")
        elif constant:
            network.evaluate()
        elif known in ("Shape", "Size"):
            shape = np.array(network.value().shape, np.int64)
            start, end = network.attribute("start", 0), network.attribute("end", len(shape))
            network.constants[node.output[0]] = shape[start:end] if known == "Shape" else np.asarray(np.prod(shape))
        elif known in SUPPORTED:
            SUPPORTED[known](network)
        else:
            network.unknown("")
    except Unknown as reason:
        network.give_opaque(str(reason))
    except ValueError as error:
        network.fail(str(error))


def _comes_channels_last(file: OnnxFile, name: str) -> bool:
    """Whether all that reads an input of four axes first brings it from (height, width, channels) to channels first."""
    readers = [node for node in file.nodes if name in node.input]
    for node in readers:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            if not _comes_channels_last(file, node.output[0]):
                return False
        elif node.op_type != "Transpose" or [list(a.ints) for a in node.attribute] != [[0, 3, 1, 2]]:
            return False
    return bool(readers)


_MEANINGLESS = re.compile(r"[A-Za-z]+(_Operation)?_?\d*|generated_name_\d+|node_.*|.*__\d+|\d+")


def _names(nodes: Sequence[NodeProto]) -> dict[str, str]:
    """A name for each node, by its first output: after its weight, its name, or its operator."""
    paths, codes, outputs = [], [], []
    for node in nodes:
        output = next((name for name in node.output if name), None)
        if output is None:
            continue
        paths.append(_path(node))
        codes.append(identifier(node.op_type))
        outputs.append(output)
    return dict(zip(outputs, node_names(paths, codes, {"input"}), strict=True))


def _path(node: NodeProto) -> tuple[str, ...]:
    """The scopes and the name of the layer that a node belongs to; empty if its names do not tell."""
    weight = next((name for name in node.input[1:2] if name.endswith(".weight")), "")
    if weight:
        return tuple(weight.removesuffix(".weight").split("."))
    parts = list(layer_path("", re.sub(r"^TFLITE2ONNX_[A-Za-z]+_", "", node.name)))
    if len(parts) > 1 and re.fullmatch(rf"{re.escape(node.op_type)}(_\d+)?", parts[-1]):
        parts = parts[:-1]
    # torch repeats the scopes: layer1/layer1.0/layer1.0.conv1
    parts = [part for part, after in zip(parts, [*parts[1:], ""], strict=False) if not after.startswith(f"{part}.")]
    return () if len(parts) == 1 and _MEANINGLESS.fullmatch(parts[0]) else tuple(parts)


def _model(network: OnnxNetwork) -> Model:
    file, build = network.file, network.build
    outputs = []
    for name in file.outputs:
        if name not in network.values:
            file.fail(f"output '{short(name)}' does not depend on the input")
        outputs.append(network.values[name])
    kept = next((entry.value for entry in file.model.metadata_props if entry.key == NAME), "")
    try:
        graph, weights = build.finish(*outputs)
        preprocess, labels, boxes, notes = _about(network, graph, kept)
        if not network.is_int8:
            notes += (COMPRESSED,) if network.integers else ()
            return Model(graph, weights, None, labels, preprocess, notes, boxes)
        graph, weights, quantization = complete(graph, weights, build.quantization, file.fail)
        model = Model(
            graph,
            weights,
            quantization,
            labels,
            preprocess or _preprocess(graph, quantization[graph.inputs[0].name]),
            (*notes, NOTE),
            boxes,
        )
    except (ModelError, ValueError) as error:
        text = str(error)
        file.fail(text.removeprefix(f"{file.file}: "))
    check_kernels(model, file.fail)
    return model


def _about(
    network: OnnxNetwork, graph: Graph, metadata: str
) -> tuple[Mapping[str, Any], tuple[str, ...], BoxCoding | None, tuple[str, ...]]:
    """Preprocessing, labels, box coding and notes: as the file says, or as they are known of a detector."""
    file = network.file
    kept = from_text(metadata, graph.outputs, file.fail)
    if kept.boxes is None:
        names = dict(zip(file.outputs, graph.outputs, strict=True))
        known = known_detector(graph, names, frozenset(node.op_type for node in file.nodes))
        if known:
            return kept.preprocess or known.preprocess, kept.labels or known.labels, known.boxes, (known.note,)
    return kept.preprocess, kept.labels, kept.boxes, ()


def _preprocess(graph: Graph, quantization: Quantization) -> dict[str, list[float]]:
    """What makes an image the input of a quantized model, which the file does not say.

    Its pixels in 0…255 if the scale reaches that far, else in 0…1.
    """
    if len(graph.inputs[0].shape) != 3:
        return {}
    channels = graph.inputs[0].shape[2]
    reaches = 255 * float(quantization.scale) >= 128
    return {"mean": [0.0] * channels, "std": [1 / 255 if reaches else 1.0] * channels}
