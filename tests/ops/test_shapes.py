"""Random attributes and shapes: what an operator says of itself is what it does, or an error with both numbers."""

from __future__ import annotations

import re
from math import prod
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from millijoule import ops
from millijoule.graph import Operator, Shape
from millijoule.model import Model, OperatorQuantization, Quantization
from millijoule.plan import plan
from tests.ops.cases import has_int8
from tests.ops.torch_run import to_numpy, to_torch
from tests.tflite_writer import one_node

small, tiny = st.integers(1, 6), st.integers(1, 3)
maps = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 6))
features = st.tuples(st.integers(1, 12))
sequences = st.tuples(st.integers(1, 6), st.integers(1, 6))
values = st.one_of(maps, features, sequences)
pairs = st.one_of(tiny, st.tuples(tiny, tiny))
kernels = st.one_of(small, st.tuples(small, small))
sides = st.tuples(st.integers(0, 3), st.integers(0, 3))
paddings = st.one_of(st.sampled_from(["same", "valid"]), st.tuples(sides, sides))
activations = st.sampled_from(["none", "relu", "relu6"])
reals = st.floats(0.1, 2.0)


def on(inputs: st.SearchStrategy[Shape], op: type[Operator], **attributes: st.SearchStrategy):
    """The operator with random attributes, on one input."""
    return st.tuples(st.builds(op, **attributes), st.tuples(inputs))


def pools(op: type[Operator], **more: st.SearchStrategy):
    return on(maps, op, kernel=kernels, stride=pairs, padding=paddings, activation=activations, **more)


@st.composite
def pair_of_values(draw, op: type[Operator]):
    """Equal shapes mostly, one number for each channel often, and shapes that do not suit."""
    first = draw(maps)
    second = draw(st.one_of(st.just(first), st.sampled_from([(1, 1, first[2]), (first[2],)]), values))
    return op(activation=draw(activations)), draw(st.permutations([first, second]).map(tuple))


@st.composite
def concatenations(draw):
    first = draw(values)
    others = st.one_of(tiny.map(lambda size: (*first[:-1], size)), values)
    return ops.Concat(), (first, *draw(st.lists(others, min_size=1, max_size=3)))


@st.composite
def tables(draw):
    rows = st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True).map(tuple)
    table = draw(st.lists(rows, min_size=1, max_size=4).map(tuple))
    return ops.TableConv2d(table=table, kernel=draw(kernels), bias=draw(st.booleans())), (draw(maps),)


@st.composite
def slices(draw):
    shape = draw(values)
    begin = tuple(draw(st.integers(0, size - 1)) for size in shape)
    size = tuple(draw(st.integers(1, length)) for length in shape)
    step = draw(st.one_of(st.none(), st.tuples(*(tiny for _ in shape))))
    return ops.Slice(begin=begin, size=size, step=step), (shape,)


@st.composite
def reshapes(draw):
    shape = draw(values)
    count = prod(shape)
    known = [(count,), (1, 1, count), tuple(reversed(shape))]
    return ops.Reshape(target=draw(st.one_of(st.sampled_from(known), values))), (shape,)


@st.composite
def matrices(draw):
    n, k, m = draw(tiny), draw(small), draw(small)
    op = ops.MatMul(transpose_b=draw(st.booleans()))
    outer = draw(st.sampled_from([(), (2,)]))
    right = (*outer, m, k) if op.transpose_b else (*outer, k, m)
    return op, ((*outer, n, k), draw(st.one_of(st.just(right), sequences)))


@st.composite
def attentions(draw):
    heads = draw(tiny)
    query, key, value = (draw(tiny) * heads + draw(st.sampled_from([0, 0, 0, 1])) for _ in range(3))
    n, m = draw(small), draw(small)
    return ops.Attention(heads=heads), ((n, query), (m, draw(st.sampled_from([query, key]))), (m, value))


@st.composite
def resizes(draw):
    mode, align = (draw(st.sampled_from(get_args(choice))) for choice in (ops.resize.ResizeMode, ops.resize.Align))
    return ops.Resize2d(size=(draw(small), draw(small)), mode=mode, align=align), (draw(maps),)


convolutions = {
    "channels": st.integers(1, 8),
    "kernel": kernels,
    "stride": pairs,
    "dilation": pairs,
    "groups": tiny,
    "bias": st.booleans(),
}

