"""Curves and history as SVG: what they show and where."""

import re

import numpy as np
import pytest

from millijoule.boxes import Boxes
from millijoule.detect.evaluation import cost_of_errors, evaluate_boxes, find_errors
from millijoule.report.detection.curves import curve_points, precision_recall_charts
from millijoule.report.detection.history import detectors, history_chart
from millijoule.report.detection.tables import error_rows
from tests.detect.evaluation.test_by_hand import FOUND, TRUTH
from tests.report.training.test_run_page import Checker


def test_a_curve_has_a_point_where_an_object_more_is_found():
    (only,) = evaluate_boxes(FOUND, TRUTH, ["cell"]).classes
    assert curve_points(only) == [(0.3333, 1), (0.6667, 2 / 3), (1, 3 / 5)]


def test_charts_span_0_to_1_and_classes_without_boxes_have_none():
    drawn = precision_recall_charts(evaluate_boxes(FOUND, TRUTH, ["a <cell>", "other"]))
    assert Checker(drawn).open == []
    assert drawn.count("<svg") == 1
    assert "a &lt;cell&gt;: AP@0.5 75.6 %" in drawn
    # The plot goes from 62 to 490 and from 218 up to 30: recall 1/3, precision 1; …; recall 1, precision 3/5.
    assert re.search(r'points="(.*?)"', drawn)[1] == "204.7,30.0 347.3,92.7 490.0,105.2"
    assert "<title>precision, recall 0.3333: 100 %</title>" in drawn


def test_a_class_that_is_never_found_has_an_empty_curve():
    drawn = precision_recall_charts(evaluate_boxes([Boxes.of()] * 3, TRUTH, ["cell"]))
    assert Checker(drawn).open == []
    assert 'points=""' in drawn


def test_long_curves_are_thinned_and_keep_their_end():
    truth = [Boxes.of([(0, 0, 9, 9)], [0])] * 500
    (only,) = evaluate_boxes(truth, truth, ["a"]).classes
    points = curve_points(only)
    assert len(points) == 60
    assert points[-1] == (1, 1)
    assert np.all(np.diff([recall for recall, _ in points]) > 0)


def test_a_runs_bar_stands_below_the_published_ones():
    rows = detectors("ssdlite", "cells & more", 0.4625)
    assert [row.own for row in rows] == [False] * (len(rows) - 1) + [True]
    assert [row.year for row in rows[:-1]] == sorted(row.year for row in rows[:-1])
    assert rows[-1].to_json() == {
        "name": "ssdlite",
        "year": "",
        "data": "cells & more",
        "training": "",
        "map": pytest.approx(46.25),
        "source": "measured here",
        "own": True,
    }
    drawn = history_chart(rows)
    assert Checker(drawn).open == []
    assert "R-CNN (AlexNet) (2014, trained on VOC 07): 58.5 % on VOC 2007. Girshick et al., CVPR 2014" in drawn
    assert "46.2 % on cells &amp; more" in drawn
    widths = [float(width) for width in re.findall(r'<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)"', drawn)]
    assert widths == pytest.approx([row.map * widths[-1] / 46.25 for row in rows], abs=0.2)
    assert drawn.count('class="measured"') == 1


def test_rows_of_errors():
    errors = find_errors(FOUND, TRUTH)
    rows = error_rows(errors, cost_of_errors(FOUND, TRUTH, errors, 1))
    # One box finds an object again; without it the curve is 1, 1 and, after the one where nothing is, 3/4 high:
    # (1 + 1 + 3/4) / 3 - 34/45 = 0.161.
    assert [(kind, boxes) for kind, boxes, _, _ in rows] == [
        ("background", "1"),
        ("duplicate", "1"),
        ("confused", "0"),
        ("misplaced", "0"),
        ("missed", "0"),
    ]
    assert rows[1][2] == "+16.1"
