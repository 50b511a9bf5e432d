"""Nodes that do nothing, and nodes that do it for nobody."""

from __future__ import annotations

from millijoule.graph import Node
from millijoule.ops import Dropout, Flatten, Pad, Reshape
from millijoule.passes.draft import Draft, Network, apply


def remove_identities(network: Network) -> Network:
    """Remove what returns its input as it is: dropout, reshapes to the same shape, padding by nothing.

    x ─▶ dropout ─▶ y   becomes   x ─▶ y

    One that stands directly between an input and an output of the network stays. After it: no other node is a
    Dropout, nor a Flatten, Reshape or Pad whose output has the shape of its input; outputs are equal.
    """
    return apply(network, _remove_identity)


def remove_unread(network: Network) -> Network:
    """Remove every node that no output depends on. After it: each value is read or is an output."""
    return apply(network, _remove_unread, backwards=True)


def _remove_identity(draft: Draft, node: Node) -> None:
    same_shape = draft.shapes[node.name] == draft.input_shape(node)
    is_identity = isinstance(node.op, Dropout) or (isinstance(node.op, Flatten | Reshape | Pad) and same_shape)
    if is_identity and not (node.name in draft.outputs and draft.producer(node) is None):
        draft.remove(node)


def _remove_unread(draft: Draft, node: Node) -> None:
    if node.name not in draft.outputs and not draft.has_readers(node.name):
        draft.remove(node)
