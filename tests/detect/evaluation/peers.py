"""The same boxes in other packages."""

import contextlib
import io

import numpy as np

ORDER = (
    *("ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large"),
    *("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"),
)
"""Of COCO's twelve numbers."""


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
    """pycocotools' evaluation, loaded and not yet run. areas: pixels² of the annotated objects' outlines."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

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
        return COCOeval(annotated, results, "bbox")


def run(evaluation):
    """(the twelve numbers, the precisions); NaN where COCO has -1."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"]
    return np.where(evaluation.stats < 0, np.nan, evaluation.stats), np.where(precision < 0, np.nan, precision)
