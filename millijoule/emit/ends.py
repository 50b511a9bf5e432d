"""C for the ends of a network: its input and its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from millijoule.emit.text import c_float, comment_safe
from millijoule.graph import Shape
from millijoule.model import Quantization


@dataclass(frozen=True)
class End:
    """The graph's input or one of its outputs.

    model: the model's identifier. name: its function's and its constants', behind the model's: `input`, `output`, or
    `output_0` where there are several.
    """

    model: str
    name: str
    value: str
    shape: Shape
    quantization: Quantization

    @property
    def offset(self) -> str:
        """The constant of model.c that says where it lies."""
        return f"{self.name.upper()}_OFFSET"

    @property
    def macro(self) -> str:
        """What its constants begin with."""
        return f"{self.model}_{self.name}".upper()

    @property
    def bytes(self) -> str:
        return f"{self.macro}_BYTES"

    @property
    def pointer(self) -> str:
        return f"{self.model}_{self.name}()"

    def constants(self) -> Iterator[str]:
        names = (
            ("HEIGHT", "WIDTH", "CHANNELS") if len(self.shape) == 3 else ("FEATURES",) if len(self.shape) == 1 else ()
        )
        for name, size in zip(names, self.shape, strict=False):
            yield f"#define {self.macro}_{name} {size}"
        yield f"#define {self.bytes} {prod(self.shape)}"
        yield f"#define {self.macro}_SCALE {c_float(self.quantization.scale)}"
        yield f"#define {self.macro}_ZERO_POINT ({self.quantization.zero_point})"

    def declaration(self) -> str:
        return f"int8_t *{self.model}_{self.name}(void);\n"

    def definition(self, arena: str, at: int) -> str:
        """arena: in which it lies, at byte `at`."""
        what = self.name.replace("_", " ")
        return f"""#define {self.offset} {at}
_Static_assert({self.offset} + {self.bytes} <= {f"{self.model}_{arena}".upper()}_BYTES, "the {what} lies in it");

int8_t *{self.model}_{self.name}(void)
{{
    return {self.model}_{arena} + {self.offset};
}}
"""


@dataclass(frozen=True)
class Outputs:
    """The outputs of a network. `<name>_run` copies one to where its caller says, which may be where it lies; several
    one behind the other, if the caller wants them copied at all."""

    ends: Sequence[End]

    @property
    def one(self) -> bool:
        return len(self.ends) == 1

    @property
    def bytes(self) -> int:
        return sum(prod(end.shape) for end in self.ends)

    def constants(self) -> Iterator[str]:
        if self.one:
            yield from self.ends[0].constants()
            return
        for end in self.ends:
            yield f"/* {comment_safe(end.value)} */"
            yield from end.constants()
        yield f"#define {self.ends[0].model.upper()}_OUTPUT_BYTES {self.bytes}"

    def declarations(self) -> str:
        return "".join(end.declaration() for end in self.ends)

    def is_given(self) -> str:
        """What `run` takes for `output`, and when it refuses, as lines of a comment."""
        if self.one:
            return f"output: {self.ends[0].bytes}.\n * Returns 0, or -1 if a pointer is null."
        return (
            f"output:\n * {self.ends[0].model.upper()}_OUTPUT_BYTES, the outputs one behind the other, or NULL: they "
            "stay in the arena.\n * Returns 0, or -1 if the input is null."
        )

    def refusal(self) -> str:
        """Statements at the beginning of `run`."""
        return f"""    if (input == NULL{" || output == NULL" if self.one else ""})
        return -1;"""

    def argument(self) -> str:
        """By which `run` is told to leave them in the arena."""
        return self.ends[0].pointer if self.one else "NULL"

    def copy(self) -> str:
        """Statements: from the arena to `output`."""
        if self.one:
            (end,) = self.ends
            return f"""    if (output != {end.pointer})
        memcpy(output, {end.pointer}, {end.bytes});"""
        lines = ["    if (output != NULL) {"]
        for end, before in zip(self.ends, (None, *self.ends), strict=False):
            lines += [f"        output += {before.bytes};"] if before else []
            lines.append(f"        memcpy(output, {end.pointer}, {end.bytes});")
        return "\n".join([*lines, "    }"])

    def dequantize(self) -> str:
        """Statements: from the arena to `output`, of real numbers."""
        return "\n".join(
            f"""    for (int32_t i = 0; i < {end.bytes}; i++)
        *output++ = (float)({end.pointer}[i] - {end.macro}_ZERO_POINT) * {end.macro}_SCALE;"""
            for end in self.ends
        )