OPERATORS: dict[type[Operator], st.SearchStrategy] = {
    ops.Add: pair_of_values(ops.Add),
    ops.AddNumber: on(values, ops.AddNumber, scale=reals, steps=st.integers(-255, 255), activation=activations),
    ops.Attention: attentions(),
    ops.AveragePool2d: pools(ops.AveragePool2d, count_padding=st.booleans()),
    ops.BatchNorm: on(values, ops.BatchNorm),
    ops.ChannelShuffle: on(values, ops.ChannelShuffle, groups=tiny),
    ops.Concat: concatenations(),
    ops.Constant: on(values, ops.Constant, output=values, learned=st.booleans()),
    ops.Conv2d: on(maps, ops.Conv2d, padding=paddings, activation=activations, **convolutions),
    ops.ConvTranspose2d: on(
        maps,
        ops.ConvTranspose2d,
        padding=st.tuples(sides, sides),
        output_padding=sides,
        activation=activations,
        **convolutions,
    ),
    ops.Dense: on(values, ops.Dense, features=small, bias=st.booleans(), activation=activations),
    ops.DepthToSpace: on(maps, ops.DepthToSpace, block=st.integers(1, 2), order=st.sampled_from(["depth", "channel"])),
    ops.Dropout: on(values, ops.Dropout, rate=st.floats(0, 0.9)),
    ops.Elu: on(values, ops.Elu, alpha=reals),
    ops.Factor: on(values, ops.Factor, factor=reals),
    ops.Flatten: on(values, ops.Flatten),
    ops.Gelu: on(values, ops.Gelu),
    ops.GlobalAveragePool: on(values, ops.GlobalAveragePool, keep_dims=st.booleans()),
    ops.GlobalMaxPool: on(values, ops.GlobalMaxPool, keep_dims=st.booleans()),
    ops.HardSigmoid: on(values, ops.HardSigmoid),
    ops.HardSwish: on(values, ops.HardSwish),
    ops.LayerNorm: on(values, ops.LayerNorm),
    ops.LeakyRelu: on(values, ops.LeakyRelu, slope=reals),
    ops.LocalResponseNorm: on(values, ops.LocalResponseNorm, size=st.sampled_from([1, 3, 5])),
    ops.MatMul: matrices(),
    ops.MaxPool2d: pools(ops.MaxPool2d),
    ops.Mean: on(values, ops.Mean, axes=st.sampled_from([(0,), (1,), (2,), (0, 1), (1, 2)]), keep_dims=st.booleans()),
    ops.Multiply: pair_of_values(ops.Multiply),
    ops.MultiplyNumber: on(
        values, ops.MultiplyNumber, scale=reals, steps=st.integers(-255, 255), activation=activations
    ),
    ops.Pad: on(values, ops.Pad, padding=st.tuples(sides, sides)),
    ops.PRelu: on(values, ops.PRelu),
    ops.RadialBasis: on(values, ops.RadialBasis, classes=small),
    ops.Relu: on(values, ops.Relu),
    ops.Relu6: on(values, ops.Relu6),
    ops.Requantize: on(values, ops.Requantize),
    ops.Reshape: reshapes(),
    ops.Resize2d: resizes(),
    ops.Scale: on(values, ops.Scale, bias=st.booleans()),
    ops.Sigmoid: on(values, ops.Sigmoid),
    ops.Slice: slices(),
    ops.Softmax: on(values, ops.Softmax),
    ops.SpaceToDepth: on(values, ops.SpaceToDepth, block=st.integers(1, 2)),
    ops.Subsample2d: on(maps, ops.Subsample2d, kernel=kernels),
    ops.Subtract: pair_of_values(ops.Subtract),
    ops.Swish: on(values, ops.Swish),
    ops.TableConv2d: tables(),
    ops.Tanh: on(values, ops.Tanh, amplitude=reals, slope=reals),
    ops.Transpose: on(values, ops.Transpose, order=st.permutations([0, 1, 2]).map(tuple)),
}


def test_every_operator_is_drawn():
    assert set(OPERATORS) == {getattr(ops, name) for name in ops.__all__} - {ops.Opaque}


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_an_operator_says_is_what_it_does(operator, data):
    op, shapes = data.draw(OPERATORS[operator])
    shape, message = shape_or_message(op, shapes)
    if shape is None:
        assert len(re.findall(r"\d+", message)) >= 2
        return
    model = one_node(op, *shapes, **zeros(op, shapes))
    assert model.graph.shapes["op"] == shape
    module = op.module(*shapes).eval()
    with FlopCounterMode(display=False) as counter:
        produced = to_numpy(module(*(to_torch(np.zeros((2, *x))).float() for x in shapes)).detach())
    assert produced.shape == (2, *shape)
    assert op.cost(*shapes).macs == MACS.get(operator, lambda op, *x: counter.get_total_flops() / 2 / 2)(op, *shapes)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {
        name: param.shape for name, param in op.params(*shapes).items() if param.trainable
    }
    if has_int8(op) and not lacks_int8(op, shapes):
        assert int8_output(model).shape == (2, *shape)
    assert planned_bytes(model) == (prod(shapes[0]) if op.alias else prod(shape))


