"""What training makes small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph, Node
from millijoule.ops.activation import Sigmoid, Softmax, Tanh
from millijoule.ops.dense import RadialBasis
from millijoule.train.network import import_torch

if TYPE_CHECKING:
    from torch import Tensor

    from millijoule.train.loop.settings import Settings

    LossFunction = Callable[[Tensor, Tensor], Tensor]

LossName = Literal["cross_entropy", "squared_error"]
LECUN_AMPLITUDE = 1.7159


@dataclass(frozen=True)
class Loss:
    """What training makes small.

    value: the value of the graph that the loss reads. of(outputs, labels) is the mean over a batch; plain is the same
    without label smoothing and class weights, by which epochs are compared.
    """

    value: str
    of: LossFunction
    plain: LossFunction


def make_loss(graph: Graph, settings: Settings, labels: np.ndarray) -> Loss:
    """The loss of a classifier; `settings` name it and say how labels are smoothed and classes weighed.

    labels: (n,), those of the training images.
    cross_entropy: of the softmax over the values in front of the final softmax or sigmoid, or over the outputs.
    squared_error: half the sum over the classes of (output - target)², target 1 for the right class and 0 for others;
        for a final tanh of amplitude A, ±A / 1.7159, which is ±1 for LeCun's, where its curvature is greatest.

    For distances to codes (radial basis output): cross_entropy is of the softmax over the negative distances, eq. 9 of
    LeCun et al. 1998 with j infinite; squared_error is the distance to the right class's code, eq. 8.
    Raises ModelError if the graph has not one input and one flat output.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.shapes[graph.outputs[0]]) != 1:
        raise ModelError(
            f"network '{graph.name}' has {len(graph.inputs)} inputs and outputs of shapes "
            f"{', '.join(str(graph.shapes[output]) for output in graph.outputs)}; "
            "a classifier has one input and one flat output"
        )
    node = graph.by_name[graph.outputs[0]]
    distances = isinstance(node.op, RadialBasis)
    if settings.loss == "squared_error":
        squared_error = _distance if distances else _squared_error(node)
        return Loss(node.name, squared_error, squared_error)
    value = logits_value(graph)
    classes = graph.shapes[graph.outputs[0]][0]
    weights = balanced(labels, classes) if settings.class_weights == "balanced" else None
    return Loss(
        value, _cross_entropy(distances, settings.label_smoothing, weights), _cross_entropy(distances, 0.0, None)
    )


def logits_value(graph: Graph) -> str:
    """The value in front of the final softmax or sigmoid, or the output."""
    node = graph.by_name[graph.outputs[0]]
    return node.inputs[0] if isinstance(node.op, Softmax | Sigmoid) else node.name


def balanced(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32 (classes,): n / (classes · n of the class), so that every class weighs alike."""
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)


def mixed(of: LossFunction, others: Tensor, share: float) -> LossFunction:
    """The loss of images that are `share` their own and else images with the labels `others`."""
    return lambda outputs, labels: share * of(outputs, labels) + (1 - share) * of(outputs, others)


def _cross_entropy(distances: bool, smoothing: float, weights: np.ndarray | None) -> LossFunction:
    torch = import_torch()
    weight = None if weights is None else torch.from_numpy(weights)

    def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
        error: Tensor = torch.nn.functional.cross_entropy(
            -outputs if distances else outputs,
            labels,
            weight=None if weight is None else weight.to(outputs.device),
            label_smoothing=smoothing,
        )
        return error

    return cross_entropy


def _distance(distances: Tensor, labels: Tensor) -> Tensor:
    return distances.gather(1, labels[:, None]).mean()


def _squared_error(node: Node) -> LossFunction:
    torch = import_torch()
    low, high = 0.0, 1.0
    if isinstance(node.op, Tanh):
        high = node.op.amplitude / LECUN_AMPLITUDE
        low = -high

    def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
        targets = torch.full_like(outputs, low).scatter_(1, labels[:, None], high)
        error: Tensor = 0.5 * (outputs - targets).square().sum(dim=1).mean()
        return error

    return squared_error
