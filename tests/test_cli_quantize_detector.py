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


def test_what_int8_costs_is_told_layer_by_layer(here, capsys):
    given = ("diagnose", "squares.onnx", "--data", "voc:drawn")
    code, out, _ = run(capsys, *given, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["measure"], found["images"], found["map_50_float"], found["map_50_int8"]) == ("mAP@0.5", 3, 1, 1)
    assert found["verdict"] == "int8 loses nothing: nothing has to be mended"
    assert [each["layer"] for each in found["layers"]] == ["input", "means", "scores_0", "boxes_0"]
    assert {"layer 'scores_0' in float", "bias correction"} <= {each["name"] for each in found["remedies"]}
    assert all(each["map_50"] == 1 for each in found["remedies"])
    np.savez("dark.npz", x_train=np.random.default_rng(0).integers(0, 40, (40, 32, 32, 3), dtype=np.uint8))
    code, out, _ = run(capsys, *given, "--calibrate-on", "dark.npz", "--html", "page.html")
    assert code == 0
    assert "squares on drawn: mAP@0.5 float 100.00 %, int8 " in out
    assert "int8 loses " in out
    assert "points of mAP@0.5. Likeliest cause: the calibration images are not like those of 'drawn'" in " ".join(
        out.split()
    )
    assert "points of mAP@0.5" in (here / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("diagnose", "squares.onnx"), ["diagnose needs --data"]),
        (("diagnose", "squares.onnx", "--calibrate-on", "drawn/JPEGImages"), ["diagnose needs --data: annotated"]),
        (("diagnose", "squares.onnx", "--data", "digits"), ["'squares' finds boxes", "--data voc:FOLDER"]),
        (("quantize", "squares.onnx"), ["quantize needs --data"]),
        (("quantize", "squares.onnx", "--data", "digits"), ["'squares' finds boxes", "--data voc:FOLDER"]),
        (("quantize", "squares.onnx", "--data", "voc:drawn", "--qat"), ["--qat trains models that tell classes apart"]),
        (("quantize", "squares.onnx", "--data", "voc:nowhere"), ["'nowhere' is not there"]),
        (("deploy", "squares.onnx", "--device", "host", "--data", "digits"), ["'squares' finds boxes"]),
        (("evaluate", "squares.onnx", "--data", "digits"), ["'squares' finds boxes", "--data voc:FOLDER"]),
        (("deploy", "lenet5", "--device", "host", "--data", "voc:drawn"), ["'lenet5'", "without numbers"]),
    ],
)
def test_errors_are_one_line(here, capsys, arguments, words):
    before = {path.name for path in here.iterdir()}
    assert_one_line_error(run(capsys, *arguments), *words)
    assert {path.name for path in here.iterdir()} == before


def test_sources_with_boxes_are_told_from_others():
    assert set(ANNOTATED) == set(READERS)
