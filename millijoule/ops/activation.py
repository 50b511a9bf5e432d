"""Functions of one number, and softmax."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, frexp, prod
from typing import TYPE_CHECKING

import numpy as np

from millijoule import fixedpoint
from millijoule.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate_int8
from millijoule.graph import Operator, OperatorCost, Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import Call, activation_range, make_module, same_quantization

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class _Unary(Operator):
    """int8: 256 answers, computed when the C is emitted; the kernel looks them up."""

    in_place = (0,)

    def shape(self, x: Shape) -> Shape:  # type: ignore[override]
        return x

    def cost(self, x: Shape) -> OperatorCost:  # type: ignore[override]
        return OperatorCost(operations=prod(x))

    def module(self, x: Shape) -> torch.nn.Module:  # type: ignore[override]
        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return self._float(x)

        return make_module({}, forward)

    def int8(  # type: ignore[override]
        self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> np.ndarray:
        return self._table(quantization)[x.astype(np.int64) + 128]

    def call(  # type: ignore[override]
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> tuple[Call, ...]:
        return (Call("mj_look_up", "activation.h", {"count": prod(x)}, data={"table": self._table(quantization)}),)

    def _table(self, quantization: OperatorQuantization) -> np.ndarray:
        """int8 (256,): the output for each input from -128 to 127."""
        return self._integer(np.arange(-128, 128, dtype=np.int64) - quantization.inputs[0].zero_point, quantization)

    @abstractmethod
    def _float(self, x: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        """int8 output for x = integer - zero point of the input."""


@dataclass(frozen=True, kw_only=True)
class Relu(_Unary):
    """max(x, 0). int8: input and output may differ in quantization; equal to TFLM's RELU."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp_min(0.0)

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        # TFLM divides the scales as float32 here.
        ratio = float(quantization.inputs[0].scale / quantization.output.scale)
        scaled = multiply_by_quantized_multiplier(x, *quantize_multiplier(ratio)) + quantization.output.zero_point
        return saturate_int8(scaled, *activation_range("relu", quantization.output))


@dataclass(frozen=True, kw_only=True)
class Relu6(_Unary):
    """min(max(x, 0), 6). int8: input and output share one quantization; equal to TFLM's RELU6."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(0.0, 6.0)

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        return saturate_int8(x + quantization.output.zero_point, *activation_range("relu6", quantization.output))


@dataclass(frozen=True, kw_only=True)
class Requantize(_Unary):
    """The same real numbers under another scale and zero point. int8: equal to TFLM's QUANTIZE from int8 to int8."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        ratio = float(quantization.inputs[0].scale) / float(quantization.output.scale)
        scaled = multiply_by_quantized_multiplier(x, *quantize_multiplier(ratio))
        return saturate_int8(scaled + quantization.output.zero_point)


@dataclass(frozen=True, kw_only=True)
class Sigmoid(_Unary):
    """1 / (1 + exp(-x)). int8: output scale 1/256, zero point -128; equal to TFLM's LOGISTIC."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x.sigmoid()

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        raw = _saturating_curve(x, quantization, fixedpoint.logistic, fixedpoint.INT32_MAX, 0)
        return saturate_int8(fixedpoint.rounding_divide_by_pot(raw, 23) - 128)


@dataclass(frozen=True, kw_only=True)
class Tanh(_Unary):
    """amplitude * tanh(slope * x); LeCun et al. 1998 use 1.7159 and 2/3.

    int8: amplitude and slope of 1; output scale 1/128, zero point 0; equal to TFLM's TANH. Any other amplitude or
    slope is computed in float64 and rounded.
    """

    amplitude: float = 1.0
    slope: float = 1.0

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return self.amplitude * (self.slope * x).tanh()

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        if (self.amplitude, self.slope) == (1.0, 1.0):
            raw = _saturating_curve(x, quantization, fixedpoint.tanh, fixedpoint.INT32_MAX, -fixedpoint.INT32_MAX - 1)
            return saturate_int8(fixedpoint.rounding_divide_by_pot(raw, 24))
        real = self.amplitude * np.tanh(self.slope * (x * np.float64(quantization.inputs[0].scale)))
        return quantization.output.quantize(real)


def _saturating_curve(x: np.ndarray, quantization: OperatorQuantization, curve, top: int, bottom: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """A gemmlowp curve over Q4.27, saturated outside its radius; raw Q0.31."""
    fraction, shift = frexp(float(quantization.inputs[0].scale) * (1 << 27))
    multiplier = floor(fraction * (1 << 31) + 0.5)
    radius = floor(15.0 * (1 << 27) / 2.0**shift)
    inside = np.clip(x, -radius + 1, radius - 1)
    raw = curve(multiply_by_quantized_multiplier(inside, multiplier, shift))
    return np.where(x >= radius, top, np.where(x <= -radius, bottom, raw))


@dataclass(frozen=True, kw_only=True)
class Softmax(Operator):
    """exp(x) over the sum of exp(x) along the last axis.

    int8: output scale 1/256, zero point -128; equal to TFLM's SOFTMAX.
    """

    in_place = (0,)

    def shape(self, x: Shape) -> Shape:  # type: ignore[override]
        return x

    def cost(self, x: Shape) -> OperatorCost:  # type: ignore[override]
        return OperatorCost(operations=3 * prod(x))

    def module(self, x: Shape) -> torch.nn.Module:  # type: ignore[override]
        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return x.softmax(dim=1)

        return make_module({}, forward)

    def int8(  # type: ignore[override]
        self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> np.ndarray:
        below = x.max(axis=-1, keepdims=True).astype(np.int64) - x
        exponentials = self._table(quantization)[below].astype(np.int64)
        total = fixedpoint.rounding_divide_by_pot(exponentials, 12).sum(axis=-1, keepdims=True)
        reciprocal, bits_over_unit = fixedpoint.reciprocal(total, 12)
        products = fixedpoint.saturating_rounding_doubling_high_mul(reciprocal, exponentials)
        return saturate_int8(fixedpoint.rounding_divide_by_pot(products, bits_over_unit + 23) - 128)

    def call(  # type: ignore[override]
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> tuple[Call, ...]:
        parameters = {"rows": prod(x[:-1]), "classes": x[-1]}
        return (Call("mj_softmax", "activation.h", parameters, data={"exponentials": self._table(quantization)}),)

    def _table(self, quantization: OperatorQuantization) -> np.ndarray:
        """int32 (256,): exp(-d * scale) in Q0.31 for d = 0 … 255; 0 where TFLM leaves it out."""
        scaled = min(float(quantization.inputs[0].scale) * (1 << 26), 2.0**31 - 1.0)
        multiplier, shift = quantize_multiplier(scaled)
        least = -floor(31.0 * (1 << 26) / 2.0**shift)
        difference = -np.arange(256, dtype=np.int64)
        kept = np.maximum(difference, least)
        raw = multiply_by_quantized_multiplier(kept, multiplier, shift)
        return np.where(difference >= least, fixedpoint.exp_on_negative_values(raw, 5), 0).astype(np.int32)
