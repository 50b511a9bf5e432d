"""What a layer in float, or in 16 bits, would give. Simulated: kernels for it do not exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from millijoule.model import Model, Quantization
from millijoule.ops.base import channels_first, channels_last
from millijoule.train.network import build_network, import_torch, write_weights
from millijoule.train.prepare import prepare

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 256
Kept = Literal["float", "int16"]


def simulated(
    model: Model, int8: Model, images: np.ndarray, kept: Mapping[str, Kept], outputs: Sequence[str]
) -> dict[str, np.ndarray]:
    """The values `outputs` (n, …) for uint8 images (n, h, w, c) if the layers `kept` are not int8.

    model: the float model that is ready for int8; int8: its int8 form. Weights and values of the other layers are
    rounded and saturated to int8's; a layer in float has its float weights and an output that is not rounded; one in
    int16 has float weights and an output in 65,536 steps of twice the range. Arithmetic between is float.
    """
    torch = import_torch()
    assert int8.quantization is not None
    graph = model.graph
    network: Any = build_network(graph).eval()
    write_weights(graph, network, _weights(model, int8, kept))
    found: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
    for start in range(0, len(images), BATCH):
        part = prepare(images[start : start + BATCH], graph.inputs[0].shape, model.preprocess)
        with torch.inference_mode():
            entry = graph.inputs[0].name
            live = {entry: _rounded(channels_first(torch.from_numpy(part)), int8.quantization[entry])}
            for node, module in zip(graph.nodes, network.nodes, strict=True):
                y = module(*(live[name] for name in node.inputs))
                live[node.name] = _kept(y, int8.quantization[node.name], kept.get(node.name))
            for name in outputs:
                found[name].append(channels_last(live[name]).numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _weights(model: Model, int8: Model, kept: Mapping[str, Kept]) -> dict[str, np.ndarray]:
    """Real numbers: the float model's of the layers that are kept, else those that the integers stand for."""
    assert int8.quantization is not None
    weights = dict(model.weights)
    for node in int8.graph.nodes:
        if node.name in kept:
            continue
        known = int8.node_quantization(node)
        for key, array in int8.node_weights(node).items():
            scales = known.weights["weight" if key == "bias" else key].scales.astype(np.float64)
            if key == "bias":
                scales = scales * np.float64(known.inputs[0].scale)
            columns = scales.reshape(-1, *(1 for _ in array.shape[1:]))
            weights[f"{node.name}.{key}"] = (array * columns).astype(np.float32)
    return weights


def _kept(y: Tensor, quantization: Quantization, kind: Kept | None) -> Tensor:
    if kind == "float":
        return y
    return _rounded(y, quantization, finer=128 if kind == "int16" else 1)


def _rounded(y: Tensor, quantization: Quantization, finer: int = 1) -> Tensor:
    """Rounded to steps and saturated; finer: steps are so many times smaller, and 256 times as many."""
    step, zero = float(quantization.scale) / finer, quantization.zero_point * finer
    span = 128 if finer == 1 else 32768
    return ((y / step).round() + zero).clamp(-span, span - 1).sub(zero).mul(step)
