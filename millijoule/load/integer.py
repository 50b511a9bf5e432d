"""What int8 models have in common, whatever file they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from millijoule.model import Model
from millijoule.ops import Opaque


def check_kernels(model: Model, fail: Callable[[str], NoReturn]) -> None:
    """Refuse scales that a node's integer arithmetic does not allow. What is not known has none."""
    for node in model.graph.nodes:
        if isinstance(node.op, Opaque):
            continue
        try:
            node.op.call(
                *model.graph.input_shapes(node),
                weights=model.node_weights(node),
                quantization=model.node_quantization(node),
            )
        except ValueError as error:
            fail(f"node '{node.name}' ({type(node.op).__name__}): {error}")
