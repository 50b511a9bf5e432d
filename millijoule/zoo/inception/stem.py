"""What Inception-v3 and Inception-ResNet-v2 share: their convolution, and the layers down to 35x35."""

from __future__ import annotations

from dataclasses import dataclass

from millijoule.graph import Builder
from millijoule.ops import Conv2d, MaxPool2d
from millijoule.ops.base import Pair
from millijoule.zoo.blocks import around, normalised_relu


@dataclass(frozen=True)
class Convolver:
    """Adds a convolution with batch-norm and ReLU that reads `x`, by default the last value; returns its name."""

    build: Builder

    def __call__(
        self, name: str, channels: int, kernel: int | Pair = 1, stride: int = 1, padding: int | Pair = 0, x: str = ""
    ) -> str:
        op = Conv2d(channels=channels, kernel=kernel, stride=stride, padding=around(padding), bias=False)
        with self.build.block(name):
            return normalised_relu(self.build, name, op, x or self.build.last)


def stem(build: Builder, convolve: Convolver) -> str:
    """From 299x299 to 35x35x192; returns the last value's name."""
    convolve("conv1", 32, 3, stride=2)  # 149x149
    convolve("conv2", 32, 3)  # 147x147
    convolve("conv3", 64, 3, padding=1)
    build("pool1", MaxPool2d(kernel=3, stride=2))  # 73x73
    convolve("conv4", 80)
    convolve("conv5", 192, 3)  # 71x71
    return build("pool2", MaxPool2d(kernel=3, stride=2))  # 35x35
