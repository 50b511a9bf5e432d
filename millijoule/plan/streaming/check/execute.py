"""An int8 model on a plan that streams: every byte in one arena of the planned size, checked at every read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from millijoule import ops
from millijoule.errors import ModelError
from millijoule.graph import Node
from millijoule.model import Model
from millijoule.ops.base import Window
from millijoule.plan.streaming.check.verify import NOTHING, Replay
from millijoule.plan.streaming.layout.timeline import Action
from millijoule.plan.streaming.plan import StreamPlan

RUBBISH = 0x55
"""What kernels leave in their working memory."""


def execute(model: Model, plan: StreamPlan, *inputs: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of an int8 model for one sample, computed row by row where the plan puts the rows.

    inputs: int8, in the order and shapes of the graph's inputs, without batch. The result is what `Model.run` gives.
    Raises PlanError if a row is read that something else has overwritten; ModelError if the model is float.
    """
    if not model.is_int8:
        raise ModelError(f"model '{model.graph.name}' is float; quantize it before it is executed on a plan")
    execution = _Execution(model, plan, inputs)
    execution.run()
    return execution.outputs()


class _Execution(Replay):
    def __init__(self, model: Model, plan: StreamPlan, inputs: tuple[np.ndarray, ...]) -> None:
        super().__init__(model, plan)
        self.model = model
        self.given = {i.name: x.reshape(-1) for i, x in zip(model.graph.inputs, inputs, strict=True)}
        self.memory = np.zeros(len(self.arena), np.int8)
        self.result = np.zeros(0, np.int8)
        self.whole: dict[str, np.ndarray] = {}

    def outputs(self) -> dict[str, np.ndarray]:
        found = {}
        for name in self.graph.outputs:
            buffer = self.place("stored", self.source[name])
            found[name] = self.memory[buffer.offset : buffer.offset + buffer.bytes].reshape(self.graph.shapes[name])
        return found

    def place_outside(self) -> None:
        super().place_outside()
        for name, data in self.given.items():
            self.memory[self.address[name]] = data

    def write(self, value: str, at: int, size: int, fresh: bool) -> None:
        old = self.address[value][at * size : (at + 1) * size].copy()
        if old[0] != NOTHING:
            data = self.memory[old].copy()
        elif value in self.given:
            data = self.given[value][at * size : (at + 1) * size]
        else:
            data = self.result
        super().write(value, at, size, fresh)
        self.memory[self.address[value][at * size : (at + 1) * size]] = data

    def use_scratch(self, node: Node, needed: np.ndarray) -> None:
        super().use_scratch(node, needed)
        place = self.place("scratch", node.name)
        self.memory[place.offset : place.end] = RUBBISH

    def compute(self, node: Node, action: Action, read: list[np.ndarray]) -> None:
        shapes = self.graph.input_shapes(node)
        arrays = []
        for index, (shape, addresses) in enumerate(zip(shapes, read, strict=True)):
            lines, columns = self.area(node, index, action.row)
            area = (1, len(lines), len(columns), shape[2]) if len(shape) == 3 else (1, *shape)
            arrays.append(self.memory[addresses].reshape(area))
        self.result = self._result(node, action.row, arrays).reshape(-1)

    def accumulate(self, node: Node, action: Action, addresses: np.ndarray, last: bool) -> None:
        op = node.op
        quantization, weights = self.model.node_quantization(node), self.model.node_weights(node)
        (shape,) = self.graph.input_shapes(node)
        row, size = self.memory[addresses], len(addresses)
        sums = self.place("sums", node.name)
        place = self.memory[sums.offset : sums.offset + sums.bytes].view(np.int32)
        total = place.astype(np.int64) if action.row else np.zeros(len(place), np.int64)
        if isinstance(op, ops.Dense):
            part = slice(action.row * size, (action.row + 1) * size)
            weight = weights["weight"].astype(np.int64) - quantization.weights["weight"].zero_point
            total += op.accumulate(row[None], weight[:, part], quantization.inputs[0].zero_point)[0]
        else:
            total += row.reshape(-1, shape[-1]).astype(np.int64).sum(axis=0)
        place[:] = total.astype(np.int32)
        if last and isinstance(op, ops.Dense):
            self.result = op.requantize(total + weights.get("bias", 0), quantization)
        elif last:
            assert isinstance(op, ops.GlobalAveragePool | ops.AveragePool2d)
            self.result = op.mean(total, shape[0] * shape[1], quantization)

    def _result(self, node: Node, at: int, x: list[np.ndarray]) -> np.ndarray:
        """Row or pixel `at` of a node's result from what it reads."""
        op, (shape, *_) = node.op, self.graph.input_shapes(node)
        height, width, channels = self.map[node.name]
        by_pixel = self.grain[node.name] == "pixel"
        row, column = divmod(at, width) if by_pixel else (at, None)
        quantization = self.model.node_quantization(node)
        if isinstance(op, ops.Conv2d | ops.MaxPool2d | ops.AveragePool2d):
            window = op.window(shape)
            across = window.padding[1] if column is None else _padding(window, 1, column)
            op = replace(op, padding=(_padding(window, 0, row), across))
        elif isinstance(op, ops.Pad):
            if not x[0].size:
                return np.full(channels * (1 if by_pixel else width), quantization.output.zero_point, np.int8)
            op = replace(op, padding=((0, 0), (0, 0) if by_pixel else op.padding[1]))
        elif isinstance(op, ops.Slice) and op.takes_columns(shape):
            if by_pixel:
                return x[0]
            op = replace(op, size=(1, *op.size[1:]))
        result = op.int8(*x, weights=self.model.node_weights(node), quantization=quantization)[0]
        if result.size == height * width * channels:
            result = result.reshape(height, -1)[row]
            return result.reshape(width, channels)[column] if by_pixel else result
        return result


def _padding(window: Window, axis: int, at: int) -> tuple[int, int]:
    """The padding under one position of the window, before and after the map; all of it beside the map."""
    begin = at * window.stride[axis] - window.padding[axis][0]
    reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1
    return min(max(-begin, 0), reach), min(max(begin + reach - window.input[axis], 0), reach)
