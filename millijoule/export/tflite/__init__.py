"""Models as TFLite files, int8 or float32, for TFLM, LiteRT and everything that reads them."""

from __future__ import annotations

from millijoule.errors import ModelError
from millijoule.export.tflite.network import TfliteNetwork
from millijoule.export.tflite.operators import OPERATORS
from millijoule.graph import Graph
from millijoule.model import Model


def check_operators(graph: Graph) -> None:
    """ModelError, with node and operator, for an operator that TFLite has in no form."""
    for node in graph.nodes:
        if type(node.op) not in OPERATORS:
            raise ModelError(f"node '{node.name}' ({type(node.op).__name__}) has no operator in TFLite")


def to_tflite(model: Model) -> bytes:
    """The bytes of a .tflite file: batch 1, channels last, names of nodes as names of tensors.

    Preprocessing and class names stand in the file's metadata, where `load` finds them.
    Raises ModelError, with node and operator, for what TFLite does not have.
    """
    check_operators(model.graph)
    network = TfliteNetwork(model)
    for node in model.graph.nodes:
        network.current = node
        OPERATORS[type(node.op)](network)
    return network.finish("made by millijoule")
