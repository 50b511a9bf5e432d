"""Products of two computed values: what attention is made of. Float only."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from millijoule.graph import Operator, OperatorCost, Shape
from millijoule.ops.base import channels_first, channels_last, check_positive, make_module

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class MatMul(Operator):
    """The matrix product of two values, (…, n, k) and (…, k, m), or (…, m, k) with `transpose_b`, for each of …."""

    transpose_b: bool = False

    def shape(self, a: Shape, b: Shape) -> Shape:
        if len(a) < 2 or len(b) < 2 or a[:-2] != b[:-2]:
            raise ValueError(f"the inputs have shapes {a} and {b}; matrices with equal axes before them are needed")
        inner, columns = (b[-1], b[-2]) if self.transpose_b else (b[-2], b[-1])
        if a[-1] != inner:
            raise ValueError(f"the inputs have shapes {a} and {b}: {a[-1]} columns cannot meet {inner} rows")
        return (*a[:-1], columns)

    def cost(self, a: Shape, b: Shape) -> OperatorCost:
        return OperatorCost(macs=prod(self.shape(a, b)) * a[-1])

    def module(self, a: Shape, b: Shape) -> torch.nn.Module:
        def forward(module: torch.nn.Module, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            a, b = channels_last(a), channels_last(b)
            return channels_first(a @ (b.transpose(-1, -2) if self.transpose_b else b))

        return make_module({}, forward)


@dataclass(frozen=True, kw_only=True)
class Attention(Operator):
    """softmax(Q K^T / sqrt(d)) V in `heads` heads (Vaswani et al. 2017, section 3.2).

    Inputs: query (…, n, features), key (…, m, features), value (…, m, value features), each head's features side by
    side; output (…, n, value features). The projections are layers of their own.
    """

    heads: int

    def __post_init__(self) -> None:
        check_positive(heads=self.heads)

    def shape(self, query: Shape, key: Shape, value: Shape) -> Shape:
        agree = len(query) >= 2 and query[:-2] == key[:-2] == value[:-2] and key[-2] == value[-2]
        if not agree or query[-1] != key[-1]:
            raise ValueError(f"query {query}, key {key} and value {value} do not go together")
        for features in (query[-1], value[-1]):
            if features % self.heads:
                raise ValueError(f"{features} features cannot be split into {self.heads} heads")
        return (*query[:-1], value[-1])

    def cost(self, query: Shape, key: Shape, value: Shape) -> OperatorCost:
        pairs = prod(query[:-1]) * key[-2]
        return OperatorCost(macs=pairs * (query[-1] + value[-1]), operations=4 * self.heads * pairs)

    def module(self, query: Shape, key: Shape, value: Shape) -> torch.nn.Module:
        import torch.nn.functional as F

        def split(x: torch.Tensor) -> torch.Tensor:
            x = channels_last(x)
            return x.reshape(*x.shape[:-1], self.heads, -1).transpose(-2, -3)

        def forward(
            module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
        ) -> torch.Tensor:
            y = F.scaled_dot_product_attention(split(query), split(key), split(value))
            return channels_first(y.transpose(-2, -3).flatten(-2))

        return make_module({}, forward)
