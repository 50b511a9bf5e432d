"""What a network may cost, and how far it is from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from millijoule.cost.device import Device
from millijoule.energy.predict import predict_energy
from millijoule.errors import DeviceError
from millijoule.graph import Graph
from millijoule.passes import simplify
from millijoule.plan import plan
from millijoule.plan.lifetimes import lifetimes


@dataclass(frozen=True)
class Budget(ABC):
    """The most of something. unit: in which it is counted, for people."""

    most: float

    unit = ""

    @abstractmethod
    def cost(self, graph: Graph) -> float:
        """What counts: the graph fits if it is `most` or less."""

    def excess(self, graph: Graph) -> float:
        """What pruning makes small until it is 0: less of it is nearer to the budget, also where `cost` stays."""
        return max(0.0, self.cost(graph) - self.most)

    def text(self, amount: float) -> str:
        return f"{amount:,.0f} {self.unit}"


class Macs(Budget):
    """Multiply-accumulates of one inference."""

    unit = "MACs"

    def cost(self, graph: Graph) -> float:
        return sum(node.op.cost(*graph.input_shapes(node)).macs for node in graph.nodes)


class Ram(Budget):
    """Bytes of the arena of an int8 network that is executed layer by layer, input and output included."""

    unit = "bytes"

    def cost(self, graph: Graph) -> float:
        return plan(simplify(graph)).arena_bytes

    def excess(self, graph: Graph) -> float:
        """The bytes above the budget, summed over the steps: a peak may be reached in several."""
        held = lifetimes(simplify(graph))
        steps = range(max(each.last for each in held) + 1)
        live = [sum(each.bytes for each in held if each.first <= step <= each.last) for step in steps]
        above = sum(max(0.0, total - self.most) for total in live)
        return above or max(0.0, self.cost(graph) - self.most)


@dataclass(frozen=True)
class Energy(Budget):
    """Millijoules of one inference of an int8 network, as predicted for `device` from shapes."""

    device: Device

    unit = "mJ"

    def cost(self, graph: Graph) -> float:
        """Raises DeviceError, with the reason, if nothing is predicted for the device."""
        prediction = predict_energy(graph, self.device, precision="int8")
        if prediction.energy_mj is None or prediction.energy_mj.value is None:
            reason = dict(prediction.refused).get("energy", "only a bound is known")
            raise DeviceError(f"the energy on '{self.device.name}' is not predicted: {reason}")
        return prediction.energy_mj.value

    def text(self, amount: float) -> str:
        return f"{amount:.3g} mJ on {self.device.name}"
