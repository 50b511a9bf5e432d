"""Writes a model as a TFLite file, so that tests can load it again and run it in TFLM.

    path.write_bytes(write(model))                      # any int8 or float model whose operators TFLite has
    interpreter = runtime.Interpreter.from_bytes(write(model))

The schema is the one that PyPI's tflite-micro ships. `build` gives the objects before packing, for tests that change
them; `pack` makes bytes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from millijoule.graph import Graph, Input, Node, Operator
from millijoule.model import Model, Quantization
from millijoule.ops import (
    Add,
    AddNumber,
    AveragePool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    DepthToSpace,
    Elu,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    HardSwish,
    LeakyRelu,
    MaxPool2d,
    Mean,
    Multiply,
    MultiplyNumber,
    Pad,
    PRelu,
    Relu,
    Relu6,
    Requantize,
    Reshape,
    Resize2d,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Subtract,
    Tanh,
    Transpose,
)

TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}
ACTIVATIONS = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


def write(model: Model) -> bytes:
    """The bytes of a .tflite file. ValueError if TFLite has no such operator."""
    return pack(build(model))


def one_node(
    op: Operator,
    *inputs: tuple[int, ...],
    quantization: dict[str, Quantization] | None = None,
    **weights: np.ndarray,
) -> Model:
    """A model of one node, `op`, that reads `input0`, `input1`, …; keyword arguments are its arrays.

    quantization: of `input0` …, of `op` (the output) and of `op.weight`; None for a float model.
    """
    names = tuple(f"input{index}" for index in range(len(inputs)))
    entries = tuple(Input(name, shape) for name, shape in zip(names, inputs, strict=True))
    graph = Graph("single", entries, (Node("op", op, names),), ("op",))
    return Model(graph, {f"op.{name}": array for name, array in weights.items()}, quantization)


def pack(file: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def build(model: Model) -> schema.ModelT:
    writer = Writer(model)
    for entry in model.graph.inputs:
        writer.value(entry.name)
    for node in model.graph.nodes:
        if type(node.op) not in OPERATORS:
            raise ValueError(f"node '{node.name}': TFLite has no operator {type(node.op).__name__}")
        OPERATORS[type(node.op)](writer, node)
    subgraph = writer.subgraph
    subgraph.name = model.graph.name
    subgraph.inputs = [writer.values[entry.name] for entry in model.graph.inputs]
    subgraph.outputs = [writer.values[name] for name in model.graph.outputs]
    return writer.file


class Writer:
    """Collects tensors, buffers and operators of one file."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.values: dict[str, int] = {}
        self.subgraph = schema.SubGraphT(tensors=[], operators=[])
        # Buffer 0 is empty by convention: tensors without data refer to it.
        self.file = schema.ModelT(
            version=3,
            description="written by a test",
            operatorCodes=[],
            subgraphs=[self.subgraph],
            buffers=[schema.BufferT()],
        )

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: Any,
        quantization: Quantization | None = None,
        axis: int = 0,
        data: np.ndarray | None = None,
    ) -> int:
        tensor = schema.TensorT(name=name, shape=list(shape), type=TENSOR_TYPES[np.dtype(dtype)])
        if quantization is not None:
            tensor.quantization = schema.QuantizationParametersT(
                scale=[float(scale) for scale in quantization.scales],
                zeroPoint=[quantization.zero_point] * quantization.scales.size,
                quantizedDimension=axis if quantization.scales.size > 1 else 0,
            )
        if data is not None:
            raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.file.buffers.append(schema.BufferT(data=raw))
            tensor.buffer = len(self.file.buffers) - 1
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def value(self, name: str, shape: tuple[int, ...] | None = None, key: str | None = None) -> int:
        """The tensor of the graph's value `name`, or one named `key` with its quantization and another shape."""
        quantization = self.model.quantization[name] if self.model.quantization is not None else None
        dtype = np.float32 if quantization is None else np.int8
        index = self.tensor(key or name, (1, *(shape or self.model.graph.shapes[name])), dtype, quantization)
        if key is None:
            self.values[name] = index
        return index

    def constant(self, name: str, data: np.ndarray, quantization: Quantization | None = None, axis: int = 0) -> int:
        return self.tensor(name, data.shape, data.dtype, quantization, axis, data)

    def weights(self, node: Node, weight: np.ndarray, axis: int, bias: bool) -> list[int]:
        """The weight and, if there is one, the bias: int32 of scale input * weight."""
        scales = None
        if self.model.quantization is not None:
            scales = self.model.quantization[f"{node.name}.weight"]
        indices = [self.constant(f"{node.name}/weight", weight, scales, axis)]
        if bias:
            bias_scales = None
            if scales is not None and self.model.quantization is not None:
                bias_scales = Quantization(self.model.quantization[node.inputs[0]].scale * scales.scales)
            indices.append(self.constant(f"{node.name}/bias", self.model.weights[f"{node.name}.bias"], bias_scales))
        return indices

    def operator(
        self, code: str, inputs: list[int], output: int, options: Any = None, *, version: int, float_version: int = 1
    ) -> None:
        """Add an operator; `version` is the first that takes int8, `float_version` that for float32."""
        builtin = getattr(schema.BuiltinOperator, code)
        entry = schema.OperatorCodeT(
            builtinCode=builtin,
            deprecatedBuiltinCode=min(builtin, 127),
            version=version if self.model.is_int8 else float_version,
        )
        known = [(existing.builtinCode, existing.version) for existing in self.file.operatorCodes]
        if (builtin, entry.version) not in known:
            known.append((builtin, entry.version))
            self.file.operatorCodes.append(entry)
        name = type(options).__name__.removesuffix("T")
        self.subgraph.operators.append(
            schema.OperatorT(
                opcodeIndex=known.index((builtin, entry.version)),
                inputs=inputs,
                outputs=[output],
                builtinOptionsType=0 if options is None else getattr(schema.BuiltinOptions, name),
                builtinOptions=options,
            )
        )

    def inputs(self, node: Node) -> list[int]:
        return [self.values[name] for name in node.inputs]


