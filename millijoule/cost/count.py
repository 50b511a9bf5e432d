"""What a network costs, from shapes alone: nothing is allocated, nothing is trained.

What every field means, its unit and how it is counted stands in cost/definitions.py, which `millijoule cost --define`
prints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from millijoule.cost.memory import EAGER, IN_PLACE, LAYER_BY_LAYER, live_bytes
from millijoule.cost.receptive import Field, Span, receptive_fields
from millijoule.errors import OptionError
from millijoule.graph import Graph, Node, Param
from millijoule.model import Model
from millijoule.ops import Opaque
from millijoule.passes import simplify

PRECISIONS = {"float32": 4, "float16": 2, "int8": 1}
"""Bytes of one weight; int8 arithmetic adds int32 biases, so those take 4."""

KINDS = {
    "conv": "activation",
    "dense": "activation",
    "activation": "activation",
    "norm": "normalisation",
    "pool": "pooling",
    "elementwise": "element-wise",
}
"""File of the operator's family → what its operations that are no MACs are called; else `other`."""


@dataclass(frozen=True)
class LayerCost:
    """One node's cost; see DEFINITIONS.

    operator: its class name, or what another tool calls it if it is not known. family: `convolution`, `dense` or
    `other`.
    """

    name: str
    operator: str
    family: str
    output_shape: tuple[int, ...]
    params: int
    macs: int
    flops: int
    additions: int
    operations: int
    neurons: int
    size_bytes: int
    read_bytes: int
    written_bytes: int
    live_bytes: int
    eager_live_bytes: int
    receptive_field: Span | None
    stride: Span | None
    counted: bool

    @property
    def moved_bytes(self) -> int:
        return self.read_bytes + self.written_bytes

    @property
    def intensity(self) -> float | None:
        return self.flops / self.moved_bytes if self.moved_bytes else None


@dataclass(frozen=True)
class Cost:
    """What one inference of a network costs. See DEFINITIONS for each figure.

    not_counted: layer → operator, as its tool calls it, of the layers whose operator is not known. If there are any,
    params, MACs and everything that follows from them are lower bounds: `at_least` is True.
    """

    name: str
    params: int
    statistics: int
    macs: int
    flops: int
    additions: int
    operations: int
    operations_by_kind: dict[str, int]
    connections: int
    neurons: int
    size_bytes: int
    size_bytes_by_precision: dict[str, int]
    activations: int
    activation_bytes: int
    peak_ram_bytes: int
    peak_layer: str
    eager_peak_bytes: int
    eager_peak_layer: str
    in_place_peak_bytes: int
    in_place_peak_layer: str
    moved_bytes: int
    intensity: float | None
    params_by_family: dict[str, int]
    macs_by_family: dict[str, int]
    not_counted: dict[str, str]
    layers: tuple[LayerCost, ...]

    @property
    def at_least(self) -> bool:
        return bool(self.not_counted)

    @property
    def named_not_counted(self) -> str:
        """`topk_3 (TopK), scan (Scan)`."""
        return ", ".join(f"{layer} ({operator})" for layer, operator in self.not_counted.items())

    def to_json(self) -> dict[str, Any]:
        """The fields by name; `layers` is a list of the layers' fields by name."""
        return asdict(self) | {
            "layers": [_layer_json(each) for each in self.layers],
        }


