"""An int8 model on a plan that streams: every byte in one arena of the planned size, checked at every read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from millijoule import ops
from millijoule.errors import ModelError
from millijoule.graph import Node
from millijoule.model import Model
from millijoule.plan.streaming.plan import StreamPlan
from millijoule.plan.streaming.timeline import Action
from millijoule.plan.streaming.verify import Replay, lines_of, lines_read

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
        self.memory = np.zeros(plan.arena_bytes, np.int8)
        self.result = np.zeros(0, np.int8)
        self.whole: dict[str, np.ndarray] = {}

    def outputs(self) -> dict[str, np.ndarray]:
        found = {}
        for name in self.graph.outputs:
            buffer = self.place("stored", self.source[name])
            found[name] = self.memory[buffer.offset : buffer.offset + buffer.bytes].reshape(self.graph.shapes[name])
        return found

    def write(self, value: str, row: int, fresh: bool) -> None:
        size, old = self.row_bytes[value], self.address.get((value, row))
        if old is not None:
            data = self.memory[old : old + size].copy()
        elif value in self.given:
            data = self.given[value][row * size : (row + 1) * size]
        else:
            data = self.result
        super().write(value, row, fresh)
        self.memory[self.address[value, row] : self.address[value, row] + size] = data

    def use_scratch(self, node: Node, needed: list[tuple[int, int]]) -> None:
        super().use_scratch(node, needed)
        place = self.place("scratch", node.name)
        self.memory[place.offset : place.end] = RUBBISH

    def compute(self, node: Node, action: Action, read: list[list[tuple[int, int]]]) -> None:
        shapes = self.graph.input_shapes(node)
        arrays = []
        for index, (shape, rows) in enumerate(zip(shapes, read, strict=True)):
            lines = lines_read(node.op, shapes, index, action.row)
            size = self.row_bytes.get(self.source[node.inputs[index]], 1)
            data = [self.memory[address : address + size] for _, address in rows]
            flat = np.concatenate(data) if data else np.zeros(0, np.int8)
            arrays.append(flat.reshape((1, len(lines), *shape[1:]) if len(shape) == 3 else (1, *shape)))
        self.result = _row(self.model, node, action.row, arrays).reshape(-1)

    def accumulate(self, node: Node, action: Action, address: int, last: bool) -> None:
        source = self.source[node.inputs[0]]
        size, op = self.row_bytes[source], node.op
        quantization, weights = self.model.node_quantization(node), self.model.node_weights(node)
        (shape,) = self.graph.input_shapes(node)
        row = self.memory[address : address + size]
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


def _row(model: Model, node: Node, row: int, x: list[np.ndarray]) -> np.ndarray:
    """Row `row` of a node's result from the lines that it reads."""
    op, (shape, *_) = node.op, model.graph.input_shapes(node)
    output = model.graph.shapes[node.name]
    quantization = model.node_quantization(node)
    if isinstance(op, ops.Conv2d | ops.MaxPool2d | ops.AveragePool2d):
        window = op.window(shape)
        top = row * window.stride[0] - window.padding[0][0]
        reach = (window.kernel[0] - 1) * window.dilation[0] + 1
        above, below = max(-top, 0), max(top + reach - shape[0], 0)
        op = replace(op, padding=((above, below), window.padding[1]))
    elif isinstance(op, ops.Pad):
        if not x[0].size:
            return np.full(output[1:], quantization.output.zero_point, np.int8)
        op = replace(op, padding=((0, 0), op.padding[1]))
    result = op.int8(*x, weights=model.node_weights(node), quantization=quantization)[0]
    whole = lines_of(output) > 1 and len(result) == lines_of(output) and len(output) == 3
    return result[row] if whole else result
