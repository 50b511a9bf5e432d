"""A float network and its int8 form beside each other: what is lost, where, why, and what brings it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from millijoule.diagnose.causes import BIAS, EQUALIZE, RANGES, SANE, Cause, layer_causes
from millijoule.diagnose.layers import LayerError, layer_errors
from millijoule.diagnose.simulate import Kept, simulated
from millijoule.diagnose.tested import Tested, tested
from millijoule.model import Model
from millijoule.quantize import Images, calibration_faults, quantize
from millijoule.quantize.calibrate import ready_for_int8
from millijoule.quantize.images import prepared
from millijoule.quantize.ranges import RANGE_CHOICES, RangeChoice

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet
    from millijoule.train import Dataset

LOOKED_AT = 64
"""Test images on which layers are compared."""
TESTED = 500
CALIBRATION = 512
SUSPECTS = 12
NAMED = 3
NOTEWORTHY = 0.005
"""A loss below it is within what the images decide by chance."""


@dataclass(frozen=True)
class Remedy:
    """Something that was tried. option: how to have it; empty if it is only simulated."""

    name: str
    score: float
    option: str = ""

    @property
    def is_simulated(self) -> bool:
        return not self.option


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """measure: of scores, `accuracy`, or `mAP@0.5` of a model that finds boxes. images: tested.

    causes: the likeliest first. remedies: by score. layers: in their order.
    """

    model: str
    data: str
    calibration: str
    ranges: RangeChoice
    measure: str
    images: int
    score_float: float
    score_int8: float
    layers: tuple[LayerError, ...]
    causes: tuple[Cause, ...]
    remedies: tuple[Remedy, ...]

    @property
    def lost(self) -> float:
        return self.score_float - self.score_int8

    @property
    def worst(self) -> tuple[LayerError, ...]:
        """The layers that add most noise."""
        return tuple(sorted(self.layers, key=lambda each: each.alone_db)[:NAMED])

    @property
    def verdict(self) -> str:
        """One sentence."""
        what = "" if self.measure == "accuracy" else f" of {self.measure}"
        points = f"{100 * self.lost:.1f} points{what}" if self.lost > 0 else "nothing"
        if self.lost < NOTEWORTHY:
            return f"int8 loses {points}: nothing has to be mended"
        if not self.causes:
            return f"int8 loses {points}, and nothing stands out: see the worst layers and what was tried"
        return f"int8 loses {points}. Likeliest cause: {self.causes[0].text}"

    def to_json(self) -> dict[str, Any]:
        key_of = {"accuracy": "accuracy", "mAP@0.5": "map_50"}[self.measure]
        layers = [{key: _finite(value) for key, value in asdict(each).items()} for each in self.layers]
        return {
            "model": self.model,
            "data": self.data,
            "measure": self.measure,
            "calibration": self.calibration,
            "ranges": self.ranges,
            "images": self.images,
            f"{key_of}_float": self.score_float,
            f"{key_of}_int8": self.score_int8,
            "verdict": self.verdict,
            "causes": [asdict(cause) for cause in self.causes],
            "worst_layers": [each.layer for each in self.worst],
            "remedies": [
                {
                    "name": each.name,
                    key_of: each.score,
                    "option": each.option,
                    "simulated": each.is_simulated,
                    "recovered": each.score - self.score_int8,
                }
                for each in self.remedies
            ],
            "layers": layers,
        }


def _finite(value: Any) -> Any:
    """JSON has no infinity: an exact layer's ratio is null."""
    return None if isinstance(value, float) and not isfinite(value) else value


def diagnose(
    model: Model,
    data: Dataset | DetectionSet,
    images: Images | None = None,
    *,
    calibration: int = CALIBRATION,
    ranges: RangeChoice = "minmax",
    samples: int = TESTED,
) -> Diagnosis:
    """What int8 costs a trained float model on test images, layer by layer, why, and what was tried against it.

    data: labelled images, or annotated ones for a model that finds boxes. images: what the int8 model is calibrated on;
    default: `calibration` training images of `data`, evenly spaced. ranges: as of `quantize`. samples: how many test
    images are counted, evenly spaced. Each remedy is the whole way again: quantized, and run as integers on the same
    test images. Layers in float or int16 are simulated: no kernels exist for them.

    Raises what `quantize` raises.
    """
    test = tested(model, data, calibration, samples, LOOKED_AT)
    given = images or test.own
    ready = ready_for_int8(model)
    int8 = quantize(model, given.x, ranges=ranges, samples=len(given.x))
    errors = layer_errors(ready, int8, prepared(ready, test.looked_at))
    beside = None if images is None else test.own
    tried = [*_quantized(model, given, beside, ranges, test), *_simulated(ready, int8, errors, test)]
    remedies = sorted(tried, key=lambda each: (-each.score, each.is_simulated))
    reached = {each.name: each.score for each in remedies}
    mends = (SANE,) if beside else ()
    faults = calibration_faults(model, given, beside, test.classes)
    causes = [Cause(text, mends, calibration=True) for text in faults] + layer_causes(errors)

    def mended(cause: Cause) -> float:
        return round(max((reached[name] for name in cause.remedies if name in reached), default=0.0), 2)

    causes.sort(key=lambda cause: (-mended(cause), not cause.calibration))
    return Diagnosis(
        model=model.graph.name,
        data=data.name,
        calibration=f"{len(given.x)} images of '{given.name}'",
        ranges=ranges,
        measure=test.measure,
        images=len(test.images),
        score_float=test.score(model),
        score_int8=test.score(int8),
        layers=errors,
        causes=tuple(causes),
        remedies=tuple(remedies),
    )


def _quantized(model: Model, given: Images, own: Images | None, ranges: RangeChoice, test: Tested) -> Iterator[Remedy]:
    """Other ways to quantize. own: training images of the data, if other ones were given."""

    def remedy(name: str, option: str, images: Images = given, **settings: Any) -> Remedy:
        int8 = quantize(model, images.x, samples=len(images.x), **({"ranges": ranges} | settings))
        return Remedy(name, test.score(int8), option)

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


def _simulated(ready: Model, int8: Model, errors: Sequence[LayerError], test: Tested) -> Iterator[Remedy]:
    """The layers that gain most from being float, and what int16 gives there."""

    def score(name: str, kind: Kept) -> float:
        return test.score_of(simulated(ready, int8, test.images, {name: kind}, test.outputs))

    noisy = sorted(errors, key=lambda each: each.alone_db)[:SUSPECTS]
    layers = {each.layer for each in errors if each.layer in ready.graph.by_name}
    # A layer is noisy where its input is: that one's maker is a suspect too.
    suspects = {
        name for each in noisy if each.layer in layers for name in (each.layer, *ready.graph.by_name[each.layer].inputs)
    }
    gains = {name: score(name, "float") for name in sorted(suspects & layers)}
    for name in sorted(gains, key=lambda name: -gains[name])[:NAMED]:
        yield Remedy(f"layer '{name}' in float", gains[name])
        yield Remedy(f"layer '{name}' in int16", score(name, "int16"))
