"""Cases whose numbers are worked out here, on paper."""

import math

import numpy as np
import pytest

from millijoule.boxes import Boxes
from millijoule.detect.evaluation import evaluate_boxes
from millijoule.errors import DataError

# Three images; in the first, the second object is difficult.
TRUTH = [
    Boxes.of([(0, 0, 10, 10), (20, 20, 30, 30)], [0, 0], difficult=[False, True]),
    Boxes.of([(0, 0, 10, 10), (50, 50, 60, 60)], [0, 0]),
    Boxes.of(),
]
FOUND = [
    Boxes.of([(0, 0, 10, 10), (0, 0, 10, 8), (20, 20, 30, 30)], [0, 0, 0], [0.9, 0.8, 0.7]),
    Boxes.of([(0, 0, 10, 5), (51, 50, 61, 60)], [0, 0], [0.6, 0.4]),
    Boxes.of([(0, 0, 5, 5)], [0], [0.5]),
]
# Three objects count. By score:
#   0.9  overlap 100/100                true            recall 1/3, precision 1
#   0.8  overlap 80/100, a second time  false           recall 1/3, precision 1/2
#   0.7  on the difficult object        not counted
#   0.6  overlap 50/100, just enough    true            recall 2/3, precision 2/3
#   0.5  overlaps nothing               false           recall 2/3, precision 1/2
#   0.4  overlap 90/110                 true            recall 1,   precision 3/5


def test_curve():
    (only,) = evaluate_boxes(FOUND, TRUTH, ["cell"]).classes
    assert only.curve.scores.tolist() == np.array([0.9, 0.8, 0.6, 0.5, 0.4], np.float32).tolist()
    assert only.curve.recall.tolist() == [1 / 3, 1 / 3, 2 / 3, 2 / 3, 1]
    assert only.curve.precision.tolist() == [1, 1 / 2, 2 / 3, 1 / 2, 3 / 5]
    assert (only.boxes, only.difficult, only.found) == (3, 1, 6)


def test_area():
    # From recall 0 to 1/3 the best precision is 1, to 2/3 it is 2/3, to 1 it is 3/5: (1 + 2/3 + 3/5) / 3 = 34/45.
    assert evaluate_boxes(FOUND, TRUTH, ["cell"]).map_50_area == pytest.approx(34 / 45, abs=1e-15)


def test_eleven_points():
    # 1 at recalls 0, 0.1, 0.2, 0.3; 2/3 at 0.4, 0.5, 0.6; 3/5 at 0.7, 0.8, 0.9, 1: (4 + 2 + 2.4) / 11.
    assert evaluate_boxes(FOUND, TRUTH, ["cell"]).map_50_11point == pytest.approx(8.4 / 11, abs=1e-15)


def test_coco():
    # Of the 101 recalls 0, 0.01, …, 1, 34 are at most 1/3, 33 lie between 1/3 and 2/3, 34 beyond.
    # At an overlap of 0.5: as above, (34 · 1 + 33 · 2/3 + 34 · 3/5) / 101 = 76.4 / 101.
    # At 0.55 to 0.8, six overlaps, the box of score 0.6 is false, and the one of 0.4 comes at recall 2/3 with precision
    # 2/5: (34 + 33 · 2/5) / 101 = 47.2 / 101. At 0.85, 0.9 and 0.95 (90/110 is less) the first alone: 34 / 101.
    evaluation = evaluate_boxes(FOUND, TRUTH, ["cell"])
    assert evaluation.coco["ap_50"] == pytest.approx(76.4 / 101, abs=1e-12)
    assert evaluation.coco["ap_75"] == pytest.approx(47.2 / 101, abs=1e-12)
    assert evaluation.map_coco == pytest.approx((76.4 + 6 * 47.2 + 3 * 34) / 1010, abs=1e-12)
    # The best box of each image alone finds 2 of 3 at 0.5, and 1 of 3 (image 1's) beyond: (2 + 9 · 1) / 30.
    assert evaluation.coco["ar_1"] == pytest.approx(11 / 30, abs=1e-12)
    # All of them: 3 of 3, six times 2, three times 1: (3 + 12 + 3) / 30.
    assert evaluation.coco["ar_100"] == pytest.approx(18 / 30, abs=1e-12)
    # All objects are 100 pixels² large: small.
    assert evaluation.coco["ap_small"] == evaluation.map_coco
    assert math.isnan(evaluation.coco["ap_large"])


