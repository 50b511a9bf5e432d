"""Models as ONNX files: float ones, and int8 ones with QuantizeLinear and DequantizeLinear around every operator."""

from __future__ import annotations

from millijoule.export.onnx.network import OnnxNetwork
from millijoule.export.onnx.operators import OPERATORS
from millijoule.model import Model


def to_onnx(model: Model) -> bytes:
    """The bytes of an .onnx file: any batch, maps as (batch, channels, height, width), float32 inputs and outputs.

    Of an int8 model, the weights are integers, and every value passes QuantizeLinear and DequantizeLinear; `load`
    makes the same int8 model of it. A runtime that computes in float in between rounds once where TFLite's rules
    round twice. Raises ModelError, with node and operator, for what ONNX does not have.
    """
    network = OnnxNetwork(model)
    for node in model.graph.nodes:
        network.current = node
        if type(node.op) not in OPERATORS:
            network.fail("has no operator in ONNX")
        shapes = network.model.graph.input_shapes(node)
        inputs = (network.values[name] for name in node.inputs)
        network.define(OPERATORS[type(node.op)](network, node.op, shapes, *inputs))
    return network.finish()
