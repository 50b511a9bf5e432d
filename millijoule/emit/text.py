"""C as text: arrays, numbers, comments, names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from millijoule.graph import Shape

C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t"}


def identifier(name: str) -> str:
    """A model's name as a C identifier: it begins with a letter, and not with the kernels' own `mj_`."""
    text = in_identifier(name)
    return text if re.match(r"(?!mj(_|$))[a-z]", text, re.IGNORECASE) else f"model_{text.strip('_')}".rstrip("_")


def in_identifier(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z_]", "_", name)


def c_array(name: str, array: np.ndarray) -> str:
    values = array.ravel().tolist()
    lines = wrapped((str(value) for value in values), 110)
    # INT32_MIN cannot be written as a literal: -2147483648 is the negation of a long.
    body = ",\n".join(lines).replace("-2147483648", "(-2147483647 - 1)")
    shape = " x ".join(map(str, array.shape))
    return (
        f"/* {shape} */\n"
        f"static const _Alignas(4) {C_TYPES[array.dtype.name]} {name}[{array.size}] = {{\n{body},\n}};\n"
        f'_Static_assert(sizeof {name} == {array.nbytes}, "{name}");\n'
    )


def wrapped(words: Iterable[str], width: int) -> Iterator[str]:
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


def c_float(value: np.float32) -> str:
    """A C literal that reads back as the same float."""
    text = f"{float(value):.9g}"
    return f"{text if any(mark in text for mark in '.en') else text + '.0'}f"


def c_string(text: str) -> str:
    """A C literal of the text as UTF-8. Bytes that C or a terminal may take for something else are written as octal."""
    plain = {*range(0x20, 0x7F)} - {*b'"\\?'}
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def times(shape: Shape) -> str:
    return "x".join(map(str, shape))


def comment_safe(text: str) -> str:
    """Text that neither ends a C comment nor begins one, on one line."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").splitlines())
