"""Convolutions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.fixedpoint import multiply_by_quantized_multiplier, saturate_int8, wrap32
from millijoule.graph import Operator, OperatorCost, Param, Shape
from millijoule.model import OperatorQuantization
from millijoule.ops import armv6m, dsp, host, mve
from millijoule.ops.base import (
    Activation,
    Call,
    Padding,
    Pair,
    Window,
    activation_range,
    check_choice,
    check_padding,
    check_positive,
    fold_input_zero_point,
    make_module,
    pair,
    torch_activation,
    weight_multipliers,
)
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Convolution(Operator):
    """What a convolution and its transpose share."""

    writes_parts = True
    channels: int
    kernel: int | Pair
    stride: int | Pair = 1
    dilation: int | Pair = 1
    groups: int = 1
    bias: bool = True
    activation: Activation = "none"

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "dilation"):
            object.__setattr__(self, name, pair(getattr(self, name)))
        check_positive(
            channels=self.channels,
            kernel=self.kernel,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        )
        check_choice("activation", self.activation, Activation)

    def check_groups(self, x: Shape) -> None:
        for what, count in (("input", x[2]), ("output", self.channels)):
            if count % self.groups:
                raise ValueError(f"{count} {what} channels cannot be split into {self.groups} groups")

    def params(self, x: Shape) -> dict[str, Param]:
        params = {"weight": Param((self.channels, *pair(self.kernel), x[2] // self.groups))}
        if self.bias:
            params["bias"] = Param((self.channels,), "bias")
        return params

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        weight = weights["weight"].astype(np.int64) - quantization.weights["weight"].zero_point
        sums = self.accumulate(x, weight, quantization.inputs[0].zero_point)
        return self.requantize(sums + (weights["bias"] if self.bias else 0), quantization)

    @abstractmethod
    def accumulate(self, x: np.ndarray, weight: np.ndarray, zero_point: int) -> np.ndarray:
        """int64 sums of x (batch, height, width, in) less its zero point times `weight` less its own, without bias."""

    def requantize(self, sums: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        """int8 of the sums with bias (…, channels), as an int32 accumulator keeps them."""
        multiplier, shift = self.multipliers(quantization)
        scaled = multiply_by_quantized_multiplier(wrap32(sums), multiplier, shift)
        low, high = activation_range(self.activation, quantization.output)
        return saturate_int8(scaled + quantization.output.zero_point, low, high)

    def is_depthwise(self, x: Shape) -> bool:
        """Whether each of several input channels has kernels of its own."""
        return 1 < self.groups == x[2]

    def multipliers(self, quantization: OperatorQuantization) -> tuple[np.ndarray, np.ndarray]:
        """(multiplier int32, shift int32) for each output channel."""
        return weight_multipliers(quantization, self.channels)


@dataclass(frozen=True, kw_only=True)
class Conv2d(Convolution):
    """Convolution of a map with `channels` learned kernels, moved by `stride`, in `groups` of channels.

    Input (height, width, in), output (height', width', channels). `groups` = in is a depthwise convolution.
    int8: weights symmetric per output channel or per tensor (a weight zero point other than 0 comes from uint8
    models), int32 accumulation and bias, double-rounding requantization; equal to TFLM's CONV_2D and
    DEPTHWISE_CONV_2D.
    """

    padding: Padding = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_padding(self.padding, "same", "valid")

    @property
    def reads_parts(self) -> bool:
        """Windows that are neighbours in a row would have to be copied, which some kernels have no memory for."""
        return self.groups > 1 or pair(self.kernel)[1] == 1

    def window(self, x: Shape) -> Window:
        return Window.over(x, pair(self.kernel), pair(self.stride), pair(self.dilation), self.padding)

    def shape(self, x: Shape) -> Shape:
        window = self.window(x)
        self.check_groups(x)
        return (*window.output, self.channels)

    def cost(self, x: Shape) -> OperatorCost:
        outputs = prod(self.shape(x))
        return OperatorCost(
            macs=outputs * prod(pair(self.kernel)) * (x[2] // self.groups),
            additions=outputs if self.bias else 0,
            operations=outputs if self.activation != "none" else 0,
        )

    def module(self, x: Shape) -> torch.nn.Module:
        import torch
        import torch.nn.functional as F

        window = self.window(x)
        (top, bottom), (left, right) = window.padding
        # torch pads evenly inside the convolution, which saves a copy of the map. But depthwise gradients where the
        # kernel is larger than the map took 10 times as long as those of a padded map (AMD Zen 3, float32).
        outgrown = self.is_depthwise(x) and (x[0] < window.kernel[0] or x[1] < window.kernel[1])
        even = (top, left) if top == bottom and left == right and not outgrown else None

        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            weight = module.weight.permute(0, 3, 1, 2)
            y = F.conv2d(
                x if even else window.torch_pad(x),
                weight,
                module.bias,
                window.stride,
                even or 0,
                window.dilation,
                self.groups,
            )
            return torch_activation(self.activation, y)

        def forward_in_float32(module: Any, x: torch.Tensor) -> torch.Tensor:
            if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
                return forward(module, x)
            # On an AMD Zen 4, oneDNN's bfloat16 gradients of depthwise convolutions took 6 to 120 times as long as
            # float32's where the stride was 2 or the map 2 x 2, and were hardly faster elsewhere.
            with torch.autocast("cpu", enabled=False):
                return forward(module, x.float())

        return make_module(self.params(x), forward_in_float32 if self.is_depthwise(x) else forward)

    def accumulate(self, x: np.ndarray, weight: np.ndarray, zero_point: int) -> np.ndarray:
        window = self.window(x.shape[1:])
        # BLAS is fast in float. float32 holds sums of products of int8 exactly as long as they stay below 2**24.
        most = 255 * int(np.abs(weight).sum(axis=(1, 2, 3)).max())
        number = np.dtype(np.float32 if most < 2**24 else np.float64)
        padded = window.padded(x, zero_point).astype(number)
        padded -= zero_point
        patches = window.patches(padded)
        batch, height, width, rows, columns, _ = patches.shape
        patches = patches.reshape(batch * height * width, rows * columns, self.groups, -1)
        kernels = weight.astype(number).reshape(self.groups, self.channels // self.groups, -1)
        sums = np.matmul(
            patches.transpose(2, 0, 1, 3).reshape(self.groups, len(patches), -1),
            kernels.transpose(0, 2, 1),
        )
        return sums.transpose(1, 0, 2).reshape(batch, height, width, self.channels).astype(np.int64)

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        special = {"dsp": dsp.conv2d, "armv6m": armv6m.conv2d, "mve": mve.conv2d, "host": host.conv2d}.get(
            target.instructions
        )
        calls = special(self, x, weights, quantization, target) if special else None
        if calls is not None:
            return calls
        window = self.window(x)
        multiplier, shift = self.multipliers(quantization)
        weight = weights["weight"]
        bias = weights["bias"] if self.bias else np.zeros(self.channels, np.int32)
        input_zero_point = quantization.inputs[0].zero_point
        weight_zero_point = quantization.weights["weight"].zero_point
        if window.pads_nothing:
            folded = fold_input_zero_point(bias, weight, input_zero_point, weight_zero_point)
            if folded is not None:
                bias, input_zero_point = folded, 0
        depthwise = self.groups == x[2] and self.channels == x[2]
        low, high = activation_range(self.activation, quantization.output)
        parameters = {
            **window.parameters(),
            "input_channels": x[2],
            "output_channels": self.channels,
            "groups": self.groups,
            "input_pixel": x[2],
            "output_pixel": self.channels,
            "input_zero_point": input_zero_point,
            "weight_zero_point": weight_zero_point,
            "output_zero_point": quantization.output.zero_point,
            "output_low": low,
            "output_high": high,
        }
        if depthwise:
            del parameters["output_channels"], parameters["groups"]
            parameters["channels"] = parameters.pop("input_channels")
            weight = weight.transpose(3, 1, 2, 0)
        data = {
            "weight": np.ascontiguousarray(weight),
            "bias": bias.astype(np.int32),
            "multiplier": multiplier,
            "shift": shift.astype(np.int8),
        }
        function = "mj_depthwise_conv2d" if depthwise else "mj_conv2d"
        return (Call(function, "conv.h", parameters, data=data),)


@dataclass(frozen=True, kw_only=True)
class TableConv2d(Operator):
    """Convolution in which each output channel reads only some input channels: LeNet-5's layer C3.

    LeCun et al. 1998, section II-B and Table I. Row i of `table` holds the input channels that output channel i reads;
    the weights are one kernel for each connection, row after row. Float only; passes.densify rewrites it.
    """

    table: tuple[tuple[int, ...], ...]
    kernel: int | Pair
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", pair(self.kernel))
        check_positive(kernel=self.kernel, table=len(self.table))

    @property
    def connections(self) -> int:
        return sum(map(len, self.table))

    def window(self, x: Shape) -> Window:
        return Window.over(x, pair(self.kernel), (1, 1), (1, 1), "valid")

    def shape(self, x: Shape) -> Shape:
        window = self.window(x)
        for row in self.table:
            for channel in row:
                if not 0 <= channel < x[2]:
                    raise ValueError(f"the table names input channel {channel}; the input has {x[2]}")
        return (*window.output, len(self.table))

    def params(self, x: Shape) -> dict[str, Param]:
        params = {"weight": Param((self.connections, *pair(self.kernel)))}
        if self.bias:
            params["bias"] = Param((len(self.table),), "bias")
        return params

    def cost(self, x: Shape) -> OperatorCost:
        height, width, channels = self.shape(x)
        return OperatorCost(
            macs=height * width * self.connections * prod(pair(self.kernel)),
            additions=height * width * channels if self.bias else 0,
        )

    def module(self, x: Shape) -> torch.nn.Module:
        import torch
        import torch.nn.functional as F

        rows = torch.tensor([row for row, inputs in enumerate(self.table) for _ in inputs])
        columns = torch.tensor([column for inputs in self.table for column in inputs])
        dense = (len(self.table), x[2], *pair(self.kernel))

        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            weight = torch.zeros(dense, device=x.device, dtype=x.dtype)
            weight = weight.index_put((rows, columns), module.weight)
            return F.conv2d(x, weight, module.bias)

        return make_module(self.params(x), forward)