def cost(network: Model | Graph, bytes_per_weight: int | None = None) -> Cost:
    """Count a network's parameters, operations and memory.

    bytes_per_weight: the bytes of one weight and of one activation. Default: 1 for an int8 model, else 4. With 1,
    biases take 4, as int8 arithmetic adds them to int32 sums.

    A graph with batch-norm is counted as it is trained; `cost(simplify(graph))` counts what is deployed.
    Raises OptionError if bytes_per_weight is less than 1.
    """
    if bytes_per_weight is None:
        bytes_per_weight = 1 if isinstance(network, Model) and network.is_int8 else 4
    if bytes_per_weight < 1:
        raise OptionError(f"bytes_per_weight is {bytes_per_weight}; it must be 1 or more")
    graph = network.graph if isinstance(network, Model) else network

    live, eager = (live_bytes(graph, bytes_per_weight, rule) for rule in (LAYER_BY_LAYER, EAGER))
    fields = receptive_fields(graph)
    layers = tuple(
        _layer(graph, node, bytes_per_weight, layer_live, layer_eager, fields[node.name])
        for node, layer_live, layer_eager in zip(graph.nodes, live, eager, strict=True)
    )
    deployed = graph if isinstance(network, Model) and network.is_int8 else simplify(graph)
    peaks = [
        _peak(graph, bytes_per_weight, live),
        _peak(graph, bytes_per_weight, eager),
        _peak(deployed, bytes_per_weight, live_bytes(deployed, bytes_per_weight, IN_PLACE)),
    ]
    params = graph.params(shared=False).values()
    macs, additions = sum(layer.macs for layer in layers), sum(layer.additions for layer in layers)
    moved = sum(layer.moved_bytes for layer in layers)
    values = sum(prod(input.shape) for input in graph.inputs)
    values += sum(prod(graph.shapes[node.name]) for node in graph.nodes if not node.op.alias)
    return Cost(
        name=graph.name,
        params=sum(layer.params for layer in layers),
        statistics=sum(param.count for param in params if param.kind == "statistic"),
        macs=macs,
        flops=2 * macs,
        additions=additions,
        operations=sum(layer.operations for layer in layers),
        operations_by_kind=_operations_by_kind(graph, layers),
        connections=macs + additions,
        neurons=sum(layer.neurons for layer in layers),
        size_bytes=sum(layer.size_bytes for layer in layers),
        size_bytes_by_precision={
            name: sum(param.count * _element_bytes(param, size) for param in params)
            for name, size in PRECISIONS.items()
        },
        activations=values,
        activation_bytes=values * bytes_per_weight,
        peak_ram_bytes=peaks[0][0],
        peak_layer=peaks[0][1],
        eager_peak_bytes=peaks[1][0],
        eager_peak_layer=peaks[1][1],
        in_place_peak_bytes=peaks[2][0],
        in_place_peak_layer=peaks[2][1],
        moved_bytes=moved,
        intensity=2 * macs / moved if moved else None,
        params_by_family=_by_family(layers, "params"),
        macs_by_family=_by_family(layers, "macs"),
        not_counted={layer.name: layer.operator for layer in layers if not layer.counted},
        layers=layers,
    )


def _layer(
    graph: Graph, node: Node, bytes_per_weight: int, live: int, eager_live: int, field: Field | None
) -> LayerCost:
    shapes, output = graph.input_shapes(node), graph.shapes[node.name]
    params = () if node.shares else node.op.params(*shapes).values()
    work = node.op.cost(*shapes)
    size_bytes = sum(param.count * _element_bytes(param, bytes_per_weight) for param in params)
    moves = not node.op.alias
    family = _family(node)
    return LayerCost(
        name=node.name,
        operator=node.op.operator if isinstance(node.op, Opaque) else type(node.op).__name__,
        family={"conv": "convolution", "dense": "dense"}.get(family, "other"),
        output_shape=output,
        params=sum(param.count for param in params if param.trainable),
        macs=work.macs,
        flops=2 * work.macs,
        additions=work.additions,
        operations=work.operations,
        neurons=prod(output) if work.macs else 0,
        size_bytes=size_bytes,
        read_bytes=sum(map(prod, shapes)) * bytes_per_weight + size_bytes if moves else 0,
        written_bytes=prod(output) * bytes_per_weight if moves else 0,
        live_bytes=live,
        eager_live_bytes=eager_live,
        receptive_field=field.size if field else None,
        stride=field.stride if field else None,
        counted=work.counted,
    )


def _family(node: Node) -> str:
    """The file of ops/ that holds the node's operator."""
    return type(node.op).__module__.rpartition(".")[2]


def _operations_by_kind(graph: Graph, layers: tuple[LayerCost, ...]) -> dict[str, int]:
    counts = dict.fromkeys((*KINDS.values(), "other"), 0)
    for node, layer in zip(graph.nodes, layers, strict=True):
        counts[KINDS.get(_family(node), "other")] += layer.operations
    return counts


def _by_family(layers: tuple[LayerCost, ...], what: str) -> dict[str, int]:
    return {
        family: sum(getattr(layer, what) for layer in layers if layer.family == family)
        for family in ("convolution", "dense", "other")
    }


def _layer_json(layer: LayerCost) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(layer).items()}


def _element_bytes(param: Param, bytes_per_weight: int) -> int:
    return 4 if param.kind == "bias" and bytes_per_weight == 1 else bytes_per_weight


def _peak(graph: Graph, bytes_per_weight: int, live: list[int]) -> tuple[int, str]:
    """The most that is live, and the node during which it is; for a graph without nodes, its inputs."""
    if not live:
        return sum(prod(input.shape) for input in graph.inputs) * bytes_per_weight, graph.inputs[0].name
    step = max(range(len(live)), key=live.__getitem__)
    return live[step], graph.nodes[step].name