def test_a_recall_of_three_in_ten_does_not_reach_the_kits_fourth_point():
    # MATLAB's 0:0.1:1 has 0.30000000000000004, and 3/10 is 0.3: of eleven points, three see the precision of 1. Six and
    # seven of ten reach their points.
    for right, points in ((2, 3), (3, 3), (4, 5), (6, 7), (7, 8), (10, 11)):
        truth = [Boxes.of([(0, 0, 9, 9)], [0])] * 10
        found = [Boxes.of([(0, 0, 9, 9)], [0])] * right + [Boxes.of()] * (10 - right)
        assert evaluate_boxes(found, truth, ["a"]).map_50_11point == pytest.approx(points / 11, abs=1e-15)


def test_a_box_belongs_to_what_it_overlaps_most_even_if_that_is_taken():
    # The kit never gives the second box to its second choice; COCO does. Overlaps: 100 and 90/110; 80/100 and 72/108.
    truth = [Boxes.of([(0, 0, 10, 10), (0, 1, 10, 11)], [0, 0])]
    found = [Boxes.of([(0, 0, 10, 10), (0, 0, 10, 8)], [0, 0], [0.9, 0.8])]
    evaluation = evaluate_boxes(found, truth, ["a"])
    assert evaluation.map_50_area == 0.5
    assert evaluation.coco["ap_50"] == pytest.approx(1, abs=1e-12)


def test_of_equal_scores_the_earlier_image_comes_first():
    truth = [Boxes.of([(0, 0, 9, 9)], [0]), Boxes.of()]
    found = [Boxes.of([(0, 0, 9, 9)], [0], [0.5]), Boxes.of([(0, 0, 9, 9)], [0], [0.5])]
    assert evaluate_boxes(found, truth, ["a"]).map_50_area == 1
    assert evaluate_boxes(found[::-1], truth[::-1], ["a"]).map_50_area == 0.5


def test_classes_without_annotated_boxes_have_no_number_and_do_not_count():
    evaluation = evaluate_boxes(FOUND, TRUTH, ["cell", "other"])
    assert evaluation.map_50_area == pytest.approx(34 / 45)
    assert math.isnan(evaluation.classes[1].ap_50_area)
    assert math.isnan(evaluation.classes[1].ap_coco)
    assert evaluation.to_json()["classes"][1]["ap_50_area"] is None
    none = evaluate_boxes([Boxes.of()] * 2, [Boxes.of()] * 2, ["cell"])
    assert math.isnan(none.map_50_11point)
    assert none.to_json()["map_coco"] is None


def test_nothing_found_is_0():
    evaluation = evaluate_boxes([Boxes.of()] * 3, TRUTH, ["cell"])
    assert (evaluation.map_50_11point, evaluation.map_50_area, evaluation.map_coco) == (0, 0, 0)
    assert evaluation.classes[0].curve.best is None


def test_the_best_score_to_ask_for():
    # F1 of the five points: 1/2, 2/5, 2/3, 4/7, 3/4.
    (only,) = evaluate_boxes(FOUND, TRUTH, ["cell"]).classes
    assert only.to_json()["best_f1"] == {"score": pytest.approx(0.4), "precision": 3 / 5, "recall": 1}


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_that_are_no_class(label):
    with pytest.raises(
        DataError, match=rf"image 1: a box has the label {label}; labels of the 2 classes go from 0 to 1"
    ):
        evaluate_boxes([Boxes.of(), Boxes.of([(0, 0, 1, 1)], [label])], [Boxes.of()] * 2, ["a", "b"])
    with pytest.raises(DataError, match=rf"image 0: a box has the label {label}"):
        evaluate_boxes([Boxes.of()], [Boxes.of([(0, 0, 1, 1)], [label])], ["a", "b"])


def test_other_numbers_of_images():
    with pytest.raises(DataError, match="3 images with found boxes, 2 with annotated ones"):
        evaluate_boxes(FOUND, TRUTH[:2], ["cell"])
