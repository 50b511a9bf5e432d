"""The C of a model that is executed row by row or pixel by pixel, as a plan that streams says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from millijoule.emit.actions import Actions, Code
from millijoule.emit.project import Layer, Project, layer_symbols
from millijoule.emit.text import c_array, comment_safe
from millijoule.errors import ModelError
from millijoule.graph import Node
from millijoule.model import Model
from millijoule.ops.base import Call, Window
from millijoule.plan.streaming import StreamPlan
from millijoule.plan.streaming.network.kernels import Firing, counted, firing
from millijoule.plan.streaming.network.rows import columns_under, rows


class Arguments(NamedTuple):
    """Of the calls of a layer: the statements that find them, one for each input, where the result goes, and the
    parameters that are no constants."""

    statements: list[str]
    inputs: list[str]
    output: str
    computed: Mapping[str, str] = MappingProxyType({})


class StreamedProject(Project):
    """A layer's function computes one row each time: `row` counts them; `fresh` has bit 0 where the row that it writes
    is to lie apart from its ring, and bit 1 + n where the last row that it reads of the n-th value that it reads does.
    Where the plan is by pixels, it computes pixel `row`, and nothing is ever fresh.
    """

    state = ""
    """Further members of the state."""

    def __init__(self, model: Model, plan: StreamPlan) -> None:
        self.plan = plan
        self.rows, self.pixels = rows(model.graph), rows(model.graph, "pixel")
        self.grain = {name: grain for names, grain in zip(plan.segments, plan.grains, strict=True) for name in names}
        if not self.rows.steps:
            raise ModelError(
                f"model '{model.graph.name}' has no layer that computes anything: there is nothing to stream"
            )
        self.firings: dict[str, Firing] = {}
        super().__init__(model, plan.fast_bytes, plan.slow_bytes)
        self.layers = [layer for layer in self.layers if layer.node.name not in plan.joined]
        counts = counted(self.pixels if "pixel" in plan.grains else self.rows, plan.input)
        self.actions = Actions.of(plan, self.rows, counts, self.firings)
        if plan.input == "keep":
            self.after_run = "An inference leaves the input as it is."

    def calls(self, node: Node) -> tuple[Call, ...]:
        if node.op.alias:
            return node.op.call(
                *self.graph.input_shapes(node),
                weights=self.model.node_weights(node),
                quantization=self.model.node_quantization(node),
            )
        grained = self.pixels if self.grain[node.name] == "pixel" else self.rows
        step = next(step for step in grained.steps if step.name == node.name)
        self.firings[node.name] = firing(self.model, grained, step, self.plan.targets[node.name], self.plan.rings)
        return self.firings[node.name].calls

    def headers(self) -> set[str]:
        return super().headers() | {"loops.h", "ring.h"} | ({"pixels.h"} if self.seen else set())

    def offset(self, value: str) -> int:
        return self.plan.places["stored", self.rows.source[value]].offset

    def held(self) -> list[tuple[int, int]]:
        kept = {("state", self.input), *([("stored", self.input)] if self.plan.input == "keep" else [])}
        return [(place.offset, place.bytes) for key, place in self.plan.places.items() if key in kept]

    @cached_property
    def rings(self) -> dict[str, str]:
        """Value → the C name of where its rows lie."""
        symbols = layer_symbols(self.model)
        return {value: f"{symbols.get(value, f'{self.name}_input')}_ring" for value in self.rows.count}

    @cached_property
    def lined(self) -> set[str]:
        """The values whose lines arrive, or are read or written as such."""
        arriving = {self.input} if self.plan.input == "push" else set()
        return arriving | self._touched(layer.node for layer in self.layers if not self.is_by_pixel(layer.node))

    @cached_property
    def seen(self) -> dict[str, str]:
        """Value → the C name of where its pixels lie, for the values that are read or written pixel by pixel."""
        values = self._touched(layer.node for layer in self.layers if self.is_by_pixel(layer.node))
        return {value: ring.removesuffix("_ring") + "_pixels" for value, ring in self.rings.items() if value in values}

    def _touched(self, nodes: Iterable[Node]) -> set[str]:
        return {value for node in nodes for value in (node.name, *(self.rows.source[name] for name in node.inputs))}

    def is_by_pixel(self, node: Node) -> bool:
        return self.grain[node.name] == "pixel" and self.firings[node.name].kind != "whole"

    def functions(self) -> str:
        return "\n".join(
            [
                *self._rings(),
                *(self.layer(layer, self.parameters(layer.node), self._body(layer)) for layer in self.layers),
                self._table(),
                self._act(),
            ]
        )

    def parameters(self, node: Node) -> str:
        """Of a layer's function."""
        return "int32_t row, int32_t fresh"

    def arguments(self, node: Node) -> str:
        """Of a layer's function, behind those two."""
        return ""

    def preamble(self, node: Node) -> list[str]:
        """Statements before those of a layer."""
        return ["    (void)row;", "    (void)fresh;"]

    def statements(self) -> str:
        return f"""    struct {self.name}_state state = {{0}};
    while (state.loops.next < ACTIONS)
        {self.name}_act(&state);"""

    def _rings(self) -> Iterator[str]:
        places = self.plan.places
        for value, symbol in self.rings.items():
            stored, ring = places.get(("stored", value)), places.get(("ring", value))
            fresh = places.get(("fresh", value))
            held = stored or ring or fresh
            if held is None:
                continue
            by_pixel = ring is not None and value in self.seen
            across, slots = (self.pixels.across[value] if by_pixel else 1), 0 if stored else held.rows
            count, unit = (self.pixels.count[value], "pixels") if by_pixel else (self.rows.count[value], "rows")
            what = f"{count} {unit}, stored" if stored else f"{slots} of {count} {unit} at a time"
            where = "; the newest apart" if fresh and fresh is not held else ""
            yield f"/* {comment_safe(value)}: {what}{where}. */"
            if value in self.lined:
                yield f"""static const struct mj_ring {symbol} = {{
    .rows = {self.place(held.offset)},
    .fresh = {self.place((fresh or held).offset)},
    .slots = {slots // across},
    .row_bytes = {held.pitch or held.row_bytes * across},
}};
"""
            if value in self.seen:
                width = self.pixels.across[value]
                yield f"""static const struct mj_pixels {self.seen[value]} = {{
    .pixels = {self.place(held.offset)},
    .slots = {slots},
    .pixel_bytes = {self.pixels.bytes[value]},
    .height = {self.pixels.count[value] // width},
    .width = {width},
}};
"""

    def _body(self, layer: Layer) -> str:
        node, fires, places = layer.node, self.firings[layer.node.name], self.plan.places
        scratch, sums = places.get(("scratch", node.name)), places.get(("sums", node.name))
        preparation, inputs, output, computed = (self._by_pixel if self.is_by_pixel(node) else self._by_row)(node)
        outputs = [output]
        if fires.kind == "sums":
            assert sums is not None
            outputs = ["row", f"(int32_t *)(void *)({self.place(sums.offset)})", output]
        own = None if scratch is None else scratch.offset + fires.scratch_offset
        calls = self.body(layer, inputs, outputs, own, computed)
        return "\n".join([*self.preamble(node), *preparation, calls])

    def _by_row(self, node: Node) -> Arguments:
        """One row, or one added to sums."""
        fires, values = self.firings[node.name], [self.rows.source[name] for name in node.inputs]
        bits = {value: 1 << 1 + index for index, value in enumerate(dict.fromkeys(values))}
        output = f"mj_ring_row({self.rings[node.name]}, {'0' if fires.kind in ('sums', 'whole') else 'row'}, fresh & 1)"
        if fires.kind == "window":
            return Arguments(self._window(fires.window, values[0], bits[values[0]]), ["rows"], output)
        inputs = [
            f"mj_ring_row({self.rings[value]}, {self._row_read(value, fires.kind)}, fresh & {bits[value]})"
            for value in values
        ]
        return Arguments([], inputs, output)

    def _row_read(self, value: str, kind: str) -> str:
        return "0" if kind == "whole" or self.rows.count[value] == 1 else "row"

    def _window(self, window: Window | None, value: str, bit: int) -> list[str]:
        """Statements: the rows under the kernel."""
        assert window is not None
        first = f"row * {window.stride[0]} - {window.padding[0][0]}"
        sizes = f"{window.kernel[0]}, {window.dilation[0]}, {window.input[0]}"
        return [
            f"    const int8_t *rows[{window.kernel[0]}];",
            f"    mj_ring_window(rows, {self.rings[value]}, {first}, {sizes}, fresh & {bit});",
        ]

    def _by_pixel(self, node: Node) -> Arguments:
        """One pixel, or one added to sums."""
        fires, values = self.firings[node.name], [self.rows.source[name] for name in node.inputs]
        output = f"mj_pixel({self.seen[node.name]}, {'0' if fires.kind == 'sums' else 'row'})"
        if fires.window is None:
            counts = self.pixels.count
            inputs = [f"mj_pixel({self.seen[value]}, {'row' if counts[value] > 1 else '0'})" for value in values]
            return Arguments([], inputs, output)
        window, pixels = fires.window, f"&{self.seen[values[0]]}"
        kernel = ", ".join(map(str, (*window.kernel, *window.dilation)))
        y, x = (
            f"row {sign} {window.output[1]} * {window.stride[axis]} - {window.padding[axis][0]}"
            for axis, sign in enumerate("/%")
        )
        if fires.kind == "taps":
            find = [
                f"    const int8_t *taps[{prod(window.kernel)}];",
                f"    mj_pixel_taps(taps, {pixels}, {y}, {x}, {kernel});",
            ]
            return Arguments(find, ["taps"], output)
        scratch = self.plan.places.get(("scratch", node.name))
        copy = self.place(scratch.offset) if scratch and fires.copied_bytes else "NULL"
        find = [
            f"    const int8_t *rows[{window.kernel[0]}];",
            "    const struct mj_columns columns = mj_pixel_window(",
            f"        rows, {pixels}, {y}, {x},",
            f"        {window.kernel[0]}, {window.dilation[0]}, {columns_under(window)}, {copy});",
            "    (void)columns;",
        ]
        computed = {"input_width": "columns.inside", "padding_left": "columns.outside", "output_width": "1"}
        return Arguments(find, ["rows"], output, computed if any(window.padding[1]) else {})

    def _table(self) -> str:
        name, numbers = self.name, np.array(self.actions.numbers, np.uint16)
        table = c_array(f"{name}_actions", numbers)
        return f"""/* What is done, in order: the cases of `act` in loops. */
{table}#define ACTIONS {numbers.size}

/* fired: how often each input and step was counted. */
struct {name}_state {{
    struct mj_loops loops;
    {self.actions.counter_type} fired[{len(self.actions.counters)}];
{self.state}}};
"""

    def _act(self) -> str:
        name = self.name
        cases = "\n".join(
            f"    case {number}:\n        {self._case(code)};\n        break;"
            for number, code in enumerate(self.actions.codes)
        )
        return f"""/* One action, and on to the next. */
MJ_INLINE void {name}_act(struct {name}_state *state)
{{
    {self.actions.counter_type} *fired = state->fired;
    switch ({name}_actions[state->loops.next]) {{
{cases}
    }}
    mj_loops_step(&state->loops, {name}_actions, ACTIONS, {len(self.actions.codes)});
}}
"""

    def _case(self, code: Code) -> str:
        counter = self.actions.counters.index(code.name)
        if code.do == "arrive":
            return f"fired[{counter}]++"
        if code.do == "fire":
            layer = next(layer for layer in self.layers if layer.node.name == code.name)
            return f"{layer.symbol}(fired[{counter}]++, {code.fresh}{self.arguments(layer.node)})"
        newest = "0" if self.rows.count[code.name] == 1 else f"fired[{counter}] - 1"
        return f"mj_ring_rest({self.rings[code.name]}, {newest})"
