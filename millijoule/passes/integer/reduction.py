"""What was removed from an int8 model, and why that changes no output."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Literal

from millijoule.model import Model


@dataclass(frozen=True)
class RemovedChannel:
    """A channel that is no longer computed, and why that changes no output.

    reason: `constant`: it is `constant` for every input; `twin`: it holds the numbers of channel `twin`; `unread`:
    nothing that is left reads it. sums: the least and the largest accumulator, where a convolution or dense layer
    makes the channel; both ends are requantized to the constant.
    """

    value: str
    channel: int
    reason: Literal["constant", "twin", "unread"]
    constant: int | None = None
    twin: int | None = None
    sums: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Reduction:
    """An int8 model without what its outputs do not depend on.

    channels: in execution order; those of operators that only pass channels on are counted where they are made.
    nodes: name → what it returned, for the nodes that are gone; a node that nothing reads any more returned nothing.
    """

    original: Model
    model: Model
    channels: tuple[RemovedChannel, ...]
    nodes: dict[str, str]

    @property
    def macs(self) -> tuple[int, int]:
        """MACs of one inference, before and after."""
        return sum(_macs(self.original).values()), sum(_macs(self.model).values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What was removed, in one sentence; nothing if nothing was."""
        if not self.channels and not self.nodes:
            return ()
        nodes = f" and {len(self.nodes):,} layers" if self.nodes else ""
        before, after = self.macs
        return (
            f"{len(self.channels):,} channels{nodes} change no output, whatever the input, and were removed: "
            f"{before:,} MACs became {after:,}",
        )

    def layers(self) -> tuple[dict[str, Any], ...]:
        """One dict for each node of the original, in execution order; the keys are a stable interface.

        channels, macs, weights: before; …_left: after, 0 for a node that is gone. constant, twin, unread: how many
        channels were removed for that reason where they are made. returned: the input that a node returned unchanged,
        for one that is gone because of that.
        """
        graph, left = self.original.graph, self.model.graph.by_name
        macs, macs_left = _macs(self.original), _macs(self.model)
        weights, weights_left = _weights(self.original), _weights(self.model)
        counts = {name: dict.fromkeys(("constant", "twin", "unread"), 0) for name in graph.by_name}
        for channel in self.channels:
            counts[channel.value][channel.reason] += 1
        return tuple(
            {
                "name": node.name,
                "operator": type(node.op).__name__,
                "channels": graph.shapes[node.name][-1],
                "channels_left": self.model.graph.shapes[node.name][-1] if node.name in left else 0,
                **counts[node.name],
                "macs": macs[node.name],
                "macs_left": macs_left.get(node.name, 0),
                "weights": weights[node.name],
                "weights_left": weights_left.get(node.name, 0),
                "returned": self.nodes.get(node.name) or None,
            }
            for node in graph.nodes
        )

    def to_json(self) -> dict[str, Any]:
        """One object of plain values; the keys are a stable interface."""
        before, after = self.macs
        return {
            "model": self.original.graph.name,
            "macs": before,
            "macs_left": after,
            "weights": sum(_weights(self.original).values()),
            "weights_left": sum(_weights(self.model).values()),
            "layers": list(self.layers()),
            "channels": [asdict(channel) | {"sums": _listed(channel.sums)} for channel in self.channels],
        }


def _macs(model: Model) -> dict[str, int]:
    return {node.name: node.op.cost(*model.graph.input_shapes(node)).macs for node in model.graph.nodes}


def _weights(model: Model) -> dict[str, int]:
    """Numbers of each node that are no biases."""
    graph = model.graph
    return {
        node.name: sum(
            prod(param.shape) for param in node.op.params(*graph.input_shapes(node)).values() if param.kind == "weight"
        )
        for node in graph.nodes
    }


def _listed(pair: tuple[int, int] | None) -> list[int] | None:
    return None if pair is None else list(pair)
