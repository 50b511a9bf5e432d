"""A TFLite file in the making: what the writer of one operator adds to it. Field numbers are those of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from millijoule.errors import ModelError
from millijoule.export.tflite.flatbuffer import Number, Table, pack
from millijoule.graph import Node, Shape
from millijoule.load.metadata import NAME, to_text
from millijoule.load.tflite.file import BUILTIN_OPERATORS, IDENTIFIER, TENSOR_TYPES, VERSION
from millijoule.model import Model, Quantization

LARGEST_OLD_CODE = 127
"""Operators above it do not fit into the older of two fields; it holds this number then."""
Options = tuple[int, Table]
"""Which table of the schema's union of options, and its fields."""


class TfliteNetwork:
    """Collects tensors, buffers and operators of one file."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.values: dict[str, int] = {}
        self.tensors: list[Table] = []
        self.operators: list[Table] = []
        self.codes: list[tuple[int, int]] = []
        # Buffer 0 is empty: tensors without data refer to it.
        self.buffers: list[Table] = [{}]
        self.current: Node | None = None
        for entry in model.graph.inputs:
            self.value(entry.name)

    def fail(self, reason: str) -> NoReturn:
        """Refuse the current node."""
        assert self.current is not None
        raise ModelError(f"node '{self.current.name}' ({type(self.current.op).__name__}) {reason}")

    @property
    def node(self) -> Node:
        assert self.current is not None
        return self.current

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return self.model.graph.input_shapes(self.node)

    @property
    def inputs(self) -> list[int]:
        """The tensors that the current node reads."""
        return [self.values[name] for name in self.node.inputs]

    def quantization(self, name: str) -> Quantization | None:
        """Of a value or an array; None in a float model."""
        return None if self.model.quantization is None else self.model.quantization[name]

    def array(self, name: str) -> np.ndarray:
        """One of the current node's arrays."""
        return self.model.weights[f"{self.name}.{name}"]

    # What the file gets

    def tensor(
        self,
        name: str,
        shape: Shape,
        dtype: Any,
        quantization: Quantization | None = None,
        axis: int = 0,
        data: np.ndarray | None = None,
    ) -> int:
        """A tensor's number. axis: along which a quantization with several scales has them."""
        table: dict[int, Any] = {
            0: np.array(shape, np.int32),
            1: Number("b", TENSOR_TYPES.index(np.dtype(dtype).name)),
            3: name,
        }
        if quantization is not None:
            scales = quantization.scales.astype(np.float32)
            table[4] = {2: scales, 3: np.full(scales.size, quantization.zero_point, np.int64)}
            if scales.size > 1:
                table[4][6] = Number("i", axis)
        if data is not None:
            table[2] = Number("I", self.buffer(np.ascontiguousarray(data).tobytes()))
        self.tensors.append(table)
        return len(self.tensors) - 1

    def buffer(self, data: bytes) -> int:
        self.buffers.append({0: np.frombuffer(data, np.uint8)})
        return len(self.buffers) - 1

    def value(self, name: str, shape: Shape | None = None, key: str | None = None) -> int:
        """The tensor of the graph's value `name`, or one called `key` with its quantization and another shape."""
        quantization = self.quantization(name)
        dtype = np.float32 if quantization is None else np.int8
        number = self.tensor(key or name, (1, *(shape or self.model.graph.shapes[name])), dtype, quantization)
        if key is None:
            self.values[name] = number
        return number

    def constant(self, name: str, data: np.ndarray, quantization: Quantization | None = None, axis: int = 0) -> int:
        return self.tensor(f"{self.name}/{name}", data.shape, data.dtype, quantization, axis, data)

    def weights(self, weight: np.ndarray, axis: int, bias: bool) -> list[int]:
        """The weight and, if there is one, the bias: int32 of scale input * weight."""
        scales = self.quantization(f"{self.name}.weight")
        if scales is not None and scales.zero_point:
            self.fail(f"has int8 weights with zero point {scales.zero_point}; TFLite's have 0")
        numbers = [self.constant("weight", weight, scales, axis)]
        if bias:
            given, bias_scales = self.quantization(self.node.inputs[0]), None
            if scales is not None and given is not None:
                bias_scales = Quantization(given.scale * scales.scales)
            numbers.append(self.constant("bias", self.array("bias"), bias_scales))
        return numbers

    def add(
        self,
        code: str,
        inputs: list[int],
        options: Options | None = None,
        *,
        version: int,
        float_version: int = 1,
        output: int | None = None,
    ) -> None:
        """An operator; `version` is the first that takes int8, `float_version` that for float32.

        output: its tensor, if that is not the current node's value.
        """
        code_and_version = (BUILTIN_OPERATORS.index(code), version if self.model.is_int8 else float_version)
        if code_and_version not in self.codes:
            self.codes.append(code_and_version)
        table: dict[int, Any] = {
            0: Number("I", self.codes.index(code_and_version)),
            1: np.array(inputs, np.int32),
            2: np.array([self.value(self.name) if output is None else output], np.int32),
        }
        if options is not None:
            table |= {3: Number("B", options[0]), 4: options[1]}
        self.operators.append(table)

    def finish(self, description: str) -> bytes:
        """The bytes of the file."""
        graph = self.model.graph
        ends = (tuple(entry.name for entry in graph.inputs), graph.outputs)
        inputs, outputs = (np.array([self.values[name] for name in names], np.int32) for names in ends)
        kept = to_text(self.model)
        metadata = [{0: NAME, 1: Number("I", self.buffer(kept.encode()))}] if kept else None
        codes = [
            {0: Number("b", min(code, LARGEST_OLD_CODE)), 2: Number("i", version), 3: Number("i", code)}
            for code, version in self.codes
        ]
        root: Mapping[int, Any] = {
            0: Number("I", VERSION),
            1: codes,
            2: [{0: self.tensors, 1: inputs, 2: outputs, 3: self.operators, 4: graph.name}],
            3: description,
            4: self.buffers,
            6: metadata,
        }
        return pack(root, IDENTIFIER)
