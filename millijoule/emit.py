"""Model + Plan → a standalone C project.

What is written is readable C11 without heap and recursion: `model.c` holds one function for each layer, which calls a
kernel with constant parameters; `weights.h` the numbers; `model.h` the interface; beside them the kernel headers that
are used, `main.c`, the start-up code, a linker script and a Makefile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from math import prod
from os.path import normpath
from pathlib import Path

import numpy as np

from millijoule.cost.device import Device, compiled_for
from millijoule.errors import ModelError
from millijoule.graph import Node, Shape
from millijoule.model import Model, Quantization
from millijoule.ops.base import Call
from millijoule.plan.plan import Plan

KERNELS = files("millijoule") / "kernels"
C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t"}


def emit(model: Model, plan: Plan, device: Device, folder: Path) -> tuple[Path, ...]:
    """Write the C project of an int8 model into an existing, empty `folder`; return the files.

    The kernels are those of the plan's target. They compute the same on every core: portable C stands in where a core
    lacks an instruction.

    Raises ModelError for a float model or one with several inputs or outputs.
    """
    project = _Project(model, plan)
    texts = {
        "model.h": project.header(),
        "model.c": project.source(),
        "weights.h": project.weights(),
        **_kernel_headers({"memory.h", *(call.header for layer in project.layers for call in layer.calls)}),
        **_firmware(project, device),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return tuple(folder / name for name in texts)


def identifier(name: str) -> str:
    """A model's name as a C identifier: it begins with a letter, and not with the kernels' own `mj_`."""
    text = _in_identifier(name)
    return text if re.match(r"(?!mj(_|$))[a-z]", text, re.IGNORECASE) else f"model_{text.strip('_')}".rstrip("_")


def _in_identifier(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z_]", "_", name)


def layer_symbols(model: Model) -> dict[str, str]:
    """The C function of each executed node, in order: node → symbol."""
    name = identifier(model.graph.name)
    digits = max(2, len(str(len(model.graph.nodes) - 1)))
    return {
        node.name: f"{name}_layer_{index:0{digits}}_{_in_identifier(node.name)}"
        for index, node in enumerate(model.graph.nodes)
        if not node.op.alias
    }


@dataclass(frozen=True)
class _Layer:
    node: Node
    symbol: str
    calls: tuple[Call, ...]


class _Project:
    def __init__(self, model: Model, plan: Plan) -> None:
        graph = model.graph
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ModelError(
                f"model '{graph.name}' has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
                "firmware is made of models with one of each"
            )
        if model.quantization is None:
            raise ModelError(f"model '{graph.name}' is float; firmware needs int8: quantize it (give --data)")
        self.model, self.plan, self.graph = model, plan, graph
        self.name = identifier(graph.name)
        self.upper = self.name.upper()
        self.input, self.output = graph.inputs[0].name, graph.outputs[0]
        self.title = _comment_safe(graph.name)
        symbols = layer_symbols(model)
        # Those that execute nothing are asked too: they refuse what they cannot pass on.
        calls = {node.name: self._calls(node) for node in graph.nodes}
        self.layers = [
            _Layer(node, symbols[node.name], calls[node.name]) for node in graph.nodes if node.name in symbols
        ]
        self.quantization = model.quantization

    def _calls(self, node: Node) -> tuple[Call, ...]:
        try:
            return node.op.call(
                *self.graph.input_shapes(node),
                weights=self.model.node_weights(node),
                quantization=self.model.node_quantization(node),
                target=self.plan.target,
            )
        except (ValueError, ModelError) as error:
            raise ModelError(f"node '{node.name}' ({type(node.op).__name__}): {error}") from None

    def header(self) -> str:
        upper, name = self.upper, self.name
        ends = [
            line
            for side, value in (("INPUT", self.input), ("OUTPUT", self.output))
            for line in self._end_constants(side, self.graph.shapes[value], self.quantization[value])
        ]
        if self.model.labels:
            labels = _comment_safe(", ".join(self.model.labels))
            ends.append(f"/* Classes, in the order of the output: {labels}. */")
        return f"""/* {self.title}: int8 network, made by millijoule. One inference: {name}_run. */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* real = scale * (integer - zero point) */
{chr(10).join(ends)}

/* All working memory: input, output and everything between. Defined in model.c, or, if {upper}_OWN_ARENA is
 * defined when model.c is compiled, by you (to place it or to share it between uses). */
#define {upper}_ARENA_BYTES {self.plan.arena_bytes}
extern int8_t {name}_arena[{upper}_ARENA_BYTES];

