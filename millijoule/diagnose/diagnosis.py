"""A float network and its int8 form beside each other: what is lost, where, why, and what brings it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from millijoule.diagnose.causes import BIAS, EQUALIZE, RANGES, SANE, Cause, layer_causes
from millijoule.diagnose.layers import LayerError, layer_errors
from millijoule.diagnose.simulate import Kept, simulated_accuracy
from millijoule.model import Model
from millijoule.quantize import Images, calibration_faults, quantize
from millijoule.quantize.calibrate import ready_for_int8
from millijoule.quantize.images import evenly_spaced, prepared
from millijoule.quantize.ranges import RANGE_CHOICES, RangeChoice
from millijoule.train import Dataset, accuracy

LOOKED_AT = 64
"""Test images on which layers are compared."""
TESTED = 500
CALIBRATION = 512
SUSPECTS = 12
NAMED = 3
NOTEWORTHY = 0.005
"""A loss of accuracy below it is within what the images decide by chance."""


@dataclass(frozen=True)
class Remedy:
    """Something that was tried. option: how to have it; empty if it is only simulated."""

    name: str
    accuracy: float
    option: str = ""

    @property
    def is_simulated(self) -> bool:
        return not self.option


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """images: tested. causes: the likeliest first. remedies: by accuracy. layers: in their order."""

    model: str
    data: str
    calibration: str
    ranges: RangeChoice
    images: int
    accuracy_float: float
    accuracy_int8: float
    layers: tuple[LayerError, ...]
    causes: tuple[Cause, ...]
    remedies: tuple[Remedy, ...]

    @property
    def lost(self) -> float:
        return self.accuracy_float - self.accuracy_int8

    @property
    def worst(self) -> tuple[LayerError, ...]:
        """The layers that add most noise."""
        return tuple(sorted(self.layers, key=lambda each: each.alone_db)[:NAMED])

    @property
    def verdict(self) -> str:
        """One sentence."""
        points = f"{100 * self.lost:.1f} points" if self.lost > 0 else "nothing"
        if self.lost < NOTEWORTHY:
            return f"int8 loses {points}: nothing has to be mended"
        if not self.causes:
            return f"int8 loses {points}, and nothing stands out: see the worst layers and what was tried"
        return f"int8 loses {points}. Likeliest cause: {self.causes[0].text}"

    def to_json(self) -> dict[str, Any]:
        layers = [{key: _finite(value) for key, value in asdict(each).items()} for each in self.layers]
        return {
            "model": self.model,
            "data": self.data,
            "calibration": self.calibration,
            "ranges": self.ranges,
            "images": self.images,
            "accuracy_float": self.accuracy_float,
            "accuracy_int8": self.accuracy_int8,
            "verdict": self.verdict,
            "causes": [asdict(cause) for cause in self.causes],
            "worst_layers": [each.layer for each in self.worst],
            "remedies": [
                {**asdict(each), "simulated": each.is_simulated, "recovered": each.accuracy - self.accuracy_int8}
                for each in self.remedies
            ],
            "layers": layers,
        }


def _finite(value: Any) -> Any:
    """JSON has no infinity: an exact layer's ratio is null."""
    return None if isinstance(value, float) and not isfinite(value) else value


def diagnose(
    model: Model,
    data: Dataset,
    images: Images | None = None,
    *,
    calibration: int = CALIBRATION,
    ranges: RangeChoice = "minmax",
    samples: int = TESTED,
) -> Diagnosis:
    """What int8 costs a trained float model on test images, layer by layer, why, and what was tried against it.

    images: what the int8 model is calibrated on; default: `calibration` training images of `data`, evenly spaced.
    ranges: as of `quantize`. samples: how many test images are counted, evenly spaced. Each remedy is the whole way
    again: quantized, and run as integers on the same test images. Layers in float or int16 are simulated: no kernels
    exist for them.

    Raises what `quantize` raises.
    """
    own = Images(data.x_train, data.y_train, data.name).take(calibration)
    given = images or own
    x, y = evenly_spaced(samples, data.x_test, data.y_test)
    assert y is not None
    ready = ready_for_int8(model)
    int8 = quantize(model, given.x, ranges=ranges, samples=len(given.x))
    before, after = accuracy(model, x, y), accuracy(int8, x, y)
    errors = layer_errors(ready, int8, prepared(ready, evenly_spaced(LOOKED_AT, data.x_test, None)[0]))
    beside = None if images is None else own
    tried = list(_quantized(model, given, beside, ranges, x, y))
    tried += _simulated(ready, int8, errors, x, y)
    remedies = sorted(tried, key=lambda each: (-each.accuracy, each.is_simulated))
    reached = {each.name: each.accuracy for each in remedies}
    mends = (SANE,) if beside else ()
    faults = calibration_faults(model, given, beside, data.classes)
    causes = [Cause(text, mends, calibration=True) for text in faults] + layer_causes(errors)

    def mended(cause: Cause) -> float:
        return round(max((reached[name] for name in cause.remedies if name in reached), default=0.0), 2)

    causes.sort(key=lambda cause: (-mended(cause), not cause.calibration))
    return Diagnosis(
        model=model.graph.name,
        data=data.name,
        calibration=f"{len(given.x)} images of '{given.name}'",
        ranges=ranges,
        images=len(x),
        accuracy_float=before,
        accuracy_int8=after,
        layers=errors,
        causes=tuple(causes),
        remedies=tuple(remedies),
    )


def _quantized(
    model: Model, given: Images, own: Images | None, ranges: RangeChoice, x: np.ndarray, y: np.ndarray
) -> Iterator[Remedy]:
    """Other ways to quantize. own: training images of the data, if other ones were given."""

    def remedy(name: str, option: str, images: Images = given, **settings: Any) -> Remedy:
        int8 = quantize(model, images.x, samples=len(images.x), **({"ranges": ranges} | settings))
        return Remedy(name, accuracy(int8, x, y), option)

    if own is not None:
        yield remedy(SANE, "without --calibrate-on", own)
    for choice in RANGE_CHOICES:
        if choice != ranges:
            yield remedy(RANGES.format(choice), f"--ranges {choice}", ranges=choice)
    yield remedy(EQUALIZE, "--equalize", equalize=True)
    yield remedy(BIAS, "--correct-bias", correct_bias=True)
    yield remedy(
        f"{EQUALIZE}, mse ranges and {BIAS}",
        "--equalize --ranges mse --correct-bias",
        equalize=True,
        correct_bias=True,
        ranges="mse",
    )


def _simulated(
    ready: Model, int8: Model, errors: Sequence[LayerError], x: np.ndarray, y: np.ndarray
) -> Iterator[Remedy]:
    """The layers that gain most from being float, and what int16 gives there."""
    noisy = sorted(errors, key=lambda each: each.alone_db)[:SUSPECTS]
    layers = {each.layer for each in errors if each.layer in ready.graph.by_name}
    # A layer is noisy where its input is: that one's maker is a suspect too.
    suspects = {
        name for each in noisy if each.layer in layers for name in (each.layer, *ready.graph.by_name[each.layer].inputs)
    }
    gains = {name: simulated_accuracy(ready, int8, x, y, {name: "float"}) for name in sorted(suspects & layers)}
    for name in sorted(gains, key=lambda name: -gains[name])[:NAMED]:
        yield Remedy(f"layer '{name}' in float", gains[name])
        kept: dict[str, Kept] = {name: "int16"}
        yield Remedy(f"layer '{name}' in int16", simulated_accuracy(ready, int8, x, y, kept))
