"""Numbers that do not depend on the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millijoule.graph import Operator, OperatorCost, Param, Shape
from millijoule.ops.base import channels_first, check_positive, make_module

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Constant(Operator):
    """The same numbers, of shape `output`, for every input: class tokens, position embeddings. Float only.

    learned: the numbers themselves are trained. sources: names and shapes of trained arrays that they were computed
    from when the network was loaded, as Swin's position bias is from its table: counted as parameters, never read.
    The input is read for nothing but the size of the batch.
    """

    output: Shape
    learned: bool = False
    sources: tuple[tuple[str, Shape], ...] = ()

    def __post_init__(self) -> None:
        check_positive(output=self.output)

    def shape(self, x: Shape) -> Shape:
        return self.output

    def params(self, x: Shape) -> dict[str, Param]:
        params = {"value": Param(self.output, "weight" if self.learned else "constant")}
        return params | {name: Param(shape) for name, shape in self.sources}

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost()

    def module(self, x: Shape) -> torch.nn.Module:
        def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
            value: torch.Tensor = module.value
            return channels_first(value.expand(len(x), *self.output))

        return make_module(self.params(x), forward)
