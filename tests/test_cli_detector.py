"""`train`, `evaluate`, `cost` and `zoo` of detectors, as a user types them."""

import json

import numpy as np
import pytest

from millijoule.train import load_run
from tests.detect.training.cases import shapes, write_voc
from tests.test_cli import assert_one_line_error, run

STRUCTURE = ("--backbone", "mobilenet_v1-0.25", "--image", "64", "--strides", "8,16")
TRAIN = ("train", "centre", *STRUCTURE, "--data", "voc:drawn", "--epochs", 12, "--batch-size", 8)
FAST = ("--learning-rate", 0.02, "--mosaic", 0, "--validation", 0.2)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with drawn/, squares and discs in PASCAL VOC's layout."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    write_voc(tmp_path / "drawn", shapes(tmp_path / "images", train=48, test=10))
    return tmp_path


def test_a_detector_is_trained_resumed_and_evaluated(here, capsys):
    code, out, err = run(capsys, *TRAIN, *FAST, "--out", "run", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert (result["epochs"], result["images_trained_on"], result["images"]) == (12, 12 * 38, 10)
    assert {each["class"] for each in result["classes"]} == {"disc", "square"}
    names = {path.name for path in (here / "run").iterdir()}
    assert names == {"config.json", "metrics.jsonl", "checkpoint.npz", "report.html"}
    page = (here / "run" / "report.html").read_text()
    for words in ("Validation mAP@0.5", "Test mAP@0.5", "Precision and recall", "Errors", "published detectors"):
        assert words in page

    code, out, _ = run(capsys, "evaluate", "run", "--data", "voc:drawn", "--json")
    assert json.loads(out)["map_50_area"] == result["map_50_area"]
    code, out, _ = run(capsys, "evaluate", "run", "--data", "voc:drawn")
    assert "centre on drawn: mAP@0.5" in out

    code, out, _ = run(capsys, "train", "--resume", "run", "--json")
    assert json.loads(out) == result, "the training is done"
    model = load_run("run")
    assert model.labels == ("disc", "square")
    assert model.boxes.size == (64, 64)

    code, out, err = run(capsys, "deploy", "run", "--device", "host", "--samples", 4, "--json")
    assert code == 0, err
    assert "note: no --data: taking voc:drawn, on which it was trained" in err
    deployed = json.loads(out)
    assert deployed["detector"]["boxes_equal"] == deployed["detector"]["boxes_compared"]
    code, _, err = run(capsys, "export", "run", "--to", "qdq")
    assert code == 0, err


def test_a_backbone_that_was_trained_on_labels_is_where_a_detector_begins(here, capsys):
    labels, random = np.arange(40) % 2, np.random.default_rng(0)
    images = (random.integers(0, 100, (40, 32, 32, 3)) + 100 * labels[:, None, None, None]).astype(np.uint8)
    np.savez("labels.npz", x_train=images, y_train=labels, x_test=images[:4], y_test=labels[:4])
    code, _, err = run(capsys, "train", "mobilenet_v1_025", "--data", "labels.npz", "--epochs", 3, "--out", "classes")
    assert code == 0, err
    still = ("--epochs", 1, "--batch-size", 8, "--learning-rate", 1e-6, "--data", "voc:drawn", "--weights", "classes")
    structure = ("--backbone", "mobilenet_v1_025", "--image", 64, "--strides", "8,16")
    run(capsys, "train", "centre", *structure, *still, "--out", "run")
    classifier, detector = load_run("classes").weights, load_run("run").weights
    for name in ("stem.weight", "block1_depthwise.weight", "block11_pointwise.weight"):
        np.testing.assert_allclose(detector[name], classifier[name], atol=1e-4)
    for backbone, words in (
        ("mobilenet_v1-0.5", "array 'stem.weight' of 'mobilenet_v1_025' in 'classes' has shape (8, 3, 3, 3)"),
        ("vgg11", "'mobilenet_v1_025' in 'classes' has no array in common with 'centre'"),
    ):
        other = ("--backbone", backbone, "--image", 64, *still, "--out", backbone)
        assert_one_line_error(run(capsys, "train", "centre", *other), words)


def test_what_a_detector_costs_follows_its_structure(capsys):
    _, out, _ = run(capsys, "cost", "ssdlite", "--image", "160", "--json")
    default = json.loads(out)
    _, out, _ = run(capsys, "cost", "ssdlite", "--json")
    assert json.loads(out) == default
    _, out, _ = run(capsys, "cost", "ssdlite", "--backbone", "mobilenet_v1-0.25", "--image", "96x128", "--json")
    assert json.loads(out)["macs"] < default["macs"]
    _, out, _ = run(capsys, "cost", "centre", "--strides", "8", "--classes", "2", "--json")
    assert json.loads(out)["params"] < 0.1 * default["params"]


def test_the_zoo_lists_both_heads(capsys):
    _, out, _ = run(capsys, "zoo", "--json")
    listed = {each["name"]: each for each in json.loads(out)}
    assert listed["ssdlite"]["macs"] > listed["centre"]["macs"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "ssdlite", "--data", "digits"], ["'digits' is no source of images with boxes"]),
        (["train", "lenet5", "--data", "voc:drawn"], ["has boxes, not labelled images", "ssdlite or centre"]),
        (["look", "x", "--data", "voc:drawn"], ["look is for classifiers"]),
        (["train", "lenet5", "--data", "digits", "--backbone", "resnet18"], ["--backbone is for the detectors"]),
        (["train", "lenet5", "--data", "digits", "--flip-down"], ["--flip-down is for the detectors"]),
        (["train", "centre", "--data", "voc:drawn", "--anchors", "2"], ["--anchors are of ssdlite"]),
        (["train", "centre", "--data", "voc:drawn", "--mixup", "0.2"], ["mixup is a setting of classifiers"]),
        (["train", "centre", "--data", "voc:drawn", "--recipe", "airbench"], ["no recipe 'airbench' for detectors"]),
        (
            ["train", "centre", "--data", "voc:drawn", "--box-weight", "-1"],
            ["box_weight is -1.0; it must be 0 or more"],
        ),
        (["train", "centre", "--data", "voc:drawn", "--image", "70"], ["70×70", "choose 64 in place of 70"]),
        (["train", "centre", "--data", "voc:drawn", "--backbone", "lenet5"], ["'lenet5' has no map"]),
        (["train", "ssdlite", "--data", "voc:drawn", "--anchors", "99"], ["fewer --anchors"]),
        (["cost", "resnet8", "--image", "160"], ["--image is for the detectors"]),
    ],
)
def test_bad_input_is_one_line(here, capsys, arguments, words):
    assert_one_line_error(run(capsys, *arguments), *words)
