"""One small model for each TFLite operator and its options, and TFLM as the oracle."""

from __future__ import annotations

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from millijoule.graph import Operator, Shape
from millijoule.load.tflite import load_tflite
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
from tests.tflite_writer import one_node

A, B = Quantization.of(0.05, 3), Quantization.of(0.02, -7)
PROBABILITY, SYMMETRIC = Quantization.of(1 / 256, -128), Quantization.of(1 / 128, 0)
MAP: Shape = (7, 6, 4)

# name: operator, input shapes, quantization of the output and, if they differ from A, of the inputs.
CASES: dict[str, tuple[Operator, list[Shape], Quantization, list[Quantization]]] = {
    "conv2d": (Conv2d(channels=5, kernel=3), [MAP], A, [B]),
    "conv2d_same_stride": (Conv2d(channels=5, kernel=(3, 2), stride=(2, 1), padding="same"), [MAP], A, [B]),
    "conv2d_dilated": (Conv2d(channels=3, kernel=2, dilation=(3, 2), activation="relu"), [MAP], A, [B]),
    "conv2d_no_bias": (Conv2d(channels=3, kernel=1, bias=False, activation="relu6"), [MAP], A, [B]),
    "conv2d_groups": (Conv2d(channels=6, kernel=3, groups=2, padding="same"), [MAP], A, [B]),
    "depthwise": (Conv2d(channels=4, kernel=3, groups=4, padding="same", activation="relu6"), [MAP], A, [B]),
    "depthwise_multiplier": (Conv2d(channels=12, kernel=(2, 3), groups=4, stride=2), [MAP], A, [B]),
    "dense": (Dense(features=5), [(9,)], A, [B]),
    "dense_of_map": (Dense(features=5, activation="relu"), [(3, 2, 4)], A, [B]),
    "dense_no_bias": (Dense(features=5, bias=False), [(9,)], A, [B]),
    "max_pool": (MaxPool2d(kernel=2), [MAP], A, []),
    "max_pool_same": (MaxPool2d(kernel=(3, 2), stride=(1, 2), padding="same", activation="relu"), [MAP], A, []),
    "average_pool": (AveragePool2d(kernel=3, stride=2), [MAP], A, []),
    "average_pool_same": (AveragePool2d(kernel=3, stride=1, padding="same", activation="relu6"), [MAP], A, []),
    "mean": (GlobalAveragePool(), [MAP], B, []),
    "mean_kept": (GlobalAveragePool(keep_dims=True), [MAP], A, []),
    "mean_of_rows": (Mean(axes=(0,), keep_dims=True), [MAP], B, []),
    "mean_of_channels": (Mean(axes=(2,)), [MAP], A, []),
    "mean_of_sequence": (Mean(axes=(1,)), [(5, 6)], A, []),
    "mean_of_features": (Mean(axes=(0,), keep_dims=True), [(9,)], A, []),
    "add": (Add(), [MAP, MAP], A, [A, B]),
    "add_relu": (Add(activation="relu"), [MAP, MAP], B, [B, B]),
    "multiply": (Multiply(activation="relu6"), [MAP, MAP], B, [A, B]),
    "add_number": (AddNumber(scale=0.25, steps=12, activation="relu6"), [MAP], B, []),
    "multiply_number": (MultiplyNumber(scale=1.125, steps=-1), [MAP], B, []),
    "relu": (Relu(), [MAP], B, []),
    "relu6": (Relu6(), [MAP], A, []),
    "sigmoid": (Sigmoid(), [MAP], PROBABILITY, []),
    "tanh": (Tanh(), [(11,)], SYMMETRIC, []),
    "softmax": (Softmax(), [(11,)], PROBABILITY, []),
    "requantize": (Requantize(), [MAP], B, []),
    "flatten": (Flatten(), [MAP], A, []),
    "reshape": (Reshape(target=(6, 4, 7)), [MAP], A, []),
    "pad": (Pad(padding=((1, 2), (0, 3))), [MAP], A, []),
    "concat": (Concat(), [MAP, (7, 6, 2), MAP], A, []),
    "transpose": (Transpose(order=(2, 0, 1)), [MAP], A, []),
    "subtract": (Subtract(activation="relu"), [MAP, (1, 1, 4)], A, [A, B]),
    "leaky_relu": (LeakyRelu(slope=0.25), [MAP], B, []),
    "prelu": (PRelu(), [MAP], A, []),
    "elu": (Elu(), [MAP], B, []),
    "hard_swish": (HardSwish(), [MAP], B, []),
    "global_max_pool": (GlobalMaxPool(keep_dims=True), [MAP], A, []),
    "slice": (Slice(begin=(1, 0, 2), size=(3, 6, 2)), [MAP], A, []),
    "strided_slice": (Slice(begin=(1, 0, 2), size=(3, 2, 2), step=(2, 4, 1)), [MAP], A, []),
    "depth_to_space": (DepthToSpace(block=2), [MAP], A, []),
    "space_to_depth": (SpaceToDepth(block=2), [(4, 6, 3)], A, []),
    "resize_nearest": (Resize2d(size=(9, 4), align="corners"), [MAP], A, []),
    "resize_bilinear": (Resize2d(size=(5, 13), mode="bilinear", align="asymmetric"), [MAP], A, []),
    "conv_transpose": (ConvTranspose2d(channels=3, kernel=3, stride=2, activation="relu"), [MAP], A, [B]),
    "conv_transpose_same": (
        ConvTranspose2d(channels=3, kernel=(4, 3), stride=2, padding=((1, 1), (0, 1)), bias=False),
        [MAP],
        A,
        [B],
    ),
    "conv_transpose_gaps": (
        ConvTranspose2d(channels=3, kernel=2, stride=3, output_padding=(1, 2)),
        [MAP],
        A,
        [B],
    ),
}


