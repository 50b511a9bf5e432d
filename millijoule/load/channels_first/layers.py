"""Layers with weights, and what works on maps."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, cast

import numpy as np

from millijoule.graph import Operator
from millijoule.load.channels_first.layout import MAP, Layout
from millijoule.load.channels_first.value import Factor, Value, run_in
from millijoule.model import Quantization
from millijoule.ops import (
    AveragePool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    DepthToSpace,
    GlobalAveragePool,
    GlobalMaxPool,
    LayerNorm,
    LocalResponseNorm,
    MatMul,
    MaxPool2d,
    Mean,
    Opaque,
    PRelu,
    RadialBasis,
    Resize2d,
    Scale,
    SpaceToDepth,
)
from millijoule.ops.base import Pair
from millijoule.ops.resize import Align, ResizeMode

Sides = Sequence[Pair]
"""Padding (before, after) for height and width, or for the width alone."""


class Layers(Layout):
    """Sizes are given for height and width, or, of (batch, channels, length), for the length alone."""

    def conv(
        self,
        name: str,
        x: Value,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        stride: Sequence[int] = (1, 1),
        padding: Sides = ((0, 0), (0, 0)),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
        scales: Quantization | None = None,
    ) -> Value:
        """weight: (out, in / groups, height, width), or (out, in / groups, length); bias: (out,).

        Of a map whose channels are stored in another order, the weights are permuted instead.
        """
        _check_weight("out, in / groups", weight, x)
        if x.shape[1] != weight.shape[1] * groups:
            raise ValueError(f"its weight is for {weight.shape[1] * groups} channels; the input has {x.shape[1]}")
        source, permutation = self._map(x, any_order=groups == 1)
        array = _as_2d(weight).transpose(0, 2, 3, 1)
        op = Conv2d(
            channels=len(weight),
            kernel=cast(Pair, array.shape[1:3]),
            stride=_both(stride, 1),
            padding=_sides(padding),
            dilation=_both(dilation, 1),
            groups=groups,
            bias=bias is not None,
        )
        if permutation is not None:
            array = array[..., permutation]
        return self._map_value(name, op, source, len(x.axes), _arrays(array, bias), scales)

    def conv_transpose(
        self,
        name: str,
        x: Value,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        stride: Sequence[int] = (1, 1),
        padding: Sides = ((0, 0), (0, 0)),
        output_padding: Sequence[int] = (0, 0),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
        scales: Quantization | None = None,
    ) -> Value:
        """weight: (in, out / groups, height, width), or (in, out / groups, length); bias: (out,)."""
        _check_weight("in, out / groups", weight, x)
        inputs, outputs = weight.shape[0], weight.shape[1] * groups
        if x.shape[1] != inputs or inputs % groups:
            raise ValueError(f"its weight is for {inputs} channels in {groups} groups; the input has {x.shape[1]}")
        source, _ = self._map(x)
        array = _as_2d(weight)
        kernel = cast(Pair, array.shape[2:])
        array = array.reshape(groups, inputs // groups, outputs // groups, *kernel)
        array = array.transpose(0, 2, 3, 4, 1).reshape(outputs, *kernel, inputs // groups)
        op = ConvTranspose2d(
            channels=outputs,
            kernel=kernel,
            stride=_both(stride, 1),
            padding=_sides(padding),
            output_padding=_both(output_padding, 0),
            dilation=_both(dilation, 1),
            groups=groups,
            bias=bias is not None,
        )
        return self._map_value(name, op, source, len(x.axes), _arrays(array, bias), scales)

    def dense(
        self,
        name: str,
        x: Value,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        scales: Quantization | None = None,
    ) -> Value:
        """Of (…, in) along the last axis; weight: (out, in); bias: (out,).

        The columns of the weight are put into the order in which the input is stored. Of several rows, it is a 1x1
        convolution over them.
        """
        features = x.shape[-1]
        if weight.ndim != 2 or weight.shape[1] != features:
            raise ValueError(f"its weight has shape {weight.shape}; (out, {features}) is needed for input {x.shape}")
        name_of, permutation = self._last(x, len(x.axes) - 1)
        array = weight if permutation is None else weight[:, permutation]
        if prod(x.shape) == features:
            op: Operator = Dense(features=len(weight), bias=bias is not None)
            made = self.node(name, op, name_of, weights=_arrays(array, bias), scales=scales)
            return Value.of(made, (len(weight),), [*[None] * (len(x.axes) - 1), 0])
        shape = self.shapes[name_of]
        if len(shape) != 3 or shape[2] != features:
            name_of = self.as_shape(name_of, (1, prod(shape) // features, features))
        op = Conv2d(channels=len(weight), kernel=1, bias=bias is not None)
        made = self.node(name, op, name_of, weights=_arrays(array[:, None, None, :], bias), scales=scales)
        rows = [factor for factor in x.stored if factor not in x.axes[-1]]
        if run_in(x.axes[-1], x.stored, ordered=False) != len(rows):
            rows = [factor for axis in x.axes[:-1] for factor in axis]
        last = (Factor(len(weight)),) if len(weight) > 1 else ()
        return Value(made, (*rows, *last), (*x.axes[:-1], last))

    def radial_basis(self, name: str, x: Value, codes: np.ndarray) -> Value:
        """The squared distance of (1, in) to each of the codes, (out, in)."""
        source, permutation = self._last(x, 1)
        array = codes if permutation is None else codes[:, permutation]
        made = self.node(name, RadialBasis(classes=len(codes)), source, weights={"weight": array})
        return Value.of(made, (len(codes),), (None, 0))

    def batch_norm(
        self,
        name: str,
        x: Value,
        scale: np.ndarray,
        bias: np.ndarray,
        mean: np.ndarray,
        variance: np.ndarray,
        *,
        epsilon: float,
    ) -> Value:
        """Along axis 1; the arrays are (channels,)."""
        given = {"scale": scale, "bias": bias, "mean": mean, "variance": variance}
        made, value = self._per_channel(name, x, BatchNorm(epsilon=epsilon), given)
        return Value(made, value.stored, value.axes)

    def prelu(self, name: str, x: Value, slope: np.ndarray, *, scales: Quantization | None = None) -> Value:
        """slope: (channels,), or (1,) for all, along axis 1; scales: of integers."""
        slopes = np.broadcast_to(slope.reshape(-1), (x.shape[1],))
        made, value = self._per_channel(name, x, PRelu(), {"slope": slopes})
        if scales is not None:
            self.quantization[f"{made}.slope"] = scales
        return Value(made, value.stored, value.axes)

    def layer_norm(
        self,
        name: str,
        x: Value,
        scale: np.ndarray | None = None,
        bias: np.ndarray | None = None,
        *,
        axes: int = 1,
        epsilon: float = 1e-5,
    ) -> Value:
        """Over the last `axes` axes; the arrays have their sizes."""
        sizes = x.shape[-axes:]
        flat = self.reshape(x, (*x.shape[:-axes], prod(sizes)))
        value_name, permutation = self._last(flat, len(flat.axes) - 1)
        value_name = self.as_shape(value_name, (prod(x.shape) // prod(sizes), prod(sizes)))
        arrays = {
            "scale": np.ones(prod(sizes), np.float32) if scale is None else scale.reshape(-1),
            "bias": np.zeros(prod(sizes), np.float32) if bias is None else bias.reshape(-1),
        }
        if permutation is not None:
            arrays = {key: array[permutation] for key, array in arrays.items()}
        made = self.node(name, LayerNorm(epsilon=epsilon), value_name, weights=arrays)
        stored = self._stored_last(flat, len(flat.axes) - 1)
        return self.reshape(Value(made, stored, flat.axes), x.shape)

    def max_pool(self, name: str, x: Value, kernel: Sequence[int], stride: Sequence[int], padding: Sides) -> Value:
        op = MaxPool2d(kernel=_both(kernel, 1), stride=_both(stride, 1), padding=_sides(padding))
        return self.on_map(name, x, op)

    def average_pool(
        self,
        name: str,
        x: Value,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sides,
        *,
        count_padding: bool = False,
    ) -> Value:
        op = AveragePool2d(
            kernel=_both(kernel, 1), stride=_both(stride, 1), padding=_sides(padding), count_padding=count_padding
        )
        return self.on_map(name, x, op)

    def local_response_norm(self, name: str, x: Value, *, size: int, alpha: float, beta: float, k: float) -> Value:
        """alpha multiplies the sum of squares itself: what torch, ONNX and Caffe call alpha, divided by size."""
        return self.on_map(name, x, LocalResponseNorm(size=size, alpha=alpha, beta=beta, k=k))

    def resize(self, name: str, x: Value, size: Sequence[int], mode: ResizeMode, align: Align) -> Value:
        return self.on_map(name, x, Resize2d(size=_both(size, 1), mode=mode, align=align))

    def depth_to_space(self, name: str, x: Value, block: int, order: Literal["depth", "channel"]) -> Value:
        return self.on_map(name, x, DepthToSpace(block=block, order=order))

    def space_to_depth(self, name: str, x: Value, block: int, order: Literal["depth", "channel"]) -> Value:
        """order: whether the square's position, or the input's channel, counts slowest in the output's channel."""
        y = self.on_map(name, x, SpaceToDepth(block=block))
        if order == "depth":
            return y
        _, channels, height, width = y.shape
        split = self.reshape(y, (1, block**2, channels // block**2, height, width))
        return self.reshape(split.transposed((0, 2, 1, 3, 4)), y.shape)

    def reduce(
        self, name: str, x: Value, axes: Sequence[int], kind: Literal["mean", "max", "sum"], *, keep: bool
    ) -> Value:
        """Mean, maximum or sum over `axes`, which stay with one number if `keep`."""
        axes = sorted(axis % len(x.axes) for axis in axes)
        gone = [factor for factor in x.stored if any(factor in x.axes[axis] for axis in axes)]
        count = prod(factor.size for factor in gone)
        rest = [factor for factor in x.stored if factor not in gone]
        at = run_in(gone, x.stored)
        if not gone:
            y = x
        elif at is None or at == 0:
            source = self.stored_as(x, [*gone, *rest]).name
            shape = self.shapes[source]
            if len(shape) != 3 or prod(shape[:2]) != count:
                source = self.as_shape(source, (count, 1, prod(factor.size for factor in rest)))
            op = GlobalMaxPool() if kind == "max" else GlobalAveragePool()
            y = Value(self.node(name, op, source), tuple(rest), x.axes)
        else:
            before, after = (prod(factor.size for factor in part) for part in (rest[:at], rest[at:]))
            row: Operator = MaxPool2d(kernel=(1, count)) if kind == "max" else Mean(axes=(1,), keep_dims=True)
            source = self.as_shape(x.name, (before, count, after))
            y = Value(self.node(name, row, source), tuple(rest), x.axes)
        kept = tuple(tuple(factor for factor in axis if factor in rest) for axis in x.axes)
        y = Value(y.name, y.stored, kept if keep else tuple(kept[i] for i in range(len(kept)) if i not in axes))
        if kind == "sum" and gone:
            last = self.shapes[y.name][-1]
            summed = self.node(
                f"{name}_sum", Scale(bias=False), y.name, weights={"weight": np.full(last, count, np.float32)}
            )
            y = Value(summed, y.stored, y.axes)
        return y

    def matmul(self, name: str, a: Value, b: Value) -> Value:
        """The product of two computed values, (…, n, k) and (…, k, m)."""
        rank = max(len(a.axes), len(b.axes))
        a, b = (Value(x.name, x.stored, ((),) * (rank - len(x.axes)) + x.axes) for x in (a, b))
        if rank < 2 or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"its inputs have shapes {a.shape} and {b.shape}, which cannot be multiplied")
        batch = tuple(range(rank - 2))
        a, b = (x if (y := x.reshaped(x.shape)) is None else y for x in (a, b))
        transposed = b.stored == tuple(factor for axis in (*batch, rank - 1, rank - 2) for factor in b.axes[axis])
        left = self.laid(a, batch, (rank - 2,), (rank - 1,))
        right = self.laid(b, batch, *(((rank - 1,), (rank - 2,)) if transposed else ((rank - 2,), (rank - 1,))))
        made = self.node(name, MatMul(transpose_b=transposed), left, right)
        shape = (*a.shape[:-1], b.shape[-1])
        return cast(Value, Value.of(made, (prod(shape),), [0]).reshaped(shape))

    def activation(self, name: str, op: Operator, x: Value) -> Value:
        """Any operator on one value that looks at each number by itself."""
        return Value(self.node(name, op, x.name), x.stored, x.axes)

    def opaque(
        self,
        name: str,
        operator: str,
        inputs: Sequence[Value],
        shape: Sequence[int],
        arrays: Sequence[tuple[str, np.ndarray]] = (),
        reason: str = "",
    ) -> Value:
        """What is not known: `operator`, which gives a value of the framework's `shape`, and has `arrays`."""
        order = (
            [2, 3, 1]
            if len(shape) == 4 and shape[0] == 1
            else list(range(1 if len(shape) > 1 and shape[0] == 1 else 0, len(shape)))
        )
        stored = tuple(shape[axis] for axis in order) or (1,)
        named = {f"array{index}": array for index, (_, array) in enumerate(arrays)}
        shapes = tuple((key, array.shape) for key, array in named.items())
        op = Opaque(operator=operator, output=stored, arrays=shapes, reason=reason)
        made = self.node(name, op, *(value.name for value in inputs), weights=named)
        return Value.of(made, stored, [order.index(axis) if axis in order else None for axis in range(len(shape))])

    # What these share

    def on_map(self, name: str, x: Value, op: Operator) -> Value:
        """An operator without weights on a map."""
        source, _ = self._map(x)
        return self._map_value(name, op, source, len(x.axes))

    def _map(self, x: Value, *, any_order: bool = False) -> tuple[str, np.ndarray | None]:
        """(height, width, channels) of (batch, channels, height, width) or (batch, channels, length).

        any_order: channels may lie in another order than the framework's, which is then told.
        """
        if len(x.axes) not in (3, 4):
            raise ValueError(f"its input has shape {x.shape}; (1, channels, height, width) is needed")
        if any_order and len(x.axes) == 4:
            channels = [factor for factor in x.stored if factor in x.axes[1]]
            if x.stored == (*x.axes[2], *x.axes[3], *channels):
                permutation = _permutation(x.axes[1], channels)
                return self.as_shape(x.name, (x.shape[2], x.shape[3], x.shape[1])), permutation
        return self.laid(x, *(MAP if len(x.axes) == 4 else ((0,), (2,), (1,)))), None

    def _map_value(
        self,
        name: str,
        op: Operator,
        source: str,
        rank: int,
        weights: dict[str, np.ndarray] | None = None,
        scales: Quantization | None = None,
    ) -> Value:
        made = self.node(name, op, source, weights=weights, scales=scales)
        return Value.of(made, self.shapes[made], (None, 2, 0, 1) if rank == 4 else (0, 2, 1))

    def _stored_last(self, x: Value, axis: int) -> tuple[Factor, ...]:
        """The order in which `axis` comes last: as it is if it does so, in whatever order of its own factors."""
        factors = x.axes[axis]
        begin = run_in(factors, x.stored, ordered=False)
        if not factors or begin == len(x.stored) - len(factors):
            return x.stored
        rest = [factor for other, each in enumerate(x.axes) if other != axis for factor in each]
        return (*rest, *factors)

    def _last(self, x: Value, axis: int) -> tuple[str, np.ndarray | None]:
        """The graph's value in which `axis` comes last, and the order of its numbers if it is not the framework's."""
        stored = self._stored_last(x, axis)
        moved = self.stored_as(x, stored)
        factors = x.axes[axis]
        return moved.name, _permutation(factors, stored[len(stored) - len(factors) :])

    def _per_channel(self, name: str, x: Value, op: Operator, arrays: dict[str, np.ndarray]) -> tuple[str, Value]:
        if len(x.axes) < 2:
            raise ValueError(f"its input has shape {x.shape}; it has no channels")
        channels = x.shape[1]
        source, permutation = self._last(x, 1)
        if permutation is not None:
            arrays = {key: array[permutation] for key, array in arrays.items()}
        shape = self.shapes[source]
        rows = prod(shape) // channels
        if shape[-1] != channels or len(shape) not in (1, 3):
            source = self.as_shape(source, (1, rows, channels) if rows > 1 else (channels,))
        return self.node(name, op, source, weights=arrays), Value(source, self._stored_last(x, 1), x.axes)


def _permutation(factors: Sequence[Factor], stored: Sequence[Factor]) -> np.ndarray | None:
    """Which of the framework's numbers lies at each place in memory; None if they lie in the framework's order."""
    if tuple(factors) == tuple(stored):
        return None
    numbers = np.arange(prod(factor.size for factor in factors)).reshape([factor.size for factor in factors])
    return numbers.transpose([list(factors).index(factor) for factor in stored]).reshape(-1)


def _arrays(weight: np.ndarray, bias: np.ndarray | None) -> dict[str, np.ndarray]:
    return {"weight": weight} if bias is None else {"weight": weight, "bias": bias.reshape(-1)}


def _check_weight(axes: str, weight: np.ndarray, x: Value) -> None:
    if len(x.axes) not in (3, 4) or weight.ndim != len(x.axes):
        raise ValueError(
            f"its weight has shape {weight.shape} and its input {x.shape}; ({axes}, …) and maps are needed"
        )


def _as_2d(weight: np.ndarray) -> np.ndarray:
    return weight[:, :, None, :] if weight.ndim == 3 else weight


def _both(sizes: Sequence[int], missing: int) -> Pair:
    return (missing, int(sizes[0])) if len(sizes) == 1 else (int(sizes[0]), int(sizes[1]))


def _sides(padding: Sides) -> tuple[Pair, Pair]:
    sides = [(int(before), int(after)) for before, after in padding]
    return ((0, 0), sides[0]) if len(sides) == 1 else (sides[0], sides[1])
