"""`predict` of a detector, as a user types it: boxes in pixels of the photo, drawn or told."""

import json

import numpy as np
import pytest
from PIL import Image

import millijoule as mj
from millijoule.boxes import Boxes
from millijoule.model import Model
from millijoule.report.detection.pictures import COLOURS, drawn
from millijoule.train.initial import initial_weights
from tests.detectors import squares
from tests.test_cli import assert_one_line_error, run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A detector in a file, a photo with a red square, 96 pixels wide and 64 high, and an empty one."""
    monkeypatch.chdir(tmp_path)
    mj.export(squares(), "onnx", "squares.onnx")
    photo = np.zeros((64, 96, 3), np.uint8)
    photo[16:32, 24:48, 0] = 255  # a cell of the network's grid of 4x4
    Image.fromarray(photo).save("photo.png")
    Image.new("RGB", (40, 40)).save("empty.png")
    return tmp_path


def test_boxes_are_told_in_pixels_of_the_photo(here, capsys):
    code, out, _ = run(capsys, "predict", "squares.onnx", "photo.png", "empty.png", "--json")
    assert code == 0
    found, empty = json.loads(out)
    assert empty == {"file": "empty.png", "boxes": [], "drawn": None}
    (box,) = found["boxes"]
    assert (found["file"], box["class"]) == ("photo.png", "red")
    assert box["score"] > 0.9
    np.testing.assert_allclose([box[edge] for edge in ("left", "top", "right", "bottom")], [24, 16, 48, 32], atol=0.5)
    code, out, _ = run(capsys, "predict", "squares.onnx", "photo.png", "empty.png")
    assert code == 0
    assert "nothing found" in out
    assert next(line for line in out.splitlines() if "photo.png" in line).split()[1] == "red"


def test_boxes_are_drawn_on_the_photo_at_its_size(here, capsys):
    code, out, _ = run(capsys, "predict", "squares.onnx", "photo.png", "--out", "photo.boxes.jpg")
    assert code == 0
    assert "Drawn: photo.boxes.jpg" in out
    with Image.open("photo.boxes.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (96, 64))
    run(capsys, "predict", "squares.onnx", "photo.png", "--out", "photo.boxes.png")
    colour = tuple(bytes.fromhex(COLOURS[0][1:]))
    pixels = np.asarray(Image.open("photo.boxes.png"))
    for row, column in ((16, 30), (31, 30), (24, 24), (24, 47)):
        assert tuple(pixels[row, column]) == colour
    assert tuple(pixels[25, 35]) == (255, 0, 0)


def test_several_photos_go_to_a_folder(here, capsys):
    code, out, _ = run(capsys, "predict", "squares.onnx", "photo.png", "empty.png", "--out", "drawn", "--json")
    assert code == 0
    assert [each["drawn"] for each in json.loads(out)] == ["drawn/photo.boxes.png", "drawn/empty.boxes.png"]
    assert {path.name for path in (here / "drawn").iterdir()} == {"photo.boxes.png", "empty.boxes.png"}
    code, _, _ = run(capsys, "predict", "squares.onnx", "photo.png", "--out", "drawn", "--force")  # an existing folder
    assert code == 0


def test_a_threshold_of_ones_own(here, capsys):
    _, out, _ = run(capsys, "predict", "squares.onnx", "photo.png", "--threshold", "0.999", "--json")
    assert json.loads(out)[0]["boxes"] == []
    _, out, _ = run(capsys, "predict", "squares.onnx", "photo.png", "--threshold", "0", "--json")
    assert len(json.loads(out)[0]["boxes"]) > 1
    with pytest.raises(SystemExit):
        run(capsys, "predict", "squares.onnx", "photo.png", "--threshold", "2")
    assert "'2' is no score from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("photo.png", "--out", "nowhere/photo.jpg"), ["'nowhere' is no folder", "make it"]),
        (("photo.png", "--out", "photo.txt"), ["'photo.txt' is no name of an image", ".jpg"]),
        (("photo.png", "--out", "photo.png"), ["'photo.png' is the image itself"]),
        (("photo.png", "empty.png", "--out", "squares.onnx"), ["'squares.onnx' is a file", "2 images need a folder"]),
        (("photo.png", "squares.onnx", "--out", "drawn"), ["'squares.boxes.onnx' is no name of an image", ".jpg"]),
        (("photo.png", "broken.png", "--out", "drawn"), ["'broken.png' cannot be read as an image"]),
        (("photo.png", "missing.png", "--out", "drawn"), ["'missing.png' cannot be read as an image"]),
        (("photo.png", "photo.png", "--out", "drawn"), ["two images", "'photo.boxes.png'"]),
    ],
)
def test_errors_are_one_line_and_leave_nothing(here, capsys, arguments, words):
    (here / "broken.png").write_bytes((here / "photo.png").read_bytes()[:60])
    before = {path.name for path in here.iterdir()}
    assert_one_line_error(run(capsys, "predict", "squares.onnx", *arguments), *words)
    assert {path.name for path in here.iterdir()} == before


def test_a_classifier_draws_no_boxes(here, capsys):
    graph = mj.zoo.lenet5()
    mj.export(Model(graph, initial_weights(graph, 0)), "onnx", "lenet5.onnx")
    found = run(capsys, "predict", "lenet5.onnx", "photo.png", "--out", "drawn.png")
    assert_one_line_error(found, "--out is for models that find boxes", "'lenet5'")


def test_letters_stay_inside_the_image():
    boxes = Boxes.of([[0, 0, 20, 10], [60, 50, 64, 64]], [0, 1], [0.9, 0.8])
    pixels = np.asarray(drawn(np.zeros((64, 64, 3), np.uint8), boxes, ("a long name of a class", "another")))
    assert pixels.shape == (64, 64, 3)
    assert (pixels > 200).all(axis=2).sum() > 50  # white letters
