"""Maps brought to another height and width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from millijoule.graph import Operator, OperatorCost, Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import (
    Call,
    Pair,
    check_choice,
    check_positive,
    check_rank,
    make_module,
    same_quantization,
)
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch

ResizeMode = Literal["nearest", "bilinear"]
Align = Literal["half_pixel", "corners", "asymmetric"]
POSITION_BITS = 10


@dataclass(frozen=True, kw_only=True)
class Resize2d(Operator):
    """A map at another `size` (height, width), each channel by itself.

    mode `nearest` copies a number, `bilinear` weighs four. align: where output position i looks in the input, with
    scale = input / output: `asymmetric` scale * i (nearest: rounded down), `half_pixel` scale * (i + 1/2) - 1/2,
    `corners` (input - 1) / (output - 1) * i; nearest rounds ties up. Names as in ONNX's Resize.
    int8: input and output share one quantization; bilinear computes with scale rounded to 1/1024. Equal to TFLM's
    RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR.
    """

    writes_parts = True
    size: Pair
    mode: ResizeMode = "nearest"
    align: Align = "half_pixel"

    def __post_init__(self) -> None:
        check_positive(size=self.size)
        check_choice("mode", self.mode, ResizeMode)
        check_choice("align", self.align, Align)

    def shape(self, x: Shape) -> Shape:
        check_rank(x, 3, "a map (height, width, channels)")
        return (*self.size, x[2])

    def cost(self, x: Shape) -> OperatorCost:
        outputs = self.size[0] * self.size[1] * x[2]
        return OperatorCost(operations=7 * outputs if self.mode == "bilinear" else 0)

    def module(self, x: Shape) -> torch.nn.Module:
        import torch

        rows, columns = (torch.from_numpy(self._nearest(x[axis], self.size[axis])) for axis in (0, 1))
        if self.mode == "nearest":
            return make_module({}, lambda module, x: x[:, :, rows][..., columns])
        between = [self._between(self._positions(x[axis], self.size[axis]), x[axis]) for axis in (0, 1)]

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            for axis, (lower, upper, weight) in zip((2, 3), between, strict=True):
                a, b = (x.index_select(axis, torch.from_numpy(index)) for index in (lower, upper))
                w = torch.from_numpy(weight).to(x.dtype)
                x = a + (b - a) * (w[:, None] if axis == 2 else w)
            return x

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        if self.mode == "nearest":
            rows, columns = (self._nearest(x.shape[1 + axis], self.size[axis]) for axis in (0, 1))
            return x[:, rows][:, :, columns]
        total, unit = x.astype(np.int64), 1 << POSITION_BITS
        for axis in (0, 1):
            size = x.shape[1 + axis]
            step, start = self._steps(size, self.size[axis])
            positions = (np.arange(self.size[axis]) * step + start) / unit
            lower, upper, weight = self._between(positions, size)
            w = np.round(weight * unit).astype(np.int64).reshape(-1, *[1] * (2 - axis))
            total = np.take(total, lower, 1 + axis) * (unit - w) + np.take(total, upper, 1 + axis) * w
        half = unit * unit // 2
        return (np.sign(total) * ((np.abs(total) + half) // (unit * unit))).astype(np.int8)

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        same_quantization(quantization)
        height, width, channels = x
        parameters = {
            "input_width": width,
            "output_height": self.size[0],
            "output_width": self.size[1],
            "channels": channels,
            "input_pixel": channels,
            "output_pixel": channels,
        }
        if self.mode == "nearest":
            data = {
                name: self._nearest(size, new).astype(np.int32)
                for name, size, new in zip(("rows", "columns"), x, self.size, strict=False)
            }
            return (Call("mj_resize_nearest", "resize.h", parameters, data=data),)
        parameters["input_height"] = height
        for name, size, new in zip(("height", "width"), x, self.size, strict=False):
            parameters[f"{name}_step"], parameters[f"{name}_start"] = self._steps(size, new)
        return (Call("mj_resize_bilinear", "resize.h", parameters),)

    def _nearest(self, size: int, new: int) -> np.ndarray:
        """int64 (new,): the row of `size` that each output row shows, by TFLM's float32 arithmetic."""
        corners, less = self.align == "corners", int(self.align == "corners" and new > 1)
        scale = np.float32(size - less) / np.float32(new - less)
        position = (np.arange(new, dtype=np.float32) + np.float32(0.5 * (self.align == "half_pixel"))) * scale
        # Positions are not negative: this rounds ties up, which is away from zero.
        position = np.floor(position + np.float32(0.5) if corners else position)
        return np.minimum(position.astype(np.int64), size - 1)

    def _positions(self, size: int, new: int) -> np.ndarray:
        """float64 (new,): where in `size` rows each output row looks."""
        i = np.arange(new, dtype=np.float64)
        if self.align == "corners" and new > 1:
            return i * (size - 1) / (new - 1)
        return i * size / new if self.align != "half_pixel" else (i + 0.5) * size / new - 0.5

    def _between(self, positions: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The rows below and above each position, and the weight of the one above."""
        inside = np.clip(positions, 0, size - 1)
        lower = inside.astype(np.int64)
        return lower, np.minimum(lower + 1, size - 1), inside - lower

    def _steps(self, size: int, new: int) -> tuple[int, int]:
        """(step, start): output row i looks at position i * step + start, in 1024ths of a row, as in TFLM."""
        if self.align == "corners" and new > 1:
            size, new = size - 1, new - 1
        step = ((size << POSITION_BITS) + new // 2) // new
        return step, step // 2 - (1 << POSITION_BITS) // 2 if self.align == "half_pixel" else 0
