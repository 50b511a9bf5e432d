"""How to train: every setting, what it may be, and the recipes that set several at once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

from millijoule.errors import OptionError
from millijoule.graph import Shape
from millijoule.train.loss import LossName

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "linear", "step", "one_cycle", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]
Keep = Literal["best", "last"]
ClassWeights = Literal["none", "balanced"]

ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4 / 25
"""Where torch's OneCycleLR has its peak, and what it starts and ends with, as shares of the peak."""
FULL_SIZE = 0.9
"""The share of the epochs after which images that grow are as large as the network takes them."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train. Raises OptionError for values that make no sense.

    epochs: passes over the training images.
    batch_size: images of a step; those that are left over are shared out among the steps.
    learning_rate: the highest of the schedule.
    optimizer: `sgd`, or `adamw` (Loshchilov and Hutter 2019).
    momentum: of SGD.
    nesterov: SGD's momentum in Nesterov's form.
    weight_decay: of arrays of several dimensions; biases and norms do not decay.
    norm_bias_rate: the biases of batch-norm learn at so many times the learning rate (64 in Jordan 2024, section 3.4).
    schedule: of the learning rate: `cosine` falls to 0; `linear` falls to 0 in a straight line from where the warm-up
        ends; `step` divides by 10 after 1/2 and 3/4 of the steps;
        `one_cycle` rises from 1/25 over the first 30 % and falls to almost 0, as torch's OneCycleLR with its defaults,
        momentum constant; `constant` stays.
    warm_up: the share of the steps over which the learning rate first rises from 0; one_cycle has its own rise.
    loss: `cross_entropy`, or `squared_error`: half the sum over the classes.
    label_smoothing: the share of the target that is spread over all classes (Szegedy et al. 2016, section 7).
    class_weights: `balanced` weighs every class alike, however many images it has: n / (classes · n of the class).
    clip: gradients longer than this, all of them taken together, are scaled to it; 0: none is.
    average: each step, a second set of weights moves towards the trained one by 1 - `average` (exponential moving
        average, in the first steps faster: (1 + step) / (10 + step)); it is what is evaluated and kept. 0: none.
    validation: the share of the training images that is held out and decides which epoch was best (accuracy, then
        loss); with 0, the training images decide. Test images are never looked at.
    keep: which epoch's weights: of the `best` one, or of the `last`, as where the weights that a training begins with
        have learnt the held-out images already, which then say little.
    shift: images are moved by up to so many pixels, at random in each direction; their mirror image moves in,
        as in Jordan 2024.
    flip: every image is mirrored left to right in every second epoch, half of the images in the first (Jordan 2024,
        "94% on CIFAR-10 in 3.29 seconds", section 3.6).
    cutout: side of a square that is filled with the mean of the image, at a random place (DeVries and Taylor 2017).
    mixup: alpha of the Beta distribution by which pairs of images and their labels are mixed (Zhang et al. 2018).
    colour: brightness, contrast and saturation are changed by factors in 1 - colour … 1 + colour.
    first_size: images begin at this share of the height and width that the network takes, grow by eighths, and have
        all of it in the last tenth of the epochs: what small ones teach takes less time (Tan and Le 2021,
        "EfficientNetV2", section 4.2). For networks without layers that are made for one size; 1: all at full size.
    patience: stop after so many epochs without a better one; 0: never.
    until: stop once the validation accuracy reaches this; 0: never.
    whiten: the first convolution begins with the principal directions of the patches it sees in training images, each
        scaled to variance 1, in both signs; its weights stay so, its biases are trained (Jordan 2024, section 3.2).
    dirac: convolutions begin by passing their inputs on, with random weights where there are more outputs than inputs
        (Zagoruyko and Komodakis 2017, "DiracNets"; Jordan 2024, section 3.3).
    precision: of convolutions and dense layers: `bfloat16` computes them in it by torch's autocast and keeps weights in
        float32, on CPUs depthwise convolutions too, whose gradients are slow in bfloat16; `auto` takes it where the
        processor has instructions for it and a step is large, else float32.
    compiled: run the network through torch.compile, if a C++ compiler is found.
    seed: of weights, order and augmentation.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    norm_bias_rate: float = 1.0
    schedule: Schedule = "cosine"
    warm_up: float = 0.05
    loss: LossName = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: ClassWeights = "none"
    clip: float = 0.0
    average: float = 0.0
    validation: float = 0.1
    keep: Keep = "best"
    shift: int = 0
    flip: bool = False
    cutout: int = 0
    mixup: float = 0.0
    colour: float = 0.0
    first_size: float = 1.0
    patience: int = 0
    until: float = 0.0
    whiten: bool = False
    dirac: bool = False
    precision: Precision = "auto"
    compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "epochs": (1, math.inf),
            "batch_size": (1, math.inf),
            "learning_rate": (1e-12, math.inf),
            "momentum": (0, 0.999999),
            "weight_decay": (0, math.inf),
            "norm_bias_rate": (0, math.inf),
            "warm_up": (0, 1),
            "label_smoothing": (0, 0.999999),
            "clip": (0, math.inf),
            "average": (0, 0.999999),
            "validation": (0, 0.9),
            "shift": (0, math.inf),
            "cutout": (0, math.inf),
            "mixup": (0, math.inf),
            "colour": (0, 1),
            "first_size": (0.25, 1),
            "patience": (0, math.inf),
            "until": (0, 1),
            "seed": (0, math.inf),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(
                    f"{name} is {value}; it must be {low} or more" + (f", at most {high}" * (high < math.inf))
                )
        choices = {
            "optimizer": Optimizer,
            "schedule": Schedule,
            "loss": LossName,
            "class_weights": ClassWeights,
            "precision": Precision,
            "keep": Keep,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in get_args(allowed):
                raise OptionError(
                    f"{name} is '{getattr(self, name)}'; it must be one of {', '.join(get_args(allowed))}"
                )
        if self.nesterov and not (self.momentum and self.optimizer == "sgd"):
            raise OptionError("nesterov is a form of SGD's momentum: it needs optimizer sgd and a momentum above 0")
        if self.keep == "last" and self.patience:
            raise OptionError("patience waits for a better epoch, and keep 'last' takes none for better: choose one")
        if self.loss == "squared_error" and (self.label_smoothing or self.class_weights != "none"):
            raise OptionError("label_smoothing and class_weights are for loss cross_entropy, not squared_error")

    @property
    def augments(self) -> bool:
        """Whether images are not shown as they are."""
        return bool(self.shift or self.flip or self.cutout or self.mixup or self.colour)

    def steps(self, images: int) -> int:
        """Steps of one epoch over so many images, in batches as alike as can be."""
        return max(1, round(images / self.batch_size))

    def shape_at(self, epoch: int, shape: Shape) -> Shape:
        """What the network is shown in an epoch, counted from 0: maps of its input's `shape`, or smaller ones."""
        # The last epoch is always one of full size.
        growing = min(FULL_SIZE * self.epochs, self.epochs - 1)
        if self.first_size == 1 or epoch >= growing:
            return shape
        if len(shape) != 3:
            raise OptionError(f"first_size is {self.first_size}, but the network takes {shape[0]} numbers, not maps")
        share = math.floor(8 * (self.first_size + (1 - self.first_size) * epoch / growing)) / 8
        height, width, channels = shape
        return math.ceil(share * height), math.ceil(share * width), channels

    def learning_rate_at(self, done: float) -> float:
        """The learning rate when the share `done` of all steps, 0…1, is behind."""
        if self.schedule == "one_cycle":
            return self.learning_rate * _one_cycle(done)
        if done < self.warm_up:
            return self.learning_rate * done / self.warm_up
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "linear":
            return self.learning_rate * (1 - done) / (1 - self.warm_up)
        if self.schedule == "step":
            return self.learning_rate * 0.1 ** ((done >= 0.5) + (done >= 0.75))
        return self.learning_rate