def _conv2d(writer: Writer, node: Node) -> None:
    op: Any = node.op
    (x,) = writer.model.graph.input_shapes(node)
    weight = writer.model.weights[f"{node.name}.weight"]
    source, padding = writer.values[node.inputs[0]], op.padding
    if padding not in ("same", "valid"):
        source, padding = _pad(writer, node, op.padding, key=f"{node.name}/pad"), "valid"
    settings = {
        "padding": getattr(schema.Padding, padding.upper()),
        "strideH": op.stride[0],
        "strideW": op.stride[1],
        "dilationHFactor": op.dilation[0],
        "dilationWFactor": op.dilation[1],
        "fusedActivationFunction": ACTIVATIONS[op.activation],
    }
    if op.groups > 1 and op.groups == x[2]:
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=op.channels // op.groups, **settings)
        numbers = writer.weights(node, weight.transpose(3, 1, 2, 0), 3, op.bias)
        writer.operator("DEPTHWISE_CONV_2D", [source, *numbers], writer.value(node.name), options, version=3)
    else:
        numbers = writer.weights(node, weight, 0, op.bias)
        version = 3 if op.groups == 1 else 6
        options = schema.Conv2DOptionsT(**settings)
        writer.operator("CONV_2D", [source, *numbers], writer.value(node.name), options, version=version)


