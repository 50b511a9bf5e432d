"""How a network is trained on that has been trained already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millijoule.model import Model
from millijoule.train.loop import Teacher
from millijoule.train.network import outputs_are_distances

IMAGES_AND_LOSS = (
    *("batch_size", "validation", "seed", "loss", "label_smoothing", "class_weights"),
    *("shift", "flip", "cutout", "mixup", "colour"),
)


def retraining(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training, by name, for training what was pruned: all of it again, to its last epoch.

    The whole schedule with its high learning rates leads further than fine-tuning with low ones (Renda et al. 2020,
    "Comparing rewinding and fine-tuning in neural network pruning": learning rate rewinding).
    """
    return {**settings, "until": 0.0, "patience": 0}


def itself(model: Model, loss: str) -> Teacher | None:
    """The model as the teacher of what is made of it; None where its answers cannot be learnt. loss: the setting."""
    return Teacher(model) if loss == "cross_entropy" and not outputs_are_distances(model.graph) else None


def as_shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of a training's settings says how images are shown and what is made small, for `quantize_aware`."""
    return {name: settings[name] for name in IMAGES_AND_LOSS}
