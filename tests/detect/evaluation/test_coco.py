"""COCO's numbers against pycocotools, COCO's own code."""

import numpy as np
import pytest

from millijoule.boxes import Boxes
from millijoule.detect.evaluation import evaluate_boxes
from tests.detect.evaluation.cases import some_boxes
from tests.detect.evaluation.peers import ORDER, pycocotools, run

pytest.importorskip("pycocotools")

CLASSES = ("a", "b", "c")


@pytest.mark.parametrize("seed", range(40))
def test_the_twelve_numbers_and_each_class_are_those_of_pycocotools(seed):
    found, truth = some_boxes(seed, crowds=seed % 4 != 0, ties=seed % 2 == 0)
    ours = evaluate_boxes(found, truth, CLASSES)
    numbers, precision = run(pycocotools(found, truth, 3))
    assert np.allclose([ours.coco[name] for name in ORDER], numbers, rtol=0, atol=1e-12, equal_nan=True)
    by_class = precision[:, :, :, 0, 2].mean(axis=(0, 1))
    assert np.allclose([each.ap_coco for each in ours.classes], by_class, rtol=0, atol=1e-12)


def test_more_than_a_hundred_boxes_in_an_image():
    random = np.random.RandomState(0)
    truth = [Boxes.of([(x, y, x + 8, y + 8) for x in range(0, 150, 10) for y in range(0, 150, 10)], [0] * 225)]
    near = truth[0].corners.repeat(2, axis=0) + random.randint(-2, 3, (450, 4))
    found = [Boxes.of(near, [0] * 450, random.random_sample(450))]
    ours = evaluate_boxes(found, truth, ["a"])
    numbers, _ = run(pycocotools(found, truth, 1))
    assert np.allclose([ours.coco[name] for name in ORDER], numbers, rtol=0, atol=1e-12, equal_nan=True)
    assert ours.coco["ar_100"] < 100 / 225 < ours.classes[0].curve.recall[-1]


def test_sizes_are_those_of_the_outlines_if_they_are_known():
    found, truth = some_boxes(3)
    random = np.random.RandomState(3)
    areas = [random.random_sample(len(boxes)) * 20_000 for boxes in truth]
    ours = evaluate_boxes(found, truth, CLASSES, areas)
    numbers, _ = run(pycocotools(found, truth, 3, areas))
    assert np.allclose([ours.coco[name] for name in ORDER], numbers, rtol=0, atol=1e-12, equal_nan=True)
    assert ours.coco["ap_large"] != evaluate_boxes(found, truth, CLASSES).coco["ap_large"]
