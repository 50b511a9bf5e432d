"""How to train a detector: what it adds to the settings of every training, and the recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from millijoule.errors import OptionError
from millijoule.train.loop.settings import Settings, check_known, described

ScoreLoss = Literal["focal", "hard_negatives"]
BoxLoss = Literal["giou", "smooth_l1"]

OF_CLASSIFIERS = (
    "loss", "label_smoothing", "class_weights", "shift", "cutout", "mixup", "first_size", "whiten", "dirac",
)  # fmt: skip
"""Settings that a detector does not take."""


@dataclass(frozen=True, kw_only=True)
class DetectorSettings(Settings):
    """How to train a detector. Raises OptionError for values that make no sense.

    score_loss: `focal` (Lin et al. 2017, alpha 0.25, gamma 2), or `hard_negatives`: cross entropy of what stands for
        an object and of the three times as many worst cells that do not (Liu et al. 2016, section 2.2). A centre-point
        head's focal loss is that of Zhou et al. 2019, equation 1.
    box_loss: `giou`, 1 - generalised intersection over union (Rezatofighi et al. 2019), or `smooth_l1` of the offsets.
    box_weight: what the loss of boxes is multiplied with before it is added to that of scores.
    zoom: images are stretched by factors in 1 / (1 + zoom) … 1 + zoom, on each axis, and moved.
    flip_down: half of the images are mirrored top to bottom, too: for pictures that have no up, as of a microscope.
    mosaic: the share of the images that are put together of parts of four (Bochkovskiy et al. 2020, section 3.3); none
        in the last fifth of the epochs.
    """

    score_loss: ScoreLoss = "focal"
    box_loss: BoxLoss = "giou"
    box_weight: float = 2.0
    zoom: float = 0.5
    flip_down: bool = False
    mosaic: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, high in {"box_weight": math.inf, "zoom": 3.0, "mosaic": 1.0}.items():
            value = getattr(self, name)
            if not 0 <= value <= high:
                raise OptionError(
                    f"{name} is {value}; it must be 0 or more" + f", at most {high:g}" * (high < math.inf)
                )
        for name, allowed in {"score_loss": ScoreLoss, "box_loss": BoxLoss}.items():
            if getattr(self, name) not in get_args(allowed):
                raise OptionError(
                    f"{name} is '{getattr(self, name)}'; it must be one of {', '.join(get_args(allowed))}"
                )


OWN = tuple(described(DetectorSettings))
"""The settings that only detectors take."""

RECIPES: Mapping[str, Mapping[str, Any]] = {
    # By the number of images; see `defaults`.
    "auto": {},
    # Liu et al. 2016, section 3.1, as far as it does not change the network.
    "sgd": {
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "weight_decay": 5e-4,
        "schedule": "step",
        "score_loss": "hard_negatives",
        "box_loss": "smooth_l1",
        "box_weight": 1.0,
    },
}
"""Settings that go together, by name. What a recipe leaves open is chosen by the number of images."""

STEPS = 3_000
"""So many steps are trained, on few images or many."""


def choose(recipe: str, images: int, changes: Mapping[str, Any]) -> DetectorSettings:
    """The settings of a recipe, with `changes` over them; a change that is None changes nothing.

    images: how many there are to train on.
    Raises OptionError for a recipe or setting that does not exist, or that only classifiers have.
    """
    if recipe not in RECIPES:
        raise OptionError(f"there is no recipe '{recipe}' for detectors; known are {', '.join(RECIPES)}")
    wanted = {name: value for name, value in changes.items() if value is not None}
    for name in OF_CLASSIFIERS:
        if name in wanted:
            raise OptionError(f"{name} is a setting of classifiers; detectors have {', '.join(OWN)}")
    check_known(wanted, [field.name for field in fields(DetectorSettings) if field.name not in OF_CLASSIFIERS])
    chosen = {**defaults(images), **RECIPES[recipe], **wanted}
    if "batch_size" not in wanted:
        chosen["batch_size"] = max(1, min(chosen["batch_size"], images - math.ceil(images * chosen["validation"])))
    return DetectorSettings(**chosen)


def defaults(images: int) -> dict[str, Any]:
    """What a detector is trained with where nothing else is asked for, on a number of training images."""
    batch_size = 16
    return {
        "epochs": max(20, round(STEPS * batch_size / max(1, images))),
        "batch_size": batch_size,
        "learning_rate": 5e-3,
        "optimizer": "adamw",
        "weight_decay": 0.02,
        "schedule": "one_cycle",
        "clip": 10.0,
        "average": 0.998,
        "validation": 0.1,
        "flip": True,
        "colour": 0.3,
        "mosaic": 0.5,
    }
