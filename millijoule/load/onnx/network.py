"""An ONNX network in the making: what the importer of one operator reads from its node and adds to the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from millijoule.load.channels_first import ChannelsFirst, Value
from millijoule.load.onnx.file import OnnxFile, short, to_array
from millijoule.load.onnx.patterns import Origins
from millijoule.model import Quantization

if TYPE_CHECKING:
    from onnx import NodeProto

LARGEST_CONSTANT = 2**28


class Unknown(Exception):
    """An operator, or a form of it, that is not known: its result is opaque."""


@dataclass(frozen=True, eq=False)
class Integers:
    """A constant behind DequantizeLinear: its integers (uint8 less 128) and scales along `axis`."""

    array: np.ndarray
    quantization: Quantization
    axis: int


class OnnxNetwork:
    """The values and constants that are known so far, by their names in the file."""

    def __init__(self, file: OnnxFile, name: str, node_names: dict[str, str]) -> None:
        self.file = file
        self.build = ChannelsFirst(name)
        self.values: dict[str, Value] = {}
        self.constants: dict[str, np.ndarray] = dict(file.constants)
        self.integers: dict[str, Integers] = {}
        self.is_int8 = any(
            node.op_type == "QuantizeLinear" and node.input and node.input[0] not in file.constants
            for node in file.nodes
        )
        self.origins = Origins(self)
        self.node_names = node_names
        self.current: NodeProto | None = None
        self._inferred: dict[str, tuple[int, ...]] | None = None

    def fail(self, reason: str) -> NoReturn:
        """Refuse the current operator."""
        self.file.fail(reason, self.current)

    def unknown(self, reason: str) -> NoReturn:
        """Let the current operator be opaque."""
        raise Unknown(reason)

    @property
    def node(self) -> NodeProto:
        assert self.current is not None
        return self.current

    @property
    def opset(self) -> int:
        return self.file.opset

    @property
    def name(self) -> str:
        """What the current operator's node is called."""
        return self.node_names[next(output for output in self.node.output if output)]

    # What the node says

    def input_name(self, slot: int) -> str:
        return self.node.input[slot] if slot < len(self.node.input) else ""

    def has(self, slot: int) -> bool:
        return bool(self.input_name(slot))

    def is_constant(self, slot: int) -> bool:
        return self.input_name(slot) in self.constants

    def value(self, slot: int = 0) -> Value:
        """A computed input."""
        name = self.input_name(slot)
        if name not in self.values:
            self.unknown(f"input {slot} is a constant or left out; a computed value is needed")
        return self.values[name]

    def constant(self, slot: int) -> np.ndarray:
        """A constant input."""
        name = self.input_name(slot)
        if name not in self.constants:
            self.unknown(f"input {slot} is computed or left out; a constant is needed")
        return self.constants[name]

    def optional(self, slot: int) -> np.ndarray | None:
        """A constant input, None if left out."""
        return self.constant(slot) if self.has(slot) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute: a number, text, or a list of numbers; ModelError if it is of another type than the default."""
        from onnx import AttributeProto
        from onnx.helper import get_attribute_value

        for attribute in self.node.attribute:
            if attribute.name == name:
                value = get_attribute_value(attribute)
                if attribute.type == AttributeProto.STRING:
                    value = value.decode("utf-8", errors="replace")
                elif attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS):
                    value = list(value)
                elif attribute.type == AttributeProto.TENSOR:
                    value = to_array(value, self.file.fail)
                elif attribute.type not in (AttributeProto.INT, AttributeProto.FLOAT):
                    self.fail(f"attribute {name} is of a type that makes no sense here")
                kind = (int, float) if isinstance(default, float) else type(default)
                if default is not None and not isinstance(value, kind):
                    self.fail(f"attribute {name} is {value!r}; {type(default).__name__} is needed")
                return value
        return default

    def ints(self, name: str, slot: int | None = None) -> list[int] | None:
        """Whole numbers from an attribute or, as later opsets have it, from constant input `slot`."""
        if slot is not None and self.has(slot):
            return [int(number) for number in self.constant(slot).reshape(-1)]
        numbers = self.attribute(name)
        if numbers is None:
            return None
        if not isinstance(numbers, list):
            self.fail(f"attribute {name} is {numbers!r}; a list of whole numbers is needed")
        return [int(number) for number in numbers]

    def axis(self, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            self.fail(f"axis {axis} does not exist; the input has {rank}")
        return axis % rank

    # What the network gets

    def give(self, *results: Value) -> None:
        """The current operator's outputs."""
        for name, value in zip(self.node.output, results, strict=False):
            if name:
                self.values[name] = value
        for name in self.node.output[len(results) :]:
            if name and self._is_read(name):
                self.unknown("its further outputs are read")

    def _is_read(self, name: str) -> bool:
        return name in self.file.outputs or any(name in node.input for node in self.file.nodes)

    def give_opaque(self, reason: str) -> None:
        """The current operator's outputs as opaque values of the shapes that ONNX infers."""
        inputs = [self.values[name] for name in self.node.input if name in self.values]
        arrays = [(name, self.constants[name]) for name in self.node.input if name in self.constants]
        arrays = [(name, array) for name, array in arrays if array.dtype.kind == "f" and array.size]
        domain = f"{self.node.domain}." if self.node.domain not in ("", "ai.onnx") else ""
        for name in self.node.output:
            if not name or (name != self.node.output[0] and not self._is_read(name)):
                continue
            shape = self._inferred_shape(name)
            if shape is None:
                because = f" ({reason})" if reason else ""
                self.fail(f"is not known{because}, nor is the shape of its output '{short(name)}'")
            operator = f"{domain}{self.node.op_type}"
            self.values[name] = self.build.opaque(self.name, operator, inputs, shape, arrays, reason)
            arrays = []

    def _inferred_shape(self, name: str) -> tuple[int, ...] | None:
        if self._inferred is None:
            self._inferred = _infer_shapes(self.file)
        return self._inferred.get(name)

    def evaluate(self) -> None:
        """The current operator, all of whose inputs are constants, with ONNX's reference implementation."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        if self.node.op_type in ("ConstantOfShape", "Expand", "Tile", "Range", "Resize", "Pad", "OneHot"):
            self._check_size()
        feeds = {name: self.constants[name] for name in self.node.input if name}
        # A model of this node alone, since a node by itself is taken to be of the newest opset.
        given = [onnx.ValueInfoProto(name=name) for name in feeds]
        wanted = [onnx.ValueInfoProto(name=name) for name in self.node.output if name]
        graph = onnx.helper.make_graph([self.node], "constant", given, wanted)
        alone = onnx.helper.make_model(graph, opset_imports=self.file.model.opset_import)
        try:
            results = ReferenceEvaluator(alone).run(None, feeds)
        except NotImplementedError:
            self.fail("is not known, and all that it reads is constant")
        except Exception as error:
            # The reference implementation raises whatever numpy does with wrong shapes and types.
            self.fail(f"cannot be computed: {' '.join(str(error).split())[:160]}")
        for name, result in zip(self.node.output, results, strict=False):
            if name:
                self.constants[name] = np.asarray(result)

    def _check_size(self) -> None:
        numbers = [self.constants[name].reshape(-1) for name in self.node.input if name]
        if self.node.op_type == "ConstantOfShape":
            size = abs(float(np.prod(numbers[0].astype(np.float64))))
        elif self.node.op_type == "Range":
            size = abs(float(numbers[1][0] - numbers[0][0]) / (float(numbers[2][0]) or 1.0))
        elif self.node.op_type in ("Expand", "Tile"):
            size = abs(float(np.prod(numbers[1].astype(np.float64)))) * numbers[0].size
        else:
            size = float(sum(array.size for array in numbers))
        if size > LARGEST_CONSTANT:
            self.fail(f"makes a constant of {size:.3g} numbers; {LARGEST_CONSTANT} are the most")

    def quantize(self, value: Value, quantization: Quantization) -> Value:
        """The value with a quantization: its own if it has none yet, else requantized."""
        from millijoule.ops import Requantize

        known = self.build.quantization
        if value.name not in known:
            known[value.name] = quantization
        elif known[value.name] != quantization:
            value = self.build.activation(self.name, Requantize(), value)
            known[value.name] = quantization
        return value


def _infer_shapes(file: OnnxFile) -> dict[str, tuple[int, ...]]:
    """The shapes that ONNX infers from those of the inputs."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    shapes = dict(file.inputs)
    for entry in model.graph.input:
        if entry.name in shapes:
            dimensions = entry.type.tensor_type.shape
            del dimensions.dim[:]
            for size in shapes[entry.name]:
                dimensions.dim.add().dim_value = size
    del model.graph.value_info[:]
    for entry in model.graph.output:
        entry.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:
        # What cannot be inferred is not known; the caller says so.
        inferred = model.graph
    # Of operators that ONNX does not know, the file itself may state the shape.
    stated = (*file.model.graph.value_info, *file.model.graph.output)
    shapes = {}
    for entry in (*stated, *inferred.value_info, *inferred.output):
        shape = tuple(dimension.dim_value for dimension in entry.type.tensor_type.shape.dim)
        if entry.type.tensor_type.HasField("shape") and all(size > 0 for size in shape):
            shapes[entry.name] = shape
    return shapes


def pads(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """ONNX's (begin, …, end, …) as (begin, end) for each axis."""
    half = len(numbers) // 2
    return tuple(zip(numbers[:half], numbers[half:], strict=True))
