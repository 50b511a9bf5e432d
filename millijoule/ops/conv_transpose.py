"""The transpose of a convolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.graph import OperatorCost, Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import Call, Pair, activation_range, check_rank, make_module, pair, torch_activation
from millijoule.ops.conv import Convolution
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ConvTranspose2d(Convolution):
    """The transpose of a convolution: each input number adds its kernel to the output, `stride` apart (Zeiler 2010).

    Input (height, width, in), output (height', width', channels) with
    height' = (height - 1) * stride + (kernel - 1) * dilation + 1 - padding + output_padding: `padding` cuts rows off
    the ends, `output_padding` adds some at the bottom and right. MACs count one for each input and kernel position.
    int8: as Conv2d; equal to TFLM's TRANSPOSE_CONV.
    """

    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    output_padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(*self.padding[0], *self.padding[1], *self.output_padding) < 0:
            raise ValueError(f"padding {self.padding} and output padding {self.output_padding} must be 0 or more")

    def shape(self, x: Shape) -> Shape:
        check_rank(x, 3, "a map (height, width, channels)")
        self.check_groups(x)
        height, width = (
            full - sum(padding) + more
            for full, padding, more in zip(self._full(x), self.padding, self.output_padding, strict=True)
        )
        if height < 1 or width < 1:
            raise ValueError(f"padding {self.padding} leaves an output of {height} x {width}; use less padding")
        return (height, width, self.channels)

    def _full(self, x: Shape) -> Pair:
        """Height and width before padding cuts."""
        sizes = zip(x[:2], pair(self.stride), pair(self.kernel), pair(self.dilation), strict=True)
        height, width = ((size - 1) * stride + (kernel - 1) * dilation + 1 for size, stride, kernel, dilation in sizes)
        return height, width

    def cost(self, x: Shape) -> OperatorCost:
        outputs = prod(self.shape(x))
        return OperatorCost(
            macs=prod(x) * prod(pair(self.kernel)) * (self.channels // self.groups),
            additions=outputs if self.bias else 0,
            operations=outputs if self.activation != "none" else 0,
        )

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        (top, bottom), (left, right) = self.padding
        ends = (-left, self.output_padding[1] - right, -top, self.output_padding[0] - bottom)

        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            # (groups * out, h, w, in) -> torch's (groups * in, out, h, w)
            weight = module.weight.unflatten(0, (self.groups, -1)).permute(0, 4, 1, 2, 3)
            y = F.conv_transpose2d(
                x, weight.flatten(0, 1), None, pair(self.stride), 0, 0, self.groups, pair(self.dilation)
            )
            y = F.pad(y, ends)
            y = y if module.bias is None else y + module.bias[:, None, None]
            return torch_activation(self.activation, y)

        return make_module(self.params(x), forward)

    def accumulate(self, x: np.ndarray, weight: np.ndarray, zero_point: int) -> np.ndarray:
        batch, height, width, inputs = x.shape
        full = (a + b for a, b in zip(self._full(x.shape[1:]), self.output_padding, strict=True))
        sums = np.zeros((batch, *full, self.channels))
        # float64 holds every sum of int8 products exactly (below 2**53), and BLAS makes it fast.
        centred = (x.astype(np.float64) - zero_point).reshape(batch, height, width, self.groups, 1, -1)
        kernels = weight.astype(np.float64).reshape(self.groups, -1, *pair(self.kernel), inputs // self.groups)
        (down, right), (row_step, column_step) = pair(self.stride), pair(self.dilation)
        for row, column in np.ndindex(pair(self.kernel)):
            products = np.matmul(centred, kernels[:, :, row, column].swapaxes(1, 2)).reshape(batch, height, width, -1)
            rows = slice(row * row_step, row * row_step + (height - 1) * down + 1, down)
            columns = slice(column * column_step, column * column_step + (width - 1) * right + 1, right)
            sums[:, rows, columns] += products
        (top, _), (left, _) = self.padding
        height, width, _ = self.shape(x.shape[1:])
        return sums[:, top : top + height, left : left + width].astype(np.int64)

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        multiplier, shift = self.multipliers(quantization)
        low, high = activation_range(self.activation, quantization.output)
        output_height, output_width, _ = self.shape(x)
        parameters = {
            "input_height": x[0],
            "input_width": x[1],
            "input_channels": x[2],
            "output_height": output_height,
            "output_width": output_width,
            "output_channels": self.channels,
            "kernel_height": pair(self.kernel)[0],
            "kernel_width": pair(self.kernel)[1],
            "stride_height": pair(self.stride)[0],
            "stride_width": pair(self.stride)[1],
            "dilation_height": pair(self.dilation)[0],
            "dilation_width": pair(self.dilation)[1],
            "padding_top": self.padding[0][0],
            "padding_left": self.padding[1][0],
            "groups": self.groups,
            "input_pixel": x[2],
            "output_pixel": self.channels,
            "input_zero_point": quantization.inputs[0].zero_point,
            "weight_zero_point": quantization.weights["weight"].zero_point,
            "output_zero_point": quantization.output.zero_point,
            "output_low": low,
            "output_high": high,
        }
        data = {
            "weight": weights["weight"],
            "bias": (weights["bias"] if self.bias else np.zeros(self.channels)).astype(np.int32),
            "multiplier": multiplier,
            "shift": shift.astype(np.int8),
        }
        return (Call("mj_conv_transpose2d", "conv_transpose.h", parameters, data=data),)
