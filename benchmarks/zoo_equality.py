"""The networks of the zoo against those of torchvision, timm and Keras, given the same weights.

    python benchmarks/zoo_equality.py [NAME ...] [--images N]

Needs torchvision 0.29, and timm and keras (3, its torch backend is used) for what torchvision does not define; no
weights are downloaded. Theirs is initialised at random. Batch-norm statistics are those of a batch of noise, each then
moved at random, so that an operator that is missing, misplaced or has another epsilon or padding shows. The numbers are
copied into ours in the order in which layers run, and both compute the same N images in float64.

The difference is the largest of |ours - theirs|, relative to the largest |theirs| less the mean; `spread` is the
standard deviation of theirs between images, relative to the same: where it is near 0, equality would mean little. Exit
code 1 if a difference is above 1e-4.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from millijoule import zoo
from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.ops import Dense, Flatten
from millijoule.train.network import network_of

LIMIT = 1e-4
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Theirs:
    """A network of another package, in evaluation mode.

    layers: the numbers of each layer that has any, in the order in which layers run, under the names and in the layout
    of our operators. answer: float64 images (n, h, w, c) → outputs, as many as ours has, each (n, features).
    """

    layers: list[Arrays]
    answer: Callable[[np.ndarray], list[np.ndarray]]


Build = Callable[[np.random.Generator, tuple[int, ...]], Theirs]
"""From random numbers and our input shape."""
Heads = Callable[[nn.Module], list[tuple[nn.Module, nn.Module]]]
"""(the module whose output is read, the auxiliary classifier that reads it) of each output after the first."""


@dataclass(frozen=True)
class Pair:
    """theirs: builds the other network. note: where the two are known to differ, and what the check does about it."""

    name: str
    package: str
    theirs: Build
    arguments: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks of the zoo (default: all)")
    parser.add_argument("--images", type=int, default=2)
    options = parser.parse_args()

    table = Table(show_edge=False)
    for column in ("network", "package", "layers", "outputs", "difference", "spread", "note"):
        table.add_column(column, justify="right" if column in ("layers", "outputs", "difference", "spread") else "left")
    worst = 0.0
    for pair in PAIRS:
        if options.names and pair.name not in options.names:
            continue
        layers, outputs, difference, spread = compare(pair, options.images)
        worst = max(worst, difference)
        arguments = ", ".join(f"{name}={value!r}" for name, value in pair.arguments.items())
        title = f"{pair.name}({arguments})" if arguments else pair.name
        row = (title, pair.package, str(layers), str(outputs), f"{difference:.1e}", f"{spread:.2f}", pair.note)
        table.add_row(*row)
        print(*row, file=sys.stderr, flush=True)
        gc.collect()
    Console(width=140).print(table)
    sys.exit(worst > LIMIT or not worst)


def compare(pair: Pair, images: int) -> tuple[int, int, float, float]:
    """(layers with numbers, outputs, largest relative difference, spread)."""
    graph = zoo.get(pair.name, **pair.arguments)
    random = np.random.default_rng(0)
    theirs = pair.theirs(random, graph.inputs[0].shape)
    batch = noise(random, images, graph.inputs[0].shape)
    model = Model(graph, copied(graph, theirs.layers))
    network = network_of(model).double()
    with torch.inference_mode():
        found = network(torch.from_numpy(batch))
    difference, spread = 0.0, 1.0
    for output, expected in zip(graph.outputs, theirs.answer(batch), strict=True):
        scale = np.abs(expected - expected.mean()).max()
        difference = max(difference, float(np.abs(found[output].numpy() - expected).max() / scale))
        spread = min(spread, float(expected.std(axis=0).mean() / scale))
    return len(theirs.layers), len(graph.outputs), difference, spread


def noise(random: np.random.Generator, images: int, shape: tuple[int, ...]) -> np.ndarray:
    """float64 (images, h, w, c): coarse noise, in which images differ even on average, and fine noise."""
    height, width, channels = shape
    coarse = random.normal(size=(images, 3, 3, channels))
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 3 // width
    return coarse[:, rows][:, :, columns] + 0.5 * random.normal(size=(images, *shape))


def copied(graph: Graph, layers: list[Arrays]) -> Arrays:
    """Our weights from theirs, layer by layer."""
    nodes = [node for node in graph.nodes if node.op.params(*graph.input_shapes(node))]
    if len(nodes) != len(layers):
        raise SystemExit(f"{graph.name}: ours has {len(nodes)} layers with numbers, theirs {len(layers)}")
    weights = {}
    for node, arrays in zip(nodes, layers, strict=True):
        arrays = in_our_order(graph, node, arrays)
        params = node.op.params(*graph.input_shapes(node))
        ours, other = {n: p.shape for n, p in params.items()}, {n: a.shape for n, a in arrays.items()}
        if ours != other:
            raise SystemExit(f"{graph.name}: layer '{node.name}' has {ours}, theirs {other}")
        weights |= {f"{node.name}.{name}": np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    return weights


def in_our_order(graph: Graph, node: Node, arrays: Arrays) -> Arrays:
    """A dense layer behind a map reads it as (height, width, channels); torch flattens (channels, height, width).

    Keras writes some last layers as a 1x1 convolution.
    """
    if isinstance(node.op, Dense):
        arrays = arrays | {"weight": arrays["weight"].reshape(len(arrays["weight"]), -1)}
    producer = node.inputs[0]
    while producer in graph.by_name and graph.shapes[producer] == graph.input_shapes(node)[0]:
        if isinstance(graph.by_name[producer].op, Flatten) and "channels_first" in arrays:
            height, width, channels = graph.input_shapes(graph.by_name[producer])[0]
            weight = arrays["weight"].reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
            arrays = arrays | {"weight": weight.reshape(len(weight), -1)}
        producer = graph.by_name[producer].inputs[0]
    return {name: array for name, array in arrays.items() if name != "channels_first"}


# --- torch: torchvision and timm ---


def torch_network(build: Callable[[], nn.Module], heads: Heads = lambda _: []) -> Build:

    def theirs(random: np.random.Generator, shape: tuple[int, ...]) -> Theirs:
        torch.manual_seed(0)
        network = build()
        taps = heads(network)
        kept: list[torch.Tensor] = [torch.empty(0)] * len(taps)
        run: list[nn.Module] = []

        def keep(index: int, auxiliary: nn.Module) -> Callable[..., None]:
            def hook(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
                kept[index] = auxiliary(output)

            return hook

        for index, (tapped, auxiliary) in enumerate(taps):
            tapped.register_forward_hook(keep(index, auxiliary))
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                module.register_forward_hook(lambda module, *_: run.append(module) if module not in run else None)
        disturb(network, random, shape)
        run.clear()
        network.eval()

        def answer(batch: np.ndarray) -> list[np.ndarray]:
            with torch.inference_mode():
                first = network.double()(torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous())
            return [output.flatten(1).numpy() for output in (first, *kept)]

        answer(np.zeros((1, *shape)))
        return Theirs([torch_arrays(module) for module in run], answer)

    return theirs


def disturb(network: nn.Module, random: np.random.Generator, shape: tuple[int, ...]) -> None:
    """Statistics of a batch of noise, then every scale, shift, mean and variance moved at random. float32 numbers."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            for tensor, middle in ((norm.weight, 1.0), (norm.bias, 0.0)):
                tensor.copy_(torch.from_numpy(random.uniform(middle - 0.3, middle + 0.3, tensor.shape)))
        # Only the norms learn from the batch: dropout stays off, and auxiliary heads do not run by themselves.
        network.eval()
        for norm in norms:
            norm.train()
        network(torch.from_numpy(noise(random, 4, shape)).float().permute(0, 3, 1, 2))
        for norm in norms:
            mean, variance = norm.running_mean, norm.running_var
            assert isinstance(mean, torch.Tensor)
            assert isinstance(variance, torch.Tensor)
            mean.add_(variance.sqrt() * torch.from_numpy(random.normal(0, 0.1, mean.shape)))
            variance.mul_(torch.from_numpy(random.uniform(0.7, 1.4, variance.shape)))


