"""Known architectures, one per file, without weights: `zoo.lenet5(classes=10)` is a Graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.zoo.autoencoder import autoencoder
from millijoule.zoo.ds_cnn import ds_cnn
from millijoule.zoo.lenet5 import lenet5
from millijoule.zoo.lenet5_1998 import codes, lenet5_1998
from millijoule.zoo.mobilenet_v1_025 import mobilenet_v1_025
from millijoule.zoo.multilayer import multilayer
from millijoule.zoo.perceptron import perceptron
from millijoule.zoo.resnet8 import resnet8
from millijoule.zoo.two_layer import two_layer

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Entry",
    "autoencoder",
    "constants",
    "ds_cnn",
    "entries",
    "get",
    "lenet5",
    "lenet5_1998",
    "mobilenet_v1_025",
    "multilayer",
    "perceptron",
    "resnet8",
    "two_layer",
]


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    function: builds its Graph; all arguments have defaults. name: of the function and of the graph.
    paper: first authors, title, where; year: when. constants: the arrays that the architecture itself fixes, by their
    names in Model.weights.
    """

    name: str
    function: Callable[..., Graph]
    title: str
    paper: str
    year: int
    constants: Callable[[], dict[str, np.ndarray]] = dict

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `function` takes: `classes`, `input_shape`, …"""
        return tuple(inspect.signature(self.function).parameters)


_LENET = "LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86(11)"
_BACKPROPAGATION = "Rumelhart et al., Learning representations by back-propagating errors, Nature 323"
_MLPERF_TINY = "Banbury et al., MLPerf Tiny Benchmark, NeurIPS Datasets and Benchmarks"

_ENTRIES = (
    Entry(
        "perceptron",
        perceptron,
        "Perceptron",
        "Rosenblatt, The perceptron: a probabilistic model for information storage, Psychological Review 65",
        1958,
    ),
    Entry("two_layer", two_layer, "Two-layer network, sigmoid", _BACKPROPAGATION, 1986),
    Entry("multilayer", multilayer, "Multi-layer network, sigmoid", _BACKPROPAGATION, 1986),
    Entry("lenet5_1998", lenet5_1998, "LeNet-5 as published", _LENET, 1998, codes),
    Entry("lenet5", lenet5, "LeNet-5, modern form", _LENET, 1998),
    Entry("resnet8", resnet8, "ResNet-8: image classification", _MLPERF_TINY, 2021),
    Entry("mobilenet_v1_025", mobilenet_v1_025, "MobileNetV1 0.25: visual wake words", _MLPERF_TINY, 2021),
    Entry("ds_cnn", ds_cnn, "DS-CNN: keyword spotting", _MLPERF_TINY, 2021),
    Entry("autoencoder", autoencoder, "Dense autoencoder: anomaly detection", _MLPERF_TINY, 2021),
)


def entries() -> tuple[Entry, ...]:
    """Every network of the zoo, oldest first."""
    return _ENTRIES


def get(name: str, **arguments: Any) -> Graph:
    """The graph of the network called `name`.

    Raises ModelError if there is no such network, or if it does not take these arguments.
    """
    entry = _entry(name)
    for argument in arguments:
        if argument not in entry.arguments:
            takes = f"it takes {', '.join(entry.arguments)}" if entry.arguments else "it takes none"
            raise ModelError(f"network '{name}' has no argument '{argument}'; {takes}")
    try:
        return entry.function(**arguments)
    except ValueError as error:
        given = ", ".join(f"{argument}={value!r}" for argument, value in arguments.items())
        raise ModelError(f"network '{name}' with {given}: {error}") from None


def constants(graph: Graph | str) -> dict[str, np.ndarray]:
    """The arrays of a graph, or of the network so called, that its architecture fixes: `node.array` → float32.

    Empty for a network that has none, and for a graph that is not of the zoo.
    """
    if isinstance(graph, str):
        return _entry(graph).constants()
    params = graph.params()
    return {
        name: array
        for entry in _ENTRIES
        if entry.name == graph.name
        for name, array in entry.constants().items()
        if name in params and params[name].kind == "constant" and params[name].shape == array.shape
    }


def _entry(name: str) -> Entry:
    for entry in _ENTRIES:
        if entry.name == name:
            return entry
    names = [entry.name for entry in _ENTRIES]
    near = get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ModelError(f"there is no network '{name}' in the zoo; {hint}known are {', '.join(names)}")
