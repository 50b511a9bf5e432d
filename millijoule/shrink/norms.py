"""Batch-norm for networks that have lost it: converters fold it into the weights."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.ops import BatchNorm, Conv2d, LayerNorm, Relu, Relu6
from millijoule.train import Dataset, prepare
from millijoule.train.data import evenly_spaced
from millijoule.train.network import activations

SAMPLES = 1024
BATCH = 16
"""Of large networks, the outputs of all convolutions fit."""
ACTIVATIONS = {"relu": Relu, "relu6": Relu6}


def add_batch_norm(model: Model, dataset: Dataset, *, samples: int = SAMPLES) -> Model:
    """A trained float model with a batch-norm after each convolution, and the same answers; to be trained further.

        conv with bias and ReLU ─▶   becomes   conv ─▶ batch_norm ─▶ relu ─▶

    Files of TFLite and many of ONNX have batch-norm folded into their weights, without which a high learning rate leads
    nowhere. Means and variances are those of `samples` training images; a layer's weights get the size with which
    training begins (He et al. 2015, equation 10), which batch-norm makes up for, so that the scale in which a file
    expects its pixels does not decide how fast it learns.

    A model that has norms, or no convolutions, comes back as it is; a convolution that makes an output, or has the
    numbers of another, stays as it is. Raises ModelError for an int8 model.
    """
    if model.is_int8:
        raise ModelError(f"model '{model.graph.name}' is int8: batch-norm is for training the float model")
    graph = model.graph
    shared = {node.shares for node in graph.nodes}
    convolutions = [
        node
        for node in graph.nodes
        if isinstance(node.op, Conv2d)
        and node.name not in graph.outputs
        and not node.shares
        and node.name not in shared
    ]
    if not convolutions or any(isinstance(node.op, BatchNorm | LayerNorm) for node in graph.nodes):
        return model
    split = {node.name: _split(node, graph) for node in convolutions}
    last = {name: parts[-1].name for name, parts in split.items()}
    norms = {name: parts[1].name for name, parts in split.items()}
    nodes: list[Node] = []
    for node in graph.nodes:
        first, *others = split.get(node.name, [node])
        nodes += [replace(first, inputs=tuple(last.get(name, name) for name in node.inputs)), *others]
    weights = dict(model.weights)
    for name, norm in norms.items():
        ones = np.ones(graph.shapes[name][-1], np.float32)
        bias = weights.pop(f"{name}.bias", 0 * ones)
        weights |= {f"{norm}.scale": ones, f"{norm}.bias": bias}
        weights |= {f"{norm}.mean": 0 * ones, f"{norm}.variance": ones - np.float32(BatchNorm().epsilon)}
    plain = replace(model, graph=replace(graph, nodes=tuple(nodes)), weights=weights)
    return replace(plain, weights=_measured(plain, norms, dataset, samples))


def _split(node: Node, graph: Graph) -> list[Node]:
    """The convolution alone, its batch-norm, its activation."""
    op = node.op
    assert isinstance(op, Conv2d)
    parts = [replace(node, op=replace(op, bias=False, activation="none"))]
    new = [("norm", BatchNorm()), *([(op.activation, ACTIVATIONS[op.activation]())] if op.activation != "none" else [])]
    for what, each in new:
        name = f"{node.name}.{what}"
        while name in graph.shapes:
            name += "_"
        parts.append(replace(node, name=name, op=each, inputs=(parts[-1].name,)))
    return parts


def _measured(model: Model, norms: dict[str, str], dataset: Dataset, samples: int) -> dict[str, np.ndarray]:
    """The model's numbers with measured means and variances in `norms` (convolution → batch-norm), answers the same."""
    inputs = prepare(evenly_spaced(samples, dataset.x_train), model.graph.inputs[0].shape, model.preprocess)
    sums = {name: np.zeros((2, model.graph.shapes[name][-1])) for name in norms}
    for values in activations(model, inputs, BATCH, tuple(norms)):
        for name, total in sums.items():
            flat = values[name].reshape(-1, total.shape[1]).astype(np.float64)
            total += flat.sum(axis=0), (flat**2).sum(axis=0)
    weights = dict(model.weights)
    for name, norm in norms.items():
        mean, square = sums[name] / (len(inputs) * prod(model.graph.shapes[name][:2]))
        weight = weights[f"{name}.weight"].astype(np.float64)
        size = np.sqrt(np.mean(weight**2) * prod(weight.shape[1:]) / 2) or 1.0
        variance = np.maximum(square - mean**2, 0.0) / size**2
        weights[f"{name}.weight"] = (weight / size).astype(np.float32)
        weights[f"{norm}.mean"] = (mean / size).astype(np.float32)
        weights[f"{norm}.variance"] = variance.astype(np.float32)
        weights[f"{norm}.scale"] = (size * np.sqrt(variance + BatchNorm().epsilon)).astype(np.float32)
        weights[f"{norm}.bias"] = (weights[f"{norm}.bias"] + mean).astype(np.float32)
    return weights
