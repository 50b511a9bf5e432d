"""What can be wrong, with the numbers that say so, and the remedy that would mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millijoule.diagnose.layers import LayerError

SATURATED = 0.01
LOUD = 20.0
FEW_STEPS = 0.5


@dataclass(frozen=True)
class Cause:
    """text: what was found, with numbers. remedies: the names of those that are meant for it.

    calibration: whether the calibration images are to blame.
    """

    text: str
    remedies: tuple[str, ...]
    calibration: bool = False


SANE = "calibrate on the training images of the data"
EQUALIZE = "cross-layer equalization"
BIAS = "bias correction"
RANGES = "{} ranges"


def layer_causes(errors: Sequence[LayerError]) -> list[Cause]:
    """What the layers say of the ranges that they got."""
    found = []
    narrow = max(errors, key=lambda each: each.saturated)
    if narrow.saturated > SATURATED:
        text = (
            f"ranges are too narrow: {100 * narrow.saturated:.1f} % of the numbers of layer '{narrow.layer}' saturate"
        )
        found.append(Cause(text, (SANE, RANGES.format("minmax"))))
    loud = max(errors, key=lambda each: each.loudest)
    if loud.loudest > LOUD:
        text = (
            f"channels of layer '{loud.layer}' differ too much for one scale: the loudest has {loud.loudest:.0f} times "
            f"the range of the median one, and {loud.dead_channels} of {loud.channels} are silent in int8"
        )
        found.append(Cause(text, (EQUALIZE,)))
    wide = min((each for each in errors if each.operator != "Softmax"), key=lambda each: each.steps_used, default=None)
    if wide is not None and wide.steps_used < FEW_STEPS:
        text = f"ranges are too wide: layer '{wide.layer}' uses {100 * wide.steps_used:.0f} % of its 256 steps"
        found.append(Cause(text, (SANE, RANGES.format("percentile"), RANGES.format("mse"))))
    return found
