"""An ONNX graph in the making: what the writer of one operator adds to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Node, Shape
from millijoule.load.metadata import NAME, to_text
from millijoule.load.names import unique
from millijoule.model import Model, Quantization

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

OPSET = 20
IR_VERSION = 9
BATCH = "batch"


class OnnxNetwork:
    """Collects nodes and constants of one graph. Calling it adds a node."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.values: dict[str, str] = {}
        self.used: set[str] = set(model.graph.shapes)
        self.current: Node | None = None
        for entry in model.graph.inputs:
            self.values[entry.name] = entry.name
            if model.quantization is not None:
                self.values[entry.name] = self._quantized(entry.name, entry.name, self._free(f"{entry.name}.real"))

    def fail(self, reason: str) -> NoReturn:
        """Refuse the current node."""
        raise ModelError(f"node '{self.node.name}' ({type(self.node.op).__name__}) {reason}")

    @property
    def node(self) -> Node:
        assert self.current is not None
        return self.current

    def __call__(self, kind: str, *inputs: Any, output: str | None = None, **attributes: Any) -> str:
        """Add a node; arrays among the inputs become constants. Returns the name of its output."""
        from onnx.helper import make_node

        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        place = self.current.name if self.current is not None else "input"
        output = output or self._free(f"{place}.{kind}")
        self.nodes.append(make_node(kind, names, [output], name=self._free(f"{place}/{kind}"), **attributes))
        return output

    def constant(self, array: Any, name: str = "constant") -> str:
        """float64 becomes float32."""
        from onnx.numpy_helper import from_array

        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        place = self.current.name if self.current is not None else "input"
        self.constants.append(from_array(array, self._free(f"{place}.{name}")))
        return self.constants[-1].name

    def array(self, key: str, arrange: Callable[[np.ndarray], np.ndarray] = np.asarray, axis: int = 0) -> str:
        """One of the current node's arrays, real numbers; `arrange` brings it into ONNX's layout.

        axis: of that layout, along which it may have a scale for each slice.
        """
        array = np.ascontiguousarray(arrange(self.model.weights[f"{self.node.name}.{key}"]))
        if self.model.quantization is None:
            return self.constant(array, key)
        known = self.model.node_quantization(self.node)
        if key == "bias":
            scales = Quantization(known.inputs[0].scale * known.weights["weight"].scales)
        else:
            scales = known.weights[key]
        return self.integers(array, scales, key, axis)

    def integers(self, array: np.ndarray, quantization: Quantization, key: str, axis: int = 0) -> str:
        """A constant of integers behind DequantizeLinear."""
        numbers = self.constant(array, f"{key}.integers")
        scale, zero_point = self._scale(quantization, array.dtype, key)
        attributes = {"axis": axis} if quantization.scales.size > 1 else {}
        name = self._free(f"{self.node.name}.{key}")
        return self("DequantizeLinear", numbers, scale, zero_point, output=name, **attributes)

    def define(self, result: str) -> None:
        """`result` is what the current node computes."""
        name = self.node.name
        if self.model.quantization is not None:
            self.values[name] = self._quantized(result, name, name)
            return
        last = self.nodes[-1]
        assert last.output[0] == result
        last.output[0] = self.values[name] = name

    def finish(self) -> bytes:
        """The bytes of the file."""
        from onnx.helper import make_graph, make_model, make_opsetid, set_model_props

        graph = self.model.graph
        inputs = [self._value_info(entry.name, entry.shape) for entry in graph.inputs]
        outputs = [self._value_info(self.values[name], graph.shapes[name]) for name in graph.outputs]
        file = make_model(
            make_graph(self.nodes, graph.name, inputs, outputs, self.constants),
            opset_imports=[make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="millijoule",
        )
        if kept := to_text(self.model):
            set_model_props(file, {NAME: kept})
        return bytes(file.SerializeToString())

    def _quantized(self, real: str, value: str, output: str) -> str:
        """`real` with the steps of the graph's `value`."""
        assert self.model.quantization is not None
        scale, zero_point = self._scale(self.model.quantization[value], np.dtype(np.int8), value)
        integers = self("QuantizeLinear", real, scale, zero_point)
        return self("DequantizeLinear", integers, scale, zero_point, output=output)

    def _scale(self, quantization: Quantization, dtype: Any, key: str) -> tuple[str, str]:
        scales = quantization.scales.astype(np.float32)
        zero_points = np.full(scales.shape, quantization.zero_point, dtype)
        single = scales.size == 1
        return (
            self.constant(scales[0] if single else scales, f"{key}.scale"),
            self.constant(zero_points[0] if single else zero_points, f"{key}.zero_point"),
        )

    def _value_info(self, name: str, shape: Shape) -> ValueInfoProto:
        from onnx import TensorProto
        from onnx.helper import make_tensor_value_info

        sizes = (shape[2], *shape[:2]) if len(shape) == 3 else shape
        return make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *sizes])

    def _free(self, name: str) -> str:
        return unique(name, self.used)
