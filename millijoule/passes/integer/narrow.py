"""An int8 model without the channels that are not needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from millijoule import ops
from millijoule.graph import Node, Operator
from millijoule.model import Model, Quantization
from millijoule.passes.integer.bounds import Bounds
from millijoule.passes.integer.channels import Masks, sources
from millijoule.passes.integer.identities import with_graph


def narrow(model: Model, bound: dict[str, Bounds], same: dict[str, np.ndarray], needed: Masks) -> Model:
    """The model that computes the needed channels only."""
    weights = dict(model.weights)
    quantization = dict(model.quantization or {})
    nodes = []
    for node in model.graph.nodes:
        output = needed[node.name]
        if isinstance(node.op, ops.Conv2d | ops.Dense):
            op, arrays = _narrow_sums(model, node, node.op, bound, same, needed[node.inputs[0]], output)
            weights |= {f"{node.name}.{name}": array for name, array in arrays.items()}
            for name in arrays:
                key = f"{node.name}.{name}"
                if key in quantization and quantization[key].scales.size > 1:
                    old = quantization[key]
                    quantization[key] = Quantization(old.scales[output], old.zero_point)
            nodes.append(replace(node, op=op))
        elif isinstance(node.op, ops.Reshape):
            nodes.append(replace(node, op=ops.Reshape(target=(*node.op.target[:-1], int(output.sum())))))
        else:
            nodes.append(node)
    return with_graph(model, replace(model.graph, nodes=tuple(nodes)), weights, quantization)


def _narrow_sums(
    model: Model,
    node: Node,
    op: ops.Conv2d | ops.Dense,
    bound: dict[str, Bounds],
    same: dict[str, np.ndarray],
    input: np.ndarray,
    output: np.ndarray,
) -> tuple[Operator, dict[str, np.ndarray]]:
    arrays = model.node_weights(node)
    count = int(output.sum())
    if isinstance(op, ops.Conv2d) and op.groups > 1:
        groups = count if not output.all() else op.groups
        return replace(op, channels=count, groups=groups), {name: array[output] for name, array in arrays.items()}
    source = node.inputs[0]
    found = sources(model, node, bound[source], same[source], output)
    offset = model.node_quantization(node).weights["weight"].zero_point
    kept = np.tile(input, found.weight.shape[-1] // len(input))
    arrays = {"weight": (found.weight[output][..., kept] + offset).astype(np.int8)}
    bias = found.bias[output]
    if op.bias or bias.any():
        arrays["bias"] = bias.astype(np.int32)
    changed: dict[str, Any] = {"channels": count} if isinstance(op, ops.Conv2d) else {"features": count}
    return replace(op, **changed, bias="bias" in arrays), arrays
