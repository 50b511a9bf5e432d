"""Rewrites of a network: each pass is a function from a Graph, or a float Model, to a new one of the same kind.

A pass states what holds after it. A value keeps the name of the operator that computes it, so an output's name may
change when the node that made it is folded away; the order of the outputs does not.
"""

from __future__ import annotations

from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.passes.batch_norm import fold_batch_norm
from millijoule.passes.densify import densify
from millijoule.passes.draft import Network
from millijoule.passes.fuse import fuse_activations
from millijoule.passes.remove import remove_identities, remove_unread

__all__ = [
    "densify",
    "deployed",
    "fold_batch_norm",
    "fuse_activations",
    "remove_identities",
    "remove_unread",
    "simplify",
]


def deployed(network: Graph | Model) -> Graph:
    """The structure of what is deployed: an int8 model's own, of any other the simplified one."""
    graph = network.graph if isinstance(network, Model) else network
    return graph if isinstance(network, Model) and network.is_int8 else simplify(graph)


def simplify(network: Network) -> Network:
    """The network as it is quantized and deployed: all passes, in order.

    Of a Graph, it tells what will be deployed before anything is trained: `cost(simplify(zoo.resnet8()))`.
    After it holds what each pass states. Raises ModelError for an int8 model.
    """
    for one_pass in (remove_unread, densify, remove_identities, fold_batch_norm, fuse_activations):
        network = one_pass(network)
    return network
