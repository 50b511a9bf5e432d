"""What training makes small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.ops.activation import Sigmoid, Softmax, Tanh
from millijoule.ops.dense import RadialBasis
from millijoule.train.network import import_torch

if TYPE_CHECKING:
    from torch import Tensor

LossName = Literal["cross_entropy", "squared_error"]
LECUN_AMPLITUDE = 1.7159


@dataclass(frozen=True)
class Loss:
    """value: the value of the graph that the loss reads. of(outputs, labels) is the mean over a batch."""

    value: str
    of: Callable[[Tensor, Tensor], Tensor]


def make_loss(graph: Graph, name: LossName) -> Loss:
    """The loss of a classifier, by name.

    cross_entropy: of the softmax over the values in front of the final softmax or sigmoid, or over the outputs.
    squared_error: half the sum over the classes of (output - target)², target 1 for the right class and 0 for others;
        for a final tanh of amplitude A, ±A / 1.7159, which is ±1 for LeCun's, where its curvature is greatest.

    For distances to codes (radial basis output): cross_entropy is of the softmax over the negative distances, eq. 9 of
    LeCun et al. 1998 with j infinite; squared_error is the distance to the right class's code, eq. 8.
    Raises ModelError if the graph has not one input and one flat output.
    """
    torch = import_torch()
    functional = torch.nn.functional
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.shapes[graph.outputs[0]]) != 1:
        raise ModelError(
            f"network '{graph.name}' has {len(graph.inputs)} inputs and outputs of shapes "
            f"{', '.join(str(graph.shapes[output]) for output in graph.outputs)}; "
            "a classifier has one input and one flat output"
        )
    node = graph.by_name[graph.outputs[0]]

    if isinstance(node.op, RadialBasis):
        if name == "cross_entropy":
            return Loss(node.name, lambda distances, labels: functional.cross_entropy(-distances, labels))
        return Loss(node.name, lambda distances, labels: distances.gather(1, labels[:, None]).mean())

    if name == "cross_entropy":
        logits = node.inputs[0] if isinstance(node.op, Softmax | Sigmoid) else node.name
        return Loss(logits, functional.cross_entropy)

    low, high = 0.0, 1.0
    if isinstance(node.op, Tanh):
        high = node.op.amplitude / LECUN_AMPLITUDE
        low = -high

    def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
        targets = torch.full_like(outputs, low).scatter_(1, labels[:, None], high)
        error: Tensor = 0.5 * (outputs - targets).square().sum(dim=1).mean()
        return error

    return Loss(node.name, squared_error)
