"""Calibration images that are wrong in known ways are told by their numbers; those that are not give no alarm."""

from __future__ import annotations

import numpy as np
import pytest

import millijoule
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Dense, Flatten
from millijoule.quantize import Images, calibration_faults, quantize
from millijoule.quantize.images import prepared
from millijoule.train.prepare import measure_preprocess

CLASSES = ("a", "b", "c", "d")


def photos(count: int = 400, seed: int = 0) -> np.ndarray:
    """Red is brighter than blue, as it mostly is in photos, by a fifth of the spread of pixels; each has its own light
    and its own tint."""
    random = np.random.default_rng(seed)
    light = random.normal(120, 30, (count, 1, 1, 1)) + random.normal(0, 12, (count, 1, 1, 3)) + [6.0, 0.0, -6.0]
    return np.clip(light + random.normal(0, 50, (count, 8, 8, 3)), 0, 255).astype(np.uint8)


def colour_model(knows_red: bool = True) -> Model:
    """Sure of class `a` where images are red; if not `knows_red`, where they are blue."""
    build = Builder("colours", (8, 8, 3))
    build("flat", Flatten())
    build("fc", Dense(features=len(CLASSES)))
    graph = build.graph()
    weights = {name: np.zeros(param.shape, np.float32) for name, param in graph.params().items()}
    colours = weights["fc.weight"].reshape(len(CLASSES), 64, 3)
    colours[0] = np.array([1, 0, -1] if knows_red else [-1, 0, 1]) / 64
    return Model(graph, weights, labels=CLASSES, preprocess=measure_preprocess(photos(), (8, 8, 3)))


OWN = Images(photos(), np.arange(400) % 4, "photos")


def faults(x: np.ndarray, labels: np.ndarray | None = None, own: Images | None = OWN) -> tuple[str, ...]:
    classes = CLASSES if labels is not None else ()
    return calibration_faults(colour_model(), Images(x, labels, "given"), own, classes)


def fault(x: np.ndarray, labels: np.ndarray | None = None, own: Images | None = OWN) -> str:
    (found,) = faults(x, labels, own)
    return found


@pytest.mark.parametrize("count", [32, 64, 512])
@pytest.mark.parametrize("as_inputs", [False, True])
def test_other_images_of_the_same_kind_give_no_alarm(count, as_inputs):
    for seed in range(1, 11):
        x = photos(count, seed)
        labels = np.random.default_rng(seed).integers(0, 4, count)
        assert faults(prepared(colour_model(), x) if as_inputs else x, labels) == ()
        assert faults(x, labels, None) == ()


def test_few_of_the_digits_give_no_alarm():
    pytest.importorskip("torch")
    from tests.quantize.broken import digits_network

    model, data = digits_network()
    own = Images(data.x_train, data.y_train, data.name)
    for seed in range(10):
        chosen = np.random.default_rng(seed).choice(len(data.x_train), 32, replace=False)
        assert calibration_faults(model, Images(data.x_train[chosen], None, "few"), own, data.classes) == ()


@pytest.mark.parametrize(("largest", "own"), [(1, OWN), (1, None), (255, OWN), (255, None)])
def test_pixels_that_are_not_normalised(largest, own):
    found = fault((photos(40) * (largest / 255)).astype(np.float32), None, own)
    assert ("are not like those of 'photos'" if own else "do not match the preprocessing of the training") in found
    assert "channel 0 of the network's input has mean" in found
    assert f"they look like pixels of 0 to {largest}, not normalised: give uint8 images" in found


@pytest.mark.parametrize("count", [64, 400])
@pytest.mark.parametrize("as_inputs", [False, True])
def test_blue_before_red(count, as_inputs):
    x = photos(count, seed=2)[..., ::-1]
    found = fault(prepared(colour_model(), x) if as_inputs else x)
    assert "colours of the calibration images look reversed, blue before red" in found
    difference = (photos().astype(float)[..., 0] - photos()[..., 2]).mean() / 255 / colour_model().preprocess["std"][0]
    assert f"in the data {difference:+.2f}" in found


def test_images_of_the_sky_are_blue_without_a_fault():
    blue = Images(photos(400, seed=2)[..., ::-1], None, "given")
    assert calibration_faults(colour_model(knows_red=False), blue, OWN) == ()


def test_grey_images_for_a_network_of_coloured_ones():
    grey = photos()[..., :1]
    for x in (grey, np.repeat(grey, 3, axis=3)):
        assert fault(x) == "the calibration images are grey; those of the data have colours"
    assert faults(grey, None, Images(grey, None, "grey")) == ()


def test_one_image_or_one_number():
    assert fault(np.repeat(photos(1), 40, axis=0)) == "the 40 calibration images are all the same: one image"
    black = np.zeros((33, 8, 8, 3), np.uint8)
    assert fault(black, None, None) == "the 33 calibration images are all the same: every number of them is 0"


def test_classes_that_are_missing():
    found = fault(photos(40), np.zeros(40, int))
    assert found == "the calibration images show 1 of 4 classes: 100 % of them are of class 'a'"
    assert "show 2 of 4 classes: 75 % of them are of class 'd'" in fault(photos(40), np.repeat([3, 3, 3, 1], 10))
    assert faults(photos(40), np.repeat([0, 1, 2], [20, 10, 10])) == ()


def test_more_classes_than_images_is_no_fault():
    many = tuple(map(str, range(1000)))
    labels = np.random.default_rng(0).integers(0, 1000, 100)
    assert calibration_faults(colour_model(), Images(photos(100), labels, "given"), OWN, many) == ()


def test_the_int8_model_notes_it():
    pytest.importorskip("torch")
    model = colour_model()
    raw = (photos(40) / 255).astype(np.float32)
    assert quantize(model, raw).notes == (fault(raw, None, None),)
    assert quantize(model, photos(40)).notes == ()
    assert millijoule.quantize is quantize
