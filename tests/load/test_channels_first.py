"""The importer of channels-first frameworks against torch, which has channels first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millijoule.load.channels_first import ChannelsFirst
from millijoule.model import Model
from millijoule.ops import ChannelShuffle, Relu, Reshape, Transpose

torch = pytest.importorskip("torch")
F = torch.nn.functional

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.standard_normal(shape, np.float32)


def run(build, output, x):
    """(the graph, its output for the framework's array x)."""
    from millijoule.train.network import predict

    graph, weights = build.finish(output)
    stored = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    return graph, predict(Model(graph, weights), stored)


def check(x_shape, ours, theirs, moves=0):
    """`ours(build, value)` against `theirs(tensor)`; moves: how many nodes may move numbers."""
    x = numbers(*x_shape)
    build = ChannelsFirst("net")
    value = ours(build, build.input("x", x_shape))
    expected = theirs(torch.from_numpy(x)).numpy()
    assert value.shape == expected.shape
    graph, y = run(build, value, x)
    if y.shape != expected.shape and expected.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(y.reshape(-1), expected.reshape(-1), rtol=1e-4, atol=1e-5)
    assert sum(isinstance(node.op, Transpose | ChannelShuffle) for node in graph.nodes) == moves
    return graph


MAP = (1, 6, 4, 5)
W = numbers(8, 6, 3, 3)
GROUPED = numbers(8, 3, 3, 2)
UP = numbers(6, 4, 3, 2)
UP_GROUPED = numbers(6, 2, 3, 2)
DENSE = numbers(7, 120)
ROWS = numbers(7, 5)
C = numbers(6)
V = np.abs(numbers(6)) + 0.5
T = torch.from_numpy

CASES = {
    "conv": (
        MAP,
        lambda b, x: b.conv("c", x, W, numbers(8) * 0, stride=(2, 1), padding=((1, 1), (2, 0)), dilation=(1, 2)),
        lambda x: F.conv2d(F.pad(x, (2, 0, 1, 1)), T(W), stride=(2, 1), dilation=(1, 2)),
    ),
    "conv_grouped": (
        MAP,
        lambda b, x: b.conv("c", x, GROUPED, groups=2),
        lambda x: F.conv2d(x, T(GROUPED), groups=2),
    ),
    "conv_transpose": (
        MAP,
        lambda b, x: b.conv_transpose("c", x, UP, stride=(2, 2), padding=((1, 1), (0, 0)), output_padding=(1, 0)),
        lambda x: F.conv_transpose2d(x, T(UP), stride=2, padding=(1, 0), output_padding=(1, 0)),
    ),
    "conv_transpose_grouped": (
        MAP,
        lambda b, x: b.conv_transpose("c", x, UP_GROUPED, groups=2),
        lambda x: F.conv_transpose2d(x, T(UP_GROUPED), groups=2),
    ),
    "flatten_dense": (
        MAP,
        lambda b, x: b.dense("d", b.reshape(x, (1, 120)), DENSE),
        lambda x: F.linear(x.flatten(1), T(DENSE)),
    ),
    "transposed_flatten_dense": (
        MAP,
        lambda b, x: b.dense("d", b.reshape(b.transpose(x, (0, 3, 1, 2)), (1, 120)), DENSE),
        lambda x: F.linear(x.permute(0, 3, 1, 2).flatten(1), T(DENSE)),
    ),
    "dense_of_tokens": (
        (1, 4, 5),
        lambda b, x: b.dense("d", x, ROWS),
        lambda x: F.linear(x, T(ROWS)),
    ),
    "tokens_of_a_map": (
        MAP,
        lambda b, x: b.dense("d", b.transpose(b.reshape(x, (1, 6, 20)), (0, 2, 1)), ROWS[:, [0, 1, 2, 3, 4, 0]]),
        lambda x: F.linear(x.flatten(2).transpose(1, 2), T(ROWS[:, [0, 1, 2, 3, 4, 0]])),
    ),
    "batch_norm": (
        MAP,
        lambda b, x: b.batch_norm("n", x, C, C, C, V, epsilon=1e-5),
        lambda x: F.batch_norm(x, T(C), T(V), T(C), T(C)),
    ),
    "batch_norm_of_flat": (
        MAP,
        lambda b, x: b.batch_norm("n", b.reshape(x, (1, 120)), *[np.abs(DENSE[0])] * 4, epsilon=1e-5),
        lambda x: F.batch_norm(x.flatten(1), *[T(np.abs(DENSE[0]))] * 4),
        1,  # the output is flat in the framework's order
    ),
    "channel_layer_norm": (
        MAP,
        lambda b, x: b.transpose(b.layer_norm("n", b.transpose(x, (0, 2, 3, 1)), C, V), (0, 3, 1, 2)),
        lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (6,), T(C), T(V)).permute(0, 3, 1, 2),
    ),
    "layer_norm_of_all": (
        MAP,
        lambda b, x: b.layer_norm("n", x, axes=3),
        lambda x: F.layer_norm(x, x.shape[1:]),
    ),
    "prelu": (MAP, lambda b, x: b.prelu("p", x, C), lambda x: F.prelu(x, T(C))),
    "average_pool": (
        MAP,
        lambda b, x: b.average_pool("p", x, (3, 3), (2, 2), ((1, 1), (1, 1)), count_padding=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
    ),
    "max_pool": (
        MAP,
        lambda b, x: b.max_pool("p", x, (3, 2), (2, 1), ((1, 1), (1, 1))),
        lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 1)),
    ),
    "local_response_norm": (
        MAP,
        lambda b, x: b.local_response_norm("n", x, size=3, alpha=0.5 / 3, beta=0.75, k=1.0),
        lambda x: F.local_response_norm(x, 3, 0.5, 0.75, 1.0),
    ),
    "resize": (
        MAP,
        lambda b, x: b.resize("r", x, (9, 7), "bilinear", "half_pixel"),
        lambda x: F.interpolate(x, (9, 7), mode="bilinear"),
    ),
    "pixel_shuffle": (
        (1, 12, 4, 5),
        lambda b, x: b.depth_to_space("s", x, 2, "channel"),
        lambda x: F.pixel_shuffle(x, 2),
    ),
    "pixel_unshuffle_then_conv": (
        (1, 3, 4, 6),
        lambda b, x: b.conv("c", b.space_to_depth("s", x, 2, "channel"), numbers(5, 12, 1, 1) * 0 + 1),
        lambda x: F.conv2d(F.pixel_unshuffle(x, 2), torch.ones(5, 12, 1, 1)),
    ),
    "channel_shuffle": (
        MAP,
        lambda b, x: b.activation(
            "r", Relu(), b.reshape(b.transpose(b.reshape(x, (1, 2, 3, 4, 5)), (0, 2, 1, 3, 4)), MAP)
        ),
        lambda x: F.channel_shuffle(x, 2).relu(),
        1,
    ),
    "channel_shuffle_before_conv": (
        MAP,
        lambda b, x: b.conv("c", b.reshape(b.transpose(b.reshape(x, (1, 2, 3, 4, 5)), (0, 2, 1, 3, 4)), MAP), W),
        lambda x: F.conv2d(F.channel_shuffle(x, 2), T(W)),
    ),
    "channel_shuffle_before_depthwise": (
        MAP,
        lambda b, x: b.conv(
            "c", b.reshape(b.transpose(b.reshape(x, (1, 2, 3, 4, 5)), (0, 2, 1, 3, 4)), MAP), W[:6, :1], groups=6
        ),
        lambda x: F.conv2d(F.channel_shuffle(x, 2), T(W[:6, :1]), groups=6),
        1,
    ),
    "global_mean": (MAP, lambda b, x: b.reduce("m", x, (2, 3), "mean", keep=False), lambda x: x.mean((2, 3))),
    "global_sum": (MAP, lambda b, x: b.reduce("m", x, (2, 3), "sum", keep=True), lambda x: x.sum((2, 3), True)),
    "channel_mean": (MAP, lambda b, x: b.reduce("m", x, (1,), "mean", keep=True), lambda x: x.mean(1, True)),
    "width_max": (MAP, lambda b, x: b.reduce("m", x, (-1,), "max", keep=False), lambda x: x.amax(-1), 1),
    "token_mean": ((1, 4, 5), lambda b, x: b.reduce("m", x, (1,), "mean", keep=False), lambda x: x.mean(1)),
    "softmax_of_channels": (MAP, lambda b, x: b.softmax("s", x, 1), lambda x: x.softmax(1)),
    "softmax_of_tokens": ((1, 4, 5), lambda b, x: b.softmax("s", x, 2), lambda x: x.softmax(2)),
    "squeeze_and_excite": (
        MAP,
        lambda b, x: b.binary("g", "multiply", x, b.reduce("m", x, (2, 3), "mean", keep=True)),
        lambda x: x * x.mean((2, 3), True),
    ),
    "spatial_gate": (
        MAP,
        lambda b, x: b.binary("g", "multiply", b.reduce("m", x, (1,), "mean", keep=True), x),
        lambda x: x * x.mean(1, True),
    ),
    "outer_sum": (
        MAP,
        lambda b, x: b.binary(
            "g", "add", b.reduce("m", x, (1,), "mean", keep=True), b.reduce("k", x, (2, 3), "max", keep=True)
        ),
        lambda x: x.mean(1, True) + x.amax((2, 3), True),
    ),
    "subtract_the_map": (
        MAP,
        lambda b, x: b.binary("g", "subtract", b.reduce("m", x, (2, 3), "mean", keep=True), x),
        lambda x: x.mean((2, 3), True) - x,
    ),
    "scale_by_channel": (
        MAP,
        lambda b, x: b.scale("s", x, C.reshape(6, 1, 1), V.reshape(1, 6, 1, 1)),
        lambda x: x * T(C)[:, None, None] + T(V)[:, None, None],
    ),
    "scale_by_number": (MAP, lambda b, x: b.scale("s", x, 2.0, 1.0), lambda x: x * 2 + 1),
    "scale_by_row": (
        MAP,
        lambda b, x: b.scale("s", x, DENSE[0, :4].reshape(4, 1), 1.0),
        lambda x: x * T(DENSE[0, :4])[:, None] + 1,
    ),
    "matmul": (
        (1, 4, 5),
        lambda b, x: b.matmul("m", x, b.transpose(x, (0, 2, 1))),
        lambda x: x @ x.transpose(1, 2),
    ),
    "matmul_of_heads": (
        (1, 4, 6),
        lambda b, x: b.matmul(
            "m",
            b.transpose(b.reshape(x, (1, 4, 2, 3)), (0, 2, 1, 3)),
            b.transpose(b.reshape(x, (1, 4, 2, 3)), (0, 2, 3, 1)),
        ),
        lambda x: x.reshape(1, 4, 2, 3).transpose(1, 2) @ x.reshape(1, 4, 2, 3).permute(0, 2, 3, 1),
        2,
    ),
    "concat_channels": (MAP, lambda b, x: b.concat("c", [x, x], 1), lambda x: torch.cat([x, x], 1)),
    "concat_rows": (MAP, lambda b, x: b.concat("c", [x, x], 2), lambda x: torch.cat([x, x], 2)),
    "concat_columns": (MAP, lambda b, x: b.concat("c", [x, x, x], 3), lambda x: torch.cat([x, x, x], 3)),
    "concat_of_gates": (
        MAP,
        lambda b, x: b.concat(
            "c", [b.reduce("m", x, (1,), "mean", keep=True), b.reduce("k", x, (1,), "max", keep=True)], 1
        ),
        lambda x: torch.cat([x.mean(1, True), x.amax(1, True)], 1),
    ),
    "detection_heads": (
        MAP,
        lambda b, x: b.concat("c", [b.reshape(b.transpose(x, (0, 2, 3, 1)), (1, 40, 3))] * 2, 1),
        lambda x: torch.cat([x.permute(0, 2, 3, 1).reshape(1, 40, 3)] * 2, 1),
    ),
    "slice_channels": (MAP, lambda b, x: b.slice("s", x, 1, 2, 5), lambda x: x[:, 2:5]),
    "slice_rows_by_two": (MAP, lambda b, x: b.slice("s", x, 2, 1, 4, 2), lambda x: x[:, :, 1:4:2]),
    "slice_columns_by_two": (MAP, lambda b, x: b.slice("s", x, -1, 0, 5, 2), lambda x: x[..., ::2]),
    "slice_columns_by_three": (MAP, lambda b, x: b.slice("s", x, 3, 1, 5, 3), lambda x: x[..., 1:5:3]),
    "pad_channels": (
        MAP,
        lambda b, x: b.pad("p", x, [(0, 0), (1, 2), (0, 0), (0, 0)]),
        lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)),
    ),
    "pad_all": (
        MAP,
        lambda b, x: b.pad("p", x, [(0, 0), (1, 2), (1, 0), (0, 3)]),
        lambda x: F.pad(x, (0, 3, 1, 0, 1, 2)),
    ),
    "expand": (
        (1, 6, 1, 5),
        lambda b, x: b.expand("e", x, (1, 6, 4, 5)),
        lambda x: x.expand(1, 6, 4, 5),
    ),
    "overlapping_reshape": (
        (1, 6, 4, 1),
        lambda b, x: b.reshape(x, (1, 8, 3, 1)),
        lambda x: x.reshape(1, 8, 3, 1),
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_equals_torch(name):
    check(*CASES[name])


def test_a_bias_added_later_becomes_the_layers():
    graph = check(
        (1, 4, 5),
        lambda b, x: b.scale("bias", b.dense("fc", x, ROWS), bias=ROWS[:, 0]),
        lambda x: F.linear(x, T(ROWS), T(ROWS[:, 0].copy())),
    )
    assert [type(node.op).__name__ for node in graph.nodes if not isinstance(node.op, Reshape)] == ["Conv2d"]


def test_the_channel_shuffle_of_a_map_is_one_node():
    graph = check(*CASES["channel_shuffle"])
    assert [type(node.op) for node in graph.nodes] == [Relu, ChannelShuffle]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_must_be_numbers(value):
    build = ChannelsFirst("net")
    weight = np.full((7, 120), value, np.float32)
    with pytest.raises(ValueError, match="weight holds NaN or infinity"):
        build.dense("d", build.reshape(build.input("x", MAP), (1, 120)), weight)


def _random_step(draw, x):
    """One random step as (ours, theirs) for a tensor of the shape of x."""
    rank, shape = x.dim(), tuple(x.shape)
    kinds = ["permute", "reshape", "relu", "concat", "slice", "scale", "softmax", "add", "mean"]
    if rank == 4 and shape[0] == 1:
        kinds += ["conv", "conv", "pool"]
    kind = draw(st.sampled_from(kinds))
    axis = draw(st.integers(1, rank - 1)) if rank > 1 else 0
    if kind == "permute":
        order = (0, *draw(st.permutations(range(1, rank))))
        return lambda b, v: b.transpose(v, order), lambda t: t.permute(order)
    if kind == "reshape":
        total, sizes = x.numel(), [1]
        for _ in range(draw(st.integers(0, 3))):
            size = draw(st.sampled_from([d for d in range(1, total + 1) if total % d == 0 and d <= 8]))
            sizes.append(size)
            total //= size
        sizes.append(total)
        return lambda b, v: b.reshape(v, sizes), lambda t: t.reshape(sizes)
    if kind == "relu":
        return lambda b, v: b.activation("relu", Relu(), v), torch.relu
    if kind == "concat":
        if x.numel() > 400:
            return lambda b, v: v, lambda t: t
        return lambda b, v: b.concat("cat", [v, v], axis), lambda t: torch.cat([t, t], axis)
    if kind == "slice":
        start = draw(st.integers(0, shape[axis] - 1))
        stop = draw(st.integers(start + 1, shape[axis]))
        step = draw(st.integers(1, 3))
        cut = (*[slice(None)] * axis, slice(start, stop, step))
        return lambda b, v: b.slice("cut", v, axis, start, stop, step), lambda t: t[cut]
    if kind == "scale":
        array = np.arange(1, shape[axis] + 1, dtype=np.float32).reshape(-1, *[1] * (rank - axis - 1)) / shape[axis]
        return lambda b, v: b.scale("scale", v, array, 0.5), lambda t: t * T(array) + 0.5
    if kind == "softmax":
        return lambda b, v: b.softmax("soft", v, axis), lambda t: t.softmax(axis)
    if kind == "add":
        return (
            lambda b, v: b.binary("sum", "add", b.reduce("mean", v, (axis,), "mean", keep=True), v),
            lambda t: t.mean(axis, True) + t,
        )
    if kind == "mean":
        if rank < 3:
            return lambda b, v: v, lambda t: t
        return lambda b, v: b.reduce("mean", v, (axis,), "max", keep=False), lambda t: t.amax(axis)
    if kind == "pool":
        return (
            lambda b, v: b.max_pool("pool", v, (2, 2), (2, 2), ((1, 1), (1, 1))),
            lambda t: F.max_pool2d(t, 2, 2, 1),
        )
    weight = np.linspace(-1, 1, 4 * shape[1] * 9, dtype=np.float32).reshape(4, shape[1], 3, 3)
    return (
        lambda b, v: b.conv("conv", v, weight, padding=((1, 1), (1, 1))),
        lambda t: F.conv2d(t, T(weight), padding=1),
    )


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data())
def test_random_chains_equal_torch(data):
    x = np.linspace(-1, 1, 2 * 3 * 4 * 3, dtype=np.float32)[::-1].reshape(1, 6, 4, 3).copy()
    build = ChannelsFirst("net")
    value, tensor = build.input("x", x.shape), T(x)
    for _ in range(data.draw(st.integers(1, 7))):
        ours, theirs = _random_step(data.draw, tensor)
        value, tensor = ours(build, value), theirs(tensor)
        assert value.shape == tuple(tensor.shape)
    value = build.reshape(value, (1, tensor.numel()))
    if not build.nodes:
        value = build.activation("relu", Relu(), value)
        tensor = tensor.relu()
    _, y = run(build, value, x)
    np.testing.assert_allclose(y.reshape(-1), tensor.numpy().reshape(-1), rtol=1e-4, atol=1e-4)
