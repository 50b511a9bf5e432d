"""What a TFLite file holds: tensors, operators, inputs and outputs, checked one by one.

Field numbers are those of the schema, tensorflow/lite/schema/schema.fbs of the TensorFlow repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NoReturn

import numpy as np

from millijoule.errors import ModelError
from millijoule.load.metadata import NAME
from millijoule.load.tflite.flatbuffer import Bytes, Table

IDENTIFIER = b"TFL3"
VERSION = 3
MAXIMUM_RANK = 8

_TENSOR_TYPES = (
    "float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64 resource variant "
    "uint32 uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2"
)
TENSOR_TYPES = _TENSOR_TYPES.split()
READABLE_TYPES = ("float32", "float16", "int32", "uint8", "int64", "int16", "int8")

_BUILTIN_OPERATORS = """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
    FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
    LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX
    SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
    UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE
    UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE
    BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL
    LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT
    RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
    UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR
    LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK
    ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4
    NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
    PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
    HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
    READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL
    GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
    UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE
    STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
    STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE
    STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG
    STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT
    STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
    STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
    STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE
    STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT
    STABLEHLO_CASE
"""
BUILTIN_OPERATORS = _BUILTIN_OPERATORS.split()


@dataclass(frozen=True, eq=False)
class TensorQuantization:
    """As the file says it: scales float32, zero points int64 (one, or one for each slice along `axis`)."""

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """shape: with the batch. dynamic: the shape, sizes that may vary are -1. data: the numbers, if they are constant.

    stored_bytes: what the file holds for it; 0 for a tensor that is computed. `data` is None if they do not fit shape.
    """

    name: str
    shape: tuple[int, ...]
    dynamic: tuple[int, ...]
    type: str
    quantization: TensorQuantization | None
    data: np.ndarray | None
    stored_bytes: int
    is_variable: bool
    is_sparse: bool


@dataclass(frozen=True, eq=False)
class Operation:
    """One operator of the file. inputs: tensor numbers, -1 for an optional one that is left out."""

    index: int
    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    options_type: int

    def __str__(self) -> str:
        return f"operator {self.index} {self.code}"


@dataclass(frozen=True, eq=False)
class TfliteFile:
    """metadata: what `millijoule.load.metadata` knows to read."""

    file: str
    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: bytes

    def fail(self, what: str, operation: Operation | None = None) -> NoReturn:
        raise ModelError(f"{self.file}: {what}" if operation is None else f"{self.file}: {operation}: {what}")


def read_tflite(data: bytes, file: str) -> TfliteFile:
    """The contents of a TFLite file.

    Raises ModelError, with the byte offset, if the file is truncated or corrupted, or if it holds what no single
    network of fixed structure has: several subgraphs, or data outside the file.
    """
    source = Bytes(data, file)
    root = source.root()
    version = root.integer(0, "I")
    if version != VERSION:
        raise ModelError(f"{file}: TFLite schema version {version}; version {VERSION} is supported")
    subgraphs = root.tables(2)
    if len(subgraphs) != 1:
        raise ModelError(
            f"{file}: {len(subgraphs)} subgraphs (control flow, or several entry points); exactly 1 is supported: "
            "export the model without loops, branches and variables"
        )
    codes = [_operator_code(table) for table in root.tables(1)]
    buffers = root.tables(4)
    graph = subgraphs[0]
    tensors = tuple(_tensor(table, buffers, file) for table in graph.tables(0))
    operations = tuple(_operation(index, table, codes) for index, table in enumerate(graph.tables(3)))
    inputs, outputs = graph.integers(1) or (), graph.integers(2) or ()
    result = TfliteFile(file, tensors, operations, inputs, outputs, _metadata(root, buffers))
    _check_tensor_numbers(result)
    return result


def _metadata(root: Table, buffers: Sequence[Table]) -> bytes:
    for entry in root.tables(6):
        number = entry.integer(1, "I")
        if entry.string(0) == NAME:
            if number >= len(buffers):
                root.source.fail(entry.at, f"metadata '{NAME}' has buffer {number} of {len(buffers)}")
            raw = buffers[number].array(0, "u1")
            return b"" if raw is None else raw.tobytes()
    return b""


def _operator_code(table: Table) -> str:
    # Codes above 127 did not fit into the older field.
    number = max(table.integer(0, "b"), table.integer(3, "i"))
    if not 0 <= number < len(BUILTIN_OPERATORS):
        return f"number {number}"
    name = BUILTIN_OPERATORS[number]
    return f"CUSTOM '{table.string(1)}'" if name == "CUSTOM" else name


def _operation(index: int, table: Table, codes: Sequence[str]) -> Operation:
    code = table.integer(0, "I")
    if code >= len(codes):
        table.source.fail(table.at, f"operator {index} has code {code} of {len(codes)}")
    inputs, outputs = table.integers(1) or (), table.integers(2) or ()
    return Operation(index, codes[code], inputs, outputs, table.table(4), table.integer(3, "B"))


def _tensor(table: Table, buffers: Sequence[Table], file: str) -> Tensor:
    name = table.string(3)
    number = table.integer(1, "b")
    if not 0 <= number < len(TENSOR_TYPES):
        table.source.fail(table.at, f"tensor '{name}' has type number {number}")
    shape = table.integers(0) or ()
    if len(shape) > MAXIMUM_RANK or any(size < -1 for size in shape):
        table.source.fail(table.at, f"tensor '{name}' has shape {_short(shape)}")
    buffer = table.integer(2, "I")
    if buffer >= len(buffers):
        table.source.fail(table.at, f"tensor '{name}' has buffer {buffer} of {len(buffers)}")
    if buffers[buffer].integer(1, "Q") > 1 or table.integer(10, "I"):
        raise ModelError(f"{file}: tensor '{name}' lies outside the file's structures, which is not supported")
    dynamic = table.integers(7) or shape
    stored, data = _constant(buffers[buffer], shape, TENSOR_TYPES[number])
    return Tensor(
        name=name,
        shape=shape,
        dynamic=dynamic if len(dynamic) == len(shape) else shape,
        type=TENSOR_TYPES[number],
        quantization=_quantization(table.table(4), name),
        data=data,
        stored_bytes=stored,
        is_variable=bool(table.integer(5, "B")),
        is_sparse=table.field(6) is not None,
    )


def _constant(buffer: Table, shape: tuple[int, ...], type: str) -> tuple[int, np.ndarray | None]:
    """How many bytes a buffer holds, and the array they make of the shape, if they do."""
    raw = buffer.array(0, "u1")
    if raw is None or not raw.size:
        return 0, None
    if type not in READABLE_TYPES:
        return raw.size, None
    dtype = np.dtype(type).newbyteorder("<")
    if raw.size != prod(shape) * dtype.itemsize:
        return raw.size, None
    return raw.size, raw.view(dtype).reshape(shape)


def _quantization(table: Table | None, name: str) -> TensorQuantization | None:
    if table is None:
        return None
    scales, zero_points = table.array(2, "f4"), table.array(3, "i8")
    if scales is None or not scales.size:
        return None
    if zero_points is None or not zero_points.size:
        zero_points = np.zeros(scales.size, np.int64)
    if zero_points.size not in (1, scales.size):
        table.source.fail(table.at, f"tensor '{name}' has {scales.size} scales and {zero_points.size} zero points")
    return TensorQuantization(scales, zero_points, table.integer(6, "i"))


def _check_tensor_numbers(file: TfliteFile) -> None:
    count = len(file.tensors)
    for number in (*file.inputs, *file.outputs):
        if not 0 <= number < count:
            file.fail(f"the network's inputs and outputs name tensor {number} of {count}: the file is corrupted")
    for operation in file.operations:
        for number in operation.inputs:
            if not -1 <= number < count:
                file.fail(f"reads tensor {number} of {count}: the file is corrupted", operation)
        for number in operation.outputs:
            if not 0 <= number < count:
                file.fail(f"writes tensor {number} of {count}: the file is corrupted", operation)


def _short(shape: tuple[int, ...]) -> str:
    return f"{shape}" if len(shape) <= MAXIMUM_RANK else f"of {len(shape)} sizes"
