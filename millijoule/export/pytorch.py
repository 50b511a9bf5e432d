"""Float models for PyTorch: a program of torch.export, or numbers alone, under torch's names and in its layout."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from millijoule.graph import Graph, Node
from millijoule.load.metadata import NAME, to_text
from millijoule.load.torch.checkpoint import EXTRA
from millijoule.load.weights import THEIR_NAMES, flattened
from millijoule.model import Model
from millijoule.ops import Conv2d, ConvTranspose2d, Dense
from millijoule.ops.base import channels_first, channels_last
from millijoule.train.network import import_torch, network_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def to_pt2(model: Model) -> bytes:
    """A program of torch.export in evaluation mode; batch 1, maps as (batch, channels, height, width)."""
    torch = import_torch()
    program = torch.export.export(exchanged(model), tuple(torch.zeros(shape) for shape in _input_shapes(model.graph)))
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files={NAME: to_text(model)})
    return stream.getvalue()


def exchanged(model: Model) -> Module:
    """A float model as a module that takes and gives torch's layout; one output, or a tuple of them."""
    torch = import_torch()
    outputs = model.graph.outputs

    class Exchanged(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network_of(model)

        def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
            found = self.network(*(channels_last(x) for x in inputs))
            values = tuple(channels_first(found[name]) for name in outputs)
            return values[0] if len(values) == 1 else values

    module: Module = Exchanged().eval()
    return module


def _input_shapes(graph: Graph) -> list[tuple[int, ...]]:
    shapes = [entry.shape for entry in graph.inputs]
    return [(1, shape[2], *shape[:2]) if len(shape) == 3 else (1, *shape) for shape in shapes]


def to_pt(model: Model) -> bytes:
    """A state dict as torch.save writes it; in its archive, where TorchScript has extra files, what `load` keeps."""
    torch = import_torch()
    stream = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in state_dict(model).items()}, stream)
    if kept := to_text(model):
        with zipfile.ZipFile(stream, "a") as archive:
            root = archive.namelist()[0].split("/")[0]
            archive.writestr(f"{root}/{EXTRA}", kept)
    return stream.getvalue()


def to_safetensors(model: Model) -> bytes:
    """A state dict as safetensors: the length of a header, the header (JSON: type, shape, place), the numbers."""
    kept = to_text(model)
    header: dict[str, object] = {"__metadata__": {"format": "pt"} | ({NAME: kept} if kept else {})}
    arrays, end = state_dict(model), 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(array.tobytes() for array in arrays.values())])


def state_dict(model: Model) -> dict[str, np.ndarray]:
    """`layer.array` → float32 array in torch's layout, channels first: what `load(file, network=graph)` reads.

    Arrays that several layers share stand where they are used first.
    """
    graph = model.graph
    arrays = {}
    for node in graph.nodes:
        for key, array in model.node_weights(node).items() if not node.shares else ():
            theirs = _theirs(graph, node, array) if key == "weight" else array
            arrays[f"{node.name}.{THEIR_NAMES.get(key, key)}"] = np.ascontiguousarray(theirs, "<f4")
    return arrays


def _theirs(graph: Graph, node: Node, weight: np.ndarray) -> np.ndarray:
    """A layer's weight in torch's layout."""
    if isinstance(node.op, Conv2d):
        return weight.transpose(0, 3, 1, 2)
    if isinstance(node.op, ConvTranspose2d):
        return np.concatenate([group.transpose(3, 0, 1, 2) for group in np.split(weight, node.op.groups)])
    if isinstance(node.op, Dense) and (shape := flattened(graph, node)):
        return weight.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(weight.shape)
    return weight
