"""A torch network in the making: what the importer of one ATen operator reads from its node and adds to the graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.load.channels_first import ChannelsFirst, Value
from millijoule.model import Quantization
from millijoule.ops import Constant, Scale

if TYPE_CHECKING:
    import torch
    from torch.fx import Node as Call

CONTAINERS = ("torch.nn.modules.container", "torch.nn.modules.activation.MultiheadAttention")
"""Modules of torch that hold more than one operator: its name is added to theirs."""


class Unknown(Exception):
    """An operator, or a form of it, that is not known: its result is opaque."""


@dataclass(frozen=True, eq=False)
class Known:
    """A tensor that does not depend on the input. origins: the parameters, by name, that it is made of."""

    tensor: torch.Tensor
    origins: frozenset[str] = frozenset()


class Structure(ChannelsFirst):
    """Builds a network whose arrays have shapes and no numbers: none of them takes memory."""

    def node(
        self,
        name: str,
        op: Any,
        *inputs: str,
        weights: Mapping[str, np.ndarray] | None = None,
        scales: Quantization | None = None,
    ) -> str:
        made = super().node(name, op, *inputs)
        self.weights |= {f"{made}.{key}": _uniform(array) for key, array in (weights or {}).items()}
        return made

    def _last(self, x: Value, axis: int) -> tuple[str, np.ndarray | None]:
        return super()._last(x, axis)[0], None


def _uniform(array: np.ndarray) -> np.ndarray:
    """An array of the same shape and first number, in the memory of that one."""
    return np.broadcast_to(array[(0,) * array.ndim], array.shape)


class TorchNetwork:
    """What is known so far of the results of a program's calls: Value, Known, or a list of either.

    parameters: names of those that training sets, by the identity of their tensors, so that a tensor with two names
    is one parameter. real: whether there are numbers.
    """

    def __init__(self, name: str, real: bool) -> None:
        self.real = real
        self.build: ChannelsFirst = (ChannelsFirst if real else Structure)(name)
        self.results: dict[Call, Any] = {}
        self.tensors: dict[str, torch.Tensor] = {}
        self.first: dict[int, str] = {}
        self.users: dict[frozenset[str], str] = {}
        self.shares: dict[str, str] = {}
        self.used: set[str] = set()
        self.current: Call | None = None

    # What the call says

    @property
    def call(self) -> Call:
        assert self.current is not None
        return self.current

    @property
    def operator(self) -> str:
        """`conv2d` of aten.conv2d.default and of aten.conv2d_.default."""
        return operator_of(self.call)

    @property
    def name(self) -> str:
        """What the current call's node is called: its module's path, with the operator where that says too little."""
        path, kind = module_of(self.call)
        if path and _is_layer(kind):
            return path
        operator = self.operator.strip("_")
        return f"{path}.{operator}" if path else operator

    def unknown(self, reason: str) -> NoReturn:
        """Let the current operator be opaque."""
        raise Unknown(reason)

    def shape(self) -> tuple[int, ...]:
        """Of the current call's result, as torch states it."""
        return tuple(int(size) for size in self.call.meta["val"].shape)

    def value(self, x: Any) -> Value:
        """A computed value, or a known one as a node of its own."""
        if isinstance(x, Value):
            return x
        if not isinstance(x, Known):
            self.unknown(f"its input is {x!r}; a tensor is needed")
        return self.constant(f"{self.name}.constant", x)

    def array(self, x: Any) -> np.ndarray:
        """The numbers of a known tensor; where there are none, an array that takes no memory. Marks its parameters."""
        if not isinstance(x, Known):
            self.unknown("a tensor that it reads is computed; a constant is needed")
        self.used |= x.origins
        if x.tensor.is_meta:
            return np.broadcast_to(np.float32(0), tuple(x.tensor.shape))
        array: np.ndarray = x.tensor.detach().float().numpy()
        return array

    def optional(self, x: Any) -> np.ndarray | None:
        return None if x is None else self.array(x)

    def constant(self, name: str, x: Known) -> Value:
        """A node that gives a known tensor: learned if it is a parameter as a whole."""
        shape = tuple(x.tensor.shape)
        array = self.array(x)
        whole = len(x.origins) == 1 and self.tensors[next(iter(x.origins))].numel() == array.size
        fresh = not x.origins & {each for origins in self.users for each in origins}
        sources = sorted(x.origins) if x.origins and not whole and fresh else []
        op = Constant(
            output=shape[1:] if len(shape) > 1 and shape[0] == 1 else shape or (1,),
            learned=whole and fresh,
            sources=tuple((f"source{i}", tuple(self.tensors[each].shape)) for i, each in enumerate(sources)),
        )
        weights = {"value": array.reshape(op.output)}
        weights |= {f"source{i}": self.array(Known(self.tensors[each])) for i, each in enumerate(sources)}
        made = self.build.node(name, op, self.build.inputs[0].name, weights=weights)
        self.own(made, x)
        axes: list[int | None] = list(range(len(shape)))
        if len(op.output) < len(shape):
            axes = [None, *range(len(shape) - 1)]
        return Value.of(made, op.output, axes if shape else [])

    def own(self, node: str, *tensors: Any) -> None:
        """Note that `node` holds these parameters; if an earlier one does, they are counted there."""
        origins = frozenset().union(*(x.origins for x in tensors if isinstance(x, Known)))
        if not origins:
            return
        if origins in self.users and self.users[origins] != node:
            self.shares[node] = self.users[origins]
        self.users.setdefault(origins, node)

    def layer(self, value: Value, *tensors: Any) -> Value:
        """The value that the layer just added gives, which holds the parameters of `tensors`."""
        self.own(value.name, *tensors)
        return value

    def scaled(self, x: Value, weight: Any = 1.0, bias: Any = None) -> Value:
        """x * weight + bias by numbers that the architecture fixes."""
        made = self.build.scale(self.name, x, weight, bias)
        at = next(i for i, node in enumerate(self.build.nodes) if node.name == made.name)
        node = self.build.nodes[at]
        assert isinstance(node.op, Scale)
        self.build.nodes[at] = replace(node, op=replace(node.op, constant=True))
        return made

    def opaque(self, inputs: Sequence[Any], result: Any, reason: str) -> Any:
        """The current call's results as opaque values, with the parameters that it reads."""
        values = [x for x in inputs if isinstance(x, Value)]
        fresh = [x for x in inputs if isinstance(x, Known) and x.origins and not x.origins <= self.used]
        arrays = [("", self.array(x)) for x in fresh]
        if isinstance(result, (list, tuple)):
            made = []
            for each in result:
                made.append(self._opaque(values, each, arrays, reason) if hasattr(each, "shape") else None)
                arrays = []
            return made
        return self._opaque(values, result, arrays, reason)

    def _opaque(self, values: list[Value], result: Any, arrays: list[tuple[str, np.ndarray]], reason: str) -> Value:
        if not hasattr(result, "shape") or any(not isinstance(size, int) for size in result.shape):
            raise ModelError(
                f"{self.where()}: the size of the result of {self.operator} depends on numbers; fixed sizes are needed"
            )
        return self.build.opaque(self.name, self.operator, values, tuple(result.shape), arrays, reason)

    def place(self, first: int) -> None:
        """Note of the nodes from `first` on, which the current call added, in which modules and how it was written."""
        if len(self.build.nodes) == first:
            return
        stack = list((self.call.meta.get("nn_module_stack") or {}).values())
        blocks = tuple(path for path, kind in stack[1:] if not _is_layer(_class_name(kind)))
        in_place = _schema_name(self.call).endswith("_")
        for at, node in enumerate(self.build.nodes[first:], start=first):
            out_of_place = bool(node.op.in_place) and not in_place
            self.build.nodes[at] = replace(node, blocks=blocks, out_of_place=out_of_place)

    def where(self) -> str:
        """`model.py:12`: the line of the user's that made the current call; else the module's path."""
        lines = re.findall(r'File "([^"]+)", line (\d+)', self.call.meta.get("stack_trace") or "")
        own = [(file, line) for file, line in lines if "/torch/" not in file]
        return f"{own[-1][0]}:{own[-1][1]}" if own else module_of(self.call)[0] or self.operator

    def finish(self, outputs: Sequence[Value]) -> tuple[Graph, dict[str, np.ndarray]]:
        graph, weights = self.build.finish(*outputs)
        names = {node.name for node in graph.nodes}
        nodes = []
        for node in graph.nodes:
            shared = self.shares.get(node.name, "")
            if shared in names and graph.by_name[shared].op == node.op:
                for key in node.op.params(*graph.input_shapes(node)):
                    if np.array_equal(weights[f"{node.name}.{key}"], weights[f"{shared}.{key}"]):
                        weights[f"{node.name}.{key}"] = weights[f"{shared}.{key}"]
                node = replace(node, shares=shared)
            nodes.append(node)
        return replace(graph, nodes=tuple(nodes)), weights


def operator_of(call: Call) -> str:
    return _schema_name(call).removeprefix("aten::").rstrip("_")


def _schema_name(call: Call) -> str:
    """`aten::relu_` of aten.relu_.default: an underscore at its end says that it works in place."""
    name: str = call.target._schema.name if hasattr(call.target, "_schema") else getattr(call.target, "__name__", "")
    return name


def module_of(call: Call) -> tuple[str, str]:
    """The path and the class of the innermost module that made a call."""
    stack = list((call.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    return re.sub(r"@\d+", "", path), _class_name(kind)


def _class_name(kind: str | type) -> str:
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _is_layer(kind: str) -> bool:
    """Whether a class is torch's own and holds one operator."""
    return kind.startswith("torch.nn.modules.") and not kind.startswith(CONTAINERS)
