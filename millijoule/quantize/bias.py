"""Bias correction: the mean error that quantization leaves in a channel goes into its bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.graph import Node
from millijoule.model import Model
from millijoule.ops import Dense
from millijoule.ops.base import channels_first, channels_last
from millijoule.ops.conv import Convolution
from millijoule.train.network import activations, import_torch

if TYPE_CHECKING:
    from torch.nn import Module

LARGEST_BIAS = 2**31 - 1


def corrected_biases(model: Model, int8: Model, inputs: np.ndarray) -> Model:
    """`int8` with biases under which every channel's mean sum, before the activation, is that of the float `model`.

    model: float, of the same graph; inputs: float32 (n, *input shape), prepared. Layer by layer in their order, so
    that each is corrected for what the layers before it leave. Layers without a bias stay as they are.

    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2
    and appendix D, "empirical bias correction".
    """
    assert int8.quantization is not None
    graph, weights = model.graph, dict(int8.weights)
    wanted = _mean_sums(model, inputs)
    values = {entry.name: int8.quantization[entry.name].quantize(inputs) for entry in graph.inputs}
    for node in graph.nodes:
        key = f"{node.name}.bias"
        if node.name in wanted and key in weights:
            op: Any = node.op
            known = int8.node_quantization(node)
            (x,) = (values[name] for name in node.inputs)
            weight = weights[f"{node.name}.weight"].astype(np.int64) - known.weights["weight"].zero_point
            sums = op.accumulate(x, weight, known.inputs[0].zero_point)
            steps = np.float64(known.inputs[0].scale) * known.weights["weight"].scales.astype(np.float64)
            missing = wanted[node.name] / steps - (sums.reshape(-1, sums.shape[-1]).mean(axis=0) + weights[key])
            corrected = np.clip(np.round(weights[key] + missing), -LARGEST_BIAS, LARGEST_BIAS)
            weights[key] = corrected.astype(np.int32)
        arrays = {name: weights[f"{node.name}.{name}"] for name in node.op.params(*graph.input_shapes(node))}
        inputs_of_node = (values[name] for name in node.inputs)
        values[node.name] = node.op.int8(*inputs_of_node, weights=arrays, quantization=int8.node_quantization(node))
    return replace(int8, weights=weights)


def _mean_sums(model: Model, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Of each convolution and dense layer of a float model: (channels,), means before the activation."""
    torch = import_torch()
    nodes = [node for node in model.graph.nodes if isinstance(node.op, Convolution | Dense)]
    layers = {node.name: _without_activation(model, node) for node in nodes}
    totals: dict[str, Any] = dict.fromkeys(layers, 0.0)
    for values in activations(model, inputs):
        for node in nodes:
            x = torch.from_numpy(np.ascontiguousarray(values[node.inputs[0]]))
            with torch.inference_mode():
                y = channels_last(layers[node.name](channels_first(x))).numpy()
            totals[node.name] += y.reshape(len(y), -1, y.shape[-1]).mean(axis=1, dtype=np.float64).sum(axis=0)
    return {name: total / len(inputs) for name, total in totals.items()}


def _without_activation(model: Model, node: Node) -> Callable[..., Any]:
    torch = import_torch()
    op: Any = node.op
    module: Module = replace(op, activation="none").module(*model.graph.input_shapes(node))
    with torch.no_grad():
        for name, array in model.node_weights(node).items():
            getattr(module, name).copy_(torch.from_numpy(np.array(array, np.float32)))
    return module
