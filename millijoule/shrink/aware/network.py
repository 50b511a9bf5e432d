"""A network that computes with the numbers of its int8 form, and can be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.graph import Graph, Node
from millijoule.model import Model, Quantization
from millijoule.ops import AveragePool2d
from millijoule.ops.base import channels_first, channels_last
from millijoule.quantize.calibrate import integer_model
from millijoule.quantize.ranges import Range
from millijoule.train.network import build_network, import_torch, read_weights, write_weights

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

RANGES = "ranges"
"""The name under which a training keeps the ranges of the values, beside the weights."""
SHARES = "shares"
"""Beside them, which share of the extremes each range is."""
MOMENTUM = 0.01
"""The share of a batch's extremes in the ranges."""
TIES = 1024
"""Means of integers are taken for the nearest fraction of it before they are rounded."""


def ranges_by_value(graph: Graph, ranges: np.ndarray) -> dict[str, Range]:
    """The rows of an array (values, 2) as (low, high) by name, in the order of the graph's shapes."""
    return {name: (float(low), float(high)) for name, (low, high) in zip(graph.shapes, ranges, strict=True)}


def aware_network(
    model: Model,
    ranges: Mapping[str, Range],
    given: Quantization | None,
    dense_per_channel: bool,
    extremes: Mapping[str, Range] | None = None,
) -> Module:
    """The network of a model that is ready for int8, for quantization-aware training; called as `build_network`'s is.

    ranges: of every value, where training begins. given, dense_per_channel: as in `integer_model`. extremes: the least
    and largest of every value where `ranges` are narrower; they stay the same share of the batches' extremes.

    In training, operators compute in float with weights, biases and values on the grids of the int8 form that the
    weights and ranges have at that step. What differs from the integer reference is that sums are rounded once instead
    of twice and in float32: an operator's output by one step at most, in few values; through the layers they add up. In
    evaluation, it is the integer reference.
    """
    torch = import_torch()
    graph = model.graph
    step = _rounding_step()

    class Network(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            plain = build_network(graph)
            write_weights(graph, plain, model.weights)
            self.nodes = plain.nodes
            self.register_buffer(RANGES, torch.tensor([ranges[name] for name in graph.shapes]))
            self.register_buffer(SHARES, _shares(self.ranges, extremes or ranges, graph))

        def integer(self) -> Model:
            """The int8 form with the weights and ranges as they are."""
            now = replace(model, weights=read_weights(graph, self))
            by_value = ranges_by_value(graph, self.ranges.cpu().numpy())
            return integer_model(now, by_value, given, dense_per_channel)

        def forward(self, *inputs: Tensor, values: tuple[str, ...] = graph.outputs) -> dict[str, Tensor]:
            return self._trained(inputs, values) if self.training else self._exact(inputs, values)

        def _exact(self, inputs: tuple[Tensor, ...], values: tuple[str, ...]) -> dict[str, Tensor]:
            integer = self.integer()
            assert integer.quantization is not None
            entries = (
                integer.quantization[input.name].quantize(x.cpu().numpy())
                for input, x in zip(graph.inputs, inputs, strict=True)
            )
            found = integer.run(*entries)
            device = self.ranges.device
            return {
                name: torch.from_numpy(integer.quantization[name].dequantize(found[name])).to(device) for name in values
            }

        def _trained(self, inputs: tuple[Tensor, ...], values: tuple[str, ...]) -> dict[str, Tensor]:
            integer = self.integer()
            assert integer.quantization is not None
            live: dict[str, Tensor] = {}
            for input, x in zip(graph.inputs, inputs, strict=True):
                live[input.name] = step(channels_first(x), integer.quantization[input.name], False)
            modules: Any = self.nodes
            for node, module in zip(graph.nodes, modules, strict=True):
                arrays = {name: _on_grid(array, node, name, integer) for name, array in module.named_parameters()}
                y = torch.func.functional_call(module, arrays, tuple(live[name] for name in node.inputs))
                self._observe(node, y)
                if not node.op.alias:
                    y = step(y, integer.quantization[node.name], isinstance(node.op, AveragePool2d))
                live[node.name] = y
            return {name: channels_last(live[name]) for name in values}

        def _observe(self, node: Node, y: Tensor) -> None:
            with torch.no_grad():
                seen = torch.stack(torch.aminmax(channels_last(y.detach())))  # as it lies in memory, not copied
                at = positions[node.name]
                self.ranges[at].lerp_(seen * self.shares[at], MOMENTUM)

    positions = {name: index for index, name in enumerate(graph.shapes)}
    network: Module = Network()
    return network


def _shares(ranges: Tensor, extremes: Mapping[str, Range], graph: Graph) -> Tensor:
    """(values, 2): which share of its extremes the range of each value is."""
    torch = import_torch()
    whole = torch.tensor([extremes[name] for name in graph.shapes])
    return torch.where(whole == 0, 1.0, ranges / torch.where(whole == 0, 1.0, whole)).clamp(0.0, 1.0)


def _on_grid(array: Tensor, node: Node, name: str, integer: Model) -> Tensor:
    """A node's array with the real numbers that its integers stand for; gradients reach it unchanged."""
    torch = import_torch()
    assert integer.quantization is not None
    integers = integer.weights[f"{node.name}.{name}"]
    if name == "bias":
        scales = integer.quantization[node.inputs[0]].scales.astype(np.float64)
        scales = scales * integer.quantization[f"{node.name}.weight"].scales
    else:
        scales = integer.quantization[f"{node.name}.{name}"].scales.astype(np.float64)
    real = integers * scales.reshape(-1, *(1 for _ in integers.shape[1:]))
    on_grid = torch.from_numpy(real.astype(np.float32)).to(array.device)
    return array + (on_grid - array).detach()


def _rounding_step() -> Any:
    """step(x, quantization, whole): x on the grid of an int8 quantization, saturated, with straight-through gradients.

    whole: ties are rounded away from integer 0, as the mean of integers is, and not away from real 0.
    """
    torch = import_torch()

    class Step(torch.autograd.Function):  # type: ignore[name-defined, misc]
        @staticmethod
        def forward(ctx: Any, x: Tensor, quantization: Quantization, whole: bool) -> Tensor:
            scale, zero_point = float(quantization.scale), float(quantization.zero_point)
            scaled = x / scale
            if whole:
                # Means of integers are often ties, which float32 misses by a little.
                scaled = (scaled + zero_point).mul_(TIES).round_().div_(TIES)
            # Ties away from zero: trunc of what is half a step further; torch's trunc takes far longer than its floor.
            integers = scaled.abs().add_(0.5).floor_().copysign_(scaled)
            if whole:
                integers.sub_(zero_point)
            inside = integers.clamp(-128 - zero_point, 127 - zero_point)
            ctx.save_for_backward(inside != integers)
            return inside.mul_(scale)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
            (saturated,) = ctx.saved_tensors
            # masked_fill would leave a layout behind with which the gradients before it take 6 times as long.
            return torch.where(saturated, 0.0, gradient), None, None

    return Step.apply
