"""A file that expects other pixels than it gets is found out by its answers."""

from dataclasses import replace

import numpy as np
import pytest

import millijoule as mj
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Dense
from millijoule.train import accuracy
from millijoule.train.pixels import pixel_note
from tests.networks import small_int8_model
from tests.train.cases import stripes


@pytest.fixture(scope="module")
def digits():
    return mj.load_data("digits")


def bright(data, mean: float, std: float) -> Model:
    """A classifier of what is brighter than 0.4, that expects pixels of that normalisation and does not say so."""
    lit = np.maximum(data.x_train.reshape(len(data.x_train), -1) / 255 - 0.4, 0)
    solution = np.linalg.lstsq(np.c_[lit, np.ones(len(lit))], np.eye(10)[data.y_train], rcond=1e-3)[0]
    build = Builder("bright", (64,))
    build("lit", Dense(features=64, activation="relu"))
    build("classes", Dense(features=10))
    weights = {
        "lit.weight": std * np.eye(64),
        "lit.bias": np.full(64, mean - 0.4),
        "classes.weight": solution[:-1].T,
        "classes.bias": solution[-1],
    }
    return Model(build.graph(), {name: array.astype(np.float32) for name, array in weights.items()})


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        (0.0, 1 / 255, "with pixels of 0…255: --mean 0 --std 0.00392157"),
        (0.5, 0.5, "with pixels of -1…1: --mean 0.5 --std 0.5"),
    ],
)
def test_the_form_is_named_with_the_options_that_give_it(digits, mean, std, words):
    model = bright(digits, mean, std)
    (note,) = pixel_note(model, digits)
    assert words in note
    right = replace(model, preprocess={"mean": [mean], "std": [std]})
    shares = (accuracy(each, digits.x_test, digits.y_test) for each in (model, right))
    assert "{:.0%} of 360 test images are right, and {:.0%}".format(*shares) in note
    assert pixel_note(right, digits) == ()


def test_nothing_is_said_of_other_models(digits):
    assert pixel_note(bright(digits, 0.0, 1.0), digits) == ()
    assert pixel_note(small_int8_model(), digits) == (), "int8: its input has a scale"
    assert pixel_note(bright(digits, 0.5, 0.5), stripes(side=8)) == (), "other classes"
