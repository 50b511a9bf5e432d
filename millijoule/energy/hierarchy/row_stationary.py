"""Accesses of an accelerator that keeps rows in its processing elements (Chen et al., JSSC 2017, section III).

An element multiplies a row of a kernel with a row of the input. A set of elements, kernel rows x output rows, makes
rows of the output; the array holds several sets, of other filters or of other channels. One pass reads the input rows
of its channels from the buffer once, and reads and writes a partial sum for each output of its filters. What elements
keep for themselves, kernels and sums within a pass, never reaches the buffer.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import ceil, prod

from millijoule.graph import Graph, Node
from millijoule.ops import Conv2d, Dense

WORD_BYTES = 2
OF_SET, OF_PASS = 16, 32
"""The most filters of a set of elements, and of all sets in a pass: as AlexNet's accesses imply."""
RUN_LENGTH = 4 / 3
"""Words in DRAM for each number that is not 0: runs of zeros are written as 5 bits, three to a word of 64 bits (section
III-D); never more than one for each number, as maps without zeros are not compressed."""


@dataclass(frozen=True)
class Array:
    """The array of processing elements, and the words of 16 bits that each keeps: of kernels, of inputs, of sums.

    input_buffer_bytes: of the buffer, what inputs of one pass may take.
    """

    pe_rows: int
    pe_columns: int
    filter_words: int
    input_words: int
    psum_words: int
    input_buffer_bytes: int


FIGURES = tuple(field.name for field in fields(Array))
"""What a device file states of an array."""


@dataclass(frozen=True)
class Layer:
    """A convolution, as the array sees it. channels: of the input, of one group. height, width: of the input with its
    padding. rows, columns: of the output. input, weights: their numbers, without padding and bias."""

    channels: int
    filters: int
    groups: int
    kernel: tuple[int, int]
    stride: int
    height: int
    width: int
    rows: int
    columns: int
    input: int
    weights: int


def layer_of(graph: Graph, node: Node) -> Layer | None:
    """A dense layer is a convolution of one pixel. None for what has no MACs on the array."""
    x, out = graph.input_shapes(node)[0], graph.shapes[node.name]
    if isinstance(node.op, Dense):
        return Layer(x[-1], out[-1], 1, (1, 1), 1, 1, 1, 1, 1, x[-1], x[-1] * out[-1])
    if not isinstance(node.op, Conv2d):
        return None
    window, groups = node.op.window(x), node.op.groups
    height, width = (size + sum(padding) for size, padding in zip(x[:2], window.padding, strict=True))
    channels, kernel = x[2] // groups, window.kernel
    weights = channels * kernel[0] * kernel[1] * out[2]
    return Layer(
        channels,
        out[2],
        groups,
        kernel,
        window.stride[0],
        height,
        width,
        out[0],
        out[1],
        input=prod(x),
        weights=weights,
    )


@dataclass(frozen=True)
class Pass:
    """What the array does at once: rows of the output, channels, and filters of one group."""

    rows: int
    channels: int
    filters: int


def mapping(layer: Layer, array: Array, batch: int) -> Pass:
    """As many channels as elements keep and as inputs have room for in the buffer; the sets that are left take filters.

    Sets have all columns and lie one above the other; where there is room for one only, two have half the columns.
    """
    side, reach = layer.kernel
    above = max(array.pe_rows // side, 1)
    sets, columns = (above, array.pe_columns) if above > 1 else (2, array.pe_columns // 2)
    rows, filters = min(columns, layer.rows), layer.filters // layer.groups
    of_set = min(OF_SET, array.psum_words, filters)
    kept = max(min(array.input_words // reach, array.filter_words // (of_set * reach), layer.channels), 1)
    bytes_of_channel = ((rows - 1) * layer.stride + side) * layer.width * batch * WORD_BYTES
    room = max(array.input_buffer_bytes // bytes_of_channel, 1)
    ways = [
        (channels * deep, -deep)
        for channels in range(1, kept + 1)
        for deep in range(1, above + 1)
        if sets % deep == 0 and channels * deep <= room
    ]
    channels, deep = max(ways)
    return Pass(rows, channels, min(of_set * (sets // -deep), OF_PASS))


def buffer_accesses(layer: Layer, array: Array, batch: int) -> tuple[int, int]:
    """(bytes read from the buffer, bytes written to it) for `batch` images: inputs, and sums both ways."""
    done = mapping(layer, array, batch)
    strips = [min(done.rows, layer.rows - first) for first in range(0, layer.rows, done.rows)]
    rows = sum((strip - 1) * layer.stride + layer.kernel[0] for strip in strips)
    inputs = layer.channels * layer.groups * rows * layer.width * _passes(layer, done)
    sums = ceil(layer.channels / done.channels) * layer.filters * layer.rows * layer.columns
    return (inputs + sums) * batch * WORD_BYTES, sums * batch * WORD_BYTES


def dram_accesses(layer: Layer, array: Array, batch: int, nonzero: tuple[float, float]) -> tuple[int, int]:
    """(bytes read from DRAM, bytes written to it) for `batch` images: the input for each pass of filters, the weights
    for each strip of output rows, the output once. nonzero: the shares of the input and of the output that are not 0.
    """
    done = mapping(layer, array, batch)
    kept, written = (min(RUN_LENGTH * share, 1.0) for share in nonzero)
    inputs = layer.input * batch * kept * _passes(layer, done)
    weights = layer.weights * ceil(layer.rows / done.rows)
    outputs = layer.filters * layer.rows * layer.columns * batch * written
    return round((inputs + weights) * WORD_BYTES), round(outputs * WORD_BYTES)


def _passes(layer: Layer, done: Pass) -> int:
    """Over all filters of a group."""
    return ceil(layer.filters / layer.groups / done.filters)