def torch_arrays(module: nn.Module) -> Arrays:
    state = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    if isinstance(module, nn.BatchNorm2d):
        names = {"scale": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}
        return {ours: state[name] for ours, name in names.items()}
    if isinstance(module, nn.Conv2d):
        return state | {"weight": state["weight"].transpose(0, 2, 3, 1)}
    return state | {"channels_first": np.array(True)}


def torchvision_network(
    name: str, heads: Heads = lambda _: [], change: Callable[[nn.Module], None] = lambda _: None, **arguments: Any
) -> Build:
    """change: what is done to the network before anything else."""

    def build() -> nn.Module:
        from torchvision import models

        network: nn.Module = models.get_model(name, weights=None, **arguments)
        change(network)
        return network

    return torch_network(build, heads)


def stride_in_1x1(network: nn.Module) -> None:
    """As in the paper of ResNet."""
    for block in network.modules():
        if hasattr(block, "conv3"):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


class PaperHead(nn.Module):
    """torchvision's auxiliary classifier behind the paper's 5x5 pool moved by 3; its adaptive one overlaps unevenly."""

    def __init__(self, auxiliary: nn.Module) -> None:
        super().__init__()
        self.auxiliary = auxiliary

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        auxiliary: Any = self.auxiliary
        y = auxiliary.conv(F.avg_pool2d(x, 5, 3))
        return auxiliary.fc2(F.relu(auxiliary.fc1(y.flatten(1))))  # type: ignore[no-any-return]


