"""Kinds of error, one image each; the worst first; what mending a kind is worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millijoule.boxes import Boxes
from millijoule.detect.evaluation import KINDS, cost_of_errors, evaluate_boxes, find_errors, worst_errors
from tests.detect.evaluation.cases import some_boxes

OBJECT = (10, 10, 20, 20)
TRUTH = Boxes.of([OBJECT], [0])


def kinds(*corners, labels=None, scores=None, truth=TRUTH):
    found = Boxes.of(corners, labels or [0] * len(corners), scores or np.linspace(0.9, 0.5, len(corners)))
    return [(error.kind, error.found, error.truth) for error in find_errors([found], [truth])]


def test_a_right_box_is_no_error():
    assert kinds(OBJECT) == []
    assert kinds((10, 10, 20, 15)) == []  # half of it


def test_each_kind():
    assert kinds(OBJECT, (10, 10, 20, 19)) == [("duplicate", 1, 0)]
    assert kinds(OBJECT, labels=[1]) == [("confused", 0, 0)]
    assert kinds((10, 10, 20, 14)) == [("misplaced", 0, 0)]
    assert kinds((40, 40, 50, 50)) == [("background", 0, None), ("missed", None, 0)]
    assert kinds() == [("missed", None, 0)]
    assert kinds((10, 10, 20, 11), OBJECT, scores=[0.4, 0.8]) == [("misplaced", 0, 0)]
    # 9 of 190 pixels are not near; in an image without objects everything is background.
    assert kinds((17, 17, 27, 27)) == [("background", 0, None), ("missed", None, 0)]
    assert kinds(OBJECT, truth=Boxes.of()) == [("background", 0, None)]


def test_what_lies_on_a_difficult_object_is_no_error_and_it_is_not_missed():
    difficult = Boxes.of([OBJECT], [0], difficult=[True])
    assert kinds(OBJECT, OBJECT, truth=difficult) == []
    assert kinds(truth=difficult) == []


def test_the_worst_come_first_and_the_largest_that_was_missed():
    truth = [Boxes.of([(0, 0, 10, 10), (0, 0, 50, 50)], [1, 1]), Boxes.of()]
    found = [Boxes.of(), Boxes.of([(0, 0, 9, 9), (20, 20, 30, 30)], [0, 0], [0.3, 0.7])]
    errors = find_errors(found, truth, [(100, 100), (100, 100)])
    assert [(error.kind, error.score) for error in errors] == [
        ("background", pytest.approx(0.7)),
        ("background", pytest.approx(0.3)),
        ("missed", 0.25),
        ("missed", 0.01),
    ]
    worst = worst_errors(errors, most=1)
    assert list(worst) == ["background", "missed"]
    assert worst["missed"][0].to_json() == {
        "kind": "missed",
        "image": 0,
        "found": None,
        "truth": 1,
        "overlap": 0.0,
        "score": 0.25,
    }


def test_what_mending_is_worth():
    # Four objects, each in an image: one confused, one misplaced, one missed, one found after a box on the background.
    truth = [TRUTH] * 4
    found = [
        Boxes.of([OBJECT], [1], [0.9]),
        Boxes.of([(10, 10, 20, 14)], [0], [0.8]),
        Boxes.of(),
        Boxes.of([(40, 40, 50, 50), OBJECT], [0, 0], [0.7, 0.6]),
    ]
    errors = find_errors(found, truth)
    cost = cost_of_errors(found, truth, errors, 2)
    # Of class 0, by score: wrong (misplaced), wrong (background), right: recall 1/4, precision 1/3: area 1/12.
    # Confused mended: right, wrong, wrong, right: 1/4 + 1/4 · 2/4. Misplaced: right, wrong, right: 1/4 + 1/4 · 2/3.
    # Background: wrong, right: 1/4 · 1/2. Missed, of three objects then: 1/3 · 1/3. Duplicates: there are none.
    before = 1 / 12
    assert cost == pytest.approx(
        {
            "background": 1 / 8 - before,
            "duplicate": 0,
            "confused": 3 / 8 - before,
            "misplaced": 5 / 12 - before,
            "missed": 1 / 9 - before,
        }
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_errors_and_the_curve_agree(seed):
    found, truth = some_boxes(seed, images=4)
    errors = find_errors(found, truth)
    for label, each in enumerate(evaluate_boxes(found, truth, ("a", "b", "c")).classes):
        wrong = sum(e.found is not None and found[e.image].labels[e.found] == label for e in errors)
        right = round(each.curve.recall.max(initial=0) * each.boxes) if each.boxes else 0
        assert right + wrong == len(each.curve.scores)
    cost = cost_of_errors(found, truth, errors, 3)
    assert list(cost) == list(KINDS)
    if not np.isnan(list(cost.values())).any():
        assert min(cost.values()) >= -1e-12
