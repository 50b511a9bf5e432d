"""Images that grow while a network trains: one network for several sizes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import ModelError, OptionError
from millijoule.graph import Graph, Input, Shape
from millijoule.ops.base import channels_first, channels_last
from millijoule.passes.cheaper import on_inputs
from millijoule.train.network import build_network, import_torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def for_sizes(graph: Graph, network: Module, shapes: Collection[Shape]) -> Module:
    """`network`, which computes the graph, for maps of all these shapes; it must be where it stays.

    forward(input, values) is that of `build_network`, for the shape of the input. All numbers are the network's own.
    Raises OptionError if the graph takes maps of one size only.
    """
    torch = import_torch()
    shapes = sorted(set(shapes) - {graph.inputs[0].shape})
    if not shapes:
        return network
    # Not to be moved among devices: buffers that are shared would not be any more.
    forms = [_sharing(with_shape(graph, shape), graph, network) for shape in shapes]

    class ForSizes(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.forms = torch.nn.ModuleList([network, *forms])
            self.at = {shape: index for index, shape in enumerate([graph.inputs[0].shape, *shapes])}

        def forward(self, x: Tensor, values: tuple[str, ...]) -> Any:
            return self.forms[self.at[tuple(x.shape[1:])]](x, values=values)

    sized: Module = ForSizes()
    return sized


def resized(images: np.ndarray, shape: Shape) -> np.ndarray:
    """uint8 images (n, height, width, channels) in the size of `shape`: those of `prepare.resize` ± 1, much faster."""
    if images.shape[1:3] == shape[:2] or len(shape) != 3:
        return images
    torch = import_torch()
    maps = channels_first(torch.from_numpy(np.ascontiguousarray(images)))
    smaller = torch.nn.functional.interpolate(maps, shape[:2], mode="bilinear", antialias=True)
    result: np.ndarray = channels_last(smaller).numpy()
    return result


def with_shape(graph: Graph, shape: Shape) -> Graph:
    """The graph for maps of another size, with the same arrays. OptionError if there is none."""
    text = f"images cannot grow, since network '{graph.name}' takes none of {shape[0]}×{shape[1]}: "
    try:
        other = on_inputs(graph, (Input(graph.inputs[0].name, shape),))
    except ModelError as error:
        raise OptionError(f"{text}{error}; leave first_size at 1") from None
    others = other.params()
    for array, own in graph.params().items():
        if others[array] != own:
            node, _, name = array.rpartition(".")
            raise OptionError(
                f"{text}'{node}' would have {others[array].count} numbers in '{name}' instead of {own.count}; "
                "leave first_size at 1"
            )
    return other


def _sharing(graph: Graph, whole: Graph, network: Any) -> Module:
    """The graph as a torch module whose numbers are those of `network`, which computes `whole`."""
    form: Any = build_network(graph).to(next(network.parameters()).device)
    for node, module, source in zip(whole.nodes, form.nodes, network.nodes, strict=True):
        for name in node.op.params(*whole.input_shapes(node)):
            setattr(module, name, getattr(source, name))
    shared: Module = form
    return shared
