"""`millijoule data`: labelled images and images with boxes."""

import json

import numpy as np
import pytest

from millijoule.cli import main
from tests.detect.data.layouts import coco, voc, yolo
from tests.detect.data.test_voc import annotate, drawn


def run(capsys, *arguments):
    code = main(["data", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("layout", [voc, coco, yolo])
def test_images_with_boxes(tmp_path, capsys, layout):
    source = f"{layout.__name__}:{layout(tmp_path / 'pets')}"
    code, out, err = run(capsys, source)
    assert (code, err) == (0, "")
    assert "pets: 2 images for training, 1 for testing" in out
    code, out, _ = run(capsys, source, "--json")
    found = json.loads(out)
    assert [(each["name"], each["boxes"], each["test_boxes"]) for each in found["classes"]] == [
        ("cat", 2, 0),
        ("dog", 1, 1),
    ]


def test_flaws_are_told_and_broken_files_end_it(tmp_path, capsys):
    for stem in "abcde":
        annotate(tmp_path, stem, drawn(1, 1, 9, 9), drawn(3, 3, 3, 9))
    code, out, _ = run(capsys, f"voc:{tmp_path}")
    assert code == 0
    assert "Note: 5 × box without area left out: Annotations/" in out
    (tmp_path / "Annotations" / "c.xml").write_text("<annotation>")
    code, out, err = run(capsys, f"voc:{tmp_path}")
    assert (code, out) == (2, "")
    assert err.startswith("error: 1 of 5 images of ")
    assert "Annotations/c.xml, line 1: broken XML: no element found" in err
    assert err.count("\n") == 1
    code, out, _ = run(capsys, f"voc:{tmp_path}", "--skip-bad", "--json")
    assert code == 0
    assert len(json.loads(out)["flaws"]) == 5


def test_labelled_images(tmp_path, capsys):
    labels = np.array([0, 0, 1, 1, 1])
    images = np.zeros((5, 4, 6, 3), np.uint8)
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    code, out, _ = run(capsys, tmp_path / "set.npz")
    assert code == 0
    assert "set: images of 4x6x3" in out
    assert [line.split() for line in out.splitlines() if line.startswith("all")] == [["all", "5", "5"]]
    _, out, _ = run(capsys, tmp_path / "set.npz", "--json")
    assert json.loads(out)["classes"] == [
        {"name": "0", "images": 2, "test_images": 2},
        {"name": "1", "images": 3, "test_images": 3},
    ]
