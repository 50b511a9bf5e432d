"""The C of a model whose input lies outside of the arena, where it is only read."""

from __future__ import annotations

from math import prod

from millijoule.emit.streamed import StreamedProject
from millijoule.graph import Node


class ReadProject(StreamedProject):
    """The layers that read the input are given its address, which no arena knows."""

    state = "    const int8_t *input;\n"

    def interface(self) -> str:
        upper, name = self.upper, self.name
        return f"""/* The input lies outside of the arena, in any memory that can be read: RAM, flash, a camera's. */
#define {upper}_INPUT_OUTSIDE 1

/* Where the output is left in the arena. */
{self.outputs.declarations()}
/* One inference. input: {upper}_INPUT_BYTES, (height, width, channels), which may be read several times and must not
 * change before the return; {self.outputs.is_given()}
 * Not reentrant: one arena, one inference at a time. */
int {name}_run(const int8_t *input, int8_t *output);
"""

    def definitions(self) -> str:
        name = self.name
        return f"""{self.output_definitions()}
{self.functions()}
int {name}_run(const int8_t *input, int8_t *output)
{{
{self.outputs.refusal()}
    struct {name}_state state = {{.input = input}};
    while (state.loops.next < ACTIONS)
        {name}_act(&state);
{self.outputs.copy()}
    return 0;
}}
"""

    def reads_input(self, node: Node) -> bool:
        return any(self.rows.source[value] == self.input for value in node.inputs)

    def parameters(self, node: Node) -> str:
        return super().parameters(node) + (", const int8_t *input" if self.reads_input(node) else "")

    def arguments(self, node: Node) -> str:
        return ", state->input" if self.reads_input(node) else ""

    def preamble(self, node: Node) -> list[str]:
        """The input as a stored map, of lines or of pixels. It is not written: no kernel writes what it reads."""
        lines = super().preamble(node)
        if not self.reads_input(node):
            return lines
        if self.is_by_pixel(node):
            pixel_bytes, width = self.pixels.bytes[self.input], self.pixels.across[self.input]
            height = self.pixels.count[self.input] // width
            members = f".pixels = (int8_t *)input, .pixel_bytes = {pixel_bytes}, .height = {height}, .width = {width}"
            return [*lines, f"    const struct mj_pixels {self.seen[self.input]} = {{{members}}};"]
        row_bytes = prod(self.graph.shapes[self.input]) // self.rows.count[self.input]
        members = f".rows = (int8_t *)input, .row_bytes = {row_bytes}"
        return [*lines, f"    const struct mj_ring {self.rings[self.input]} = {{{members}}};"]
