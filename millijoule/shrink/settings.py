"""How a network is trained on that has been trained already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHORTER = 4
"""Pruned networks are trained on for this part of their training's epochs, with this part of its learning rate."""
IMAGES_AND_LOSS = (
    *("batch_size", "validation", "seed", "loss", "label_smoothing", "class_weights"),
    *("shift", "flip", "cutout", "mixup", "colour"),
)


def fine_tuning(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training, by name, for training on what was pruned: shorter, in smaller steps, to the end."""
    return {
        **settings,
        "epochs": max(1, settings["epochs"] // SHORTER),
        "learning_rate": settings["learning_rate"] / SHORTER,
        "schedule": "cosine",
        "warm_up": 0.0,
        "until": 0.0,
        "patience": 0,
    }


def as_shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of a training's settings says how images are shown and what is made small, for `quantize_aware`."""
    return {name: settings[name] for name in IMAGES_AND_LOSS}