def case(name: str, per_channel: bool = True) -> Model:
    """The int8 model of a case, with random numbers."""
    op, shapes, output, inputs = CASES[name]
    quantization = {f"input{index}": A for index in range(len(shapes))}
    quantization |= {f"input{index}": given for index, given in enumerate(inputs)}
    quantization["op"] = output
    rng = np.random.default_rng(0)
    weights = {}
    params = op.params(*shapes)
    if "weight" in params:
        channels = params["weight"].shape[0]
        weights["weight"] = rng.integers(-127, 128, params["weight"].shape, dtype=np.int8)
        quantization["op.weight"] = Quantization(
            rng.uniform(0.002, 0.01, channels if per_channel else 1).astype(np.float32)
        )
    if "slope" in params:
        weights["slope"] = rng.integers(-127, 128, params["slope"].shape, dtype=np.int8)
        quantization["op.slope"] = Quantization.of(0.01, 5)
    if "bias" in params:
        weights["bias"] = rng.integers(-3000, 3000, params["bias"].shape, dtype=np.int32)
    return one_node(op, *shapes, quantization=quantization, **weights)


def float_case(name: str) -> Model:
    op, shapes, _, _ = CASES[name]
    rng = np.random.default_rng(0)
    params = op.params(*shapes).items()
    return one_node(op, *shapes, **{key: rng.standard_normal(param.shape, np.float32) for key, param in params})


def random_inputs(model: Model, count: int = 8, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, (count, *entry.shape), dtype=np.int8) for entry in model.graph.inputs]


def reloaded(data: bytes, name: str) -> Model:
    return load_tflite(data, "test.tflite", name)


def run_tflm(data: bytes, inputs: list[np.ndarray], index: int = 0) -> np.ndarray:
    """TFLM's output number `index` for each sample: (batch, …)."""
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=1_000_000)
    outputs = []
    for sample in zip(*inputs, strict=True):
        for position, array in enumerate(sample):
            interpreter.set_input(array[None], position)
        interpreter.invoke()
        outputs.append(interpreter.get_output(index)[0])
    return np.stack(outputs)


def assert_same(model: Model, other: Model) -> None:
    assert other.graph == model.graph
    assert other.weights.keys() == model.weights.keys()
    for name, array in model.weights.items():
        assert other.weights[name].dtype == array.dtype
        np.testing.assert_array_equal(other.weights[name], array)
    assert other.quantization == model.quantization
