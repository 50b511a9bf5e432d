"""Inputs of a size with which a network learns: files may expect pixels of 0…255."""

from __future__ import annotations

from dataclasses import replace
from math import log2

import numpy as np

from millijoule.graph import Node
from millijoule.model import Model
from millijoule.ops import Conv2d, Dense

LARGEST = 16.0
"""Inputs up to it, and down to one through it, are left as they are."""


def input_factor(model: Model) -> float:
    """A power of two by which the model's inputs are to be divided, so that the largest is near 1.

    1 where they are not far from it, or are read by others than convolutions and dense layers. The gradients of the
    first weights grow with the inputs, while the weights shrink: with pixels of 0…255 they no longer learn, but jump.
    """
    mean, std = (np.asarray(model.preprocess[name], np.float64) for name in ("mean", "std"))
    largest = float(np.max(np.maximum(np.abs(mean), np.abs(1 - mean)) / std))
    readers = _readers(model)
    if 1 / LARGEST <= largest <= LARGEST or not all(isinstance(node.op, Conv2d | Dense) for node in readers):
        return 1.0
    return float(2.0 ** round(log2(largest)))


def scaled_input(model: Model, factor: float) -> Model:
    """The model that expects its input `factor` times as large and answers the same; exactly, for a power of two."""
    if factor == 1:
        return model
    weights = dict(model.weights)
    for name in {f"{node.name}.weight" for node in _readers(model)}:
        weights[name] = weights[name] / np.float32(factor)
    std = [each / factor for each in model.preprocess["std"]]
    return replace(model, weights=weights, preprocess={**model.preprocess, "std": std})


def _readers(model: Model) -> list[Node]:
    """The nodes that read an input."""
    return [node for input in model.graph.inputs for node in model.graph.readers[input.name]]
