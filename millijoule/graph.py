"""The structure of a network: nodes, shapes, no numbers.

Shapes are (height, width, channels) or (features,), without the batch. A value carries the name of the node that
produces it; a graph input is a value too. A bad graph cannot be constructed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from inspect import Parameter, signature
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from millijoule.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from millijoule.ops.base import Call

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Param:
    """One array of an operator's numbers: its shape and what it is.

    kind: `weight` and `bias` are trained; `statistic` is collected in training (batch-norm's mean and variance);
    `constant` is fixed by the architecture.
    """

    shape: Shape
    kind: Literal["weight", "bias", "statistic", "constant"] = "weight"

    @property
    def count(self) -> int:
        return prod(self.shape)

    @property
    def trainable(self) -> bool:
        return self.kind in ("weight", "bias")


@dataclass(frozen=True)
class OperatorCost:
    """What one inference of one operator does, from shapes only. 1 MAC = one multiply and one add.

    macs: multiply-accumulates, those on padding included, as papers count them.
    additions: bias additions; `macs + additions` are LeCun's connections.
    operations: everything that is not a MAC: comparisons, additions, table look-ups, exponentials, one each.
    counted: False for an operator whose work is not known: its zeros are not counts.
    """

    macs: int = 0
    additions: int = 0
    operations: int = 0
    counted: bool = True


class Operator(ABC):
    """What every operator says of itself, in this order. Methods see attributes, shapes and arrays, never the graph.

    `x` stands for the inputs: shapes in `shape`, `params`, `cost`, `module` and `call`; int8 arrays with the batch as
    first axis in `int8`, which, like `call`, also takes the operator's arrays, `weights`, and its `quantization`. An
    operator names as many inputs as it has: for that, the methods here take anything.
    """

    in_place: ClassVar[tuple[int, ...]] = ()
    """The inputs whose bytes the output may overwrite, element by element."""
    alias: ClassVar[bool] = False
    """The output is the bytes of input 0 under another shape; nothing is executed."""
    writes_parts: ClassVar[bool] = False
    """Its kernels can write pixels between which other bytes lie: `output_pixel` is a parameter of theirs."""

    @property
    def reads_parts(self) -> bool:
        """Whether its kernels can read such pixels, of every input: `input_pixel`, or `a_step` and `b_step`."""
        return self.writes_parts

    @abstractmethod
    def shape(self, *x: Any, **_: Any) -> Shape:
        """The output shape. Raises ValueError, with both numbers, if the inputs do not suit."""

    def params(self, *x: Any, **_: Any) -> dict[str, Param]:
        """Names, shapes and kinds of the operator's numbers."""
        return {}

    @abstractmethod
    def cost(self, *x: Any, **_: Any) -> OperatorCost:
        """What one inference does."""

    @abstractmethod
    def module(self, *x: Any, **_: Any) -> torch.nn.Module:
        """The float semantics as a torch module.

        Tensors are in torch's own layout, (batch, channels, height, width) or (batch, features). The module's
        parameters have the names, shapes and layout of `params`.
        """

    def int8(self, *x: Any, **_: Any) -> np.ndarray:
        """The integer semantics: the specification that the emitted C follows bit for bit. Shapes (batch, …)."""
        raise ModelError(f"{type(self).__name__} has no int8 form: rewrite it before quantizing, or run it in float")

    def call(self, *x: Any, **_: Any) -> tuple[Call, ...]:
        """The calls into kernels/ that compute `int8`, for the instructions of `target`."""
        raise ModelError(f"{type(self).__name__} has no int8 kernel: rewrite it before quantizing, or run it in float")


@dataclass(frozen=True)
class Input:
    name: str
    shape: Shape


@dataclass(frozen=True)
class Node:
    """One application of an operator. Its output value carries the node's name.

    blocks: the blocks of the architecture that it stands in, outermost first. They change nothing that is computed; a
    framework that runs a block as one call keeps what the block reads until the call returns.
    out_of_place: an element-wise operator whose definition does not ask to work in place (PyTorch: no `inplace=True`).
    shares: an earlier node with the same numbers, as where a network applies one layer twice: they are counted once.
    """

    name: str
    op: Operator
    inputs: tuple[str, ...]
    blocks: tuple[str, ...] = ()
    out_of_place: bool = False
    shares: str = ""


@dataclass(frozen=True)
class Graph:
    """A network's structure. Nodes stand in an order in which they can be executed.

    Raises ModelError if a name is used twice or before it is produced, a shape does not suit, or an output is unknown.
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        shapes = self.shapes
        for output in self.outputs:
            if output not in shapes:
                raise ModelError(f"graph '{self.name}': output '{output}' is produced by no node")
        if not self.outputs:
            raise ModelError(f"graph '{self.name}' has no output: name at least one node as output")

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Every value's shape, in execution order."""
        shapes: dict[str, Shape] = {}
        for input in self.inputs:
            if input.name in shapes:
                raise ModelError(f"graph '{self.name}': two inputs are named '{input.name}'")
            if not input.shape or any(size < 1 for size in input.shape):
                raise ModelError(
                    f"graph '{self.name}': input '{input.name}' has shape {input.shape}; every size must be 1 or more"
                )
            shapes[input.name] = input.shape
        for node in self.nodes:
            if node.name in shapes:
                raise ModelError(f"graph '{self.name}': two values are named '{node.name}'")
            shapes[node.name] = _output_shape(node, shapes)
        return shapes

    @cached_property
    def by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def readers(self) -> dict[str, tuple[Node, ...]]:
        """Value → the nodes that read it, in execution order."""
        readers: dict[str, list[Node]] = {name: [] for name in self.shapes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return {name: tuple(nodes) for name, nodes in readers.items()}

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        return tuple(self.shapes[name] for name in node.inputs)

    def params(self, *, shared: bool = True) -> dict[str, Param]:
        """Every array of the network as `node.array`, in execution order.

        shared: those of nodes that share an earlier node's numbers, too.
        """
        return {
            f"{node.name}.{name}": param
            for node in self.nodes
            if shared or not node.shares
            for name, param in node.op.params(*self.input_shapes(node)).items()
        }


def _output_shape(node: Node, shapes: Mapping[str, Shape]) -> Shape:
    for name in node.inputs:
        if name not in shapes:
            raise ModelError(f"node '{node.name}' reads '{name}', which no earlier node produces")
    where = f"node '{node.name}' ({type(node.op).__name__})"
    given, needed = len(node.inputs), _input_count(type(node.op))
    if needed is not None and given != needed:
        raise ModelError(f"{where}: it reads {given} value{'' if given == 1 else 's'}; it takes {needed}")
    try:
        return node.op.shape(*(shapes[name] for name in node.inputs))
    except ValueError as error:
        raise ModelError(f"{where}: {error}") from None


@cache
def _input_count(kind: type[Operator]) -> int | None:
    """How many values an operator reads; None for any number."""
    parameters = list(signature(kind.shape).parameters.values())[1:]
    return None if any(each.kind is Parameter.VAR_POSITIONAL for each in parameters) else len(parameters)


class Builder:
    """Adds nodes one by one, so that an architecture reads like the paper's table.

    last: the value that the next node reads if it names none.

    build = Builder("lenet5", (32, 32, 1))
    x = build("c1", Conv2d(channels=6, kernel=5), build.input)
    with build.block("tail"):
        x = build("flat", Flatten())
    graph = build.graph(x)
    """

    input = "input"

    def __init__(self, name: str, input_shape: Shape) -> None:
        self.name = name
        self.inputs = (Input(self.input, input_shape),)
        self.nodes: list[Node] = []
        self.blocks: tuple[str, ...] = ()
        self.last = self.input
        self._shapes: dict[str, Shape] = {self.input: input_shape}

    def __call__(self, name: str, op: Operator, *inputs: str, out_of_place: bool = False) -> str:
        """Add a node that reads `inputs`, or the last added value if none is named; return its name."""
        self.nodes.append(Node(name, op, inputs or (self.last,), self.blocks, out_of_place))
        self.last = name
        return name

    @contextmanager
    def block(self, name: str) -> Iterator[None]:
        """Nodes that are added inside stand in the block `name`, and in those around it."""
        outside = self.blocks
        self.blocks = (*outside, name)
        try:
            yield
        finally:
            self.blocks = outside

    @property
    def shape(self) -> Shape:
        """Of the last added value. Raises ModelError, as Graph does, if a node on the way does not suit its inputs."""
        for node in self.nodes[len(self._shapes) - 1 :]:
            self._shapes[node.name] = _output_shape(node, self._shapes)
        return self._shapes[self.last]

    def graph(self, *outputs: str) -> Graph:
        return Graph(self.name, self.inputs, tuple(self.nodes), outputs or (self.last,))
