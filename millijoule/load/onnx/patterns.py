"""What exporters write as several operators and is one here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millijoule.graph import Operator
from millijoule.load.channels_first import Value
from millijoule.ops import Gelu, HardSwish, Swish, Tanh

if TYPE_CHECKING:
    from millijoule.load.onnx.network import OnnxNetwork

CLOSE = 1e-3


class Origins:
    """Which node computes each name, to look back from the last operator of a pattern."""

    def __init__(self, network: OnnxNetwork) -> None:
        self.network = network
        self.nodes = {output: node for node in network.file.nodes for output in node.output if output}

    def is_made_by(self, name: str, *operators: str) -> bool:
        return name in self.nodes and self.nodes[name].op_type in operators

    def inputs(self, name: str) -> list[str]:
        return list(self.nodes[name].input)

    def is_number(self, name: str, number: float) -> bool:
        array = self.network.constants.get(name)
        return array is not None and array.size == 1 and abs(float(array.reshape(-1)[0]) - number) < CLOSE

    def without(self, name: str, operators: dict[str, float]) -> str | None:
        """What `name` is with one number: {"Div": 6} or {"Mul": 1/6} of it; None if it is no such."""
        if not self.is_made_by(name, *operators):
            return None
        inputs, number = self.inputs(name), operators[self.nodes[name].op_type]
        if self.is_number(inputs[1], number):
            return inputs[0]
        return inputs[1] if self.nodes[name].op_type != "Div" and self.is_number(inputs[0], number) else None


def product(network: OnnxNetwork, a: str, b: str) -> tuple[Operator, str] | None:
    """(operator, its input) of a product.

    x * sigmoid(x), x * hard sigmoid(x), half of x * (1 + erf(x / sqrt 2)), or a number times tanh of a multiple of x.
    """
    origins = network.origins
    for x, gate in ((a, b), (b, a)):
        if origins.is_made_by(gate, "Tanh") and x in network.constants and network.constants[x].size == 1:
            inner, slope = multiple(network, origins.inputs(gate)[0])
            return Tanh(amplitude=shortest(network.constants[x]), slope=slope), inner
        if origins.is_made_by(gate, "Sigmoid") and origins.inputs(gate) == [x]:
            return Swish(), x
        if origins.is_made_by(gate, "HardSigmoid") and origins.inputs(gate) == [x]:
            numbers = {attribute.name: attribute.f for attribute in origins.nodes[gate].attribute}
            if abs(numbers.get("alpha", 0.2) - 1 / 6) < CLOSE and abs(numbers.get("beta", 0.5) - 0.5) < CLOSE:
                return HardSwish(), x
        clipped = origins.without(gate, {"Div": 6.0, "Mul": 1 / 6})
        if clipped is not None and _is_relu6_of_more(origins, clipped, x):
            return HardSwish(), x
        # 0.5 before, or after
        half = origins.without(x, {"Mul": 0.5})
        if half is not None and _is_gelu_gate(origins, gate, half):
            return Gelu(), half
        if origins.is_number(gate, 0.5) and origins.is_made_by(x, "Mul"):
            for y, other in (origins.inputs(x), origins.inputs(x)[::-1]):
                if _is_gelu_gate(origins, other, y):
                    return Gelu(), y
        if _is_gelu_gate(origins, half_gate, x) if (half_gate := origins.without(gate, {"Mul": 0.5})) else False:
            return Gelu(), x
    return None


def multiple(network: OnnxNetwork, name: str) -> tuple[str, float]:
    """(x, factor) that `name` is the product of; (itself, 1) if it is none with a constant number."""
    origins = network.origins
    if origins.is_made_by(name, "Mul"):
        for x, factor in (origins.inputs(name), origins.inputs(name)[::-1]):
            if factor in network.constants and network.constants[factor].size == 1 and x not in network.constants:
                return x, shortest(network.constants[factor])
    return name, 1.0


def shortest(array: np.ndarray) -> float:
    """The one number of a float32 array, as it was written in decimals."""
    return float(str(np.float32(array.reshape(-1)[0])))


def quotient(network: OnnxNetwork, a: str, b: str) -> tuple[Operator, str] | None:
    """x * relu6(x + 3) / 6."""
    origins = network.origins
    if origins.is_number(b, 6.0) and origins.is_made_by(a, "Mul"):
        for x, gate in (origins.inputs(a), origins.inputs(a)[::-1]):
            if _is_relu6_of_more(origins, gate, x):
                return HardSwish(), x
    return None


def _is_relu6_of_more(origins: Origins, clipped: str, x: str) -> bool:
    if not origins.is_made_by(clipped, "Clip") or origins.without(origins.inputs(clipped)[0], {"Add": 3.0}) != x:
        return False
    limits = {attribute.name: attribute.f for attribute in origins.nodes[clipped].attribute}
    given = origins.inputs(clipped)[1:]
    if len(given) == 2:
        return origins.is_number(given[0], 0.0) and origins.is_number(given[1], 6.0)
    return limits.get("min") == 0.0 and limits.get("max") == 6.0


def _is_gelu_gate(origins: Origins, gate: str, x: str) -> bool:
    """1 + erf(x / sqrt 2)"""
    erf = origins.without(gate, {"Add": 1.0})
    if erf is None or not origins.is_made_by(erf, "Erf"):
        return False
    return origins.without(origins.inputs(erf)[0], {"Div": 2**0.5, "Mul": 0.5**0.5}) == x


def normalised(network: OnnxNetwork, a: str, b: str) -> Value | None:
    """(x - mean) / sqrt(variance + epsilon) over the last axis, written out as before opset 17."""
    origins = network.origins
    if not (origins.is_made_by(a, "Sub") and origins.is_made_by(b, "Sqrt")):
        return None
    x, mean = origins.inputs(a)
    (total,) = origins.inputs(b)
    if x not in network.values or not origins.is_made_by(total, "Add"):
        return None
    variance, epsilon = origins.inputs(total)
    if epsilon not in network.constants or network.constants[epsilon].size != 1:
        return None
    if not (_is_last_mean(network, mean, x) and origins.is_made_by(variance, "ReduceMean")):
        return None
    square = origins.inputs(variance)[0]
    squared = origins.is_made_by(square, "Mul") and origins.inputs(square) == [a, a]
    if not squared and (not origins.is_made_by(square, "Pow") or origins.without(square, {"Pow": 2.0}) != a):
        return None
    if not _is_last_mean(network, variance, square):
        return None
    number = float(np.asarray(network.constants[epsilon]).reshape(-1)[0])
    return network.build.layer_norm(network.name, network.values[x], epsilon=number)


def distances(network: OnnxNetwork, name: str) -> tuple[str, np.ndarray] | None:
    """(x, codes) where `name` is one row of x, (1, features), less each of the constant codes (classes, features)."""
    origins = network.origins
    if not origins.is_made_by(name, "Sub"):
        return None
    spread, codes = origins.inputs(name)
    if not origins.is_made_by(spread, "Unsqueeze") or codes not in network.constants:
        return None
    x, array = origins.inputs(spread)[0], network.constants[codes]
    fits = x in network.values and network.values[x].shape == (1, array.shape[-1]) and array.ndim == 2
    return (x, array) if fits else None


def _is_last_mean(network: OnnxNetwork, mean: str, x: str) -> bool:
    origins = network.origins
    if not origins.is_made_by(mean, "ReduceMean") or origins.inputs(mean)[0] != x:
        return False
    node = origins.nodes[mean]
    axes = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "axes"), None)
    if axes is None and len(node.input) > 1 and node.input[1] in network.constants:
        axes = network.constants[node.input[1]].reshape(-1).tolist()
    rank = len(network.values[x].axes) if x in network.values else 0
    keeps = all(attribute.i for attribute in node.attribute if attribute.name == "keepdims")
    return axes in ([-1], [rank - 1]) and keeps
