"""Small data sets and networks to train."""

import numpy as np

from millijoule.graph import Builder, Graph, Operator
from millijoule.ops import BatchNorm, Conv2d, Dense, Dropout, Flatten, GlobalAveragePool, Relu
from millijoule.train import Dataset


def stripes(count: int = 40, side: int = 6, noise: int = 60, seed: int = 0) -> Dataset:
    """Horizontal and vertical stripes under noise; a quarter as many test images."""
    random = np.random.default_rng(seed)

    def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(number) % 2
        lines = np.where(np.arange(side) % 2, 190, 0)
        images = np.where(labels[:, None, None] == 0, lines[None, :, None], lines[None, None, :])
        return (images + random.integers(0, noise + 1, images.shape)).astype(np.uint8)[..., None], labels

    return Dataset("stripes", *draw(count), *draw(count // 4), ("horizontal", "vertical"))


def graph_of(*operators: Operator, shape: tuple[int, ...] = (6, 6, 1), name: str = "net") -> Graph:
    """A chain of operators; the nodes are n0, n1, …"""
    build = Builder(name, shape)
    for index, operator in enumerate(operators):
        build(f"n{index}", operator)
    return build.graph()


def linear(shape: tuple[int, ...] = (6, 6, 1), classes: int = 2) -> Graph:
    return graph_of(Flatten(), Dense(features=classes), shape=shape)


def of_any_size() -> Graph:
    """No array depends on how large the images are; the strided window is padded otherwise where they are odd."""
    return graph_of(
        Conv2d(channels=6, kernel=3, padding="same"), Relu(),
        Conv2d(channels=6, kernel=3, stride=2, padding="same"), Relu(), GlobalAveragePool(), Dense(features=2),
    )  # fmt: skip


def everything_random() -> Graph:
    """Batch-norm keeps statistics and dropout draws: what a resumed training could get wrong."""
    return graph_of(
        Conv2d(channels=4, kernel=3), BatchNorm(), Relu(), Flatten(), Dropout(rate=0.3), Dense(features=2)
    )  # fmt: skip
