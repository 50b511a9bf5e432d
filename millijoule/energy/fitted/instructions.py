"""Instructions of our own firmware from shapes alone: what it executes for layers of each kind, measured and fitted.

For each core, instructions of single layers of whole networks were counted in the emulator
(`benchmarks/layer_instructions.py` made the table and makes it again). A layer's instructions are a sum of terms of its
shapes, fitted for each kind of layer. The emulator is exact, this is not: it answers in milliseconds, for networks that
have no weights yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from millijoule.csv_file import package_csv
from millijoule.energy.fitted import least_squares
from millijoule.energy.fitted.intervals import Error, of, spread
from millijoule.errors import DeviceError
from millijoule.graph import Graph, Node
from millijoule.ops import Conv2d, Dense

MEASURED_FOR = {
    "cortex-m0plus": "cortex-m0plus",
    "cortex-m4": "cortex-m4",
    "cortex-m7": "cortex-m4",
    "cortex-m33": "cortex-m4",
}
"""Core → the core whose firmware was counted. M7 and M33 execute the code of M4, within 2 %."""


@dataclass(frozen=True)
class Layer:
    """What a layer's instructions depend on.

    kind: `conv`, `pointwise`, `depthwise`, `dense` or the operator's name. positions: of the output, without channels.
    patches: elements under the kernel, summed over the positions.
    """

    kind: str
    macs: int
    outputs: int
    inputs: int
    positions: int
    patches: int

    def row(self) -> list[float]:
        return [self.macs, self.outputs, self.inputs, self.positions, self.patches, 1.0]


@dataclass(frozen=True)
class CountedLayer:
    """instructions: of one inference, in the emulator."""

    core: str
    network: str
    layer: Layer
    instructions: int


COLUMNS = ("core", "network", "kind", "macs", "outputs", "inputs", "positions", "patches", "instructions")


def layer_of(graph: Graph, node: Node) -> Layer:
    """A node of a graph as it is deployed: batch-norm folded, activations fused."""
    shapes, output = graph.input_shapes(node), graph.shapes[node.name]
    op = node.op
    positions = prod(output[:-1])
    patches = 0
    kind = type(op).__name__
    if isinstance(op, Conv2d):
        weight = op.params(*shapes)["weight"].shape
        patches = positions * prod(weight[1:])
        kind = "conv" if op.groups == 1 else "depthwise" if op.is_depthwise(shapes[0]) else "grouped"
        if kind == "conv" and prod(weight[1:]) == shapes[0][-1]:
            kind = "pointwise"
    elif isinstance(op, Dense):
        kind = "dense"
    return Layer(
        kind=kind,
        macs=op.cost(*shapes).macs,
        outputs=prod(output),
        inputs=sum(map(prod, shapes)),
        positions=positions,
        patches=patches,
    )


@lru_cache
def counted_layers() -> tuple[CountedLayer, ...]:
    """The table."""
    return tuple(
        CountedLayer(
            row["core"],
            row["network"],
            Layer(row["kind"], *(int(row[name]) for name in COLUMNS[3:8])),
            int(row["instructions"]),
        )
        for row in package_csv("energy", "layer_instructions.csv", COLUMNS)
    )


BENCHMARKS = {"ad": "autoencoder", "ic": "resnet8", "kws": "ds_cnn", "vww": "mobilenet_v1_025"}
"""Networks of MLPerf Tiny by the names of the zoo."""


def windowed_share(layers: Iterable[Layer]) -> float:
    """Of the MACs, those of convolutions over several pixels and all channels: stacks differ more in how they do these
    than in all else, so that networks with as many of them compare best."""
    macs, windowed = 0, 0
    for layer in layers:
        macs += layer.macs
        windowed += layer.macs if layer.kind == "conv" else 0
    return windowed / macs if macs else 0.0


def layers_of(graph: Graph) -> list[Layer]:
    """Of a graph as it is deployed."""
    return [layer_of(graph, node) for node in graph.nodes if not node.op.alias]


@lru_cache
def benchmark_mix(benchmark: str) -> float:
    """windowed_share of a network of MLPerf Tiny."""
    wanted = ("cortex-m4", BENCHMARKS[benchmark])
    return windowed_share(row.layer for row in counted_layers() if (row.core, row.network) == wanted)


@lru_cache
def own_instructions(core: str, benchmark: str, folded: bool) -> int | None:
    """What our firmware executes for a network of MLPerf Tiny; None if it was not counted, as for folded ones."""
    if core not in MEASURED_FOR or folded:
        return None
    wanted = (MEASURED_FOR[core], BENCHMARKS[benchmark])
    return sum(row.instructions for row in counted_layers() if (row.core, row.network) == wanted)


def estimate_instructions(graph: Graph, core: str) -> tuple[float, float]:
    """(instructions of one inference, the factor within which 90 % of networks were) of firmware for a core.

    graph: as it is deployed. Raises DeviceError for a core whose firmware was not counted.
    """
    if core not in MEASURED_FOR:
        raise DeviceError(
            f"instructions on {core} are only known by executing them: give `millijoule deploy` a model file"
        )
    core = MEASURED_FOR[core]
    fits = _fits(core)
    return _total(fits, layers_of(graph)), spread(errors(core))


def errors(core: str) -> list[Error]:
    """Of whole networks, each estimated from the layers of the others."""
    found = []
    rows = [row for row in counted_layers() if row.core == core]
    for network in dict.fromkeys(row.network for row in rows):
        fits = fit([row for row in rows if row.network != network])
        own = [row for row in rows if row.network == network]
        found.append(of(_total(fits, [row.layer for row in own]), sum(row.instructions for row in own), network))
    return found


def fit(rows: Iterable[CountedLayer]) -> dict[str, list[float]]:
    """kind → coefficients of Layer.row; `""`: of all kinds without MACs, for operators that were not counted."""
    by_kind: dict[str, list[CountedLayer]] = defaultdict(list)
    for row in rows:
        by_kind[row.layer.kind].append(row)
        if not row.layer.macs:
            by_kind[""].append(row)
    return {
        kind: least_squares.fit([row.layer.row() for row in group], [row.instructions for row in group])
        for kind, group in by_kind.items()
    }


@lru_cache
def _fits(core: str) -> dict[str, list[float]]:
    return fit(row for row in counted_layers() if row.core == core)


def _total(fits: dict[str, list[float]], layers: Sequence[Layer]) -> float:
    default = fits.get("", fits["conv"])
    return sum(
        least_squares.evaluate(fits.get(each.kind, fits["conv"] if each.macs else default), each.row())
        for each in layers
    )
