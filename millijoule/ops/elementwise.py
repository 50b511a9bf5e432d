"""Operators on two values, element by element.

One value for each channel, or one fixed number, is repeated over the other's map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from millijoule.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate_int8
from millijoule.graph import Operator, OperatorCost, Shape
from millijoule.model import OperatorQuantization, Quantization
from millijoule.ops import dsp, mve
from millijoule.ops.activation import Unary
from millijoule.ops.base import Activation, Call, activation_range, check_choice, make_module, torch_activation
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch

ADD_LEFT_SHIFT = 20


@dataclass(frozen=True, kw_only=True)
class _Elementwise(Operator):
    in_place = (0, 1)
    writes_parts = True
    activation: Activation = "none"

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, Activation)

    def shape(self, a: Shape, b: Shape) -> Shape:
        """The larger of two shapes: equal ones, or a map (height, width, c) and (1, 1, c) or (c,) in either order."""
        small, large = sorted((a, b), key=lambda shape: (prod(shape), len(shape)))
        if small != large and not (len(large) == 3 and small in ((1, 1, large[2]), (large[2],))):
            raise ValueError(
                f"the inputs have shapes {a} and {b}; they must be equal, or one must hold one number for each channel "
                "of the other"
            )
        return large

    def cost(self, a: Shape, b: Shape) -> OperatorCost:
        return OperatorCost(operations=prod(self.shape(a, b)) * (1 if self.activation == "none" else 2))

    def _module(self, combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.nn.Module:
        def forward(module: torch.nn.Module, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            if a.ndim != b.ndim:
                a, b = (x[:, :, None, None] if x.ndim == 2 else x for x in (a, b))
            return torch_activation(self.activation, combine(a, b))

        return make_module({}, forward)

    def walk(self, a: Shape, b: Shape) -> dict[str, int]:
        """The pixels of the output, and bytes from each to the next in both values and in it; 0 for a repeated one."""
        *sizes, channels = shape = self.shape(a, b)
        steps = {f"{name}_step": channels if x == shape else 0 for name, x in (("a", a), ("b", b))}
        return {"positions": prod(sizes), "channels": channels, **steps, "output_pixel": channels}

    def _parameters(self, a: Shape, b: Shape, quantization: OperatorQuantization) -> dict[str, int]:
        low, high = activation_range(self.activation, quantization.output)
        return {
            **self.walk(a, b),
            "a_zero_point": quantization.inputs[0].zero_point,
            "b_zero_point": quantization.inputs[1].zero_point,
            "output_zero_point": quantization.output.zero_point,
            "output_low": low,
            "output_high": high,
        }


@dataclass(frozen=True, kw_only=True)
class _Sum(_Elementwise):
    """What a sum and a difference share."""

    sign: ClassVar[int]
    """Of the second value."""

    def module(self, a: Shape, b: Shape) -> torch.nn.Module:
        return self._module((lambda a, b: a + b) if self.sign > 0 else (lambda a, b: a - b))

    def int8(
        self, a: np.ndarray, b: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> np.ndarray:
        multiplier_a, multiplier_b, multiplier = self.multipliers(quantization)
        scaled = [
            multiply_by_quantized_multiplier((x.astype(np.int64) - q.zero_point) << ADD_LEFT_SHIFT, *m)
            for x, q, m in zip(_aligned(a, b), quantization.inputs, (multiplier_a, multiplier_b), strict=True)
        ]
        total = multiply_by_quantized_multiplier(scaled[0] + self.sign * scaled[1], *multiplier)
        low, high = activation_range(self.activation, quantization.output)
        return saturate_int8(total + quantization.output.zero_point, low, high)

    def call(
        self,
        a: Shape,
        b: Shape,
        weights: Mapping[str, np.ndarray],
        quantization: OperatorQuantization,
        target: Target = SCALAR,
    ) -> tuple[Call, ...]:
        calls = None
        if target.instructions == "dsp" and a == b:
            calls = self._dsp_call(a, quantization)
        elif target.instructions == "mve" and a == b:
            calls = mve.add(self, a, quantization)
        if calls is not None:
            return calls
        parameters = self._parameters(a, b, quantization) | {"b_sign": self.sign}
        for name, (multiplier, shift) in zip(("a", "b", "output"), self.multipliers(quantization), strict=True):
            parameters |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
        return (Call("mj_add", "elementwise.h", parameters, inputs=(0, 1)),)

    def _dsp_call(self, x: Shape, quantization: OperatorQuantization) -> tuple[Call, ...] | None:
        """The call into kernels/dsp, or None where what it needs cannot be proven."""
        multiplier_a, multiplier_b, (multiplier, shift) = self.multipliers(quantization)
        every = np.arange(-128, 128, dtype=np.int64)
        tables = [
            sign * multiply_by_quantized_multiplier((every - q.zero_point) << ADD_LEFT_SHIFT, *m)
            for sign, q, m in zip((1, self.sign), quantization.inputs, (multiplier_a, multiplier_b), strict=True)
        ]
        low, high = (np.array([sum(int(pick(table)) for table in tables)]) for pick in (np.min, np.max))
        scaling = dsp.scaling_table(
            low, high, np.array([multiplier]), np.array([shift]), quantization.output.zero_point, 2**30
        )
        if scaling is None:
            return None
        output_low, output_high = activation_range(self.activation, quantization.output)
        parameters = dict(zip(("multiplier", "offset", "shift"), scaling[0].tolist(), strict=True))
        parameters |= {**self.walk(x, x), "output_low": output_low, "output_high": output_high}
        data = {name: (2 * table).astype(np.int32) for name, table in zip(("a", "b"), tables, strict=True)}
        return (Call("mj_dsp_add", "dsp/elementwise.h", parameters, inputs=(0, 1), data=data),)

    def multipliers(self, quantization: OperatorQuantization) -> tuple[tuple[int, int], ...]:
        """(multiplier, shift) of either input, after the shift to the left, and of the sum."""
        a, b = (float(q.scale) for q in quantization.inputs)
        twice = 2 * max(a, b)
        ratios = a / twice, b / twice, twice / ((1 << ADD_LEFT_SHIFT) * float(quantization.output.scale))
        if ratios[2] >= 1:
            raise ValueError(
                f"the output scale {quantization.output.scale:g} is too small for input scales {a:g} and {b:g}"
            )
        return tuple(quantize_multiplier(ratio) for ratio in ratios)


@dataclass(frozen=True, kw_only=True)
class Add(_Sum):
    """The sum of two values.

    int8: both inputs are brought to twice the larger scale with 20 bits more, added and rescaled; equal to TFLM's ADD.
    """

    sign = 1


@dataclass(frozen=True, kw_only=True)
class Subtract(_Sum):
    """The first value less the second. int8: as Add; equal to TFLM's SUB."""

    sign = -1