def _one_cycle(done: float) -> float:
    if done < ONE_CYCLE_RISE:
        start, end, part = ONE_CYCLE_START, 1.0, done / ONE_CYCLE_RISE
    else:
        start, end, part = 1.0, ONE_CYCLE_END, (done - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * part))


def described(settings: type[Settings] = Settings) -> dict[str, str]:
    """What each setting is that the class adds, from its docstring: {name: text}."""
    entries = re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", settings.__doc__ or "", flags=re.DOTALL | re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


RECIPES: Mapping[str, Mapping[str, Any]] = {
    # By the number of images; see `defaults`.
    "auto": {},
    # He et al. 2016, "Deep residual learning for image recognition", section 4.2: 64,000 steps of 128 images.
    "sgd": {
        "epochs": 164,
        "batch_size": 128,
        "learning_rate": 0.1,
        "weight_decay": 1e-4,
        "schedule": "step",
        "warm_up": 0.0,
        "shift": 4,
        "flip": True,
    },
    # What makes Jordan 2024 quick, as far as it does not change the network: one cycle, Nesterov's momentum, smoothed
    # labels, alternating flips, an average of the weights.
    "airbench": {
        "epochs": 30,
        "batch_size": 128,
        "learning_rate": 0.2,
        "nesterov": True,
        "weight_decay": 5e-4,
        "schedule": "one_cycle",
        "label_smoothing": 0.1,
        "average": 0.999,
        "shift": 2,
        "flip": True,
    },
    # Jordan 2024 for its network `airbench94`, with an average of the weights instead of Lookahead. There the gradients
    # of 1,024 images are added up, and rate and decay do not depend on momentum: 11.5 and 0.0153, both over
    # 1 + 1 / (1 - 0.85), are a rate of 1.5 for the mean and a decay of 0.0013. Here 512 images make a step, at half the
    # rate.
    "airbench94": {
        "epochs": 10,
        "batch_size": 512,
        "learning_rate": 0.75,
        "momentum": 0.85,
        "nesterov": True,
        "weight_decay": 1.33e-3,
        "norm_bias_rate": 64.0,
        "schedule": "linear",
        "warm_up": 0.23,
        "label_smoothing": 0.2,
        "average": 0.98,
        "shift": 2,
        "flip": True,
        "whiten": True,
        "dirac": True,
    },
    "adamw": {
        "epochs": 30,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "label_smoothing": 0.1,
        "average": 0.999,
        "shift": 2,
        "flip": True,
    },
}
"""Settings that go together, by name. What a recipe leaves open is chosen by the number of images and their size."""


