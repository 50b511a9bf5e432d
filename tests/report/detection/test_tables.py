"""Tables about detectors, as the terminal shows them."""

import io

from rich.console import Console

from millijoule.detect.data.summary import ClassSummary, SetSummary
from millijoule.detect.evaluation import evaluate_boxes
from millijoule.report.detection.tables import data_set, evaluation
from millijoule.report.layout import print_tables
from tests.detect.evaluation.test_by_hand import FOUND, TRUTH


def text(tables):
    console = Console(file=io.StringIO(), width=100)
    print_tables(tables, console)
    return console.file.getvalue()


EVALUATION = """\
ssdlite on cells: mAP@0.5 75.56 % of 3 test images

                        AP@0.5    AP@0.5       AP   best F1
class   boxes  found  VOC 2007  VOC 2010     COCO  at score  precision   recall
-------------------------------------------------------------------------------
cell        3      6   76.36 %   75.56 %  45.70 %      0.40     60.0 %  100.0 %
other       0      0         -         -        -         -          -        -
-------------------------------------------------------------------------------
mean        3      6   76.36 %   75.56 %  45.70 %

COCO                             AP   recall
--------------------------------------------
overlap 0.5                 75.64 %
overlap 0.75                46.73 %
objects under 32x32 pixels  45.70 %  60.00 %
objects to 96x96 pixels           -        -
larger objects                    -        -
the best box of each image           36.67 %
the best 10                          60.00 %
the best 100                         60.00 %
"""
SET = """\
pets: 2 images for training, 2 for testing

          images     boxes  boxes                        median size
class   training  training   test  difficult  truncated   % of image
--------------------------------------------------------------------
cat            2         3      0          0          1    25.0x50.0
dog            0         0      1          1          1            -
--------------------------------------------------------------------
all            2         3      1          1          2

-----------------------------------------------------------
images of 40x30                                      3 of 4
other image sizes                                         1
images without objects                                    1
most objects in one image                                 3
part of the image's side that 19 of 20 boxes exceed  25.0 %

Note: 1 × box without area left out
"""


def test_an_evaluation():
    # The figures are worked out where FOUND and TRUTH are.
    shown = text(evaluation("ssdlite", "cells", evaluate_boxes(FOUND, TRUTH, ["cell", "other"])))
    assert [line.rstrip() for line in shown.splitlines()] == EVALUATION.splitlines()


def test_a_set():
    classes = (ClassSummary("cat", 2, 3, 0, 0, 1, (0.25, 0.5)), ClassSummary("dog", 0, 0, 1, 1, 1, None))
    summary = SetSummary("pets", 2, 2, 1, 3, {(30, 40): 3, (10, 20): 1}, 0.25, classes, ())
    shown = text(data_set(summary, ["1 × box without area left out"]))
    assert [line.strip() for line in shown.splitlines() if line.strip()] == [
        line.strip() for line in SET.splitlines() if line
    ]
