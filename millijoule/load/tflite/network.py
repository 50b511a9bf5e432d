"""A network in the making: what the importer of one operator reads from the file and adds to the graph."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NoReturn, TypeVar

import numpy as np

from millijoule.graph import Node, Operator, Shape
from millijoule.load.names import unique
from millijoule.load.tflite.file import Operation, Tensor, TensorQuantization, TfliteFile
from millijoule.model import Quantization
from millijoule.ops import Dense, Opaque, Reshape, Slice

SomeOperator = TypeVar("SomeOperator", bound=Operator)
MAXIMUM_RANK = 4
INTEGER_TYPES = ("int8", "uint8")
# Beyond these, products of scales leave float32.
SMALLEST_SCALE, LARGEST_SCALE = 1e-18, 1e18


UNKNOWN_SCALE = Quantization.of(1.0)
"""Of a value that an operator gives which is not known: it is never run, but every value of an int8 model has one."""


class Unknown(Exception):
    """An operator, or a form of it, that is not known: its result is opaque."""


class Network:
    """Nodes, arrays and quantization that the operators of `file` add up to.

    uint8 is read as int8: the same reals, integers and zero points less 128.
    """

    def __init__(self, file: TfliteFile, names: Mapping[int, str]) -> None:
        self.file = file
        self.names = names
        self.used = set(names.values())
        self.values: dict[int, str] = {}
        self.constants: dict[int, np.ndarray] = {}
        self.shapes: dict[str, Shape] = {}
        self.nodes: list[Node] = []
        self.weights: dict[str, np.ndarray] = {}
        self.quantization: dict[str, Quantization] = {}
        self.notes: list[str] = []
        self.current: Operation | None = None

    # What the file says

    def fail(self, reason: str) -> NoReturn:
        """Refuse the file for the current operation."""
        self.file.fail(reason, self.current)

    def unknown(self, reason: str) -> NoReturn:
        """Let the current operation be opaque."""
        raise Unknown(reason)

    @property
    def operation(self) -> Operation:
        assert self.current is not None
        return self.current

    def input_count(self, least: int, most: int | None = None) -> None:
        """Refuse an operator with too few or too many inputs, or without exactly one output."""
        inputs, outputs = self.operation.inputs, self.operation.outputs
        if len(inputs) < least or (most is not None and len(inputs) > most) or len(outputs) != 1:
            expected = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            self.fail(f"has {len(inputs)} inputs and {len(outputs)} outputs; {expected} and 1 are needed")

    def tensor(self, slot: int) -> Tensor:
        number = self.operation.inputs[slot]
        if number < 0:
            self.fail(f"input {slot} is left out")
        return self.file.tensors[number]

    @property
    def output(self) -> Tensor:
        return self.file.tensors[self.operation.outputs[0]]

    def has_input(self, slot: int) -> bool:
        return slot < len(self.operation.inputs) and self.operation.inputs[slot] >= 0

    def is_constant(self, slot: int) -> bool:
        return self.operation.inputs[slot] in self.constants or self.tensor(slot).stored_bytes > 0

    def value(self, slot: int = 0) -> str:
        """The graph's value that input `slot` reads."""
        tensor, number = self.tensor(slot), self.operation.inputs[slot]
        if number not in self.values:
            if self.is_constant(slot):
                self.unknown(f"input {slot} '{short(tensor)}' is a constant; a computed value is needed")
            self.fail(f"reads '{short(tensor)}', which no earlier operator computes: the file is corrupted")
        return self.values[number]

    def constant(self, slot: int, *types: str) -> np.ndarray:
        """The constant numbers of input `slot`, of one of `types`."""
        tensor, number = self.tensor(slot), self.operation.inputs[slot]
        if tensor.is_sparse:
            self.fail(f"'{short(tensor)}' is sparse: export the model with dense weights")
        if number in self.constants:
            array = self.constants[number]
        elif tensor.data is not None:
            array = tensor.data
        elif tensor.stored_bytes:
            self.fail(f"'{short(tensor)}' has {tensor.stored_bytes} bytes for {tensor.type} of shape {tensor.shape}")
        else:
            self.unknown(f"input {slot} '{short(tensor)}' is computed at run time; a constant is needed")
        if array.dtype.name not in types:
            self.fail(f"'{short(tensor)}' is {array.dtype.name}; {' or '.join(types)} is needed")
        return array

    def option(self, field: int, code: str, default: int = 0) -> int:
        options = self.operation.options
        return default if options is None else options.integer(field, code, default)

    def choice(self, field: int, names: Mapping[int, str], what: str) -> str:
        """An enumerated option; `names` are those that are supported."""
        number = self.option(field, "b")
        if number not in names:
            self.unknown(f"has {what} number {number}; supported are {', '.join(names.values())}")
        return names[number]

    def check_options(self, type: int) -> None:
        """Refuse options of another operator than this."""
        if self.operation.options is not None and self.operation.options_type != type:
            self.fail(f"has options of type {self.operation.options_type}; {type} is needed: the file is corrupted")

    # Quantization

    def is_integer(self, slot: int = 0) -> bool:
        return self.value(slot) in self.quantization

    def value_shape(self, tensor: Tensor) -> Shape:
        """A value's shape without the batch, which must be 1."""
        if len(tensor.shape) > MAXIMUM_RANK:
            self.fail(f"'{short(tensor)}' has {len(tensor.shape)} dimensions; {MAXIMUM_RANK} are the most")
        if len(tensor.shape) <= 1:
            shape, dynamic = tensor.shape or (1,), tensor.dynamic[1:]
        else:
            shape, dynamic = tensor.shape[1:], tensor.dynamic[1:]
            if tensor.shape[0] not in (1, -1):
                self.fail(f"'{short(tensor)}' has batch {tensor.shape[0]}: export the model with batch 1")
        if any(size < 1 for size in (*shape, *dynamic)):
            self.fail(f"'{short(tensor)}' has dynamic shape {tensor.dynamic}: export the model with a fixed input size")
        return shape

    def value_quantization(self, tensor: Tensor) -> Quantization | None:
        """Of a computed value: None for float32."""
        if tensor.is_variable:
            self.fail(f"'{short(tensor)}' is a variable that outlives an inference, which is not supported")
        if tensor.type == "float32":
            return None
        if tensor.type not in INTEGER_TYPES:
            self.fail(f"'{short(tensor)}' is {tensor.type}; int8, uint8 and float32 values are supported")
        if tensor.quantization is None:
            self.fail(f"'{short(tensor)}' is {tensor.type} without a scale: convert with full integer quantization")
        quantization = self._quantization(tensor, tensor.quantization, SMALLEST_SCALE)
        if quantization.scales.size != 1:
            self.fail(f"'{short(tensor)}' has {quantization.scales.size} scales; a value has one")
        if not -128 <= quantization.zero_point <= 127:
            self.fail(f"'{short(tensor)}' has zero point {tensor.quantization.zero_points[0]} outside {tensor.type}")
        return quantization

    def weight_quantization(self, slot: int, channels: int, axis: int) -> Quantization:
        """Of an integer weight: one scale, or one for each of `channels` along `axis`."""
        tensor = self.tensor(slot)
        if tensor.quantization is None:
            self.fail(f"weights '{short(tensor)}' are {tensor.type} without a scale: the model is not quantized fully")
        quantization = self._quantization(tensor, tensor.quantization, 0.0)
        size = quantization.scales.size
        if size not in (1, channels) or (size > 1 and tensor.quantization.axis != axis):
            self.fail(
                f"weights '{short(tensor)}' have {size} scales along axis {tensor.quantization.axis}; 1, or {channels} "
                f"along axis {axis}, is needed"
            )
        return quantization

    def _quantization(self, tensor: Tensor, given: TensorQuantization, smallest: float) -> Quantization:
        scales = given.scales.astype(np.float32)
        with np.errstate(invalid="ignore"):
            wrong = scales[~((scales >= smallest) & (scales <= LARGEST_SCALE))]
        if wrong.size:
            self.fail(f"'{short(tensor)}' has scale {wrong[0]:g}; {smallest:g} to {LARGEST_SCALE:g} makes sense")
        zero_points = given.zero_points
        if np.any(zero_points != zero_points[0]):
            self.fail(f"'{short(tensor)}' has zero points {zero_points.min()} to {zero_points.max()}; one is supported")
        return Quantization(scales, int(zero_points[0]) - (128 if tensor.type == "uint8" else 0))

    # What the graph gets

    def make(self, kind: type[SomeOperator], **attributes: Any) -> SomeOperator:
        """An operator; what it refuses, with the name of the operation in the file."""
        try:
            return kind(**attributes)
        except ValueError as error:
            self.fail(str(error))

    def add_input(self, number: int, name: str, tensor: Tensor) -> None:
        """A value that is given; `tensor` says its quantization."""
        self._define(number, name, self.value_shape(tensor), self.value_quantization(tensor))

    def add(
        self, op: Operator, *inputs: str, weights: Mapping[str, tuple[np.ndarray, Quantization | None]] | None = None
    ) -> None:
        """The node that computes the current operator's output.

        weights: array name → (array, quantization). The shape and type that the file declares must be those computed;
        Dense, which knows no maps, is followed by Reshape where the file keeps dimensions, Slice where it drops some.
        """
        number, tensor = self.operation.outputs[0], self.output
        declared = self.value_shape(tensor)
        quantization = self.value_quantization(tensor)
        for name in inputs:
            if (name in self.quantization) != (quantization is not None):
                self.fail(f"turns '{name}' into {tensor.type} '{short(tensor)}': {MIXED}")
        try:
            computed = op.shape(*(self.shapes[name] for name in inputs))
        except ValueError as error:
            self.fail(str(error))
        name = self.names[number]
        self.nodes.append(Node(name, op, inputs))
        for array_name, (array, array_quantization) in (weights or {}).items():
            self.weights[f"{name}.{array_name}"] = array
            if array_quantization is not None:
                self.quantization[f"{name}.{array_name}"] = array_quantization
        self._define(number, name, computed, quantization)
        if declared != computed:
            if not isinstance(op, Dense | Slice) or prod(declared) != prod(computed):
                self.fail(f"computes shape {computed}, but '{short(tensor)}' has {declared}: the file is corrupted")
            reshaped = unique(f"{name}_shape", self.used)
            self.nodes.append(Node(reshaped, Reshape(target=declared), (name,)))
            self._define(number, reshaped, declared, quantization)

    def add_opaque(self, reason: str) -> None:
        """Nodes for the current operation's outputs, as the file declares them: it is not known, or not in this form.

        Arrays that it reads count as parameters of a float model; an int8 model has a place for no numbers but int8.
        """
        operation, is_int8 = self.operation, bool(self.quantization)
        inputs = [self.values[number] for number in operation.inputs if number in self.values]
        arrays = {} if is_int8 else self._arrays()
        for number in operation.outputs:
            if number != operation.outputs[0] and not self._is_read(number):
                continue
            tensor = self.file.tensors[number]
            name = self.names[number] if number in self.names else unique(self.names[operation.outputs[0]], self.used)
            shape = self._opaque_shape(tensor)
            named = tuple((key, array.shape) for key, array in arrays.items())
            op = Opaque(operator=operation.code, output=shape, arrays=named, reason=reason)
            self.nodes.append(Node(name, op, tuple(inputs)))
            self.weights |= {f"{name}.{key}": array for key, array in arrays.items()}
            scaled = is_int8 and tensor.type in INTEGER_TYPES and tensor.quantization is not None
            known = self.value_quantization(tensor) if scaled else None
            self._define(number, name, shape, known or (UNKNOWN_SCALE if is_int8 else None))
            arrays = {}

    def _arrays(self) -> dict[str, np.ndarray]:
        """The float constants that the current operation reads."""
        tensors = [self.file.tensors[number] for number in self.operation.inputs if number >= 0]
        found = [tensor.data for tensor in tensors if tensor.data is not None and tensor.data.dtype.kind == "f"]
        return {f"array{index}": array.astype(np.float32) for index, array in enumerate(found)}

    def _is_read(self, number: int) -> bool:
        return number in self.file.outputs or any(number in operation.inputs for operation in self.file.operations)

    def _opaque_shape(self, tensor: Tensor) -> Shape:
        shape = tensor.shape[1:] if len(tensor.shape) > 1 and tensor.shape[0] == 1 else tensor.shape
        if any(size < 1 for size in (*shape, *tensor.dynamic[1:])):
            self.fail(f"is not known, nor is the shape of its output '{short(tensor)}', {tensor.dynamic}")
        return shape or (1,)

    def alias(self, name: str) -> None:
        """The current operator's output is the value `name`; no node is needed."""
        self.values[self.operation.outputs[0]] = name

    def is_read_once(self, node: Node) -> bool:
        """Whether one operator of the file reads the node's output, which is none of the file's."""
        (number,) = (number for number, name in self.values.items() if name == node.name)
        reads = sum(operation.inputs.count(number) for operation in self.file.operations)
        return reads == 1 and number not in self.file.outputs

    def take_back(self, count: int) -> list[Node]:
        """Take away the last nodes, which have no arrays and stand for one with the current operator."""
        taken, self.nodes = self.nodes[-count:], self.nodes[:-count]
        for node in taken:
            del self.shapes[node.name]
            self.quantization.pop(node.name, None)
        return taken

    def _define(self, number: int, name: str, shape: Shape, quantization: Quantization | None) -> None:
        self.values[number] = name
        self.shapes[name] = shape
        if quantization is not None:
            self.quantization[name] = quantization


MIXED = "a model must be int8 throughout or float32 throughout; convert with full integer quantization"


def short(tensor: Tensor) -> str:
    """A tensor's name, cut to what fits a message."""
    name = "".join(character if character.isprintable() else "?" for character in tensor.name.split(";")[0])
    return name if len(name) <= 60 else f"{name[:57]}..."
