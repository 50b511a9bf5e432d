"""An operator's float semantics, on arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from millijoule.model import Model


def run_module(model: Model, inputs: Sequence[np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """The one operator of `model` as a torch module in float64: arrays (batch, height, width, channels) or
    (batch, …) in and out. weights: by the names of the operator's `params`."""
    (node,) = model.graph.nodes
    module = node.op.module(*model.graph.input_shapes(node)).double().eval()
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    assert own.keys() == weights.keys()
    with torch.no_grad():
        for name, tensor in own.items():
            assert tensor.shape == weights[name].shape
            tensor.copy_(torch.from_numpy(np.asarray(weights[name], np.float64)))
        return to_numpy(module(*(to_torch(x) for x in inputs)))


def to_torch(x: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(np.asarray(x, np.float64))
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def to_numpy(x: torch.Tensor) -> np.ndarray:
    return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).numpy()
