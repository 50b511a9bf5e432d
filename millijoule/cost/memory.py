"""How much memory the values of a network need while it runs, under three rules.

    layer by layer   every node writes a new value, which is freed after its last reader; the input too
    eager            float32 in PyTorch, as its definition is written: see `EAGER`
    in place         what is deployed (batch-norm folded, activations fused), element-wise results over a dying input

A rule is a `Rule`: which outputs are an input's bytes, which a node allocates besides, and what a caller keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from millijoule.graph import Graph, Node, Shape
from millijoule.ops import (
    Conv2d,
    Dropout,
    HardSwish,
    LeakyRelu,
    LocalResponseNorm,
    MaxPool2d,
    Relu,
    Relu6,
    Slice,
    Swish,
    Transpose,
)


@dataclass(frozen=True)
class Rule:
    """Where memory is shared, and when it is freed.

    view: whether the node's output is the bytes of its first input. in_place: the inputs that the output may overwrite
    if nothing reads them later. extra_bytes: what the node allocates and frees while it runs, from its input shapes,
    its output shape and the bytes of one number. callers: whether the network's caller keeps its inputs to the end, and
    a block what it reads until the block is done.
    """

    view: Callable[[Node], bool]
    in_place: Callable[[Node], tuple[int, ...]]
    extra_bytes: Callable[[Node, tuple[Shape, ...], Shape, int], int]
    callers: bool


def _no_bytes(node: Node, inputs: tuple[Shape, ...], output: Shape, number_bytes: int) -> int:
    return 0


LAYER_BY_LAYER = Rule(lambda node: node.op.alias, lambda node: (), _no_bytes, callers=False)
IN_PLACE = Rule(lambda node: node.op.alias, lambda node: node.op.in_place, _no_bytes, callers=False)

_IN_PLACE_MODULES = (Relu, Relu6, LeakyRelu, Swish, HardSwish)
"""The activations that architectures in PyTorch ask to work in place (torchvision: `inplace=True` throughout)."""


def _eager_in_place(node: Node) -> tuple[int, ...]:
    return (0,) if isinstance(node.op, _IN_PLACE_MODULES) and not node.out_of_place else ()


def _eager_extra_bytes(node: Node, inputs: tuple[Shape, ...], output: Shape, number_bytes: int) -> int:
    op = node.op
    if isinstance(op, MaxPool2d):
        return 8 * prod(output)
    if isinstance(op, LocalResponseNorm):
        return 2 * number_bytes * prod(output)
    if isinstance(op, Conv2d):
        window = op.window(inputs[0])
        (top, bottom), (left, right) = window.padding
        if (top, left) != (bottom, right):
            height, width = inputs[0][0] + top + bottom, inputs[0][1] + left + right
            return number_bytes * height * width * inputs[0][2]
    return 0


EAGER = Rule(
    view=lambda node: node.op.alias or isinstance(node.op, Dropout | Slice | Transpose),
    in_place=_eager_in_place,
    extra_bytes=_eager_extra_bytes,
    callers=True,
)
"""PyTorch, eager, inference on a CPU: what its tensors hold. Nothing is folded and nothing fused.

- A tensor is freed when the last name for it is gone: after its last reader; but whoever called a module keeps the
  module's input until the call returns. So the network's inputs stay to the end, and what a block reads from outside
  stays until the block's last node. Node.blocks says which nodes are one block.
- Every layer allocates its output, batch-norm and additions too. ReLU, ReLU6, leaky ReLU, swish and hard swish work in
  place where nothing reads their input later, unless Node.out_of_place says that the definition does not ask for it.
  Reshapes, slices, transposes and dropout return a view: it keeps the
  bytes it looks at.
- Max pooling makes int64 indices besides its output (torch.max_pool2d_with_indices). Local response normalisation
  has two temporaries of the map's size at its most (mul, then add or pow, in torch.nn.functional). A convolution that
  is padded unequally reads a padded copy.
- The working memory inside a library's kernel is no tensor and does not count.
- Of a PyTorch module that is loaded, the blocks are its modules, and activations work in place if they are called so.
  What a Python name or list keeps beyond its last reader is not seen (DenseNet's list of maps).
"""


def live_bytes(graph: Graph, number_bytes: int, rule: Rule) -> list[int]:
    """The bytes that exist while each node runs, in order. Time: linear in nodes and their inputs."""
    sizes = {name: prod(shape) * number_bytes for name, shape in graph.shapes.items()}
    last_read = _last_reads(graph)
    kept = _kept_by_blocks(graph) if rule.callers else {}
    storage = {input.name: input.name for input in graph.inputs}
    read_until = {input.name: last_read[input.name] for input in graph.inputs}
    free_after = dict.fromkeys(storage, len(graph.nodes) if rule.callers else 0)
    for name in storage:
        free_after[name] = max(free_after[name], last_read[name], kept.get(name, 0))
    for step, node in enumerate(graph.nodes):
        root = _shared_storage(node, step, storage, read_until, sizes, rule) or node.name
        storage[node.name] = root
        read_until[root] = max(read_until.get(root, step), last_read[node.name])
        free_after[root] = max(free_after.get(root, step), last_read[node.name], kept.get(node.name, 0))

    # One walk along the steps: what a step makes comes, what nothing needs after it goes.
    goes = [0] * (len(graph.nodes) + 1)
    for root, step in free_after.items():
        goes[step] += sizes[root]
    total = sum(sizes[input.name] for input in graph.inputs)
    live = []
    for step, node in enumerate(graph.nodes):
        total += sizes[node.name] if storage[node.name] == node.name else 0
        live.append(total + rule.extra_bytes(node, graph.input_shapes(node), graph.shapes[node.name], number_bytes))
        total -= goes[step]
    return live


def _shared_storage(
    node: Node,
    step: int,
    storage: Mapping[str, str],
    read_until: Mapping[str, int],
    sizes: Mapping[str, int],
    rule: Rule,
) -> str | None:
    """The storage of an input that the node's output takes; None if it needs its own."""
    if rule.view(node):
        return storage[node.inputs[0]]
    overwritable = rule.in_place(node)
    read_besides = {storage[name] for index, name in enumerate(node.inputs) if index not in overwritable}
    for index in overwritable:
        root = storage[node.inputs[index]]
        if read_until[root] <= step and sizes[root] == sizes[node.name] and root not in read_besides:
            return root
    return None


def _last_reads(graph: Graph) -> dict[str, int]:
    """The last step that reads each value; its own for one that nothing reads, the end for an output."""
    last = dict.fromkeys((input.name for input in graph.inputs), 0)
    for step, node in enumerate(graph.nodes):
        last |= dict.fromkeys((*node.inputs, node.name), step)
    return last | dict.fromkeys(graph.outputs, len(graph.nodes))


def _kept_by_blocks(graph: Graph) -> dict[str, int]:
    """Value → the last step of the blocks that read it from outside."""
    spans: dict[tuple[str, ...], tuple[int, int]] = {}
    made = {input.name: -1 for input in graph.inputs}
    for step, node in enumerate(graph.nodes):
        made[node.name] = step
        for depth in range(1, len(node.blocks) + 1):
            first, _ = spans.get(node.blocks[:depth], (step, step))
            spans[node.blocks[:depth]] = (first, step)
    kept: dict[str, int] = {}
    for node in graph.nodes:
        for depth in range(1, len(node.blocks) + 1):
            first, last = spans[node.blocks[:depth]]
            for name in node.inputs:
                if made[name] < first:
                    kept[name] = max(kept.get(name, 0), last)
    return kept