/* Where the input is read and the output left in the arena. Writing the input there, and passing the pointer to
 * {name}_run, saves a copy. The input's memory is overwritten by an inference. */
int8_t *{name}_input(void);
int8_t *{name}_output(void);

/* One inference. input: {upper}_INPUT_BYTES, (height, width, channels); output: {upper}_OUTPUT_BYTES.
 * Returns 0, or -1 if a pointer is null. Not reentrant: one arena, one inference at a time. */
int {name}_run(const int8_t *input, int8_t *output);

/* The same on real numbers: quantizes the input, runs, dequantizes the output. */
int {name}_run_float(const float *input, float *output);

#ifdef __cplusplus
}}
#endif

#endif
"""

    def _end_constants(self, side: str, shape: Shape, quantization: Quantization) -> Iterator[str]:
        prefix = f"{self.upper}_{side}"
        names = ("HEIGHT", "WIDTH", "CHANNELS") if len(shape) == 3 else ("FEATURES",) if len(shape) == 1 else ()
        for name, size in zip(names, shape, strict=False):
            yield f"#define {prefix}_{name} {size}"
        yield f"#define {prefix}_BYTES {prod(shape)}"
        yield f"#define {prefix}_SCALE {_float(quantization.scale)}"
        yield f"#define {prefix}_ZERO_POINT ({quantization.zero_point})"

    def source(self) -> str:
        upper, name = self.upper, self.name
        headers = sorted({"memory.h", *(call.header for layer in self.layers for call in layer.calls)})
        offsets = self.plan.offsets
        layers = "\n".join(self._layer(layer) for layer in self.layers)
        calls = "\n".join(f"    {layer.symbol}();" for layer in self.layers)
        return f"""/* {self.title}: the layers, in the order in which they run. Made by millijoule. */
#include "model.h"

#include <stddef.h>

{chr(10).join(f'#include "{header}"' for header in headers)}
#include "weights.h"

#ifndef {upper}_OWN_ARENA
_Alignas(16) int8_t {name}_arena[{upper}_ARENA_BYTES];
#endif

#define INPUT_OFFSET {offsets[self.input]}
#define OUTPUT_OFFSET {offsets[self.output]}
_Static_assert(INPUT_OFFSET + {upper}_INPUT_BYTES <= {upper}_ARENA_BYTES, "the input lies in the arena");
_Static_assert(OUTPUT_OFFSET + {upper}_OUTPUT_BYTES <= {upper}_ARENA_BYTES, "the output lies in the arena");

int8_t *{name}_input(void)
{{
    return {name}_arena + INPUT_OFFSET;
}}

int8_t *{name}_output(void)
{{
    return {name}_arena + OUTPUT_OFFSET;
}}

{layers}
int {name}_run(const int8_t *input, int8_t *output)
{{
    if (input == NULL || output == NULL)
        return -1;
    if (input != {name}_input())
        memcpy({name}_input(), input, {upper}_INPUT_BYTES);
{calls}
    if (output != {name}_output())
        memcpy(output, {name}_output(), {upper}_OUTPUT_BYTES);
    return 0;
}}

int {name}_run_float(const float *input, float *output)
{{
    int8_t *quantized = {name}_input();
    if (input == NULL || output == NULL)
        return -1;
    for (int32_t i = 0; i < {upper}_INPUT_BYTES; i++) {{
        const float scaled = input[i] / {upper}_INPUT_SCALE;
        /* Bounded first, so that the conversion is defined for every number; not-a-number becomes the lowest. */
        const float bounded = scaled > -512.0f ? (scaled < 512.0f ? scaled : 512.0f) : -512.0f;
        const int32_t rounded = (int32_t)(bounded + (bounded < 0.0f ? -0.5f : 0.5f)) + {upper}_INPUT_ZERO_POINT;
        quantized[i] = (int8_t)(rounded < -128 ? -128 : rounded > 127 ? 127 : rounded);
    }}
    const int status = {name}_run(quantized, {name}_output());
    for (int32_t i = 0; i < {upper}_OUTPUT_BYTES; i++)
        output[i] = (float)({name}_output()[i] - {upper}_OUTPUT_ZERO_POINT) * {upper}_OUTPUT_SCALE;
    return status;
}}
"""

    def _layer(self, layer: _Layer) -> str:
        node = layer.node
        shapes = self.graph.input_shapes(node)
        reads = ", ".join(f"{name} {_shape(shape)}" for name, shape in zip(node.inputs, shapes, strict=True))
        macs = node.op.cost(*shapes).macs
        count = f", {macs:,} MACs" if macs else ""
        title = f"{node.name}: {type(node.op).__name__}, {reads} -> {_shape(self.graph.shapes[node.name])}{count}"
        calls = "\n".join(self._call(layer, index, call) for index, call in enumerate(layer.calls))
        return f"""/* {_comment_safe(title)} */
