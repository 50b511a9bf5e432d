"""Functions of one number, and softmax."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import erf, floor, frexp, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule import fixedpoint
from millijoule.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate_int8
from millijoule.graph import Operator, OperatorCost, Param, Shape
from millijoule.model import OperatorQuantization
from millijoule.ops import mve
from millijoule.ops.base import Call, activation_range, channel_axis, make_module, run, same_quantization
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch

LARGEST_SOFTMAX = 2**12 - 1


@dataclass(frozen=True, kw_only=True)
class Unary(Operator):
    """A function of one number. int8: 256 answers, computed when the C is emitted; the kernel looks them up."""

    in_place = (0,)
    writes_parts = True

    def shape(self, x: Shape) -> Shape:
        return x

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return self._float(x)

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        return self._table(quantization)[x.astype(np.int64) + 128]

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        if target.instructions == "mve":
            return mve.look_up(x, self._table(quantization))
        return (Call("mj_look_up", "activation.h", run(x), data={"table": self._table(quantization)}),)

    def _table(self, quantization: OperatorQuantization) -> np.ndarray:
        """int8 (256,): the output for each input from -128 to 127."""
        return self._integer(np.arange(-128, 128, dtype=np.int64) - quantization.inputs[0].zero_point, quantization)

    @abstractmethod
    def _float(self, x: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        """int8 output for x = integer - zero point of the input."""


@dataclass(frozen=True, kw_only=True)
class Relu(Unary):
    """max(x, 0). int8: input and output may differ in quantization; equal to TFLM's RELU."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu()

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        ratio = float(quantization.inputs[0].scale) / float(quantization.output.scale)
        scaled = multiply_by_quantized_multiplier(x, *quantize_multiplier(ratio)) + quantization.output.zero_point
        return saturate_int8(scaled, *activation_range("relu", quantization.output))


@dataclass(frozen=True, kw_only=True)
class Relu6(Unary):
    """min(max(x, 0), 6). int8: input and output share one quantization; equal to TFLM's RELU6."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(0.0, 6.0)

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        return saturate_int8(x + quantization.output.zero_point, *activation_range("relu6", quantization.output))


@dataclass(frozen=True, kw_only=True)
class Requantize(Unary):
    """The same real numbers under another scale and zero point. int8: equal to TFLM's QUANTIZE from int8 to int8."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        ratio = float(quantization.inputs[0].scale) / float(quantization.output.scale)
        scaled = multiply_by_quantized_multiplier(x, *quantize_multiplier(ratio))
        return saturate_int8(scaled + quantization.output.zero_point)


@dataclass(frozen=True, kw_only=True)
class Sigmoid(Unary):
    """1 / (1 + exp(-x)). int8: output scale 1/256, zero point -128; equal to TFLM's LOGISTIC."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x.sigmoid()

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        raw = _saturating_curve(x, quantization, fixedpoint.logistic, fixedpoint.INT32_MAX, 0)
        return saturate_int8(fixedpoint.rounding_divide_by_pot(raw, 23) - 128)


@dataclass(frozen=True, kw_only=True)
class Tanh(Unary):
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


def _saturating_curve(
    x: np.ndarray, quantization: OperatorQuantization, curve: Callable[[np.ndarray], np.ndarray], top: int, bottom: int
) -> np.ndarray:
    """A gemmlowp curve over Q4.27, saturated outside its radius; raw Q0.31."""
    fraction, shift = frexp(float(quantization.inputs[0].scale) * (1 << 27))
    multiplier = floor(fraction * (1 << 31) + 0.5)
    radius = floor(15.0 * (1 << 27) / 2.0**shift)
    inside = np.clip(x, -radius + 1, radius - 1)
    raw = curve(multiply_by_quantized_multiplier(inside, multiplier, shift))
    return np.where(x >= radius, top, np.where(x <= -radius, bottom, raw))


@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Unary):
    """x where it is positive, else slope * x (Maas et al. 2013). int8: equal to TFLM's LEAKY_RELU."""

    slope: float = 0.01

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp_min(0.0) + self.slope * x.clamp_max(0.0)

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        scale, output = float(quantization.inputs[0].scale), quantization.output
        positive = quantize_multiplier(scale / float(output.scale))
        negative = quantize_multiplier(scale * float(np.float32(self.slope)) / float(output.scale))
        scaled = np.where(
            x >= 0, multiply_by_quantized_multiplier(x, *positive), multiply_by_quantized_multiplier(x, *negative)
        )
        return saturate_int8(scaled + output.zero_point)