def choose(recipe: str, images: int, height: int, changes: Mapping[str, Any]) -> Settings:
    """The settings of a recipe, with `changes` over them; a change that is None changes nothing.

    images: how many there are to train on. height: of the network's input, 0 for a flat one.
    Raises OptionError for a recipe or a setting that does not exist.
    """
    if recipe not in RECIPES:
        raise OptionError(f"there is no recipe '{recipe}'; known are {', '.join(RECIPES)}")
    check_known(changes, [field.name for field in fields(Settings)])
    wanted = {name: value for name, value in changes.items() if value is not None}
    chosen = {**defaults(images, height), **RECIPES[recipe], **wanted}
    if "batch_size" not in wanted:
        trained_on = images - math.ceil(images * chosen["validation"]) if 0 <= chosen["validation"] < 1 else images
        chosen["batch_size"] = max(1, min(chosen["batch_size"], trained_on))
    return Settings(**chosen)


def check_known(changes: Mapping[str, Any], names: Sequence[str]) -> None:
    """OptionError for a setting that is not among `names`."""
    for name in changes:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise OptionError(f"there is no setting '{name}'; {hint}known are {', '.join(names)}")


def defaults(images: int, height: int = 0) -> dict[str, Any]:
    """epochs, batch_size, learning_rate, weight_decay and shift for a number of training images of some height.

    Small sets are gone through more often, in smaller steps and with more decay: chosen on digits, by the accuracy on
    parts of the training images that were held out. Images are shifted by up to a sixteenth of their height.
    """
    common = {"validation": 0.1, "shift": height // 16}
    if images < 5_000:
        return {"epochs": 40, "batch_size": 32, "learning_rate": 0.015, "weight_decay": 2e-3, **common}
    epochs = max(10, round(600_000 / images))
    return {"epochs": epochs, "batch_size": 64, "learning_rate": 0.05, "weight_decay": 5e-4, **common}
