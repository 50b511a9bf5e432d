"""Average precision beside the code that defined it: differences and processor seconds.

    python benchmarks/detection_metrics.py [--images N] [--seeds N] [--data VOC-FOLDER]

Random annotated and found boxes, also around those of a data set: COCO's twelve numbers beside pycocotools, both of
PASCAL VOC beside the kit's loops written in Python and, where it is installed, beside object-detection-metrics, which
knows no difficult objects and makes the eleven recalls otherwise. Printed are the largest differences of all seeds and,
beside pycocotools, the processor seconds of one process: theirs, loading left out, for COCO's numbers; ours for VOC's
too. The ratio is theirs / ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from millijoule.boxes import Boxes
from millijoule.detect.data import load_detection
from millijoule.detect.evaluation import evaluate_boxes
from tests.detect.evaluation.cases import some_boxes
from tests.detect.evaluation.peers import ORDER, pycocotools, run
from tests.detect.evaluation.test_against_kit import kit

Images = list[Boxes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="of each random set (default: 100)")
    parser.add_argument("--seeds", type=int, default=10, help="random sets (default: 10)")
    parser.add_argument("--data", help="a data set in PASCAL VOC's layout, too: boxes are found around its own")
    options = parser.parse_args()
    sets = {f"{options.seeds} sets of {options.images} images": [
        (*some_boxes(seed, images=options.images, classes=5), 5) for seed in range(options.seeds)
    ]}  # fmt: skip
    if options.data:
        data = load_detection(f"voc:{options.data}")
        truth = [image.boxes for image in (*data.train, *data.test)]
        sets[f"around {data.name}, {len(truth)} images"] = [(around(truth), truth, len(data.classes))]
    table = Table(box=SIMPLE_HEAD)
    for column in ("boxes", "peer", "numbers", "largest difference", "seconds", "ours", "ratio"):
        table.add_column(column, justify="left" if column in ("boxes", "peer") else "right")
    for name, cases in sets.items():
        for row in compared(cases):
            table.add_row(name, *row)
    console = Console(width=110, highlight=False)
    console.print(table)
    console.print(f"pycocotools {version('pycocotools')}, object-detection-metrics {of('object-detection-metrics')}")


def compared(cases: list[tuple[Images, Images, int]]) -> list[tuple[str, ...]]:
    """A row for each peer."""
    ours, seconds = timed(lambda: [evaluate_boxes(found, truth, range(classes)) for found, truth, classes in cases])
    loaded = [pycocotools(*case) for case in cases]
    theirs, coco_seconds = timed(lambda: [run(each)[0] for each in loaded])
    loops = [[kit(found, truth, label) for label in range(classes)] for found, truth, classes in cases]
    coco = [[each.coco[name] for name in ORDER] for each in ours]
    voc = [[(one.ap_50_11point, one.ap_50_area) for one in each.classes] for each in ours]
    rows = [
        row("pycocotools", coco, theirs, coco_seconds, seconds),
        row("the kit's loops", voc, loops),
    ]
    if of("object-detection-metrics") != "missing":
        easy = [(found, [boxes.take(~boxes.difficult) for boxes in truth], classes) for found, truth, classes in cases]
        areas = [[one.ap_50_area for one in evaluate_boxes(f, t, range(c)).classes] for f, t, c in easy]
        rows.append(row("object-detection-metrics", areas, [package_areas(*case) for case in easy]))
    return rows


def row(peer: str, ours: Any, theirs: Any, *seconds: float) -> tuple[str, ...]:
    a, b = np.array(ours), np.array(theirs)
    both = ~(np.isnan(a) & np.isnan(b))
    difference = np.abs(a - b)[both].max()
    ratio = [f"{seconds[0] / seconds[1]:.1f}"] if seconds else []
    return peer, f"{both.sum()}", f"{difference:.1e}", *(f"{each:.2f}" for each in seconds), *ratio


def package_areas(found: Images, truth: Images, classes: int) -> list[float]:
    """The area under the curve of each class, by object-detection-metrics."""
    from podm.metrics import BoundingBox, get_pascal_voc_metrics

    def boxes(images: Images) -> list[Any]:
        return [
            BoundingBox.of_bbox(image, int(label), *map(float, corners), score=float(score))
            for image, some in enumerate(images)
            for corners, label, score in zip(some.corners, some.labels, some.scores, strict=True)
        ]

    metrics = get_pascal_voc_metrics(boxes(truth), boxes(found), 0.5)
    return [float(metrics[label].ap) for label in range(classes)]


def around(truth: Images) -> Images:
    """Three boxes on or near each annotated one, with random scores; one in ten of another class."""
    random = np.random.RandomState(0)
    classes = 1 + max(int(boxes.labels.max(initial=0)) for boxes in truth)
    found = []
    for boxes in truth:
        again = np.tile(boxes.corners, (3, 1))
        sizes = np.tile(again[:, 2:] - again[:, :2], 2)
        corners = np.round(again + random.normal(0, 0.1, again.shape) * sizes)
        corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2] + 1)
        labels = np.tile(boxes.labels, 3)
        other = random.random_sample(len(labels)) < 0.1
        labels = np.where(other, random.randint(0, classes, len(labels)), labels)
        found.append(Boxes.of(corners, labels, random.random_sample(len(labels))))
    return found


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


if __name__ == "__main__":
    main()