def shape_or_message(op: Operator, shapes: tuple[Shape, ...]) -> tuple[Shape | None, str]:
    try:
        return op.shape(*shapes), ""
    except ValueError as error:
        return None, str(error)


def zeros(op: Operator, shapes: tuple[Shape, ...]) -> dict[str, np.ndarray]:
    return {name: np.zeros(param.shape, np.float32) for name, param in op.params(*shapes).items()}


def lacks_int8(op: Operator, shapes: tuple[Shape, ...]) -> bool:
    """Attributes for which an operator that has an int8 form says that it has none."""
    return isinstance(op, ops.AveragePool2d) and op.count_padding and not op.window(shapes[0]).pads_nothing


def int8_output(model: Model) -> np.ndarray:
    (node,) = model.graph.nodes
    shapes, scale = model.graph.input_shapes(node), Quantization.of(0.05)
    params = node.op.params(*shapes).items()
    return node.op.int8(
        *(np.zeros((2, *shape), np.int8) for shape in shapes),
        weights={name: np.zeros(p.shape, np.int32 if p.kind == "bias" else np.int8) for name, p in params},
        quantization=OperatorQuantization((scale,) * len(shapes), {"weight": scale, "slope": scale}, scale),
    )


def planned_bytes(model: Model) -> int:
    (buffer,) = (buffer for buffer in plan(model.graph).buffers if "op" in buffer.values)
    return buffer.bytes


def count_table(op: ops.TableConv2d, x: Shape) -> int:
    height, width, _ = op.shape(x)
    taps = len(list(np.ndindex(op.kernel)))
    return sum(taps for _ in np.ndindex(height, width) for row in op.table for _ in row)


def count_subsample(op: ops.Subsample2d, x: Shape) -> int:
    return sum(1 for _ in np.ndindex(op.shape(x)) for _ in np.ndindex(op.kernel))


def count_attention(op: ops.Attention, query: Shape, key: Shape, value: Shape) -> int:
    """One for each head, query, key and feature of the head, once for the scores and once for the sums."""
    positions = [(q, k) for q in range(query[0]) for k in range(key[0])]
    depths = query[1] // op.heads, value[1] // op.heads
    return sum(depth for _ in range(op.heads) for _ in positions for depth in depths)


# Counted one by one where torch's counter knows no products: sums of windows, differences, chosen connections, and
# attention, which it counts only in kernels that a CPU has not. Papers count one MAC for each of these.
MACS = {
    ops.Attention: count_attention,
    ops.RadialBasis: lambda op, x: sum(1 for _ in np.ndindex(op.classes, *x)),
    ops.Subsample2d: count_subsample,
    ops.TableConv2d: count_table,
}