@dataclass(frozen=True, kw_only=True)
class Multiply(_Elementwise):
    """The product of two values. int8: equal to TFLM's MUL."""

    def module(self, a: Shape, b: Shape) -> torch.nn.Module:
        return self._module(lambda a, b: a * b)

    def int8(
        self, a: np.ndarray, b: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> np.ndarray:
        x, y = (v.astype(np.int64) - q.zero_point for v, q in zip(_aligned(a, b), quantization.inputs, strict=True))
        scaled = multiply_by_quantized_multiplier(x * y, *self.multiplier(quantization))
        low, high = activation_range(self.activation, quantization.output)
        return saturate_int8(scaled + quantization.output.zero_point, low, high)

    def call(
        self,
        a: Shape,
        b: Shape,
        weights: Mapping[str, np.ndarray],
        quantization: OperatorQuantization,
        target: Target = SCALAR,
    ) -> tuple[Call, ...]:
        calls = mve.multiply(self, a, quantization) if target.instructions == "mve" and a == b else None
        if calls is not None:
            return calls
        multiplier, shift = self.multiplier(quantization)
        parameters = self._parameters(a, b, quantization) | {"multiplier": multiplier, "shift": shift}
        return (Call("mj_multiply", "elementwise.h", parameters, inputs=(0, 1)),)

    def multiplier(self, quantization: OperatorQuantization) -> tuple[int, int]:
        """(multiplier, shift) of the product."""
        a, b = (float(q.scale) for q in quantization.inputs)
        return quantize_multiplier(a * b / float(quantization.output.scale))


@dataclass(frozen=True, kw_only=True)
class _WithNumber(Unary):
    """A value and one fixed number for all of it, `steps` times `scale`, as int8 files keep numbers."""

    operator: ClassVar[type[Add | Multiply]]
    """Whose arithmetic it is, the second value being the number everywhere."""
    scale: float
    steps: int = 1
    activation: Activation = "none"

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, Activation)
        if not 0 < self.scale < float("inf") or abs(self.steps) > 255:
            raise ValueError(
                f"the number is {self.steps} steps of {self.scale:g}; a positive scale and at most 255 are needed"
            )

    def cost(self, x: Shape) -> OperatorCost:
        return self.operator(activation=self.activation).cost(x, x)

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        inputs = Quantization(quantization.inputs[0].scales), Quantization.of(self.scale)
        pair = self.operator(activation=self.activation)
        return pair.int8(x, np.full_like(x, self.steps), {}, replace(quantization, inputs=inputs))


@dataclass(frozen=True, kw_only=True)
class AddNumber(_WithNumber):
    """A value plus `steps` times `scale`, fixed by the architecture. int8: equal to TFLM's ADD of a constant."""

    operator = Add

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return torch_activation(self.activation, x + self.steps * self.scale)


@dataclass(frozen=True, kw_only=True)
class MultiplyNumber(_WithNumber):
    """A value times `steps` times `scale`, fixed by the architecture. int8: equal to TFLM's MUL by a constant."""

    operator = Multiply

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return torch_activation(self.activation, x * (self.steps * self.scale))


def _aligned(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(batch, …, c) arrays that numpy repeats over each other."""
    if a.ndim == b.ndim:
        return a, b
    first, second = (x.reshape(len(x), 1, 1, -1) if x.ndim == 2 else x for x in (a, b))
    return first, second