def paper_heads(network: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    googlenet: Any = network
    return [(googlenet.inception4a, PaperHead(googlenet.aux1)), (googlenet.inception4d, PaperHead(googlenet.aux2))]


def timm_network(name: str) -> Build:
    def build() -> nn.Module:
        import timm

        network: nn.Module = timm.create_model(name, pretrained=False)
        return network

    return torch_network(build)


# --- Keras ---


def keras_network(name: str, bounded: bool = True, **arguments: Any) -> Build:
    """bounded: keep the upper bound of Keras's ReLUs."""

    def theirs(random: np.random.Generator, shape: tuple[int, ...]) -> Theirs:
        import keras

        keras.utils.set_random_seed(0)
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        with recorded_calls() as layers:
            network = getattr(keras.applications, name)(
                weights=None, input_shape=shape, classifier_activation=None, **arguments
            )
        for layer in network.layers:
            if isinstance(layer, keras.layers.ReLU) and not bounded:
                layer.max_value = None
        norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
        for norm in norms:
            norm.momentum = 0.0
            channels = norm.moving_mean.shape
            norm.beta.assign(random.uniform(-0.3, 0.3, channels))
            if norm.gamma is not None:
                norm.gamma.assign(random.uniform(0.7, 1.3, channels))
        network(noise(random, 4, shape), training=True)
        for norm in norms:
            mean, variance = (keras.ops.convert_to_numpy(v) for v in (norm.moving_mean, norm.moving_variance))
            norm.moving_mean.assign(mean + np.sqrt(variance) * random.normal(0, 0.1, mean.shape))
            norm.moving_variance.assign(variance * random.uniform(0.7, 1.4, mean.shape))
        for variable in network.variables:
            variable.assign(keras.ops.convert_to_numpy(variable).astype(np.float32))

        def answer(batch: np.ndarray) -> list[np.ndarray]:
            output = network(batch, training=False)
            return [keras.ops.convert_to_numpy(output).reshape(len(batch), -1)]

        return Theirs([arrays for layer in layers for arrays in keras_arrays(layer)], answer)

    return theirs


@contextmanager
def recorded_calls() -> Iterator[list[Any]]:
    """The layers that a Keras network calls while it is built, in order; Keras itself lists them by depth."""
    import keras

    called: list[Any] = []
    call = keras.layers.Layer.__call__

    def recording(layer: Any, *arguments: Any, **named: Any) -> Any:
        called.append(layer)
        return call(layer, *arguments, **named)

    keras.layers.Layer.__call__ = recording
    try:
        yield called
    finally:
        keras.layers.Layer.__call__ = call


def keras_arrays(layer: Any) -> Iterator[Arrays]:
    import keras

    def numbers(**names: str) -> Arrays:
        found = {ours: getattr(layer, theirs) for ours, theirs in names.items()}
        return {ours: keras.ops.convert_to_numpy(array) for ours, array in found.items() if array is not None}

    def kernel(name: str, order: tuple[int, ...]) -> Arrays:
        return {"weight": numbers(weight=name)["weight"].transpose(order)}

    layers = keras.layers
    if isinstance(layer, layers.BatchNormalization):
        statistics = numbers(scale="gamma", bias="beta", mean="moving_mean", variance="moving_variance")
        yield {"scale": np.ones_like(statistics["mean"])} | statistics
    elif isinstance(layer, layers.SeparableConv2D):
        yield kernel("depthwise_kernel", (2, 0, 1, 3))
        yield kernel("pointwise_kernel", (3, 0, 1, 2)) | numbers(bias="bias")
    elif isinstance(layer, layers.DepthwiseConv2D):
        yield kernel("kernel", (2, 0, 1, 3)) | numbers(bias="bias")
    elif isinstance(layer, layers.Conv2D):
        yield kernel("kernel", (3, 0, 1, 2)) | numbers(bias="bias")
    elif isinstance(layer, layers.Dense):
        yield kernel("kernel", (1, 0)) | numbers(bias="bias")


PAIRS = (
    Pair("alexnet_torchvision", "torchvision", torchvision_network("alexnet")),
    *(Pair(name, "torchvision", torchvision_network(name)) for name in ("vgg11", "vgg13", "vgg16", "vgg19")),
    Pair("googlenet_torchvision", "torchvision", torchvision_network("googlenet", aux_logits=False, init_weights=True)),
    Pair(
        "googlenet_torchvision",
        "torchvision",
        torchvision_network("googlenet", paper_heads, init_weights=True),
        {"auxiliary": True},
        "theirs with the paper's 5x5 pool before the heads",
    ),
    Pair("inception_v3", "torchvision", torchvision_network("inception_v3", aux_logits=False, init_weights=True)),
    *(
        Pair(name, "torchvision", torchvision_network(name))
        for name in (
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
            "densenet121",
            "densenet169",
            "densenet201",
            "squeezenet1_0",
            "squeezenet1_1",
            "mobilenet_v2",
            "mobilenet_v3_large",
            "mobilenet_v3_small",
        )
    ),
    *(
        Pair(
            name,
            "torchvision",
            torchvision_network(name, change=stride_in_1x1),
            {"stride_in": "1x1"},
            "theirs with the strides exchanged",
        )
        for name in ("resnet50", "resnet152")
    ),
    *(
        Pair("shufflenet_v2", "torchvision", torchvision_network(name), {"width": width})
        for name, width in (
            ("shufflenet_v2_x0_5", 0.5),
            ("shufflenet_v2_x1_0", 1.0),
            ("shufflenet_v2_x1_5", 1.5),
            ("shufflenet_v2_x2_0", 2.0),
        )
    ),
    Pair("inception_resnet_v2", "timm", timm_network("inception_resnet_v2")),
    Pair("efficientnet_lite0", "timm", timm_network("tf_efficientnet_lite0")),
    Pair("xception", "Keras", keras_network("Xception")),
    Pair("mobilenet_v1", "Keras", keras_network("MobileNet", bounded=False), note="theirs with ReLU for ReLU6"),
)

if __name__ == "__main__":
    main()
