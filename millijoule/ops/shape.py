"""Operators that move numbers without changing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from millijoule.graph import Operator, OperatorCost, Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import (
    Call,
    Pair,
    channel_axis,
    channels_first,
    channels_last,
    check_padding,
    check_positive,
    check_rank,
    make_module,
    run,
    same_quantization,
)
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class _Alias(Operator):
    alias = True

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost()

    def module(self, x: Shape) -> torch.nn.Module:
        target = self.shape(x)

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return channels_first(channels_last(x).reshape(len(x), *target))

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        return x.reshape(len(x), *self.shape(x.shape[1:]))

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        same_quantization(quantization)
        return ()


@dataclass(frozen=True, kw_only=True)
class Flatten(_Alias):
    """A map as one row of numbers, in the order height, width, channels. Moves nothing."""

    def shape(self, x: Shape) -> Shape:
        return (prod(x),)


@dataclass(frozen=True, kw_only=True)
class Reshape(_Alias):
    """The same numbers, in the order height, width, channels, under the shape `target`. Moves nothing."""

    target: Shape

    def __post_init__(self) -> None:
        check_positive(target=self.target)

    def shape(self, x: Shape) -> Shape:
        if prod(x) != prod(self.target):
            raise ValueError(f"{x} has {prod(x)} numbers, {self.target} has {prod(self.target)}")
        return self.target


@dataclass(frozen=True, kw_only=True)
class Pad(Operator):
    """Zeros around a map: `padding` is ((top, bottom), (left, right)), or `channels` before and after each position's.

    int8: the zero point; equal to TFLM's PAD.
    """

    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    channels: Pair = (0, 0)

    def __post_init__(self) -> None:
        check_padding(self.padding)
        if min(self.channels) < 0:
            raise ValueError(f"channels is {self.channels}; every size must be 0 or more")
        if any(map(any, self.padding)) and any(self.channels):
            raise ValueError(f"padding is {self.padding} and {self.channels} channels; put two Pads after each other")

    def shape(self, x: Shape) -> Shape:
        check_rank(x, 3, "a map (height, width, channels)")
        (top, bottom), (left, right) = self.padding
        return (top + x[0] + bottom, left + x[1] + right, x[2] + sum(self.channels))

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost()

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        (top, bottom), (left, right) = self.padding

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return F.pad(x, (left, right, top, bottom, *self.channels))

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        return np.pad(x, ((0, 0), *self.padding, self.channels), constant_values=quantization.output.zero_point)

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        same_quantization(quantization)
        (top, bottom), (left, right) = self.padding
        if any(self.channels):
            # A position's channels are a row of numbers.
            x, (left, right) = (x[0] * x[1], x[2], 1), self.channels
        parameters = {
            "input_height": x[0],
            "input_row_bytes": x[1] * x[2],
            "top_bytes": top * (left + x[1] + right) * x[2],
            "bottom_bytes": bottom * (left + x[1] + right) * x[2],
            "left_bytes": left * x[2],
            "right_bytes": right * x[2],
            "zero_point": quantization.output.zero_point,
        }
        return (Call("mj_pad", "shape.h", parameters),)


@dataclass(frozen=True, kw_only=True)
class Concat(Operator):
    """Values side by side along the channels (the last axis).

    int8: all inputs and the output share one quantization; equal to TFLM's CONCATENATION.
    """

    writes_parts = True

    def shape(self, *x: Shape) -> Shape:
        if len(x) < 2:
            raise ValueError(f"{len(x)} input is given; 2 or more are needed")
        for other in x[1:]:
            if other[:-1] != x[0][:-1]:
                raise ValueError(f"the inputs have shapes {x[0]} and {other}; only the channels may differ")
        return (*x[0][:-1], sum(shape[-1] for shape in x))

    def cost(self, *x: Shape) -> OperatorCost:
        return OperatorCost()

    def module(self, *x: Shape) -> torch.nn.Module:
        import torch

        def forward(module: torch.nn.Module, *x: torch.Tensor) -> torch.Tensor:
            return torch.cat(x, dim=channel_axis(x[0]))

        return make_module({}, forward)

    def int8(self, *x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        return np.concatenate(x, axis=-1)

    def call(
        self, *x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        same_quantization(quantization)
        total = sum(shape[-1] for shape in x)
        calls, offset = [], 0
        for index, shape in enumerate(x):
            parameters = {
                **run(shape),
                "output_pixel": total,
                "output_offset": offset,
            }
            calls.append(Call("mj_copy_pixels", "shape.h", parameters, inputs=(index,)))
            offset += shape[-1]
        return tuple(calls)
