"""How much each channel matters."""

from __future__ import annotations

import numpy as np

from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.ops import Dense
from millijoule.ops.conv import Convolution
from millijoule.shrink.pruning.channels import Channels
from millijoule.train.loss import Loss
from millijoule.train.network import arrays_of, import_torch, network_of

BATCH = 16


def importance(model: Model, channels: Channels, loss: Loss, inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 (units,): how much the loss changes, to first order and squared, where a unit of channels is taken out.

    inputs: float32 (n, *input shape), prepared. labels: (n,).

    To take a channel out is to set to 0 the weights that read it; the change is the sum of weight times gradient over
    all of them, which is also that of activation times gradient. The mean over batches of the squared sum.
    Source: Molchanov et al. 2019, "Importance estimation for neural network pruning", equation 8.
    """
    torch = import_torch()
    network = network_of(model)
    arrays = arrays_of(model.graph, network)
    total = np.zeros(len(channels.fixed))
    starts = range(0, len(inputs), BATCH)
    for start in starts:
        network.zero_grad()
        outputs = network(torch.from_numpy(inputs[start : start + BATCH]), values=(loss.value,))[loss.value]
        loss.plain(outputs, torch.from_numpy(labels[start : start + BATCH])).backward()  # type: ignore[no-untyped-call]
        products = {
            name: (array * array.grad).detach().numpy()
            for name, array in arrays.items()
            if array.grad is not None and name.endswith(".weight")
        }
        total += _by_unit(model.graph, channels, products) ** 2
    return total / len(starts)


def relative(values: np.ndarray, channels: Channels) -> np.ndarray:
    """Importances, each divided by the norm of those of its layer, so that layers can be compared.

    Plain ones are small in deep layers, where many channels share the work, and would leave those too narrow for what
    is learnt after pruning. Source: Molchanov et al. 2017, "Pruning convolutional neural networks for resource
    efficient inference", section 2.2.
    """
    compared = values.copy()
    for layer in channels.layers:
        compared[layer.units] /= max(np.linalg.norm(values[layer.units]), np.finfo(float).tiny)
    return compared


def _by_unit(graph: Graph, channels: Channels, products: dict[str, np.ndarray]) -> np.ndarray:
    """The sum, for each unit, of what lies at the weights that read its channels."""
    change = np.zeros(len(channels.fixed))
    for node in graph.nodes:
        product = products.get(f"{node.name}.weight")
        units = channels.units[node.inputs[0]] if node.inputs else np.array([], int)
        if product is None:
            continue
        if isinstance(node.op, Dense):
            np.add.at(change, units, product.sum(axis=0).reshape(-1, len(units)).sum(axis=0))
        elif isinstance(node.op, Convolution) and (node.op.groups == 1 or node.op.groups != len(units)):
            filters = product.reshape(node.op.groups, node.op.channels // node.op.groups, -1, product.shape[-1])
            np.add.at(change, units, filters.sum(axis=(1, 2)).reshape(-1))
    return change
