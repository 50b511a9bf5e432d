"""What a network costs, from shapes alone: nothing is allocated, nothing is trained.

1 MAC = one multiply and one add. Memory is layer by layer: a layer reads whole inputs and writes a whole output.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from millijoule.errors import OptionError
from millijoule.graph import Graph, Node, Param
from millijoule.model import Model


@dataclass(frozen=True)
class LayerCost:
    """One node's cost. operator: its class name.

    params: trained numbers and statistics. size_bytes: all its arrays. read_bytes: inputs and arrays; written_bytes:
    output; both 0 for a reshape, which moves nothing. live_bytes: all values that exist while the node runs.
    The rest as in Cost.
    """

    name: str
    operator: str
    output_shape: tuple[int, ...]
    params: int
    macs: int
    additions: int
    operations: int
    size_bytes: int
    read_bytes: int
    written_bytes: int
    live_bytes: int


@dataclass(frozen=True)
class Cost:
    """What one inference of a network costs.

    params: numbers that training sets, batch-norm's statistics included; constants of the architecture are not.
    trainable_params: those of them that gradient descent sets.
    macs: multiply-accumulates. additions: of biases. connections: LeCun's count, macs + additions.
    operations: everything else, one each: comparisons, table look-ups, exponentials …
    size_bytes: all arrays, constants included.
    activation_bytes: all values together, input included; a reshape is its input under another shape.
    peak_ram_bytes: the most that is live at once, run in order: inputs and output of the running node, and every
    value that a later node reads; nothing in place. peak_layer: the node during which that is.
    """

    name: str
    params: int
    trainable_params: int
    macs: int
    additions: int
    operations: int
    connections: int
    size_bytes: int
    activation_bytes: int
    peak_ram_bytes: int
    peak_layer: str
    layers: tuple[LayerCost, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields by name; `layers` is a list of the layers' fields by name."""
        return asdict(self) | {
            "layers": [asdict(layer) | {"output_shape": list(layer.output_shape)} for layer in self.layers]
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

    value_bytes = {name: prod(shape) * bytes_per_weight for name, shape in graph.shapes.items()}
    storage = _storage(graph)
    live = _live_bytes(graph, storage, value_bytes)
    layers = tuple(
        _layer(graph, node, value_bytes, live_bytes, bytes_per_weight)
        for node, live_bytes in zip(graph.nodes, live, strict=True)
    )
    peak = max(layers, key=lambda layer: layer.live_bytes, default=None)
    input_bytes = sum(value_bytes[input.name] for input in graph.inputs)
    params = graph.params().values()
    macs, additions = sum(layer.macs for layer in layers), sum(layer.additions for layer in layers)
    return Cost(
        name=graph.name,
        params=sum(layer.params for layer in layers),
        trainable_params=sum(param.count for param in params if param.trainable),
        macs=macs,
        additions=additions,
        operations=sum(layer.operations for layer in layers),
        connections=macs + additions,
        size_bytes=sum(layer.size_bytes for layer in layers),
        activation_bytes=sum(value_bytes[name] for name in set(storage.values())),
        peak_ram_bytes=peak.live_bytes if peak else input_bytes,
        peak_layer=peak.name if peak else graph.inputs[0].name,
        layers=layers,
    )


def _layer(graph: Graph, node: Node, value_bytes: dict[str, int], live_bytes: int, bytes_per_weight: int) -> LayerCost:
    shapes = graph.input_shapes(node)
    params = node.op.params(*shapes).values()
    work = node.op.cost(*shapes)
    size_bytes = sum(param.count * _element_bytes(param, bytes_per_weight) for param in params)
    moves = not node.op.alias
    return LayerCost(
        name=node.name,
        operator=type(node.op).__name__,
        output_shape=graph.shapes[node.name],
        params=sum(param.count for param in params if param.kind != "constant"),
        macs=work.macs,
        additions=work.additions,
        operations=work.operations,
        size_bytes=size_bytes,
        read_bytes=sum(value_bytes[name] for name in node.inputs) + size_bytes if moves else 0,
        written_bytes=value_bytes[node.name] if moves else 0,
        live_bytes=live_bytes,
    )


def _element_bytes(param: Param, bytes_per_weight: int) -> int:
    return 4 if param.kind == "bias" and bytes_per_weight == 1 else bytes_per_weight


def _storage(graph: Graph) -> dict[str, str]:
    """Each value → the value whose bytes it is: itself, or for an alias that of its input."""
    storage = {input.name: input.name for input in graph.inputs}
    for node in graph.nodes:
        storage[node.name] = storage[node.inputs[0]] if node.op.alias else node.name
    return storage


def _live_bytes(graph: Graph, storage: dict[str, str], value_bytes: dict[str, int]) -> list[int]:
    """The bytes live while each node runs. Inputs of the graph live from the start, outputs to the end."""
    last_use = {input.name: 0 for input in graph.inputs}
    for step, node in enumerate(graph.nodes):
        last_use |= {storage[name]: step for name in (*node.inputs, node.name)}
    last_use |= {storage[name]: len(graph.nodes) for name in graph.outputs}

    # One walk along the steps: what a step makes comes, what nothing needs after it goes.
    goes: dict[int, int] = {}
    for name, step in last_use.items():
        goes[step] = goes.get(step, 0) + value_bytes[name]
    total = sum(value_bytes[input.name] for input in graph.inputs)
    live = []
    for step, node in enumerate(graph.nodes):
        total += value_bytes[node.name] if storage[node.name] == node.name else 0
        live.append(total)
        total -= goes.get(step, 0)
    return live
