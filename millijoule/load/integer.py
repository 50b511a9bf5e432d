"""What int8 models have in common, whatever file they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from millijoule.graph import Graph
from millijoule.model import Model, Quantization


def image_preprocess(graph: Graph, quantization: Quantization) -> dict[str, list[float]]:
    """What makes an image's int8 input pixel - 128, as all int8 image models take it: mean and std of pixels in 0…1."""
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 3 or graph.inputs[0].shape[2] not in (1, 3):
        return {}
    channels = graph.inputs[0].shape[2]
    mean = (quantization.zero_point + 128) / 255
    return {"mean": [mean] * channels, "std": [1 / (255 * float(quantization.scale))] * channels}


def check_kernels(model: Model, fail: Callable[[str], NoReturn]) -> None:
    """Refuse scales that a node's integer arithmetic does not allow."""
    for node in model.graph.nodes:
        try:
            node.op.call(
                *model.graph.input_shapes(node),
                weights=model.node_weights(node),
                quantization=model.node_quantization(node),
            )
        except ValueError as error:
            fail(f"node '{node.name}' ({type(node.op).__name__}): {error}")
