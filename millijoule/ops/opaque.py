"""What a foreign model holds and this package does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph, Operator, OperatorCost, Param, Shape
from millijoule.model import OperatorQuantization

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Opaque(Operator):
    """An operator of another tool that is not known here: it has a place, a shape and numbers, but no semantics.

    operator: its name there. output: the shape that the other tool states. arrays: names and shapes of its numbers.
    reason: what of it is not supported, if the operator is known in other forms.
    Its cost is not counted, and it can be neither run nor deployed.
    """

    operator: str
    output: Shape
    arrays: tuple[tuple[str, Shape], ...] = ()
    reason: str = ""

    def shape(self, *x: Shape) -> Shape:
        return self.output

    def params(self, *x: Shape) -> dict[str, Param]:
        return {name: Param(shape) for name, shape in self.arrays}

    def cost(self, *x: Shape) -> OperatorCost:
        return OperatorCost(counted=False)

    def module(self, *x: Shape) -> torch.nn.Module:
        self._fail()

    def int8(self, *x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        self._fail()

    def _fail(self) -> NoReturn:
        raise ModelError(f"operator {self.operator} is not known: the network can be costed but not run")


def check_known(graph: Graph) -> None:
    """ModelError, with layer, operator and reason, if there are operators that are not known."""
    unknown = [(node.name, node.op) for node in graph.nodes if isinstance(node.op, Opaque)]
    if unknown:
        named = [f"'{name}' ({op.operator}{op.reason and f': {op.reason}'})" for name, op in unknown[:3]]
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise ModelError(
            f"network '{graph.name}' has layers that are not supported: {', '.join(named)}{more}; it can be costed but "
            "not run"
        )
