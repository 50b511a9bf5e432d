"""What a foreign model holds and this package does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millijoule.errors import ModelError
from millijoule.graph import Operator, OperatorCost, Param, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Opaque(Operator):
    """An operator of another tool that is not known here: it has a place, a shape and numbers, but no semantics.

    operator: its name there. output: the shape that the other tool states. arrays: names and shapes of its numbers.
    Its cost is not counted, and it can be neither run nor deployed.
    """

    operator: str
    output: Shape
    arrays: tuple[tuple[str, Shape], ...] = ()

    def shape(self, *x: Shape) -> Shape:
        return self.output

    def params(self, *x: Shape) -> dict[str, Param]:
        return {name: Param(shape) for name, shape in self.arrays}

    def cost(self, *x: Shape) -> OperatorCost:
        return OperatorCost(counted=False)

    def module(self, *x: Shape) -> torch.nn.Module:
        raise ModelError(f"operator {self.operator} is not known: the network can be costed but not run")
