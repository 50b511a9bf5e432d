"""Normalisation and regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from millijoule.graph import Operator, OperatorCost, Param, Shape
from millijoule.ops.base import channels_first, channels_last, check_positive, check_rank, make_module

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Operator):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias for each channel (Ioffe and Szegedy 2015).

    In training, mean and variance are those of the batch, and running averages of them are kept with `momentum` of
    the new ones; else the averages are used. Float only; passes.fold_batch_norm folds it into the layer before.
    """

    epsilon: float = 1e-3
    momentum: float = 0.1

    def shape(self, x: Shape) -> Shape:
        if len(x) not in (1, 3):
            raise ValueError(f"the input has shape {x}; (height, width, channels) or (features,) is needed")
        return x

    def params(self, x: Shape) -> dict[str, Param]:
        channels = (x[-1],)
        return {
            "scale": Param(channels, "weight"),
            "bias": Param(channels, "bias"),
            "mean": Param(channels, "statistic"),
            "variance": Param(channels, "statistic"),
        }

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=2 * prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            return F.batch_norm(
                x,
                module.mean,
                module.variance,
                module.scale,
                module.bias,
                training=module.training,
                momentum=self.momentum,
                eps=self.epsilon,
            )

        return make_module(self.params(x), forward)


@dataclass(frozen=True, kw_only=True)
class Scale(Operator):
    """x * weight + bias for each channel. Float only; passes.fold_batch_norm folds it into the layer before.

    constant: the numbers are fixed by the architecture, not trained.
    """

    bias: bool = True
    constant: bool = False

    def shape(self, x: Shape) -> Shape:
        return x

    def params(self, x: Shape) -> dict[str, Param]:
        params = {"weight": Param((x[-1],), "constant" if self.constant else "weight")}
        return params | {"bias": Param((x[-1],), "constant" if self.constant else "bias")} if self.bias else params

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=(2 if self.bias else 1) * prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            per_channel = (-1, 1, 1) if x.ndim == 4 else (-1,)
            y = x * module.weight.reshape(per_channel)
            return y if module.bias is None else y + module.bias.reshape(per_channel)

        return make_module(self.params(x), forward)


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Operator):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis at each position (Ba et al. 2016).

    Mean and variance are those of the position's numbers, in training and after. Float only.
    """

    epsilon: float = 1e-5

    def shape(self, x: Shape) -> Shape:
        return x

    def params(self, x: Shape) -> dict[str, Param]:
        return {"scale": Param((x[-1],)), "bias": Param((x[-1],), "bias")}

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=5 * prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            last = channels_last(x)
            y = F.layer_norm(last, last.shape[-1:], module.scale, module.bias, self.epsilon)
            return channels_first(y)

        return make_module(self.params(x), forward)


@dataclass(frozen=True, kw_only=True)
class LocalResponseNorm(Operator):
    """x / (k + alpha * sum of squares over `size` neighbouring channels) ** beta (Krizhevsky et al. 2012, 3.3).

    alpha multiplies the sum itself, as in the paper (torch and Caffe divide it by size). Float only.
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def __post_init__(self) -> None:
        check_positive(size=self.size)

    def shape(self, x: Shape) -> Shape:
        check_rank(x, 3, "a map (height, width, channels)")
        return x

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost(operations=(self.size + 3) * prod(x))

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return F.local_response_norm(x, self.size, self.alpha * self.size, self.beta, self.k)

        return make_module({}, forward)


@dataclass(frozen=True, kw_only=True)
class Dropout(Operator):
    """In training, each number is 0 with probability `rate`, else divided by 1 - rate; else nothing happens.

    Hinton et al. 2012. passes.remove_identities removes it before quantization.
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate is {self.rate}; it must be at least 0 and less than 1")

    def shape(self, x: Shape) -> Shape:
        return x

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost()

    def module(self, x: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return F.dropout(x, self.rate, module.training)

        return make_module({}, forward)
