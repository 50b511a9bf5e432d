"""What the C of every model consists of, however it is executed."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from types import MappingProxyType

from millijoule.emit.boxes import Detector
from millijoule.emit.ends import End, Outputs
from millijoule.emit.text import c_array, comment_safe, identifier, in_identifier, times
from millijoule.errors import ModelError
from millijoule.graph import Node, Shape
from millijoule.model import Model
from millijoule.ops.base import Call


def layer_symbols(model: Model, joined: Collection[str] = ()) -> dict[str, str]:
    """The C function of each executed node, in order: node → symbol. joined: nodes with nothing to do in a plan."""
    name = identifier(model.graph.name)
    digits = max(2, len(str(len(model.graph.nodes) - 1)))
    return {
        node.name: f"{name}_layer_{index:0{digits}}_{in_identifier(node.name)}"
        for index, node in enumerate(model.graph.nodes)
        if not node.op.alias and node.name not in joined
    }


def free_place(held: Sequence[tuple[int, int]], bytes: int, end: int) -> int | None:
    """The first offset, a multiple of 4, of `bytes` before `end` that lie in none of `held`, (offset, bytes)."""
    free = 0
    for start, length in sorted(held):
        if start - free >= bytes:
            break
        free = max(free, -(-(start + length) // 4) * 4)
    return free if free + bytes <= end else None


@dataclass(frozen=True)
class Layer:
    node: Node
    symbol: str
    calls: tuple[Call, ...]


class Project(ABC):
    """The files of an int8 model. A subclass says how it is executed.

    slow_bytes: of a second arena in a slower memory; its offsets follow those of the first.
    """

    def __init__(self, model: Model, arena_bytes: int, slow_bytes: int = 0) -> None:
        graph = model.graph
        if len(graph.inputs) != 1:
            raise ModelError(
                f"model '{graph.name}' has {len(graph.inputs)} inputs; firmware is made of models with one"
            )
        if model.quantization is None:
            raise ModelError(f"model '{graph.name}' is float; firmware needs int8: quantize it (give --data)")
        self.model, self.graph, self.arena_bytes, self.slow_bytes = model, graph, arena_bytes, slow_bytes
        self.name = identifier(graph.name)
        self.upper = self.name.upper()
        self.input = graph.inputs[0].name
        self.title = comment_safe(graph.name)
        symbols = layer_symbols(model)
        # Those that execute nothing are asked too: they refuse what they cannot pass on.
        calls = {node.name: self.calls(node) for node in graph.nodes}
        self.layers = [
            Layer(node, symbols[node.name], calls[node.name]) for node in graph.nodes if node.name in symbols
        ]
        self.quantization = model.quantization
        self.entry = self._end("input", self.input)
        one = len(graph.outputs) == 1
        names = ["output"] if one else [f"output_{index}" for index in range(len(graph.outputs))]
        self.outputs = Outputs([self._end(*each) for each in zip(names, graph.outputs, strict=True)])
        self.array_names: dict[tuple[str, Shape, bytes], str] = {}

    @abstractmethod
    def calls(self, node: Node) -> tuple[Call, ...]:
        """The calls into kernels/. Raises ModelError that names the node if it has none."""

    @abstractmethod
    def offset(self, value: str) -> int:
        """Where the graph's input or output lies in the arena."""

    @abstractmethod
    def functions(self) -> str:
        """The functions of the layers, and what stands between them and `run`."""

    @abstractmethod
    def statements(self) -> str:
        """What `run` does between taking the input and giving the output."""

    @abstractmethod
    def held(self) -> list[tuple[int, int]]:
        """(offset, bytes) of what an inference leaves in the arena for the next one."""

    after_run = "The input's memory is overwritten by an inference."

    def headers(self) -> set[str]:
        """The kernel headers that model.c includes."""
        of_boxes = {"detect.h"} if self.detector else set()
        return {"memory.h", *of_boxes, *(call.header for layer in self.layers for call in layer.calls)}

    @cached_property
    def detector(self) -> Detector | None:
        """Of a model whose outputs are boxes. It works where an inference leaves nothing, if there is room."""
        if self.model.boxes is None:
            return None
        held = self.held() + [(self.offset(end.value), prod(end.shape)) for end in self.outputs.ends]
        places = {end.value: self.place(self.offset(end.value)) for end in self.outputs.ends}
        free = free_place(held, Detector.working_bytes(self.model.boxes), self.arena_bytes)
        return Detector(self.model, self.name, places, None if free is None else self.place(free))

    def header(self) -> str:
        upper, name = self.upper, self.name
        ends = [*self.entry.constants(), *self.outputs.constants()]
        if self.model.labels:
            labels = comment_safe(", ".join(self.model.labels))
            ends.append(f"/* Classes, {'from 0' if self.detector else 'in the order of the output'}: {labels}. */")
        return f"""/* {self.title}: int8 network, made by millijoule. One inference: {name}_run. */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>
{self.detector.include if self.detector else ""}
#ifdef __cplusplus
extern "C" {{
#endif

/* real = scale * (integer - zero point) */
{chr(10).join(ends)}

{self._arena_declarations()}
{self.interface()}
{self.detector.declarations() if self.detector else ""}#ifdef __cplusplus
}}
#endif

#endif
"""

    def _arena_declarations(self) -> str:
        upper = self.upper
        arena = f"""/* All working memory: input, output and everything between. Defined in model.c, or, if
 * {upper}_OWN_ARENA is defined when model.c is compiled, by you (to place it or to share it between uses). */
#define {upper}_ARENA_BYTES {self.arena_bytes}
extern int8_t {self.name}_arena[{upper}_ARENA_BYTES];
"""
        if not self.slow_bytes:
            return arena
        return f"""{arena}
/* Of all that, what lies in a second, slower memory: in section .bss.slow_arena of model.c, or, if
 * {upper}_OWN_SLOW_ARENA is defined when model.c is compiled, where you define it. Start-up does not write
 * there: that memory must only be ready (its clock, its controller) before the first inference. */
#define {upper}_SLOW_ARENA_BYTES {self.slow_bytes}
extern int8_t {self.name}_slow_arena[{upper}_SLOW_ARENA_BYTES];
"""

    def _arena_definitions(self) -> str:
        upper, name = self.upper, self.name
        if not self.slow_bytes:
            return f"""#ifndef {upper}_OWN_ARENA
_Alignas(16) int8_t {name}_arena[{upper}_ARENA_BYTES];
#endif
"""
        return f"""#ifdef __ELF__
#define SECTION(name) __attribute__((section(name)))
#else
#define SECTION(name)
#endif

#ifndef {upper}_OWN_ARENA
SECTION(".bss.fast_arena") _Alignas(16) int8_t {name}_arena[{upper}_ARENA_BYTES];
#endif
#ifndef {upper}_OWN_SLOW_ARENA
SECTION(".bss.slow_arena") _Alignas(16) int8_t {name}_slow_arena[{upper}_SLOW_ARENA_BYTES];
#endif
"""

    def interface(self) -> str:
        """The declarations of model.h."""
        upper, name = self.upper, self.name
        return f"""{self.places()}
/* One inference. input: {upper}_INPUT_BYTES, (height, width, channels); {self.outputs.is_given()}
 * Not reentrant: one arena, one inference at a time. */
int {name}_run(const int8_t *input, int8_t *output);

/* The same on real numbers: quantizes the input, runs, dequantizes the output. */
int {name}_run_float(const float *input, float *output);
"""

    def places(self) -> str:
        """The declarations of where the input and the output lie."""
        name = self.name
        return f"""/* Where the input is read and the output left in the arena. Writing the input there, and passing the
 * pointer to {name}_run, saves a copy. {self.after_run} */
{self.entry.declaration()}{self.outputs.declarations()}"""

    def source(self) -> str:
        return f"""/* {self.title}: the layers, in the order in which they run. Made by millijoule. */
#include "model.h"

#include <stddef.h>

{chr(10).join(f'#include "{header}"' for header in sorted(self.headers()))}
#include "weights.h"

{self._arena_definitions()}
{self.definitions()}{self.detector.definitions() if self.detector else ""}"""

    def definitions(self) -> str:
        """What model.c defines behind the arena."""
        upper, name = self.upper, self.name
        whole = f"""    if (input != {name}_input())
        memcpy({name}_input(), input, {upper}_INPUT_BYTES);
{self.statements()}"""
        real = f"""    for (int32_t i = 0; i < {upper}_INPUT_BYTES; i++)
        {name}_input()[i] = {name}_quantize(input[i]);
    {name}_run({name}_input(), {self.outputs.argument()});"""
        return f"""{self._definition(self.entry)}
{self.output_definitions()}

{self.functions()}
{self.runs(whole, real)}"""

    def runs(self, whole: str, real: str) -> str:
        """The functions that take a whole input. whole, real: statements that leave the output of `input` in the arena,
        of int8 and of real numbers."""
        name = self.name
        return f"""int {name}_run(const int8_t *input, int8_t *output)
{{
{self.outputs.refusal()}
{whole}
{self.outputs.copy()}
    return 0;
}}

{self.quantize()}
int {name}_run_float(const float *input, float *output)
{{
    if (input == NULL || output == NULL)
        return -1;
{real}
{self.outputs.dequantize()}
    return 0;
}}
"""

    def output_definitions(self) -> str:
        return "\n".join(map(self._definition, self.outputs.ends))

    def _definition(self, end: End) -> str:
        return end.definition(*self._arena_of(self.offset(end.value)))

    def _end(self, name: str, value: str) -> End:
        return End(self.name, name, value, self.graph.shapes[value], self.quantization[value])

    def quantize(self) -> str:
        upper, name = self.upper, self.name
        return f"""static int8_t {name}_quantize(float real)
{{
    const float scaled = real / {upper}_INPUT_SCALE;
    /* Bounded first, so that the conversion is defined for every number; not-a-number becomes the lowest. */
    const float bounded = scaled > -512.0f ? (scaled < 512.0f ? scaled : 512.0f) : -512.0f;
    const int32_t rounded = (int32_t)(bounded + (bounded < 0.0f ? -0.5f : 0.5f)) + {upper}_INPUT_ZERO_POINT;
    return (int8_t)(rounded < -128 ? -128 : rounded > 127 ? 127 : rounded);
}}
"""

    def layer(self, layer: Layer, parameters: str, body: str) -> str:
        """A function of C: what it computes in a comment, `body` inside."""
        node = layer.node
        shapes = self.graph.input_shapes(node)
        reads = ", ".join(f"{name} {times(shape)}" for name, shape in zip(node.inputs, shapes, strict=True))
        macs = node.op.cost(*shapes).macs
        count = f", {macs:,} MACs" if macs else ""
        title = f"{node.name}: {type(node.op).__name__}, {reads} -> {times(self.graph.shapes[node.name])}{count}"
        return f"""/* {comment_safe(title)} */
MJ_SHARED void {layer.symbol}({parameters})
{{
{body}
}}
"""

    def body(
        self,
        layer: Layer,
        inputs: Sequence[str],
        outputs: Sequence[str],
        scratch: int | None,
        computed: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Statements: the calls of a layer. inputs: for each input of the operator, the argument that stands for it.

        outputs: arguments behind all others. scratch: where working memory lies in the arena, if a call needs any.
        computed: parameters that are no constants → expressions of C.
        """
        lines = []
        for index, call in enumerate(layer.calls):
            last = list(outputs)
            if call.scratch_bytes:
                assert scratch is not None
                last.insert(0, self.place(scratch))
            elif call.without_scratch:
                last.insert(0, "NULL")
            lines.append(self._call(layer, index, [inputs[i] for i in call.inputs], last, computed))
        return "\n".join(lines)

    def _call(
        self,
        layer: Layer,
        index: int,
        inputs: Sequence[str],
        outputs: Sequence[str],
        computed: Mapping[str, str],
    ) -> str:
        """A call into kernels/. inputs: its arguments before its arrays; outputs: those behind them."""
        call = layer.calls[index]
        parameters = "".join(
            f"            .{name} = {computed.get(name, int(value))},\n" for name, value in call.parameters.items()
        )
        arguments = (*inputs, *(self._array(layer, index, name) for name in call.data), *outputs)
        lines = ",\n".join(f"        {argument}" for argument in arguments)
        return f"""    {call.function}(
        (struct {re.sub("_(row|pixel)$", "", call.function)}){{
{parameters}        }},
{lines});"""

    def place(self, offset: int) -> str:
        """An address in the arena, or in the slow one."""
        which, at = self._arena_of(offset)
        return f"{self.name}_{which} + {at}"

    def _arena_of(self, offset: int) -> tuple[str, int]:
        """In which arena an offset of the plan lies, and where in it."""
        is_slow = self.slow_bytes > 0 and offset >= self.arena_bytes
        return ("slow_arena", offset - self.arena_bytes) if is_slow else ("arena", offset)

    def _array(self, layer: Layer, index: int, name: str) -> str:
        """The C name of an array; equal ones, as the weights of strips are, are there once, under the first one's."""
        array = layer.calls[index].data[name]
        part = f"_{index}" if len(layer.calls) > 1 else ""
        key = array.dtype.str, array.shape, array.tobytes()
        return self.array_names.setdefault(key, f"{layer.symbol}{part}_{name}")

    def weights(self) -> str:
        named = {
            self._array(layer, index, name): array
            for layer in self.layers
            for index, call in enumerate(layer.calls)
            for name, array in call.data.items()
        }
        arrays = "\n".join(c_array(name, array) for name, array in named.items())
        return f"""/* {self.title}: weights, biases and requantization factors. Made by millijoule. */
#ifndef {self.upper}_WEIGHTS_H
#define {self.upper}_WEIGHTS_H

#include <stdint.h>

{arrays}
#endif
"""
