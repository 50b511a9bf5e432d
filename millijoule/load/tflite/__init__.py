"""TFLite files as models.

int8 and uint8 files become int8 models (uint8 less 128 is int8: the same reals), float32 files float models. An
operator that is not known becomes Opaque: it has a name and a shape, but its cost is not counted and it cannot be run.
What the format allows and one network of fixed structure does not is refused in one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millijoule.errors import ModelError
from millijoule.graph import Graph, Input
from millijoule.load.integer import check_kernels
from millijoule.load.metadata import from_text
from millijoule.load.names import identifier, layer_path, node_names, unique
from millijoule.load.tflite.file import Operation, TfliteFile, read_tflite
from millijoule.load.tflite.network import Network, Unknown
from millijoule.load.tflite.operators import RESHAPES, SUPPORTED
from millijoule.model import Model, Quantization

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def load_tflite(data: bytes, file: str, name: str) -> Model:
    """The model in the bytes of a TFLite file. file: what messages call it; name: the graph's.

    Raises ModelError: with the byte offset if the file is truncated or corrupted; with operator and tensor for dynamic
    shapes, a batch other than 1, missing quantization, int8 mixed with float, sparse weights, control flow.
    """
    contents = read_tflite(data, file)
    core = _peel(contents, _live_operations(contents))
    if not core.operations:
        contents.fail("the network has no operators")
    names, input_names = _names(contents, core)
    network = Network(contents, names)
    for number, inner, input_name in zip(contents.inputs, core.inputs, input_names, strict=True):
        if not any(inner in operation.inputs for operation in core.operations):
            contents.fail(f"input '{contents.tensors[number].name}' is read by no operator")
        network.add_input(inner, input_name, contents.tensors[inner])
    _import(network, core.operations)
    return _model(network, core, name)


@dataclass(frozen=True)
class _Core:
    """The network without conversions from and to float at its ends; inputs and outputs are tensor numbers."""

    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    notes: tuple[str, ...]


def _live_operations(file: TfliteFile) -> tuple[Operation, ...]:
    """Those that the outputs depend on. What only computes the shape of a reshape falls away: the file declares it."""
    needed = set(file.outputs)
    live = []
    for operation in reversed(file.operations):
        if needed.intersection(operation.outputs):
            live.append(operation)
            needed.update(_data_inputs(operation))
    return tuple(reversed(live))


def _data_inputs(operation: Operation) -> Sequence[int]:
    return operation.inputs[:1] if operation.code in RESHAPES else operation.inputs


def _peel(file: TfliteFile, operations: tuple[Operation, ...]) -> _Core:
    """Leave out QUANTIZE from float at the inputs and DEQUANTIZE to float at the outputs."""
    readers: dict[int, list[Operation]] = {}
    writers: dict[int, Operation] = {}
    for operation in operations:
        for number in _data_inputs(operation):
            readers.setdefault(number, []).append(operation)
        for number in operation.outputs:
            writers[number] = operation
    dropped: set[int] = set()
    inputs, outputs, notes = [], [], []
    for number in file.inputs:
        (reader, *others) = readers.get(number) or (None,)
        if reader is not None and not others and reader.code == "QUANTIZE" and file.tensors[number].type == "float32":
            dropped.add(reader.index)
            notes.append("the input is int8: the file's QUANTIZE from float32 was left out")
            inputs.append(reader.outputs[0])
        else:
            inputs.append(number)
    for number in file.outputs:
        writer = writers.get(number)
        if writer is not None and writer.code == "DEQUANTIZE" and number not in readers and len(writer.inputs) == 1:
            dropped.add(writer.index)
            notes.append("the output is int8: the file's DEQUANTIZE to float32 was left out")
            outputs.append(writer.inputs[0])
        else:
            outputs.append(number)
    if any(file.tensors[number].type == "uint8" for number in (*inputs, *outputs)):
        notes.append("uint8 values are read as int8: the same less 128")
    kept = tuple(operation for operation in operations if operation.index not in dropped)
    return _Core(kept, tuple(inputs), tuple(outputs), tuple(dict.fromkeys(notes)))


def _import(network: Network, operations: Sequence[Operation]) -> None:
    """Add every operation to the network; those that are not known, or not in their form, as opaque ones."""
    for operation in operations:
        network.current = operation
        try:
            if operation.code not in SUPPORTED:
                network.unknown("")
            SUPPORTED[operation.code](network)
        except Unknown as reason:
            network.add_opaque(str(reason))
    network.current = None


def _names(file: TfliteFile, core: _Core) -> tuple[Mapping[int, str], list[str]]:
    """Names of the operators' outputs by tensor number, and of the network's inputs."""
    used: set[str] = set()
    input_names = []
    for number in file.inputs:
        text = file.tensors[number].name.removeprefix("serving_default_").split(":")[0].removesuffix("_int8")
        input_names.append(unique(identifier(text).strip("_").lower()[:40] or "input", used))
    paths, codes, numbers = [], [], []
    for operation in core.operations:
        if operation.outputs:
            weighted = operation.code in _WEIGHTED and len(operation.inputs) > 1 and operation.inputs[1] >= 0
            weight = file.tensors[operation.inputs[1]].name if weighted else ""
            paths.append(layer_path(operation.code, file.tensors[operation.outputs[0]].name, weight))
            codes.append(operation.code)
            numbers.append(operation.outputs[0])
    return dict(zip(numbers, node_names(paths, codes, used), strict=True)), input_names


def _model(network: Network, core: _Core, name: str) -> Model:
    file = network.file
    values = network.values
    for number in core.outputs:
        if number not in values:
            file.fail(f"output '{file.tensors[number].name}' is computed by no operator")
    inputs = tuple(Input(values[number], network.shapes[values[number]]) for number in core.inputs)
    outputs = tuple(values[number] for number in core.outputs)
    quantized = bool(network.quantization)
    kept = from_text(file.metadata, outputs, file.fail)
    try:
        graph = Graph(name, inputs, tuple(network.nodes), outputs)
        model = Model(
            graph,
            network.weights,
            network.quantization if quantized else None,
            kept.labels,
            kept.preprocess or (_preprocess(graph, network.quantization[inputs[0].name]) if quantized else {}),
            notes=(*core.notes, *dict.fromkeys(network.notes)),
            boxes=kept.boxes,
        )
    except ModelError as error:
        file.fail(str(error))
    if quantized:
        check_kernels(model, file.fail)
    return model


def _preprocess(graph: Graph, quantization: Quantization) -> dict[str, list[float]]:
    """What makes an image's int8 input pixel - 128, as all int8 image models take it: mean and std of pixels in 0…1."""
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 3 or graph.inputs[0].shape[2] not in (1, 3):
        return {}
    channels = graph.inputs[0].shape[2]
    mean = (quantization.zero_point + 128) / 255
    return {"mean": [mean] * channels, "std": [1 / (255 * float(quantization.scale))] * channels}
