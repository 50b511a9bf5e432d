"""The range of numbers that each value takes over a set of images."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from millijoule.errors import ModelError
from millijoule.model import Model
from millijoule.train.network import activations

RangeChoice = Literal["minmax", "percentile", "mse"]
RANGE_CHOICES: tuple[RangeChoice, ...] = get_args(RangeChoice)
Range = tuple[float, float]

BINS = 2048
KEPT = 0.9999
SHRINKS = np.linspace(1.0, 0.2, 81)


def observe_ranges(model: Model, inputs: np.ndarray, choice: RangeChoice) -> dict[str, Range]:
    """(low, high) of every value of a float model over prepared inputs, float32 (n, *input shape).

    minmax: all that was seen. percentile: a ten-thousandth of the numbers left out, half at each end.
    mse (mean square error): the range shrunk towards 0 as long as finer steps win more than clipping loses (after
    Banner et al. 2019, "Post training 4-bit quantization of convolution networks", with the histogram instead of a
    fitted distribution).

    Raises ModelError if a value is infinite or not a number, or if the output is the same for all inputs.
    """
    ranges, moves = _extremes(model, inputs)
    output = model.graph.outputs[0]
    if len(inputs) > 1 and not moves and np.any(inputs != inputs[0]):
        raise ModelError(
            f"output '{output}' of model '{model.graph.name}' is the same for all {len(inputs)} calibration images: "
            "the model has not learnt, or the images are not prepared as in its training"
        )
    if choice == "minmax":
        return ranges
    histograms = {name: np.zeros(BINS) for name in ranges}
    for values in activations(model, inputs):
        for name, value in values.items():
            histograms[name] += np.histogram(value, BINS, ranges[name])[0]
    narrow = _percentile if choice == "percentile" else _least_square_error
    return {
        name: narrow(histograms[name], low, high) if low < high else (low, high) for name, (low, high) in ranges.items()
    }


def _extremes(model: Model, inputs: np.ndarray) -> tuple[dict[str, Range], bool]:
    """(low, high) of every value, and whether the output differs between inputs."""
    ranges: dict[str, Range] = {}
    output, first, moves = model.graph.outputs[0], None, False
    for values in activations(model, inputs):
        for name, value in values.items():
            low, high = float(value.min()), float(value.max())
            if not np.isfinite([low, high]).all():
                raise ModelError(
                    f"value '{name}' of model '{model.graph.name}' is infinite or not a number for some calibration "
                    "image: train with a smaller learning rate, or check the weights"
                )
            old = ranges.get(name, (low, high))
            ranges[name] = min(low, old[0]), max(high, old[1])
        first = values[output][0] if first is None else first
        moves = moves or bool(np.any(values[output] != first))
    return ranges, moves


def _percentile(histogram: np.ndarray, low: float, high: float) -> Range:
    edges = np.linspace(low, high, BINS + 1)
    below = np.concatenate([[0.0], np.cumsum(histogram)]) / histogram.sum()
    cut = (1 - KEPT) / 2
    return float(edges[np.flatnonzero(below <= cut)[-1]]), float(edges[np.flatnonzero(below >= 1 - cut)[0]])


def _least_square_error(histogram: np.ndarray, low: float, high: float) -> Range:
    edges = np.linspace(low, high, BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    errors = []
    for shrink in SHRINKS:
        bottom, top = min(low, 0.0) * shrink, max(high, 0.0) * shrink
        step = (top - bottom) / 255
        clipped = centres - centres.clip(bottom, top)
        errors.append(histogram @ np.where(clipped == 0, step**2 / 12, clipped**2))
    best = SHRINKS[int(np.argmin(errors))]
    return low * best, high * best
