"""Special layers as ordinary ones, which have int8 forms and kernels: LeNet-5's of 1998, counted padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from millijoule.graph import Node, Operator, Shape
from millijoule.ops import AveragePool2d, Conv2d, Dense, Pad, RadialBasis, Subsample2d, TableConv2d
from millijoule.passes.draft import Draft, Network, apply


def densify(network: Network) -> Network:
    """Write partial connections, trainable sub-sampling and radial basis outputs as convolutions and a dense layer.

        TableConv2d   becomes   Conv2d with weight 0 where the table connects nothing
        Subsample2d   becomes   depthwise Conv2d whose window holds the channel's coefficient everywhere
        AveragePool2d whose padding counts   becomes   Pad ─▶ AveragePool2d
        RadialBasis   becomes   Dense with the codes w as weights and -|w|²/2 as biases

    All but the last compute the same. For that one, |x - w|² = |x|² - 2 (w·x - |w|²/2): the distance becomes the
    bracket, so the largest output names the class whose distance was least. Since the numbers differ, a RadialBasis
    that another node reads stays. After it: no node is a TableConv2d or a Subsample2d, no pool
    counts padding, no output a RadialBasis unless
    another node reads it.
    """
    return apply(network, _densify)


def _densify(draft: Draft, node: Node) -> None:
    shape = draft.input_shape(node)
    if isinstance(node.op, RadialBasis) and draft.has_readers(node.name):
        return
    if isinstance(node.op, AveragePool2d) and node.op.count_padding:
        _pad_before(draft, node, node.op)
        return
    op = _dense_operator(node.op, shape)
    if op is None:
        return
    if draft.weights is not None:
        arrays = {name: draft.weights[f"{node.name}.{name}"] for name in node.op.params(shape)}
        for name, array in _dense_arrays(node.op, shape, arrays).items():
            draft.weights[f"{node.name}.{name}"] = array.astype(np.float32)
    draft.set_op(node.name, op)


def _pad_before(draft: Draft, node: Node, pool: AveragePool2d) -> None:
    padding = pool.window(draft.input_shape(node)).padding
    draft.set_op(node.name, replace(pool, padding="valid", count_padding=False))
    if any(map(any, padding)):
        draft.insert_before(draft.nodes[node.name], Node(f"{node.name}.pad", Pad(padding=padding), node.inputs))


def _dense_operator(op: Operator, x: Shape) -> Operator | None:
    """The ordinary operator that takes the place of `op`, whose input has shape x; None if it is one already."""
    if isinstance(op, TableConv2d):
        return Conv2d(channels=len(op.table), kernel=op.kernel, bias=op.bias)
    if isinstance(op, Subsample2d):
        return Conv2d(channels=x[2], kernel=op.kernel, stride=op.kernel, groups=x[2])
    if isinstance(op, RadialBasis):
        return Dense(features=op.classes)
    return None


def _dense_arrays(op: Operator, x: Shape, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of that operator, in its layout, from those of `op`."""
    weight = arrays["weight"]
    if isinstance(op, TableConv2d):
        dense = np.zeros((len(op.table), *weight.shape[1:], x[2]))
        pairs = [(output, input) for output, inputs in enumerate(op.table) for input in inputs]
        for kernel, (output, input) in zip(weight, pairs, strict=True):
            dense[output, :, :, input] = kernel
        return arrays | {"weight": dense}
    if isinstance(op, Subsample2d):
        height, width = op.window(x).kernel
        return arrays | {"weight": np.broadcast_to(weight.reshape(-1, 1, 1, 1), (x[2], height, width, 1))}
    return {"weight": weight, "bias": -(weight.astype(np.float64) ** 2).sum(axis=1) / 2}
