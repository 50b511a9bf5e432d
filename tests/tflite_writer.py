"""Models of one operator, and TFLite files that tests change.

build(model)                 # the file as objects, by the schema that PyPI's tflite-micro ships
pack(file)                   # and as bytes again
"""

from __future__ import annotations

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from millijoule.export.tflite import to_tflite
from millijoule.graph import Graph, Input, Node, Operator
from millijoule.model import Model, Quantization


def one_node(
    op: Operator,
    *inputs: tuple[int, ...],
    quantization: dict[str, Quantization] | None = None,
    **weights: np.ndarray,
) -> Model:
    """A model of one node, `op`, that reads `input0`, `input1`, …; keyword arguments are its arrays.

    quantization: of `input0` …, of `op` (the output) and of `op.weight`; None for a float model.
    """
    names = tuple(f"input{index}" for index in range(len(inputs)))
    entries = tuple(Input(name, shape) for name, shape in zip(names, inputs, strict=True))
    graph = Graph("single", entries, (Node("op", op, names),), ("op",))
    return Model(graph, {f"op.{name}": array for name, array in weights.items()}, quantization)


def build(model: Model) -> schema.ModelT:
    """The written file, read by the generated classes; shapes, scales and numbers of tensors as lists."""
    file = schema.ModelT.InitFromPackedBuf(to_tflite(model))
    (graph,) = file.subgraphs
    lists = [(graph, ("inputs", "outputs"))]
    lists += [(operator, ("inputs", "outputs")) for operator in graph.operators]
    lists += [(tensor, ("shape",)) for tensor in graph.tensors]
    lists += [(tensor.quantization, ("scale", "zeroPoint")) for tensor in graph.tensors if tensor.quantization]
    for owner, names in lists:
        for name in names:
            setattr(owner, name, getattr(owner, name).tolist())
    for tensor in graph.tensors:
        tensor.name = tensor.name.decode()
    return file


def pack(file: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())
