"""Pooling: a window moved over each channel by itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate_int8
from millijoule.graph import Operator, OperatorCost, Param, Shape
from millijoule.model import OperatorQuantization
from millijoule.ops import mve
from millijoule.ops.base import (
    Activation,
    Call,
    Padding,
    Pair,
    Window,
    activation_range,
    channels_first,
    channels_last,
    check_choice,
    check_padding,
    check_positive,
    check_rank,
    make_module,
    pair,
    same_quantization,
    torch_activation,
)
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class _Pool2d(Operator):
    writes_parts = True
    kernel: int | Pair
    stride: int | Pair | None = None
    padding: Padding = "valid"
    activation: Activation = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", pair(self.kernel))
        object.__setattr__(self, "stride", pair(self.kernel if self.stride is None else self.stride))
        check_positive(kernel=self.kernel, stride=pair(self.stride or self.kernel))
        check_padding(self.padding, "same", "valid")
        check_choice("activation", self.activation, Activation)

    def window(self, x: Shape) -> Window:
        window = Window.over(x, pair(self.kernel), pair(self.stride or self.kernel), (1, 1), self.padding)
        for side, (before, after), kernel in zip(("height", "width"), window.padding, window.kernel, strict=True):
            if max(before, after) >= kernel:
                raise ValueError(f"padding {(before, after)} along {side} must be less than the kernel, {kernel}")
        return window

    def shape(self, x: Shape) -> Shape:
        return (*self.window(x).output, x[2])

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=prod(self.shape(x)) * prod(pair(self.kernel)))

    def _parameters(self, x: Shape, quantization: OperatorQuantization) -> dict[str, int]:
        same_quantization(quantization)
        low, high = activation_range(self.activation, quantization.output)
        parameters = self.window(x).parameters()
        del parameters["dilation_height"], parameters["dilation_width"]
        pixels = {"channels": x[2], "input_pixel": x[2], "output_pixel": x[2]}
        return {**parameters, **pixels, "output_low": low, "output_high": high}


@dataclass(frozen=True, kw_only=True)
class MaxPool2d(_Pool2d):
    """The largest number in a window of `kernel`, moved by `stride` (default: the kernel), for each channel.

    Input (height, width, channels), output (height', width', channels). Padding never wins.
    int8: input and output share one quantization; equal to TFLM's MAX_POOL_2D.
    """

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        window = self.window(x)

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            y = F.max_pool2d(window.torch_pad(x, float("-inf")), window.kernel, window.stride)
            return torch_activation(self.activation, y)

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        window = self.window(x.shape[1:])
        padded = window.padded(x, -128)
        largest = np.maximum.reduce([window.tap(padded, *at) for at in np.ndindex(window.kernel)])
        return saturate_int8(largest, *activation_range(self.activation, quantization.output))

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        parameters = self._parameters(x, quantization)
        if target.instructions == "mve":
            return mve.max_pool(parameters)
        return (Call("mj_max_pool2d", "pool.h", parameters),)


@dataclass(frozen=True, kw_only=True)
class AveragePool2d(_Pool2d):
    """The mean of a window of `kernel`, moved by `stride` (default: the kernel), for each channel.

    Input (height, width, channels), output (height', width', channels). Padding does not count in the mean, or, with
    `count_padding`, counts as zeros (torch's count_include_pad); passes.densify then pads before the pool.
    int8: input and output share one quantization; the mean is rounded, ties away from zero; equal to TFLM's
    AVERAGE_POOL_2D.
    """

    count_padding: bool = False

    def module(self, x: Shape) -> torch.nn.Module:
        import torch
        import torch.nn.functional as F

        window = self.window(x)

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            y = F.avg_pool2d(window.torch_pad(x), window.kernel, window.stride)
            if not self.count_padding:
                inside = window.torch_pad(torch.ones_like(x[:1, :1]))
                y = y / F.avg_pool2d(inside, window.kernel, window.stride)
            return torch_activation(self.activation, y)

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        window = self._int8_window(x.shape[1:])
        padded = window.padded(x.astype(np.int64), 0)
        inside = window.padded(np.ones((1, *x.shape[1:]), np.int64), 0)
        total = np.add.reduce([window.tap(padded, *at) for at in np.ndindex(window.kernel)])
        count = np.add.reduce([window.tap(inside, *at) for at in np.ndindex(window.kernel)])
        return self.mean(total, count, quantization)

    def mean(self, total: np.ndarray, count: np.ndarray | int, quantization: OperatorQuantization) -> np.ndarray:
        """int8 from the int64 sums of `count` numbers each."""
        mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return saturate_int8(mean, *activation_range(self.activation, quantization.output))

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        window, parameters = self._int8_window(x), self._parameters(x, quantization)
        calls = mve.average_pool(window, parameters) if target.instructions == "mve" else None
        return calls or (Call("mj_average_pool2d", "pool.h", parameters),)

    def call_summed(
        self, x: Shape, rows: int, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> Call:
        """The call for one window over the whole map, whose `rows` come one after the other; int32 sums are kept."""
        given = self._parameters(x, quantization)
        parameters = {"height": rows, "width": x[1]} | {
            name: given[name] for name in ("channels", "output_low", "output_high")
        }
        return Call("mj_average_pool2d_sums", "sums.h", parameters)

    def _int8_window(self, x: Shape) -> Window:
        window = self.window(x)
        if self.count_padding and not window.pads_nothing:
            raise ValueError("padding that counts in the mean has no int8 form: put Pad before the pool")
        return window


@dataclass(frozen=True, kw_only=True)
class _Mean(Operator):
    """What means over some axes share: the arithmetic of TFLM's MEAN, which is one for all axes."""

    keep_dims: bool = False

    @abstractmethod
    def _reduced(self, x: Shape) -> tuple[int, ...]:
        """The axes of x, which follow each other. Raises ValueError if x has not all of them."""

    def shape(self, x: Shape) -> Shape:
        reduced = self._reduced(x)
        kept = (1 if axis in reduced else size for axis, size in enumerate(x) if self.keep_dims or axis not in reduced)
        return tuple(kept) or (1,)

    def cost(self, x: Shape) -> OperatorCost:
        self._reduced(x)
        return OperatorCost(operations=prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        axes, target = [axis + 1 for axis in self._reduced(x)], self.shape(x)

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return channels_first(channels_last(x).mean(dim=axes).reshape(len(x), *target))

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        shape = x.shape[1:]
        total = x.sum(axis=tuple(axis + 1 for axis in self._reduced(shape)), dtype=np.int64)
        return self.mean(total, self.count(shape), quantization).reshape(len(x), *self.shape(shape))

    def mean(self, total: np.ndarray, count: int, quantization: OperatorQuantization) -> np.ndarray:
        """int8 from the int64 sums of `count` numbers each."""
        centred = total - quantization.inputs[0].zero_point * count
        scaled = multiply_by_quantized_multiplier(centred, *self.multiplier(count, quantization))
        return saturate_int8(scaled + quantization.output.zero_point)

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        reduced, count = self._reduced(x), self.count(x)
        multiplier, shift = self.multiplier(count, quantization)
        rows, channels = prod(x[: reduced[0]]), prod(x[reduced[-1] + 1 :])
        if target.instructions == "mve":
            calls = mve.mean(rows, count, channels, (multiplier, shift), quantization)
            if calls is not None:
                return calls
        parameters = {
            "rows": rows,
            "positions": count,
            "channels": channels,
            "input_zero_point": quantization.inputs[0].zero_point,
            "output_zero_point": quantization.output.zero_point,
            "multiplier": multiplier,
            "shift": shift,
        }
        return (Call("mj_mean", "pool.h", parameters),)

    def count(self, x: Shape) -> int:
        """How many numbers each mean is of."""
        return prod(x[axis] for axis in self._reduced(x))

    def multiplier(self, count: int, quantization: OperatorQuantization) -> tuple[int, int]:
        """The ratio of scales with the division by the count folded in, as TFLM does."""
        ratio = np.float64(quantization.inputs[0].scale) / np.float64(quantization.output.scale)
        multiplier, shift = quantize_multiplier(float(ratio))
        fold = min(count.bit_length() - 1, 32, 31 + shift)
        return (multiplier << fold) // count, shift - fold


@dataclass(frozen=True, kw_only=True)
class GlobalAveragePool(_Mean):
    """The mean of each channel over the whole map.

    Input (height, width, channels), output (channels,) or, with `keep_dims`, (1, 1, channels).
    int8: input and output may differ in quantization; equal to TFLM's MEAN over height and width.
    """

    def _reduced(self, x: Shape) -> tuple[int, ...]:
        check_rank(x, 3, "a map (height, width, channels)")
        return (0, 1)

    def call_summed(
        self, x: Shape, rows: int, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> Call:
        """The call for a map whose `rows` come one after the other; int32 sums are kept."""
        multiplier, shift = self.multiplier(self.count(x), quantization)
        parameters = {
            "height": rows,
            "width": x[1],
            "channels": x[2],
            "input_zero_point": quantization.inputs[0].zero_point,
            "output_zero_point": quantization.output.zero_point,
            "multiplier": multiplier,
            "shift": shift,
        }
        return Call("mj_global_average_pool_sums", "sums.h", parameters)


@dataclass(frozen=True, kw_only=True)
class Mean(_Mean):
    """The mean over `axes` of a value, counted from 0 and without the batch; they follow each other.

    The output has the other axes or, with `keep_dims`, 1 for each of these.
    int8: input and output may differ in quantization; equal to TFLM's MEAN. Two means after each other round twice.
    """

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.axes or self.axes != tuple(range(self.axes[0], self.axes[0] + len(self.axes))) or self.axes[0] < 0:
            raise ValueError(f"axes is {self.axes}; they must follow each other, from 0 on")

    def _reduced(self, x: Shape) -> tuple[int, ...]:
        if self.axes[-1] >= len(x):
            raise ValueError(f"the input has shape {x}; it has no axis {self.axes[-1]}")
        return self.axes


@dataclass(frozen=True, kw_only=True)
class GlobalMaxPool(Operator):
    """The largest number of each channel over the whole map.

    Input (height, width, channels), output (channels,) or, with `keep_dims`, (1, 1, channels).
    int8: input and output share one quantization; MaxPool2d over the whole map.
    """

    writes_parts = True
    keep_dims: bool = False

    def shape(self, x: Shape) -> Shape:
        check_rank(x, 3, "a map (height, width, channels)")
        return (1, 1, x[2]) if self.keep_dims else (x[2],)

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return x.amax(dim=(2, 3), keepdim=self.keep_dims)

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        y = self._pool(x.shape[1:]).int8(x, weights, quantization)
        return y.reshape(len(x), *self.shape(x.shape[1:]))

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        return self._pool(x).call(x, weights, quantization)

    def _pool(self, x: Shape) -> MaxPool2d:
        return MaxPool2d(kernel=(x[0], x[1]))


@dataclass(frozen=True, kw_only=True)
class Subsample2d(Operator):
    """LeNet-5's trainable sub-sampling: the sum of a window times a coefficient, plus a bias, for each channel.

    LeCun et al. 1998, section II-B, layers S2 and S4; windows do not overlap. MACs count one for each input, so that
    MACs + bias additions are the paper's connections. Float only; passes.densify rewrites it.
    """

    kernel: int | Pair

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", pair(self.kernel))
        check_positive(kernel=self.kernel)

    def window(self, x: Shape) -> Window:
        return Window.over(x, pair(self.kernel), pair(self.kernel), (1, 1), "valid")

    def shape(self, x: Shape) -> Shape:
        return (*self.window(x).output, x[2])

    def params(self, x: Shape) -> dict[str, Param]:
        return {"weight": Param((x[2],)), "bias": Param((x[2],), "bias")}

    def cost(self, x: Shape) -> OperatorCost:
        outputs = prod(self.shape(x))
        return OperatorCost(macs=outputs * prod(pair(self.kernel)), additions=outputs)

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        kernel = pair(self.kernel)

        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            total = F.avg_pool2d(x, kernel) * float(prod(kernel))
            return total * module.weight[:, None, None] + module.bias[:, None, None]

        return make_module(self.params(x), forward)
