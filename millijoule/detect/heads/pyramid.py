"""What both heads stand on: the maps of a backbone at equal width, the finer ones informed by the coarser."""

from __future__ import annotations

from collections.abc import Sequence

from millijoule.detect.heads.backbone import backbone
from millijoule.graph import Builder
from millijoule.ops import Add, Conv2d, Relu6, Resize2d
from millijoule.zoo.blocks import TORCH_EPSILON, normalised


def pyramid(
    name: str, network: str, image: tuple[int, int], strides: Sequence[int], channels: int
) -> tuple[Builder, tuple[str, ...]]:
    """(a builder of the graph `name`, its map of `channels` for each stride, finest first).

    network: the backbone, as `backbone` takes it. Each of its maps goes through a 1x1 convolution; a coarser one is
    enlarged, nearest cells, and added to the next finer.

    Source: Lin et al. 2017, "Feature pyramid networks for object detection", section 3; with depthwise separable
    convolutions behind the sums. Raises ModelError as `backbone` does.
    """
    graph = backbone(network, image, strides)
    build = Builder(name, graph.inputs[0].shape)
    build.nodes = list(graph.nodes)
    sums: list[str] = []
    for stride, value in reversed(list(zip(strides, graph.outputs, strict=True))):
        with build.block(f"pyramid{stride}"):
            x = convolved(build, f"pyramid{stride}_lateral", Conv2d(channels=channels, kernel=1, bias=False), value)
            if sums:
                size = (image[0] // stride, image[1] // stride)
                coarser = build(f"pyramid{stride}_enlarged", Resize2d(size=size, mode="nearest"), sums[0])
                x = build(f"pyramid{stride}_sum", Add(), x, coarser)
        sums.insert(0, x)
    return build, tuple(sums)


def separable(build: Builder, name: str, channels: int, x: str) -> str:
    """3x3 depthwise, then 1x1 to `channels`, each with batch-norm and ReLU6."""
    x = depthwise(build, name, channels, x)
    return activated(build, f"{name}_pointwise", Conv2d(channels=channels, kernel=1, bias=False), x)


def predictor(build: Builder, name: str, channels: int, outputs: int, x: str) -> str:
    """SSD-lite: 3x3 depthwise with batch-norm and ReLU6, then 1x1 to the outputs, which are as they come."""
    return build(name, Conv2d(channels=outputs, kernel=1), depthwise(build, name, channels, x))


def depthwise(build: Builder, name: str, channels: int, x: str) -> str:
    op = Conv2d(channels=channels, kernel=3, padding="same", groups=channels, bias=False)
    return activated(build, f"{name}_depthwise", op, x)


def activated(build: Builder, name: str, op: Conv2d, x: str) -> str:
    convolved(build, name, op, x)
    return build(f"{name}_relu6", Relu6())


def convolved(build: Builder, name: str, op: Conv2d, x: str) -> str:
    return normalised(build, name, op, x, epsilon=TORCH_EPSILON)
