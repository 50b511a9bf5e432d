"""The working memory that operators' kernels ask for."""

from __future__ import annotations

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.ops.opaque import check_known
from millijoule.target import SCALAR, Target


def scratch_bytes(model: Model | Graph, target: Target = SCALAR) -> dict[str, int]:
    """Node → bytes of working memory while it runs on `target`, for the nodes that need any.

    Only an int8 model has kernels: a graph and a float model need none. A node's calls run one after the other and
    share the memory. Raises ModelError if a node has no int8 kernel.
    """
    if isinstance(model, Graph) or not model.is_int8:
        return {}
    check_known(model.graph)
    needed = {}
    for node in model.graph.nodes:
        if node.op.alias:
            continue
        try:
            calls = node.op.call(
                *model.graph.input_shapes(node),
                weights=model.node_weights(node),
                quantization=model.node_quantization(node),
                target=target,
            )
        except (ValueError, ModelError) as error:
            raise ModelError(f"node '{node.name}' ({type(node.op).__name__}): {error}") from None
        size = max((call.scratch_bytes for call in calls), default=0)
        if size:
            needed[node.name] = size
    return needed