static __attribute__((noinline)) void {layer.symbol}(void)
{{
{calls}
}}
"""

    def _call(self, layer: _Layer, index: int, call: Call) -> str:
        parameters = "".join(f"            .{name} = {int(value)},\n" for name, value in call.parameters.items())
        arena = f"{self.name}_arena"
        pointers = [f"{arena} + {self.plan.offsets[layer.node.inputs[i]]}" for i in call.inputs]
        pointers += [self._array(layer, index, name) for name in call.data]
        if call.scratch_bytes:
            pointers.append(f"{arena} + {self.plan.offsets[f'{layer.node.name}.scratch']}")
        pointers.append(f"{arena} + {self.plan.offsets[layer.node.name]}")
        lines = ",\n".join(f"        {pointer}" for pointer in pointers)
        return f"""    {call.function}(
        (struct {call.function}){{
{parameters}        }},
{lines});"""

    def _array(self, layer: _Layer, index: int, name: str) -> str:
        part = f"_{index}" if len(layer.calls) > 1 else ""
        return f"{layer.symbol.removeprefix(self.name + '_')}{part}_{name}"

    def weights(self) -> str:
        arrays = "\n".join(
            _c_array(self._array(layer, index, name), array)
            for layer in self.layers
            for index, call in enumerate(layer.calls)
            for name, array in call.data.items()
        )
        return f"""/* {self.title}: weights, biases and requantization factors. Made by millijoule. */
#ifndef {self.upper}_WEIGHTS_H
#define {self.upper}_WEIGHTS_H

#include <stdint.h>

{arrays}
#endif
"""


def _c_array(name: str, array: np.ndarray) -> str:
    values = array.ravel().tolist()
    lines = _wrapped((str(value) for value in values), 110)
    # INT32_MIN cannot be written as a literal: -2147483648 is the negation of a long.
    body = ",\n".join(lines).replace("-2147483648", "(-2147483647 - 1)")
    shape = " x ".join(map(str, array.shape))
    return (
        f"/* {shape} */\n"
        f"static const _Alignas(4) {C_TYPES[array.dtype.name]} {name}[{array.size}] = {{\n{body},\n}};\n"
        f'_Static_assert(sizeof {name} == {array.nbytes}, "{name}");\n'
    )


def _wrapped(words: Iterable[str], width: int) -> Iterator[str]:
    line: list[str] = []
    length = 0
    for word in words:
        if line and length + len(word) + 2 > width:
            yield "    " + ", ".join(line)
            line, length = [], 0
        line.append(word)
        length += len(word) + 2
    if line:
        yield "    " + ", ".join(line)


def _kernel_headers(used: Iterable[str]) -> dict[str, str]:
    """The used headers and those they include, by name."""
    texts: dict[str, str] = {}
    waiting = list(used)
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = (KERNELS / name).read_text()
            included = re.findall(r'#include "([^"]+)"', texts[name])
            waiting += [normpath(Path(name).parent / other) for other in included]
    return texts


def _float(value: np.float32) -> str:
    """A C literal that reads back as the same float."""
    text = f"{float(value):.9g}"
    return f"{text if any(mark in text for mark in '.en') else text + '.0'}f"


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _comment_safe(text: str) -> str:
    """Text that neither ends a C comment nor begins one, on one line."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").splitlines())


def _firmware(project: _Project, device: Device) -> dict[str, str]:
    """main.c, start-up code, linker script and Makefile; for the host, only main.c."""
    values = {"NAME": project.name, "UPPER": project.upper, "TITLE": _comment_safe(device.title)}
    names = ["main.c"]
    if device.flash is not None and device.ram is not None:
        names += ["startup.c", "linker.ld", "Makefile"]
        values |= {
            "CPU": compiled_for(device),
            "FLASH_ORIGIN": f"{device.flash.origin:#010x}",
            "FLASH_BYTES": str(device.flash.bytes),
            "RAM_ORIGIN": f"{device.ram.origin:#010x}",
            "RAM_BYTES": str(device.ram.bytes),
        }
    texts = {name: (KERNELS / "firmware" / name).read_text() for name in names}
    return {name: re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text) for name, text in texts.items()}
