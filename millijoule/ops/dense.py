"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    activation_range,
    channels_last,
    check_choice,
    check_positive,
    fold_input_zero_point,
    make_module,
    torch_activation,
    weight_multipliers,
)
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Dense(Operator):
    """Every input number times a weight for each of `features` outputs, plus a bias.

    Input of any shape, read flat in the order height, width, channels; output (features,).
    int8: weights symmetric per tensor or per output; equal to TFLM's FULLY_CONNECTED, which rounds twice (LiteRT
    2.3.0's reference kernel rounds once).
    """

    features: int
    bias: bool = True
    activation: Activation = "none"

    def __post_init__(self) -> None:
        check_positive(features=self.features)
        check_choice("activation", self.activation, Activation)

    def shape(self, x: Shape) -> Shape:
        return (self.features,)

    def params(self, x: Shape) -> dict[str, Param]:
        params = {"weight": Param((self.features, prod(x)))}
        if self.bias:
            params["bias"] = Param((self.features,), "bias")
        return params

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(
            macs=prod(x) * self.features,
            additions=self.features if self.bias else 0,
            operations=self.features if self.activation != "none" else 0,
        )

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            flat = channels_last(x).flatten(1)
            return torch_activation(self.activation, F.linear(flat, module.weight, module.bias))

        return make_module(self.params(x), forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        weight = weights["weight"].astype(np.int64) - quantization.weights["weight"].zero_point
        sums = self.accumulate(x, weight, quantization.inputs[0].zero_point)
        return self.requantize(sums + (weights["bias"] if self.bias else 0), quantization)

    def accumulate(self, x: np.ndarray, weight: np.ndarray, zero_point: int) -> np.ndarray:
        """int64 sums of x (batch, …) less its zero point times `weight` less its own, without bias."""
        flat = x.reshape(len(x), -1).astype(np.float64) - zero_point
        return (flat @ weight.astype(np.float64).T).astype(np.int64)  # exact: below 2**53

    def requantize(self, sums: np.ndarray, quantization: OperatorQuantization) -> np.ndarray:
        """int8 of the sums with bias (…, features), as an int32 accumulator keeps them."""
        multiplier, shift = self.multipliers(quantization)
        scaled = multiply_by_quantized_multiplier(wrap32(sums), multiplier, shift)
        low, high = activation_range(self.activation, quantization.output)
        return saturate_int8(scaled + quantization.output.zero_point, low, high)

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        special = {"dsp": dsp.dense, "armv6m": armv6m.dense, "mve": mve.dense, "host": host.dense}.get(
            target.instructions
        )
        calls = special(self, x, weights, quantization, target) if special else None
        if calls is not None:
            return calls
        multiplier, shift = self.multipliers(quantization)
        bias = weights["bias"] if self.bias else np.zeros(self.features, np.int32)
        input_zero_point = quantization.inputs[0].zero_point
        weight_zero_point = quantization.weights["weight"].zero_point
        folded = fold_input_zero_point(bias, weights["weight"], input_zero_point, weight_zero_point)
        if folded is not None:
            bias, input_zero_point = folded, 0
        low, high = activation_range(self.activation, quantization.output)
        parameters = {
            "inputs": prod(x),
            "outputs": self.features,
            "input_zero_point": input_zero_point,
            "weight_zero_point": weight_zero_point,
            "output_zero_point": quantization.output.zero_point,
            "output_low": low,
            "output_high": high,
        }
        data = {
            "weight": weights["weight"],
            "bias": bias.astype(np.int32),
            "multiplier": multiplier,
            "shift": shift.astype(np.int8),
        }
        return (Call("mj_dense", "dense.h", parameters, data=data),)

    def call_summed(
        self, x: Shape, rows: int, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
    ) -> Call:
        """The call for an input that comes in `rows` parts, one after the other; int32 sums are kept."""
        (call,) = self.call(x, weights, quantization)
        parameters = {**call.parameters, "rows": rows, "inputs": prod(x) // rows}
        return replace(call, function="mj_dense_sums", header="sums.h", parameters=parameters)

    def multipliers(self, quantization: OperatorQuantization) -> tuple[np.ndarray, np.ndarray]:
        """(multiplier int32, shift int32) for each output."""
        return weight_multipliers(quantization, self.features)


@dataclass(frozen=True, kw_only=True)
class RadialBasis(Operator):
    """Squared Euclidean distance of the input to one fixed code for each class (LeCun et al. 1998, equation 7).

    Input (features,), output (classes,): the smallest is the class. Float only; passes.densify rewrites it.
    """

    classes: int

    def __post_init__(self) -> None:
        check_positive(classes=self.classes)

    def shape(self, x: Shape) -> Shape:
        if len(x) != 1:
            raise ValueError(f"the input has shape {x}; (features,) is needed: put Flatten before it")
        return (self.classes,)

    def params(self, x: Shape) -> dict[str, Param]:
        return {"weight": Param((self.classes, x[0]), "constant")}

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(macs=x[0] * self.classes, operations=x[0] * self.classes)

    def module(self, x: Shape) -> torch.nn.Module:
        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            return (x[:, None, :] - module.weight).square().sum(dim=2)

        return make_module(self.params(x), forward)
