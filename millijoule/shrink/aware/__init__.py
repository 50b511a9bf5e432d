"""Quantization-aware training: the network learns with the int8 numbers that it will have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from millijoule.errors import OptionError
from millijoule.model import Model
from millijoule.quantize.calibrate import calibrate, integer_model, ready_for_int8
from millijoule.quantize.ranges import RangeChoice
from millijoule.quantize.scales import fixed_input
from millijoule.shrink.aware.input import input_factor, scaled_input
from millijoule.shrink.aware.network import RANGES, SHARES, aware_network, ranges_by_value
from millijoule.shrink.settings import itself
from millijoule.train import Dataset
from millijoule.train.loop import Teacher, choose, train_from
from millijoule.train.run_folder import Epoch

__all__ = ["quantize_aware"]

SAMPLES = 512
EPOCHS = 5
LEARNING_RATE = 5e-4
FINE_TUNING = {"epochs": EPOCHS, "learning_rate": LEARNING_RATE, "warm_up": 0.0, "weight_decay": 0.0, "average": 0.999}
"""What differs from the recipe unless it is given: short, with small steps, from weights that are good already."""


def quantize_aware(
    model: Model,
    dataset: Dataset,
    *,
    ranges: RangeChoice = "minmax",
    dense_per_channel: bool = False,
    recipe: str = "auto",
    teacher: Model | None = None,
    progress: bool = True,
    checkpoint: Path | str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    **changes: Any,
) -> Model:
    """The int8 form of a trained float model after some epochs of training as int8.

    The model is simplified first, batch-norms folded into the weights. Then each step computes with the numbers that
    `quantize` would give it: weights and biases rounded to their int8 and int32 steps, every value rounded and
    saturated to int8. The gradient passes through the rounding unchanged, and not where a value saturates
    (straight-through). Ranges of values begin as `quantize` finds them and follow those of the batches, as batch-norm's
    means do; narrower ones than what was seen stay that share of it. The answers of the teacher are learnt beside the
    labels, where the loss is cross-entropy. Which epoch is kept is decided by the int8 model itself, the integer
    reference, on held-out images.

    dataset: what it was trained on, or more of the same; images are prepared as the model says. ranges,
    dense_per_channel: as in `quantize`. teacher: by default the float model itself, so that the int8 model answers as
    it does. The rest as in `train`; default: 5 epochs that begin with a learning rate of 0.0005, with averaged weights
    (0.999), without warm-up and weight decay.

    Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", section 3; Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference".
    Raises what `quantize` and `train` raise.
    """
    preprocess = {"mean": [0.0], "std": [1.0], **model.preprocess}
    ready = ready_for_int8(replace(model, preprocess=preprocess, labels=model.labels or dataset.classes))
    factor = input_factor(ready)
    model = scaled_input(ready, 1 / factor)
    given = fixed_input(model.preprocess)
    height = model.graph.inputs[0].shape[0] if len(model.graph.inputs[0].shape) == 3 else 0
    wanted = {name: value for name, value in changes.items() if value is not None}
    settings = choose(recipe, len(dataset.x_train), height, {"precision": "float32", **FINE_TUNING, **wanted})
    if settings.first_size < 1:
        raise OptionError(f"first_size is {settings.first_size}; int8 ranges are those of images of full size")
    begin = calibrate(model, dataset.x_train, ranges, SAMPLES)
    seen = begin if ranges == "minmax" else calibrate(model, dataset.x_train, "minmax", SAMPLES)
    network = aware_network(model, begin, given, dense_per_channel, seen)
    best, notes = train_from(
        model,
        dataset,
        settings,
        network=network,
        teacher=Teacher(teacher) if teacher else itself(model, settings.loss),
        progress=progress,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
        identity={"ranges": ranges, "dense_per_channel": dense_per_channel},
    )
    weights = {name: array for name, array in best.items() if name not in (RANGES, SHARES)}
    trained = scaled_input(replace(model, weights=weights, notes=(*model.notes, *notes)), factor)
    learnt = ranges_by_value(model.graph, np.asarray(best[RANGES]))
    for input in model.graph.inputs:
        low, high = learnt[input.name]
        learnt[input.name] = low * factor, high * factor
    return integer_model(trained, learnt, fixed_input(preprocess), dense_per_channel)
