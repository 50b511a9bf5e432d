"""Distillation: a network learns to answer as a larger one does."""

from __future__ import annotations

from typing import Any

from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.train import Dataset, train
from millijoule.train.loop import Teacher


def distill(
    graph: Graph,
    dataset: Dataset,
    teacher: Model,
    *,
    temperature: float = 4.0,
    alpha: float = 0.9,
    once: bool = False,
    **arguments: Any,
) -> Model:
    """Train a classifier on the teacher's answers to the dataset's training images, beside their labels.

    teacher: a float model that tells the same classes apart. temperature, alpha, once: see `Teacher`. arguments: of
    `train`.
    Source: Hinton et al. 2015, "Distilling the knowledge in a neural network".
    Raises what `Teacher` and `train` raise.
    """
    return train(graph, dataset, teacher=Teacher(teacher, temperature, alpha, once), **arguments)
