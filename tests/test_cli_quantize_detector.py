"""A detector from a float file to int8 firmware, as a user types it."""

import json

import numpy as np
import pytest

import millijoule as mj
from millijoule.detect.data.load import READERS
from millijoule.train.data import ANNOTATED
from tests.detectors import drawn_squares, squares
from tests.test_cli import assert_one_line_error, run


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mj.export(squares(), "onnx", "squares.onnx")
    drawn_squares(tmp_path / "drawn")
    return tmp_path


def test_the_whole_way_on_annotated_images(here, capsys):
    code, out, _ = run(capsys, "quantize", "squares.onnx", "--data", "voc:drawn", "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["data"], result["images"], result["file"]) == ("drawn", 3, "squares-int8.tflite")
    assert result["map_50_float"] == result["map_50_int8"] == 1
    assert result["method"] == "minmax ranges of 32 images"
    photo = "drawn/JPEGImages/34.png"
    answers = [
        json.loads(run(capsys, "predict", f"squares{kind}", photo, "--json")[1]) for kind in (".onnx", "-int8.tflite")
    ]
    ours, theirs = ([(box["class"], round(box["left"] / 16)) for box in found[0]["boxes"]] for found in answers)
    assert sorted(ours) == sorted(theirs)
    assert len(ours) == 2
    code, out, _ = run(
        capsys, "deploy", "squares-int8.tflite", "--device", "host", "--data", "voc:drawn", "--out", "out", "--json"
    )
    assert code == 0
    detector = json.loads(out)["detector"]
    assert detector["map_50"] == {"float": None, "int8_host": 1, "int8_device": 1}
    assert detector["boxes_equal"] == detector["boxes_compared"] > 0
    code, out, _ = run(capsys, "deploy", "squares.onnx", "--device", "host", "--data", "voc:drawn", "--out", "out")
    assert code == 0
    assert "mAP@0.5, float" in out
    assert "boxes" in out


def test_photos_are_enough_for_ranges(here, capsys):
    code, out, _ = run(capsys, "quantize", "squares.onnx", "--calibrate-on", "drawn/JPEGImages", "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["data"], result["map_50_int8"]) == (None, None)
    assert result["method"] == "minmax ranges of 35 images"
    code, out, err = run(
        capsys, "quantize", "squares.onnx", "--calibrate-on", "voc:drawn", "--calibration", 32, "--force"
    )
    assert (code, err) == (0, "")
    assert "test mAP@0.5, int8" in out
    model = mj.load("squares-int8.tflite")
    assert model.boxes.classes == 2
    assert model.labels == ("red", "blue")


def test_photos_unlike_the_annotated_images_are_warned_of(here, capsys):
    np.savez("white.npz", x_train=np.random.default_rng(0).integers(200, 256, (40, 32, 32, 3), dtype=np.uint8))
    given = ("--data", "voc:drawn", "--calibrate-on", "white.npz")
    code, _, err = run(capsys, "quantize", "squares.onnx", *given)
    assert code == 0
    assert err.startswith("warning: the calibration images are not like those of 'drawn': channel 0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("quantize", "squares.onnx"), ["quantize needs --data"]),
        (("quantize", "squares.onnx", "--data", "digits"), ["'squares' finds boxes", "--data voc:FOLDER"]),
        (("quantize", "squares.onnx", "--data", "voc:drawn", "--qat"), ["--qat trains models that tell classes apart"]),
        (("quantize", "squares.onnx", "--data", "voc:nowhere"), ["'nowhere' is not there"]),
        (("deploy", "squares.onnx", "--device", "host", "--data", "digits"), ["'squares' finds boxes"]),
        (("evaluate", "squares.onnx", "--data", "digits"), ["'squares' finds boxes", "--data voc:FOLDER"]),
        (("diagnose", "squares.onnx", "--data", "digits"), ["'squares' finds boxes"]),
        (("diagnose", "squares.onnx", "--data", "voc:drawn"), ["'voc:drawn' has boxes; labelled images are needed"]),
        (("deploy", "lenet5", "--device", "host", "--data", "voc:drawn"), ["'lenet5'", "without numbers"]),
    ],
)
def test_errors_are_one_line(here, capsys, arguments, words):
    before = {path.name for path in here.iterdir()}
    assert_one_line_error(run(capsys, *arguments), *words)
    assert {path.name for path in here.iterdir()} == before


def test_sources_with_boxes_are_told_from_others():
    assert set(ANNOTATED) == set(READERS)
