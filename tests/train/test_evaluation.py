"""What a model answers, on numbers worked out by hand."""

import numpy as np
import pytest
from PIL import Image

from millijoule.errors import DataError
from millijoule.model import Model
from millijoule.ops import Dense, Flatten, RadialBasis, Sigmoid, Softmax
from millijoule.train import Evaluation, accuracy, answer, evaluate
from millijoule.train.evaluation import scores_of
from tests.networks import small_int8_model
from tests.train.cases import graph_of, stripes

LABELS = np.array([0, 0, 1, 2, 2, 2])
SCORES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.45, 0.1, 0.45], [0.9, 0.09, 0.01]],
    np.float32,
)
CASE = Evaluation("net", "set", ("a", "b", "c"), LABELS, SCORES)


def test_counts_of_right_and_wrong():
    assert CASE.accuracy == pytest.approx(3 / 6)
    assert CASE.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 1]]
    assert CASE.recalls == [0.5, 1.0, pytest.approx(1 / 3)]
    assert CASE.worst(5).tolist() == [5, 1, 4]
    assert CASE.worst(1).tolist() == [5]
    assert CASE.top5 is None
    assert Evaluation("net", "set", ("a", "b", "c"), LABELS[:2], SCORES[:2]).recalls == [0.5, None, None]


def test_top5_counts_labels_among_the_five_best():
    scores = np.tile(np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05], np.float32), (3, 1))
    assert Evaluation("net", "set", tuple("abcdefg"), np.array([0, 4, 5]), scores).top5 == pytest.approx(2 / 3)


def flat_model(*last, weight=((1, 0, 0), (0, 1, 0), (0, 0, 1)), labels=()):
    graph = graph_of(Flatten(), Dense(features=3), *last, shape=(1, 1, 3))
    weights = {"n1.weight": np.asarray(weight, np.float32), "n1.bias": np.zeros(3, np.float32)}
    weights |= {name: np.eye(3, dtype=np.float32) for name in graph.params() if name.startswith("n2")}
    return Model(graph, weights, labels=labels, preprocess={"mean": [0.0] * 3, "std": [1.0] * 3})


PIXELS = np.array([[255, 51, 0]], np.uint8).reshape(1, 1, 1, 3)


def test_scores_are_shares_whatever_ends_the_network():
    x = np.array([1.0, 0.2, 0.0])
    soft = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(scores_of(flat_model(), PIXELS)[0], soft, rtol=1e-6)
    np.testing.assert_allclose(scores_of(flat_model(Softmax()), PIXELS)[0], soft, rtol=1e-6)
    sigmoid = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(scores_of(flat_model(Sigmoid()), PIXELS)[0], sigmoid / sigmoid.sum(), rtol=1e-6)
    distances = np.square(x - np.eye(3)).sum(axis=1)
    near = np.exp(-distances) / np.exp(-distances).sum()
    np.testing.assert_allclose(scores_of(flat_model(RadialBasis(classes=3)), PIXELS)[0], near, rtol=1e-6)


def test_evaluation_agrees_with_accuracy_and_takes_int8_models():
    dataset = stripes()
    images = np.random.default_rng(0).integers(0, 256, (300, 12, 12, 1), dtype=np.uint8)
    labels = np.arange(300) % 3
    model = small_int8_model()
    found = evaluate(model, images, labels, "random", ("x", "y", "z"))
    assert found.accuracy == accuracy(model, images, labels)
    assert found.classes == ("x", "y", "z")
    assert found.confusion.sum() == 300
    with pytest.raises(DataError, match=r"'set' has 10 images with 10 labels up to 7; model 'small' tells 3 classes"):
        evaluate(model, images[:10], np.full(10, 7), "set")
    assert dataset.classes


def test_scores_of_mirror_images_are_averaged_on_request():
    model = small_int8_model()
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 1), dtype=np.uint8)
    plain, mirror = scores_of(model, images), scores_of(model, images[:, :, ::-1])
    assert np.abs(plain - mirror).max() > 0.01
    found = evaluate(model, images, np.arange(40) % 3, mirrored=True)
    np.testing.assert_allclose(found.scores, (plain + mirror) / 2, rtol=1e-6)
    assert (found.mirrored, found.to_json()["mirrored"]) == (True, True)


def test_files_are_answered_best_class_first(tmp_path):
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (4, 5), colour).save(tmp_path / f"{name}.png")
    model = flat_model(weight=np.eye(3) * 10, labels=("red", "green", "blue"))
    found = answer(model, [tmp_path / "red.png", tmp_path / "blue.png"], count=2)
    assert [each.classes[0][0] for each in found] == ["red", "blue"]
    assert [len(each.classes) for each in found] == [2, 2]
    assert found[0].classes[0][1] > 0.99
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png' cannot be read as an image"):
        answer(model, [tmp_path / "broken.png"])