def _conv_transpose2d(writer: Writer, node: Node) -> None:
    op: Any = node.op
    shape = writer.model.graph.shapes[node.name]
    # TFLite cuts off the top and the left half of what a convolution over the output would pad.
    top_left = [before for before, _ in op.padding]
    sizes = list(zip(shape, op.stride, op.kernel, strict=False))
    same = [max((-(-size // stride) - 1) * stride + kernel - size, 0) // 2 for size, stride, kernel in sizes]
    if top_left not in ([0, 0], same):
        raise ValueError(f"node '{node.name}': TFLite's TRANSPOSE_CONV cannot pad {op.padding}")
    if op.groups > 1 or op.dilation != (1, 1):
        raise ValueError(f"node '{node.name}': TFLite's TRANSPOSE_CONV has neither groups nor dilation")
    options = schema.TransposeConvOptionsT(
        padding=schema.Padding.SAME if any(top_left) else schema.Padding.VALID,
        strideH=op.stride[0],
        strideW=op.stride[1],
        fusedActivationFunction=ACTIVATIONS[op.activation],
    )
    size = writer.constant(f"{node.name}/size", np.array([1, *shape], np.int32))
    weight, *bias = writer.weights(node, writer.model.weights[f"{node.name}.weight"], 0, op.bias)
    inputs = [size, weight, *writer.inputs(node), *bias]
    writer.operator("TRANSPOSE_CONV", inputs, writer.value(node.name), options, version=3 if op.bias else 2)


def _dense(writer: Writer, node: Node) -> None:
    op: Any = node.op
    weight = writer.model.weights[f"{node.name}.weight"]
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=ACTIVATIONS[op.activation])
    numbers = writer.weights(node, weight, 0, op.bias)
    # TFLite marks a missing bias with tensor -1.
    inputs = [*writer.inputs(node), *numbers, *([] if op.bias else [-1])]
    quantization = writer.model.quantization
    per_channel = quantization is not None and quantization[f"{node.name}.weight"].scales.size > 1
    writer.operator("FULLY_CONNECTED", inputs, writer.value(node.name), options, version=12 if per_channel else 4)


def _pool2d(writer: Writer, node: Node) -> None:
    op: Any = node.op
    if op.padding not in ("same", "valid"):
        raise ValueError(f"node '{node.name}': TFLite's pools pad 'same' or 'valid', not {op.padding}")
    options = schema.Pool2DOptionsT(
        padding=getattr(schema.Padding, op.padding.upper()),
        strideH=op.stride[0],
        strideW=op.stride[1],
        filterHeight=op.kernel[0],
        filterWidth=op.kernel[1],
        fusedActivationFunction=ACTIVATIONS[op.activation],
    )
    code = "MAX_POOL_2D" if isinstance(op, MaxPool2d) else "AVERAGE_POOL_2D"
    writer.operator(code, writer.inputs(node), writer.value(node.name), options, version=2)


def _mean(writer: Writer, node: Node) -> None:
    op: Any = node.op
    reduced = (0, 1) if isinstance(op, GlobalAveragePool) else op.axes
    axes = writer.constant(f"{node.name}/axes", np.array(reduced, np.int32) + 1)
    options = schema.ReducerOptionsT(keepDims=op.keep_dims)
    writer.operator("MEAN", [*writer.inputs(node), axes], writer.value(node.name), options, version=2)


def _elementwise(writer: Writer, node: Node) -> None:
    op: Any = node.op
    code, options = {
        Add: ("ADD", schema.AddOptionsT),
        Multiply: ("MUL", schema.MulOptionsT),
        Subtract: ("SUB", schema.SubOptionsT),
    }[type(op)]
    options = options(fusedActivationFunction=ACTIVATIONS[op.activation])
    writer.operator(code, writer.inputs(node), writer.value(node.name), options, version=2)


def _with_number(writer: Writer, node: Node) -> None:
    op: Any = node.op
    name = f"{node.name}/number"
    if writer.model.is_int8:
        # Steps are counted from the zero point.
        zero_point = max(-128, min(127, -op.steps // 2))
        array = np.array([op.steps + zero_point], np.int8)
        number = writer.constant(name, array, Quantization.of(op.scale, zero_point))
    else:
        number = writer.constant(name, np.array([op.steps * op.scale], np.float32))
    code, options = {
        AddNumber: ("ADD", schema.AddOptionsT),
        MultiplyNumber: ("MUL", schema.MulOptionsT),
    }[type(op)]
    options = options(fusedActivationFunction=ACTIVATIONS[op.activation])
    writer.operator(code, [*writer.inputs(node), number], writer.value(node.name), options, version=2)


def _plain(code: str) -> Callable[[Writer, Node], None]:
    def add(writer: Writer, node: Node) -> None:
        writer.operator(code, writer.inputs(node), writer.value(node.name), version=2)

    return add


def _tanh(writer: Writer, node: Node) -> None:
    op: Any = node.op
    if (op.amplitude, op.slope) != (1.0, 1.0):
        raise ValueError(f"node '{node.name}': TFLite's TANH has no amplitude and no slope")
    _plain("TANH")(writer, node)


def _leaky_relu(writer: Writer, node: Node) -> None:
    op: Any = node.op
    options = schema.LeakyReluOptionsT(alpha=op.slope)
    writer.operator("LEAKY_RELU", writer.inputs(node), writer.value(node.name), options, version=2)


def _prelu(writer: Writer, node: Node) -> None:
    slope = writer.model.weights[f"{node.name}.slope"]
    shape = (*[1] * (len(writer.model.graph.shapes[node.name]) - 1), -1)
    quantization = writer.model.quantization and writer.model.quantization[f"{node.name}.slope"]
    inputs = [*writer.inputs(node), writer.constant(f"{node.name}/slope", slope.reshape(shape), quantization)]
    writer.operator("PRELU", inputs, writer.value(node.name), version=1)


def _elu(writer: Writer, node: Node) -> None:
    op: Any = node.op
    if op.alpha != 1.0:
        raise ValueError(f"node '{node.name}': TFLite's ELU has alpha 1, not {op.alpha}")
    _plain("ELU")(writer, node)


def _softmax(writer: Writer, node: Node) -> None:
    options = schema.SoftmaxOptionsT(beta=1.0)
    writer.operator("SOFTMAX", writer.inputs(node), writer.value(node.name), options, version=2)


def _requantize(writer: Writer, node: Node) -> None:
    if not writer.model.is_int8:
        raise ValueError(f"node '{node.name}': TFLite's QUANTIZE takes no float model")
    options = schema.QuantizeOptionsT()
    writer.operator("QUANTIZE", writer.inputs(node), writer.value(node.name), options, version=2)


def _reshape(writer: Writer, node: Node) -> None:
    shape = np.array([1, *writer.model.graph.shapes[node.name]], np.int32)
    inputs = [*writer.inputs(node), writer.constant(f"{node.name}/shape", shape)]
    options = schema.ReshapeOptionsT(newShape=shape.tolist())
    writer.operator("RESHAPE", inputs, writer.value(node.name), options, version=1)


def _pad(writer: Writer, node: Node, padding: Any, key: str | None = None, depth: tuple[int, int] = (0, 0)) -> int:
    """A PAD operator; its output is the node's own value or, with `key`, a tensor before it."""
    (height, width, channels) = writer.model.graph.input_shapes(node)[0]
    sizes = writer.constant(f"{node.name}/padding", np.array([(0, 0), *padding, depth], np.int32))
    padded = (height + sum(padding[0]), width + sum(padding[1]), channels + sum(depth))
    output = writer.value(node.name) if key is None else writer.value(node.inputs[0], padded, key)
    inputs = [writer.values[node.inputs[0]], sizes]
    writer.operator("PAD", inputs, output, schema.PadOptionsT(), version=2)
    return output


def _concat(writer: Writer, node: Node) -> None:
    options = schema.ConcatenationOptionsT(axis=len(writer.model.graph.shapes[node.name]))
    writer.operator("CONCATENATION", writer.inputs(node), writer.value(node.name), options, version=2)


def _rearrange(code: str, options: Callable[[Any], Any], *constants: Callable[[Any], Any]) -> Callable[..., None]:
    """An operator that reads `constants`, int32, beside its input; options and constants are made from the op."""

    def add(writer: Writer, node: Node) -> None:
        arrays = [np.array(constant(node.op), np.int32) for constant in constants]
        inputs = [writer.constant(f"{node.name}/{index}", array) for index, array in enumerate(arrays)]
        writer.operator(code, [*writer.inputs(node), *inputs], writer.value(node.name), options(node.op), version=2)

    return add


def _depth_to_space(writer: Writer, node: Node) -> None:
    op: Any = node.op
    if op.order != "depth":
        raise ValueError(f"node '{node.name}': TFLite's DEPTH_TO_SPACE has the order depth, not {op.order}")
    options = schema.DepthToSpaceOptionsT(blockSize=op.block)
    writer.operator("DEPTH_TO_SPACE", writer.inputs(node), writer.value(node.name), options, version=2)


def _slice(writer: Writer, node: Node) -> None:
    op: Any = node.op
    if op.step is None:
        _rearrange("SLICE", lambda op: schema.SliceOptionsT(), lambda op: (0, *op.begin), lambda op: (1, *op.size))(
            writer, node
        )
        return
    ends = (begin + (size - 1) * step + 1 for begin, size, step in zip(op.begin, op.size, op.step, strict=True))
    arrays = {"begin": (0, *op.begin), "end": (1, *ends), "strides": (1, *op.step)}
    constants = [writer.constant(f"{node.name}/{name}", np.array(array, np.int32)) for name, array in arrays.items()]
    options = schema.StridedSliceOptionsT()
    writer.operator("STRIDED_SLICE", [*writer.inputs(node), *constants], writer.value(node.name), options, version=2)


def _resize(writer: Writer, node: Node) -> None:
    op: Any = node.op
    code, options, version = {
        "nearest": ("RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT, 3),
        "bilinear": ("RESIZE_BILINEAR", schema.ResizeBilinearOptionsT, 3),
    }[op.mode]
    size = writer.constant(f"{node.name}/size", np.array(op.size, np.int32))
    settings = options(alignCorners=op.align == "corners", halfPixelCenters=op.align == "half_pixel")
    writer.operator(code, [*writer.inputs(node), size], writer.value(node.name), settings, version=version)


OPERATORS: dict[type[Operator], Callable[[Writer, Node], Any]] = {
    Add: _elementwise,
    AddNumber: _with_number,
    AveragePool2d: _pool2d,
    Concat: _concat,
    Conv2d: _conv2d,
    ConvTranspose2d: _conv_transpose2d,
    Dense: _dense,
    DepthToSpace: _depth_to_space,
    Elu: _elu,
    Flatten: _reshape,
    GlobalAveragePool: _mean,
    GlobalMaxPool: _rearrange(
        "REDUCE_MAX", lambda op: schema.ReducerOptionsT(keepDims=op.keep_dims), lambda op: (1, 2)
    ),
    HardSwish: _plain("HARD_SWISH"),
    LeakyRelu: _leaky_relu,
    MaxPool2d: _pool2d,
    Mean: _mean,
    Multiply: _elementwise,
    MultiplyNumber: _with_number,
    Pad: lambda writer, node: _pad(writer, node, node.op.padding, depth=node.op.channels),  # type: ignore[attr-defined]
    PRelu: _prelu,
    Relu: _plain("RELU"),
    Relu6: _plain("RELU6"),
    Requantize: _requantize,
    Reshape: _reshape,
    Resize2d: _resize,
    Sigmoid: _plain("LOGISTIC"),
    Slice: _slice,
    Softmax: _softmax,
    SpaceToDepth: _rearrange("SPACE_TO_DEPTH", lambda op: schema.SpaceToDepthOptionsT(blockSize=op.block)),
    Subtract: _elementwise,
    Tanh: _tanh,
    Transpose: _rearrange(
        "TRANSPOSE", lambda op: schema.TransposeOptionsT(), lambda op: (0, *(1 + axis for axis in op.order))
    ),
}