WRONG = [
    (lambda: ops.Conv2d(channels=0, kernel=3), r"channels is 0; it must be 1 or more"),
    (lambda: ops.Conv2d(channels=3, kernel=(3, 0)), r"kernel is \(3, 0\)"),
    (lambda: ops.Conv2d(channels=3, kernel=3, stride=0), r"stride is \(0, 0\)"),
    (lambda: ops.Conv2d(channels=3, kernel=3, dilation=-1), r"dilation is \(-1, -1\)"),
    (lambda: ops.Conv2d(channels=3, kernel=3, groups=0), "groups is 0"),
    (lambda: ops.Conv2d(channels=3, kernel=3, activation="tanh"), "activation is 'tanh'; it must be one of 'none'"),
    (
        lambda: ops.Conv2d(channels=3, kernel=3, padding="sane"),
        r"padding is 'sane'; it must be 'same' or 'valid' or \(\(top",
    ),
    (lambda: ops.Conv2d(channels=3, kernel=3, padding=1), "padding is 1; it must be 'same' or"),
    (lambda: ops.Pad(padding="same"), r"padding is 'same'; it must be \(\(top"),
    (lambda: ops.Conv2d(channels=3, kernel=3, padding=((0, 0), (0, -1))), r"padding is \(\(0, 0\), \(0, -1\)\)"),
    (lambda: ops.MaxPool2d(kernel=2, padding=((-1, 0), (0, 0))), r"padding is \(\(-1, 0\), \(0, 0\)\)"),
    (lambda: ops.AveragePool2d(kernel=2, padding="full"), "padding is 'full'"),
    (lambda: ops.MaxPool2d(kernel=0), r"kernel is \(0, 0\)"),
    (lambda: ops.MaxPool2d(kernel=2, stride=0), r"stride is \(0, 0\)"),
    (lambda: ops.Dense(features=-3), "features is -3"),
    (lambda: ops.Pad(padding=((0, 0), (-2, 0))), r"padding is \(\(0, 0\), \(-2, 0\)\); .* every size 0 or more"),
    (lambda: ops.Dropout(rate=1.0), "rate is 1.0; it must be at least 0 and less than 1"),
    (lambda: ops.RadialBasis(classes=0), "classes is 0"),
    (lambda: ops.LocalResponseNorm(size=0), "size is 0"),
    (lambda: ops.Reshape(target=(4, -1)), r"target is \(4, -1\)"),
    (lambda: ops.Attention(heads=0), "heads is 0"),
    (lambda: ops.AddNumber(scale=-0.5), r"1 steps of -0\.5; a positive scale and at most 255 are needed"),
    (lambda: ops.Mean(axes=(0, 2)), r"axes is \(0, 2\); they must follow each other"),
    (lambda: ops.Slice(begin=(0,), size=(0,)), r"size is \(0,\)"),
    (lambda: ops.ConvTranspose2d(channels=1, kernel=2, output_padding=(-1, 0)), r"output padding \(-1, 0\)"),
    (lambda: ops.Resize2d(size=(0, 4)), r"size is \(0, 4\)"),
    (lambda: ops.Resize2d(size=(4, 4), mode="cubic"), "mode is 'cubic'"),
    (lambda: ops.Slice(begin=(0,), size=(2,), step=(0,)), r"step is \(0,\)"),
    (lambda: ops.DepthToSpace(block=2, order="rows"), "order is 'rows'"),
    # Shapes: both numbers of the first thing that does not suit.
    (lambda: ops.Conv2d(channels=3, kernel=4).shape((3, 9, 1)), "over 4 rows of height, the padded input has 3"),
    (lambda: ops.Conv2d(channels=3, kernel=3, dilation=3).shape((9, 5, 1)), "over 7 rows of width.* has 5"),
    (lambda: ops.Conv2d(channels=4, kernel=1, groups=2).shape((3, 3, 5)), "5 input channels .* 2 groups"),
    (lambda: ops.Conv2d(channels=3, kernel=1, groups=2).shape((3, 3, 4)), "3 output channels .* 2 groups"),
    (lambda: ops.Conv2d(channels=3, kernel=1).shape((9,)), r"has shape \(9,\); a map .* of 3 sizes"),
    (lambda: ops.MaxPool2d(kernel=2, padding=((2, 0), (0, 0))).shape((5, 5, 1)), r"\(2, 0\) along height .* kernel, 2"),
    (lambda: ops.TableConv2d(table=((0, 3),), kernel=1).shape((2, 2, 3)), "input channel 3; the input has 3"),
    (lambda: ops.Reshape(target=(2, 5)).shape((3, 3)), r"\(3, 3\) has 9 numbers, \(2, 5\) has 10"),
    (lambda: ops.Concat().shape((2, 2, 1)), "1 input is given; 2 or more"),
    (lambda: ops.Concat().shape((2, 2, 1), (2, 3, 1)), r"\(2, 2, 1\) and \(2, 3, 1\)"),
    (lambda: ops.Add().shape((2, 2, 3), (1, 1, 2)), r"\(2, 2, 3\) and \(1, 1, 2\)"),
    (lambda: ops.RadialBasis(classes=3).shape((2, 2, 3)), r"has shape \(2, 2, 3\); \(features,\)"),
    (lambda: ops.Slice(begin=(2,), size=(3,)).shape((4,)), r"shape \(4,\); a slice of \(3,\) from \(2,\)"),
    (lambda: ops.MatMul().shape((2, 3), (4, 5)), "3 columns cannot meet 4 rows"),
    (lambda: ops.Mean(axes=(1, 2)).shape((3, 4)), r"shape \(3, 4\); it has no axis 2"),
    (lambda: ops.Transpose(order=(0, 2)).shape((3, 4)), r"shape \(3, 4\); order \(0, 2\)"),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_does_not_suit_is_named_with_both_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()
