"""Networks that are broken in known ways: the cause is named, and what mends it stands first."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from millijoule.diagnose import Diagnosis, diagnose
from millijoule.diagnose.causes import EQUALIZE, RANGES, SANE
from millijoule.quantize import Images
from tests.quantize.broken import digits_network, scaled_channels

pytest.importorskip("torch")

POINT = 0.01


def calibrated_on(x: np.ndarray, labels: np.ndarray | None = None) -> Diagnosis:
    model, data = digits_network()
    return diagnose(model, data, Images(x, labels, "broken"))


@cache
def sound() -> Diagnosis:
    model, data = digits_network()
    return diagnose(model, data)


def assert_named(found: Diagnosis, words: str) -> None:
    """The calibration images are the likeliest cause, and sane ones are the best remedy and bring all back."""
    assert found.lost > 2 * POINT
    assert found.causes[0].calibration
    assert words in found.causes[0].text
    assert words in found.verdict
    assert found.remedies[0].name == SANE
    assert found.remedies[0].score > found.score_float - 2 * POINT


def test_a_sound_network_has_nothing_to_mend():
    found = sound()
    assert found.lost < 0.005
    assert found.verdict.endswith("nothing has to be mended")
    assert not any(cause.calibration for cause in found.causes)
    assert min(each.whole_db for each in found.layers) > 15
    assert max(each.saturated for each in found.layers) < 0.01
    assert [each.layer for each in found.layers] == ["input", "c1", "c2", "pool", "fc"]


def test_as_many_images_as_asked_for():
    model, data = digits_network()
    found = diagnose(model, data, calibration=40, samples=50)
    assert found.calibration == "40 images of 'digits'"
    assert found.images == 50


def test_images_that_are_not_normalised():
    _, data = digits_network()
    found = calibrated_on(data.x_train[:200].astype(np.float32) / 255)
    assert_named(found, "the calibration images are not like those of 'digits'")
    assert "channel 0 of the network's input has mean 0.3" in found.causes[0].text
    assert found.layers[0].saturated > 0.1
    assert found.worst[0].alone_db < 15


def test_images_that_are_all_zero():
    _, data = digits_network()
    assert_named(calibrated_on(np.zeros_like(data.x_train[:64])), "are all the same: every number of them is 0")


def test_one_image_over_and_over():
    _, data = digits_network()
    found = calibrated_on(np.repeat(data.x_train[:1], 40, axis=0))
    assert "the 40 calibration images are all the same: one image" in found.causes[0].text


@pytest.mark.parametrize("labelled", [True, False])
def test_images_of_one_class(labelled):
    _, data = digits_network()
    of_class = data.y_train == 1
    labels = data.y_train[of_class] if labelled else None
    found = calibrated_on(data.x_train[of_class], labels)
    (cause,) = [cause for cause in found.causes if "of 10 classes" in cause.text]
    assert cause.calibration
    assert "class '1'" in cause.text
    assert ("are of class" if labelled else "are taken, by the float network, for class") in cause.text


def test_one_number_far_outside():
    """It takes the range for itself, and means and spreads hardly tell."""
    from millijoule.quantize.images import prepared

    model, data = digits_network()
    x = prepared(model, data.x_train)
    x[3, 2, 2, 0] = 250.0
    found = calibrated_on(x)
    assert found.lost > POINT
    assert found.causes[0].text == "ranges are too wide: layer 'input' uses 2 % of its 256 steps"
    assert {SANE, RANGES.format("percentile")} <= set(found.causes[0].remedies)
    assert found.remedies[0].name == SANE
    quiet, loud = ({each.layer: each.alone_db for each in case.layers} for case in (sound(), found))
    assert all(loud[name] < quiet[name] - 10 for name in quiet)


def test_a_loud_channel():
    model, data = scaled_channels()
    found = diagnose(model, data)
    assert found.lost > 0.2
    assert found.causes[0].remedies == (EQUALIZE,)
    assert "channels of layer 'c1' differ too much for one scale" in found.verdict
    best = next(each for each in found.remedies if not each.is_simulated)
    assert EQUALIZE in best.name
    assert best.score > found.score_float - 2 * POINT
    layers = {each.layer: each for each in found.layers}
    assert layers["c1"].dead_channels >= 4
    assert layers["c1"].loudest > 100
    # The layer that reads them has lost them; its maker, in float, would bring them back.
    assert found.worst[0].layer == "c2"
    kept = {each.name: each for each in found.remedies}
    assert kept["layer 'c1' in float"].score > found.score_float - 2 * POINT
    assert kept["layer 'c1' in float"].is_simulated


def test_the_result_is_json_and_a_page(tmp_path: Path):
    import json

    from millijoule.report.quantization.page import write_diagnosis_page

    found = sound()
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["accuracy_int8"] == found.score_int8
    assert len(value["worst_layers"]) == 3
    assert {each["name"] for each in value["remedies"]} >= {EQUALIZE, RANGES.format("mse")}
    write_diagnosis_page(found, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert found.verdict.split(":")[0] in text
    assert text.count("<tr>") > len(found.layers) + len(found.remedies)
