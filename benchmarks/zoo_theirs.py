"""Networks of torchvision, timm, pytorchcv and Keras with random numbers, for zoo_equality.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

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


def noise(random: np.random.Generator, images: int, shape: tuple[int, ...]) -> np.ndarray:
    """float64 (images, h, w, c): coarse noise, in which images differ even on average, and fine noise."""
    height, width, channels = shape
    coarse = random.normal(size=(images, 3, 3, channels))
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 3 // width
    return coarse[:, rows][:, :, columns] + 0.5 * random.normal(size=(images, *shape))


# --- torch: torchvision, timm and pytorchcv ---


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


def inception_head(network: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    inception: Any = network
    return [(inception.Mixed_6e, inception.AuxLogits)]


def timm_network(name: str) -> Build:
    def build() -> nn.Module:
        import timm

        network: nn.Module = timm.create_model(name, pretrained=False)
        return network

    return torch_network(build)


def pool_first(network: nn.Module) -> None:
    """In ShuffleNet v1's units of stride 2, the pool's channels before the branch's, as the authors' code has them."""
    for module in network.modules():
        unit: Any = module
        if getattr(unit, "downsample", False):
            branch = unit.expand_bn3.num_features
            unit.register_forward_hook(lambda module, x, y, branch=branch: torch.cat((y[:, branch:], y[:, :branch]), 1))


def pytorchcv_network(name: str, change: Callable[[nn.Module], None] = lambda _: None) -> Build:
    """change: what is done to the network before anything else."""

    def build() -> nn.Module:
        from pytorchcv.model_provider import get_model

        network: nn.Module = get_model(name, pretrained=False)
        change(network)
        return network

    return torch_network(build)


# --- Keras ---


def keras_network(
    name: str, bounded: bool = True, order: Callable[[list[Any]], list[Any]] = list, **arguments: Any
) -> Build:
    """bounded: keep the upper bound of Keras's ReLUs. order: puts the layers, as called, into our order."""

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

        return Theirs([arrays for layer in order(layers) for arrays in keras_arrays(layer)], answer)

    return theirs


def shortcuts_last(layers: list[Any]) -> list[Any]:
    """Xception's layers with each 1x1 convolution of stride 2, and its norm, just before the addition that reads it."""
    import keras

    ordered: list[Any] = []
    shortcut: list[Any] = []
    for layer in layers:
        if isinstance(layer, keras.layers.Conv2D) and (layer.kernel_size, layer.strides) == ((1, 1), (2, 2)):
            shortcut = [layer]
        elif len(shortcut) == 1:
            shortcut.append(layer)
        elif isinstance(layer, keras.layers.Add):
            ordered += [*shortcut, layer]
            shortcut = []
        else:
            ordered.append(layer)
    return ordered


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