@dataclass(frozen=True, kw_only=True)
class _RealUnary(Unary):
    """int8: the function in float64, rounded to the nearest step of the output, ties away from zero."""

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        return quantization.output.quantize(self._real(x * np.float64(quantization.inputs[0].scale)))

    @abstractmethod
    def _real(self, x: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class Factor(_RealUnary):
    """factor * x, the factor fixed by the architecture."""

    factor: float

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x

    def _real(self, x: np.ndarray) -> np.ndarray:
        return self.factor * x


@dataclass(frozen=True, kw_only=True)
class HardSigmoid(_RealUnary):
    """min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, MobileNetV3, section 5.2)."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return (x + 3.0).clamp(0.0, 6.0) / 6.0

    def _real(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x + 3.0, 0.0, 6.0) / 6.0


@dataclass(frozen=True, kw_only=True)
class HardSwish(Unary):
    """x * min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, MobileNetV3, section 5.2).

    int8: equal to TFLM's HARD_SWISH, whose products are int16; the output's scale must be at least 1/128 of the
    input's.
    """

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x * (x + 3.0).clamp(0.0, 6.0) / 6.0

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        fine_scale = quantization.inputs[0].scale / np.float32(128)
        to_output, exponent = _multiplier16(fine_scale / quantization.output.scale)
        to_gate, gate_exponent = _multiplier16(fine_scale / (np.float32(3) / np.float32(2**15)))
        if exponent > 0:
            raise ValueError(
                f"the output scale {quantization.output.scale:g} is too small for input scale "
                f"{quantization.inputs[0].scale:g}; at least 1/128 of it is needed"
            )
        fine = x * 128
        output = _rounding_doubling_high_mul16(fine, to_output)
        # x / 3 in Q0.15, saturated: where the last shift saturates, the product would too.
        gate = _saturating_shift_left16(fine, max(gate_exponent - 1, 0))
        gate = _saturating_shift_left16(_rounding_doubling_high_mul16(gate, to_gate), int(gate_exponent > 0))
        gate = fixedpoint.rounding_divide_by_pot(gate, max(-gate_exponent, 0))
        product = output * ((gate + 2**15) >> 1)
        halves = np.sign(product) * (np.abs(product) >> 15)
        return saturate_int8(fixedpoint.rounding_divide_by_pot(halves, -exponent) + quantization.output.zero_point)


def _multiplier16(real: np.float32) -> tuple[int, int]:
    """quantize_multiplier with 15 bits."""
    multiplier, shift = quantize_multiplier(float(real))
    return min((multiplier + 2**15) >> 16, 2**15 - 1), shift


def _rounding_doubling_high_mul16(a: np.ndarray, b: int) -> np.ndarray:
    """round(a * b / 2**15), ties upwards, for int16 numbers of which b is not the least."""
    return (a * b + 2**14) >> 15


def _saturating_shift_left16(x: np.ndarray, exponent: int) -> np.ndarray:
    return np.clip(x << exponent, -(2**15), 2**15 - 1)


@dataclass(frozen=True, kw_only=True)
class Swish(_RealUnary):
    """x / (1 + exp(-x)), also called SiLU (Ramachandran et al. 2017; Elfwing et al. 2018)."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x * x.sigmoid()

    def _real(self, x: np.ndarray) -> np.ndarray:
        return x * 0.5 * (1.0 + np.tanh(0.5 * x))  # the same, and no exponential overflows


