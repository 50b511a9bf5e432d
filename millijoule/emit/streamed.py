"""The C of a model that is executed row by row, as a plan that streams says."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from millijoule.emit.actions import Actions, Code
from millijoule.emit.project import Layer, Project
from millijoule.emit.text import c_array, comment_safe
from millijoule.errors import ModelError
from millijoule.graph import Node
from millijoule.model import Model
from millijoule.ops.base import Call
from millijoule.plan.streaming import StreamPlan
from millijoule.plan.streaming.kernels import Firing, firing
from millijoule.plan.streaming.rows import rows


class StreamedProject(Project):
    """A layer's function computes one row each time: `row` counts them; `fresh` has bit 0 where the row that it writes
    is to lie apart from its ring, and bit 1 + n where the last row that it reads of the n-th value that it reads does.
    """

    def __init__(self, model: Model, plan: StreamPlan) -> None:
        if "pixel" in plan.grains:
            raise ModelError(f"model '{model.graph.name}' is planned by pixels; C is made of plans by rows")
        self.plan = plan
        self.rows = rows(model.graph)
        self.steps = {step.name: step for step in self.rows.steps}
        if not self.steps:
            raise ModelError(
                f"model '{model.graph.name}' has no layer that computes anything: there is nothing to stream"
            )
        self.firings: dict[str, Firing] = {}
        super().__init__(model, plan.arena_bytes)
        self.actions = Actions.of(plan, self.rows, self.firings)
        if plan.input == "keep":
            self.after_run = "An inference leaves the input as it is."

    def calls(self, node: Node) -> tuple[Call, ...]:
        if node.op.alias:
            return node.op.call(
                *self.graph.input_shapes(node),
                weights=self.model.node_weights(node),
                quantization=self.model.node_quantization(node),
            )
        self.firings[node.name] = firing(self.model, self.rows, self.steps[node.name], self.plan.targets[node.name])
        return self.firings[node.name].calls

    def headers(self) -> set[str]:
        return super().headers() | {"ring.h"}

    def offset(self, value: str) -> int:
        return self.plan.places["stored", self.rows.source[value]].offset

    @cached_property
    def rings(self) -> dict[str, str]:
        """Value → the C name of where its rows lie."""
        symbols = {layer.node.name: layer.symbol for layer in self.layers}
        return {value: f"{symbols.get(value, f'{self.name}_input')}_ring" for value in self.rows.count}

    def functions(self) -> str:
        return "\n".join(
            [
                *self._rings(),
                *(self.layer(layer, "int32_t row, int32_t fresh", self._body(layer)) for layer in self.layers),
                self._table(),
                self._act(),
            ]
        )

    def statements(self) -> str:
        counters = len(self.actions.counters)
        return f"""    {self.actions.counter_type} fired[{max(counters, 1)}] = {{0}};
    for (int32_t i = 0; i < ACTIONS; i++)
        {self.name}_act({self.name}_actions[i], fired);"""

    def _rings(self) -> Iterator[str]:
        places = self.plan.places
        for value, symbol in self.rings.items():
            stored, ring = places.get(("stored", value)), places.get(("ring", value))
            fresh = places.get(("fresh", value))
            held = stored or ring or fresh
            if held is None:
                continue
            if stored:
                what, slots = f"{self.rows.count[value]} rows, stored", 0
            else:
                what, slots = f"{held.rows} of {self.rows.count[value]} rows at a time", held.rows
            where = "; the newest apart" if fresh and fresh is not held else ""
            yield f"""/* {comment_safe(value)}: {what}{where}. */
static const struct mj_ring {symbol} = {{
    .rows = {self.place(held.offset)},
    .fresh = {self.place((fresh or held).offset)},
    .slots = {slots},
    .row_bytes = {held.row_bytes},
}};
"""

    def _body(self, layer: Layer) -> str:
        node, kind = layer.node, self.firings[layer.node.name].kind
        values = [self.rows.source[name] for name in node.inputs]
        bits = {value: 1 << 1 + index for index, value in enumerate(dict.fromkeys(values))}
        lines = ["    (void)row;", "    (void)fresh;"]
        if kind == "window":
            lines += self._window(layer, values[0], bits[values[0]])
        output = f"mj_ring_row({self.rings[node.name]}, {'0' if kind in ('sums', 'whole') else 'row'}, fresh & 1)"
        for index, call in enumerate(layer.calls):
            outputs = [output]
            if kind == "sums":
                sums = self.place(self.plan.places["sums", node.name].offset)
                outputs = ["row", f"(int32_t *)(void *)({sums})", output]
            elif call.scratch_bytes:
                outputs.insert(0, self.place(self.plan.places["scratch", node.name].offset))
            inputs = (
                ["rows"]
                if kind == "window"
                else [
                    f"mj_ring_row({self.rings[value]}, {self._row_read(value, kind)}, fresh & {bits[value]})"
                    for value in (values[i] for i in call.inputs)
                ]
            )
            lines.append(self.call(layer, index, inputs, outputs))
        return "\n".join(lines)

    def _row_read(self, value: str, kind: str) -> str:
        return "0" if kind == "whole" or self.rows.count[value] == 1 else "row"

    def _window(self, layer: Layer, value: str, bit: int) -> list[str]:
        """Statements: the rows under the kernel."""
        window = self.firings[layer.node.name].window
        assert window is not None
        first = f"row * {window.stride[0]} - {window.padding[0][0]}"
        sizes = f"{window.kernel[0]}, {window.dilation[0]}, {window.input[0]}"
        return [
            f"    const int8_t *rows[{window.kernel[0]}];",
            f"    mj_ring_window(rows, {self.rings[value]}, {first}, {sizes}, fresh & {bit});",
        ]

    def _table(self) -> str:
        array = np.array(self.actions.sequence, np.uint8 if len(self.actions.codes) < 256 else np.uint16)
        table = c_array(f"{self.name}_actions", array)
        return f"/* What is done, in order: the cases of `act`. */\n{table}#define ACTIONS {array.size}\n"

    def _act(self) -> str:
        cases = "\n".join(
            f"    case {number}:\n        {self._case(code)};\n        break;"
            for number, code in enumerate(self.actions.codes)
        )
        return f"""/* One action. fired: how often each step did. */
MJ_INLINE void {self.name}_act(uint32_t action, {self.actions.counter_type} *fired)
{{
    switch (action) {{
{cases}
    }}
}}
"""

    def _case(self, code: Code) -> str:
        counter = self.actions.counters.index(code.name)
        if code.do == "arrive":
            return f"fired[{counter}]++"
        if code.do == "fire":
            symbol = next(layer.symbol for layer in self.layers if layer.node.name == code.name)
            return f"{symbol}(fired[{counter}]++, {code.fresh})"
        newest = "0" if self.rows.count[code.name] == 1 else f"fired[{counter}] - 1"
        return f"mj_ring_rest({self.rings[code.name]}, {newest})"
