"""Which scale and zero point each value gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from millijoule.graph import Graph, Node
from millijoule.model import Model, Quantization
from millijoule.ops.activation import Requantize
from millijoule.ops.quantization import SAME_SCALE, prescribed_output
from millijoule.ops.shape import Concat
from millijoule.quantize.ranges import Range


def quantization_of_range(low: float, high: float, smallest_scale: float) -> Quantization:
    """The asymmetric int8 quantization of low…high, widened to contain 0, which is represented exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return Quantization.of(1.0, -128)  # always 0: any scale will do, and this one makes no large multiplier
    scale = np.float32(max((high - low) / 255, smallest_scale))
    zero_point = int(np.clip(np.round(-128 - low / float(scale)), -128, 127))
    return Quantization.of(float(scale), zero_point)


def fixed_input(preprocess: Mapping[str, Any]) -> Quantization | None:
    """The input quantization under which int8 = pixel - 128, if all channels share mean and standard deviation."""
    means = np.unique(np.asarray(preprocess.get("mean", 0.0), np.float64))
    stds = np.unique(np.asarray(preprocess.get("std", 1.0), np.float64))
    zero_point = round(float(means[0]) * 255) - 128
    if len(means) != 1 or len(stds) != 1 or not -128 <= zero_point <= 127:
        return None
    return Quantization.of(1 / (255 * float(stds[0])), zero_point)


def separate_shared_scales(model: Model) -> Model:
    """Give concatenations inputs whose scale is theirs to choose.

    All inputs of a concatenation share its output's scale. Where an input's scale is prescribed, or serves another
    reader too, a Requantize goes between.
    """
    graph = model.graph
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        if isinstance(node.op, Concat):
            for index, name in enumerate(node.inputs):
                if not _scale_is_free(graph, name):
                    inputs[index] = f"{node.name}.requantize{index}"
                    nodes.append(Node(inputs[index], Requantize(), (name,)))
        nodes.append(Node(node.name, node.op, tuple(inputs)))
    return replace(model, graph=replace(graph, nodes=tuple(nodes)))


def _scale_is_free(graph: Graph, value: str) -> bool:
    """Whether nothing but one reader cares about the scale of `value`."""
    readers = sum(node.inputs.count(value) for node in graph.nodes)
    node = graph.by_name.get(value)
    if node is None or readers > 1 or prescribed_output(node.op):
        return False
    return not isinstance(node.op, SAME_SCALE) or all(_scale_is_free(graph, name) for name in node.inputs)


def value_quantization(
    graph: Graph, ranges: Mapping[str, Range], given: Quantization | None, smallest_scale: float
) -> dict[str, Quantization]:
    """The quantization of every value. given: that of the input, if not its range decides.

    Values that share a scale form a group; a prescribed member decides for the group, else the union of the ranges.
    """
    leader = {name: name for name in graph.shapes}
    for node in graph.nodes:
        if isinstance(node.op, SAME_SCALE):
            # Leaders are chosen upstream, so that following the chain ends at the first value of the group.
            first = leader[node.inputs[0]]
            merged = {leader[name] for name in node.inputs}
            leader = {name: first if old in merged else old for name, old in leader.items()}
            leader[node.name] = first

    fixed = {input.name: given for input in graph.inputs} if given else {}
    for node in graph.nodes:
        if quantization := prescribed_output(node.op):
            fixed[node.name] = quantization

    result = {}
    for name in graph.shapes:
        group = [member for member in leader if leader[member] == leader[name]]
        prescribed = [fixed[member] for member in group if member in fixed]
        result[name] = (
            prescribed[0]
            if prescribed
            else quantization_of_range(
                min(ranges[member][0] for member in group), max(ranges[member][1] for member in group), smallest_scale
            )
        )
    return result