@dataclass(frozen=True, kw_only=True)
class Elu(Unary):
    """x where it is positive, else alpha * (exp(x) - 1) (Clevert et al. 2016).

    int8: in float32, rounded to the nearest step of the output; with alpha 1 equal to TFLM's ELU.
    """

    alpha: float = 1.0

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp_min(0.0) + self.alpha * x.clamp_max(0.0).expm1()

    def _integer(self, x: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        real = quantization.inputs[0].scale * x.astype(np.float32)
        exponential = np.exp(np.minimum(real, 0).astype(np.float64)).astype(np.float32)
        real = np.where(real < 0, np.float32(self.alpha) * (exponential - np.float32(1)), real)
        # Rounded as float64: the float32 below 0.5 and 0.5 add up to 1.
        scaled = (real * (np.float32(1) / quantization.output.scale)).astype(np.float64)
        rounded = np.trunc(scaled + np.copysign(0.5, scaled))
        return np.clip(rounded + quantization.output.zero_point, -128, 127).astype(np.int8)


@dataclass(frozen=True, kw_only=True)
class Gelu(_RealUnary):
    """x times the normal distribution's probability of less than x (Hendrycks and Gimpel 2016); exact, by erf."""

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        return F.gelu(x)

    def _real(self, x: np.ndarray) -> np.ndarray:
        return 0.5 * x * (1.0 + np.vectorize(erf)(x * 0.5**0.5))


@dataclass(frozen=True, kw_only=True)
class PRelu(Operator):
    """x where it is positive, else x times a trained slope for each channel (He et al. 2015).

    int8: the slopes share one scale and zero point; equal to TFLM's PRELU.
    """

    in_place = (0,)
    writes_parts = True

    def shape(self, x: Shape) -> Shape:
        return x

    def params(self, x: Shape) -> dict[str, Param]:
        return {"slope": Param((x[-1],))}

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            slope = module.slope.reshape(-1, 1, 1) if x.ndim == 4 else module.slope
            return x.clamp_min(0.0) + x.clamp_max(0.0) * slope

        return make_module(self.params(x), forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        positive, negative = self._multipliers(quantization)
        centred = x.astype(np.int64) - quantization.inputs[0].zero_point
        slope = weights["slope"].astype(np.int64) - quantization.weights["slope"].zero_point
        scaled = np.where(
            centred >= 0,
            multiply_by_quantized_multiplier(centred, *positive),
            multiply_by_quantized_multiplier(centred * slope, *negative),
        )
        return saturate_int8(scaled + quantization.output.zero_point)

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        (positive, positive_shift), (negative, negative_shift) = self._multipliers(quantization)
        parameters = {
            **run(x),
            "input_zero_point": quantization.inputs[0].zero_point,
            "slope_zero_point": quantization.weights["slope"].zero_point,
            "output_zero_point": quantization.output.zero_point,
            "positive_multiplier": positive,
            "positive_shift": positive_shift,
            "negative_multiplier": negative,
            "negative_shift": negative_shift,
        }
        return (Call("mj_prelu", "activation.h", parameters, data={"slope": weights["slope"]}),)

    def _multipliers(self, quantization: OperatorQuantization) -> tuple[tuple[int, int], tuple[int, int]]:
        """(multiplier, shift) of positive numbers, and of products of negative ones with their slopes."""
        scale, slope = float(quantization.inputs[0].scale), float(quantization.weights["slope"].scale)
        output = float(quantization.output.scale)
        return quantize_multiplier(scale / output), quantize_multiplier(scale * slope / output)


@dataclass(frozen=True, kw_only=True)
class Softmax(Operator):
    """exp(x) over the sum of exp(x) along the last axis.

    int8: output scale 1/256, zero point -128; equal to TFLM's SOFTMAX; at most 4095 classes, the most whose sum of
    exponentials always fits 12 integer bits.
    """

    in_place = (0,)

    def shape(self, x: Shape) -> Shape:
        return x

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=3 * prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return x.softmax(dim=channel_axis(x))

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        self._check_classes(x.shape[-1])
        below = x.max(axis=-1, keepdims=True).astype(np.int64) - x
        exponentials = self._table(quantization)[below].astype(np.int64)
        total = fixedpoint.rounding_divide_by_pot(exponentials, 12).sum(axis=-1, keepdims=True)
        reciprocal, bits_over_unit = fixedpoint.reciprocal(total, 12)
        products = fixedpoint.saturating_rounding_doubling_high_mul(reciprocal, exponentials)
        return saturate_int8(fixedpoint.rounding_divide_by_pot(products, bits_over_unit + 23) - 128)

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        self._check_classes(x[-1])
        parameters = {"rows": prod(x[:-1]), "classes": x[-1]}
        return (Call("mj_softmax", "activation.h", parameters, data={"exponentials": self._table(quantization)}),)

    def _check_classes(self, classes: int) -> None:
        if classes > LARGEST_SOFTMAX:
            raise ValueError(f"the input has {classes} classes; int8 softmax sums at most {LARGEST_SOFTMAX}")

    def _table(self, quantization: OperatorQuantization) -> np.ndarray:
        """int32 (256,): exp(-d * scale) in Q0.31 for d = 0 … 255; 0 where TFLM leaves it out."""
        scaled = min(float(quantization.inputs[0].scale) * (1 << 26), 2.0**31 - 1.0)
        multiplier, shift = quantize_multiplier(scaled)
        least = -floor(31.0 * (1 << 26) / 2.0**shift)
        difference = -np.arange(256, dtype=np.int64)
        kept = np.maximum(difference, least)
        raw = multiply_by_quantized_multiplier(kept, multiplier, shift)
        return np.where(difference >= least, fixedpoint.exp_on_negative_values(raw, 5), 0).astype(np.int32)
