"""COCO's numbers against pycocotools, COCO's own code."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from millijoule.detect.evaluation import evaluate_boxes
from tests.detect.evaluation.cases import some_boxes

ORDER = (
    *("ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large"),
    *("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"),
)


def rows(boxes, image):
    """COCO's dictionaries of the boxes of an image."""
    for index in range(len(boxes)):
        left, top, right, bottom = map(float, boxes.corners[index])
        yield {
            "image_id": image,
            "category_id": int(boxes.labels[index]) + 1,
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top),
            "iscrowd": int(boxes.difficult[index]),
            "score": float(boxes.scores[index]),
        }


def pycocotools(found, truth, classes, areas=None):
    """The twelve numbers, and the precision array, of pycocotools."""
    drawn = [row for image, boxes in enumerate(truth, 1) for row in rows(boxes, image)]
    if areas is not None:
        for row, area in zip(drawn, np.concatenate(areas), strict=True):
            row["area"] = float(area)
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(1, len(truth) + 1)],
            "annotations": [row | {"id": index} for index, row in enumerate(drawn, 1)],
            "categories": [{"id": label + 1} for label in range(classes)],
        }
        annotated.createIndex()
        results = annotated.loadRes([row for image, boxes in enumerate(found, 1) for row in rows(boxes, image)])
        evaluation = COCOeval(annotated, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", range(40))
def test_the_twelve_numbers_are_those_of_pycocotools(seed):
    found, truth = some_boxes(seed, crowds=seed % 4 != 0, ties=seed % 2 == 0)
    ours, theirs = evaluate_boxes(found, truth, ("a", "b", "c")), pycocotools(found, truth, 3)
    expected = np.where(theirs.stats < 0, np.nan, theirs.stats)
    assert np.allclose([ours.coco[name] for name in ORDER], expected, rtol=0, atol=1e-12, equal_nan=True)
    by_class = theirs.eval["precision"][:, :, :, 0, 2].mean(axis=(0, 1))
    assert np.allclose([each.ap_coco for each in ours.classes], by_class, rtol=0, atol=1e-12)
