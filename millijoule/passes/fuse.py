"""An activation costs nothing where its input is made."""

from __future__ import annotations

from dataclasses import replace

from millijoule.graph import Node
from millijoule.ops import (
    Add,
    AveragePool2d,
    Conv2d,
    ConvTranspose2d,
    Dense,
    MaxPool2d,
    Multiply,
    Relu,
    Relu6,
    Subtract,
)
from millijoule.ops.base import Activation
from millijoule.passes.draft import Draft, Network, apply

FUSED = (Conv2d, ConvTranspose2d, Dense, Add, Subtract, Multiply, MaxPool2d, AveragePool2d)


def fuse_activations(network: Network) -> Network:
    """Move ReLU and ReLU6 into the operator in front of them.

        conv ─▶ relu ─▶   becomes   conv with activation ─▶

    For convolutions and their transposes, dense layers, sums, differences, products and pools that have no activation
    yet and that nothing else reads. After it: a Relu or Relu6 that is left follows none of these; outputs are equal.
    """
    return apply(network, _fuse)


def _fuse(draft: Draft, node: Node) -> None:
    if not isinstance(node.op, Relu | Relu6):
        return
    producer = draft.producer(node)
    if (
        producer is not None
        and isinstance(producer.op, FUSED)
        and producer.op.activation == "none"
        and draft.is_read_once(producer.name)
    ):
        activation: Activation = "relu" if isinstance(node.op, Relu) else "relu6"
        draft.set_op(producer.name, replace(producer.op, activation=activation))
        draft.remove(node)
