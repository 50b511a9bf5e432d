"""A small network that knows the digits, and what breaks its int8 form."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

import millijoule
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Conv2d, Dense, Flatten, MaxPool2d
from millijoule.train import Dataset

LOUD = 5000.0


@cache
def digits_network() -> tuple[Model, Dataset]:
    """Three layers with weights, trained on the digits for some seconds."""
    data = millijoule.load_data("digits")
    build = Builder("small", (8, 8, 1))
    build("c1", Conv2d(channels=8, kernel=3, padding="same", activation="relu"))
    build("c2", Conv2d(channels=16, kernel=3, padding="same", activation="relu"))
    build("pool", MaxPool2d(kernel=2))
    build("flat", Flatten())
    build("fc", Dense(features=10))
    return millijoule.train(build.graph(), data, epochs=12, progress=False), data


def scaled_channels() -> tuple[Model, Dataset]:
    """The same function, but one channel of the first layer is LOUD times as large, and undone in the next."""
    model, data = digits_network()
    weights = {name: np.array(array) for name, array in model.weights.items()}
    channel = int(np.abs(weights["c2.weight"]).mean(axis=(0, 1, 2)).argmin())
    weights["c1.weight"][channel] *= LOUD
    weights["c1.bias"][channel] *= LOUD
    weights["c2.weight"][..., channel] /= LOUD
    return replace(model, weights=weights), data
