"""Detectors on devices: how good their boxes are, and that they are those of the reference."""

import json
from dataclasses import replace

import numpy as np
import pytest

import millijoule as mj
from millijoule.boxes import Boxes
from millijoule.deploy import deploy
from millijoule.detect.data import load_detection
from millijoule.detect.find import evaluate_detector, find
from millijoule.errors import DataError
from millijoule.trial import equal_boxes
from tests.detectors import CLASSES, drawn_squares, squares


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_detection(f"voc:{drawn_squares(tmp_path_factory.mktemp('data') / 'drawn')}", CLASSES)


def test_what_a_detector_finds_is_in_pixels_of_the_image(data):
    pixels = np.stack([image.pixels() for image in data.test])
    for boxes, image in zip(find(squares(), pixels), data.test, strict=True):
        order = np.lexsort((boxes.corners[:, 0], boxes.corners[:, 1]))
        expected = image.boxes.take(np.lexsort((image.boxes.corners[:, 0], image.boxes.corners[:, 1])))
        np.testing.assert_array_equal(boxes.labels[order], expected.labels)
        np.testing.assert_allclose(boxes.corners[order], expected.corners, atol=0.5)
        assert (boxes.scores > 0.9).all()
    assert evaluate_detector(squares(), data.test)[1].map_50_area == 1


@pytest.mark.parametrize("device", ["host", "nucleo-h743zi"])
def test_the_whole_way(tmp_path, data, device):
    result = deploy(squares(), device, data=data, folder=tmp_path / "out")
    assert result.detector
    assert result.bit_exact
    assert result.detector.map_50 == {"float": 1.0, "int8_host": 1.0, "int8_device": 1.0}
    assert result.detector.boxes_equal == result.detector.boxes_compared >= 6
    assert result.detector.findings.evaluation.map_50_area == 1
    assert result.accuracy == {"float": None, "int8_host": None, "int8_device": None}
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count('class="photo"') == 2 * len(data.test)
    for text in ("mAP@0.5", "Precision and recall", "2 annotated, 2 found", "Beside the published detectors"):
        assert text in page
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["detector"]["map_50"] == result.detector.map_50
    assert report["detector"]["found_bytes"] == 4 + 24 * 100
    assert report["detector"]["working_bytes"] == 0  # there is room in the arena
    if device != "host":
        # The arena, what was found, and a little for start-up and files.
        assert 0 <= result.build.ram_bytes - result.plan.arena_bytes - (4 + 24 * 100) < 64


def test_without_data_boxes_are_compared_all_the_same(tmp_path, data):
    int8 = mj.quantize(squares(), np.stack([image.pixels() for image in data.train]))
    assert int8.boxes == squares().boxes
    result = deploy(int8, "host", folder=tmp_path / "out")
    assert result.detector.map_50 == {"float": None, "int8_host": None, "int8_device": None}
    assert result.detector.boxes_equal == result.detector.boxes_compared > 0
    assert "so there is no mAP" in result.notes[0]


def test_images_without_an_object_leave_the_precision_unknown(tmp_path, data):
    empty = replace(data, test=tuple(replace(image, boxes=Boxes.of()) for image in data.test))
    result = deploy(squares(), "host", data=empty, folder=tmp_path / "out")
    assert result.detector.map_50 == {"float": None, "int8_host": None, "int8_device": None}
    assert json.loads((tmp_path / "out" / "report.json").read_text())["detector"]["evaluation"]["map_50_area"] is None


def test_data_of_another_kind_or_of_other_classes_are_refused(tmp_path, data):
    with pytest.raises(DataError, match="'squares' finds boxes; 'digits' has labelled images: give annotated ones"):
        deploy(squares(), "host", data=mj.load_data("digits"), folder=tmp_path / "out")
    other = load_detection(f"voc:{data.train[0].path.parents[1]}", ["blue", "red"])
    with pytest.raises(DataError, match="'drawn' has classes blue, red; model 'squares' finds red, blue"):
        deploy(squares(), "host", data=other, folder=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_boxes_are_equal_to_the_last_bit_and_in_order():
    one = Boxes.of([[0, 0, 1, 1], [2, 2, 3, 3]], [0, 1], [0.5, 0.4])
    assert equal_boxes(one, one) == 2
    assert equal_boxes(one.take(np.array([1, 0])), one) == 0
    assert equal_boxes(one.take(np.array([0])), one) == 1
    assert equal_boxes(Boxes.of(np.nextafter(one.corners, np.float32(9)), one.labels, one.scores), one) == 0
