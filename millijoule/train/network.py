"""A graph as a torch module, and a model's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import DataError, ModelError, ToolError
from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.ops.base import channels_first, channels_last
from millijoule.ops.opaque import check_known
from millijoule.train.prepare import prepare, quantized_inputs

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

BATCH = 256


def import_torch() -> ModuleType:
    """torch, or ToolError that says how to get it."""
    try:
        import torch
    except ImportError:
        raise ToolError(
            "training, and running a float model, need torch, which is missing: pip install 'millijoule[train]'"
        ) from None
    return torch


def build_network(graph: Graph) -> torch.nn.Module:
    """`graph` as a torch module with all numbers 0; one sub-module for each node, in `modules_by_node`.

    forward(*inputs, values) takes (batch, h, w, c) or (batch, features) tensors in the order of the graph's inputs and
    returns {name: tensor} of the named `values` (default: the graph's outputs), in the same layout. Inside, maps lie
    in torch's channels_last memory format, which is the same bytes. Raises ToolError if torch is missing, ModelError
    for operators that are not known.
    """
    torch = import_torch()
    check_known(graph)
    last_use = {name: node.name for node in graph.nodes for name in node.inputs}

    class Network(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            # A list, since node names may hold dots or clash with torch's own attributes.
            self.nodes = torch.nn.ModuleList(node.op.module(*graph.input_shapes(node)) for node in graph.nodes)

        def forward(self, *inputs: Tensor, values: tuple[str, ...] = graph.outputs) -> dict[str, Tensor]:
            live = {input.name: channels_first(x) for input, x in zip(graph.inputs, inputs, strict=True)}
            found = {name: channels_last(x) for name, x in live.items() if name in values}
            for node, module in zip(graph.nodes, self.nodes, strict=True):
                live[node.name] = module(*(live[name] for name in node.inputs))
                if node.name in values:
                    found[node.name] = channels_last(live[node.name])
                for name in set(node.inputs):
                    if last_use[name] == node.name:
                        del live[name]
                if len(found) == len(values):
                    break
            return found

    network: Module = Network()
    return network


def arrays_of(graph: Graph, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The network's own tensors under the names of `Model.weights`, `node.array`."""
    nodes: Any = network.nodes
    return {
        f"{node.name}.{name}": getattr(module, name)
        for node, module in zip(graph.nodes, nodes, strict=True)
        for name in node.op.params(*graph.input_shapes(node))
    }


def read_weights(graph: Graph, network: torch.nn.Module) -> dict[str, np.ndarray]:
    """A copy of the network's numbers: float32 arrays as in `Model.weights`."""
    return {
        name: tensor.detach().cpu().numpy().astype(np.float32, copy=True)
        for name, tensor in arrays_of(graph, network).items()
    }


def write_weights(graph: Graph, network: torch.nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Set the network's numbers."""
    torch = import_torch()
    with torch.no_grad():
        for name, tensor in arrays_of(graph, network).items():
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(weights[name], np.float32)))


def network_of(model: Model) -> torch.nn.Module:
    """A float model as a torch module in evaluation mode."""
    if model.is_int8:
        raise DataError(f"model '{model.graph.name}' is int8; torch runs the float model")
    network = build_network(model.graph).eval()
    write_weights(model.graph, network, model.weights)
    return network


def activations(
    model: Model, inputs: np.ndarray, batch: int = 64, names: tuple[str, ...] = ()
) -> Iterator[dict[str, np.ndarray]]:
    """Values of a float model, batch by batch: {name: float32 (batch, h, w, c) or (batch, features)}.

    inputs: float32 (n, *input shape), prepared. names: of which values (default: every one).
    """
    network = network_of(model)
    names = names or tuple(model.graph.shapes)
    for start in range(0, len(inputs), batch):
        yield _run(network, inputs[start : start + batch], names)


def predict(model: Model, inputs: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """The model's first output, float32 (n, …), for prepared inputs.

    inputs: float32 (n, *input shape) for a float model; int8 for an int8 model, whose outputs are dequantized.
    """
    answer = _answerer(model)
    return np.concatenate([answer(inputs[start : start + batch]) for start in range(0, len(inputs), batch)])


def accuracy(model: Model, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images that the model, float or int8, gives their label: 0…1.

    images: uint8 (n, h, w, c), as they come; they are fitted and normalised as in training. labels: (n,).
    """
    if not len(images) or len(images) != len(labels):
        raise DataError(f"accuracy needs images with as many labels: {len(images)} images, {len(labels)} labels")
    check_classifier(model)
    shape = model.graph.inputs[0].shape
    answer = _answerer(model)
    right = 0
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        inputs = quantized_inputs(model, part) if model.is_int8 else prepare(part, shape, model.preprocess)
        answers = predicted_labels(model.graph, answer(inputs))
        right += int(np.sum(answers == labels[start : start + BATCH]))
    return right / len(images)


def check_classifier(model: Model) -> None:
    """ModelError for a model that finds boxes."""
    if model.boxes:
        raise ModelError(
            f"model '{model.graph.name}' finds boxes and names no class of an image: give annotated images where they "
            "are taken, as --data voc:FOLDER"
        )


def _answerer(model: Model) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a batch of prepared inputs to the model's first output."""
    output = model.graph.outputs[0]
    if model.quantization is not None:
        quantization = model.quantization[output]
        return lambda inputs: quantization.dequantize(model.run(inputs)[output])
    network = network_of(model)
    return lambda inputs: _run(network, inputs, (output,))[output]


def predicted_labels(graph: Graph, outputs: np.ndarray) -> np.ndarray:
    """The class that each row of outputs (n, …) names: the largest, or the least if outputs are distances."""
    flat = outputs.reshape(len(outputs), -1)
    return flat.argmin(axis=1) if outputs_are_distances(graph) else flat.argmax(axis=1)


def outputs_are_distances(graph: Graph) -> bool:
    from millijoule.ops.dense import RadialBasis

    return isinstance(graph.by_name[graph.outputs[0]].op, RadialBasis)


def consumers(graph: Graph, value: str) -> list[Node]:
    return [node for node in graph.nodes if value in node.inputs]


def _run(network: torch.nn.Module, inputs: np.ndarray, values: tuple[str, ...]) -> dict[str, np.ndarray]:
    torch = import_torch()
    with torch.inference_mode():
        found = network(torch.from_numpy(np.ascontiguousarray(inputs, np.float32)), values=values)
    return {name: value.numpy() for name, value in found.items()}
