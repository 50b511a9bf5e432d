"""VOC's numbers against the kit's loops, one detection after the other, and against a package."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millijoule.boxes import Boxes
from millijoule.detect.evaluation import evaluate_boxes
from tests.detect.evaluation.cases import some_boxes

CLASSES = ("a", "b", "c")


def kit(found, truth, label):
    """(11-point, area) of a class, as VOCevaldet.m of 2007 and of 2010 go about it: 1-based corners, both included."""
    detections = [
        (-score, image, (left + 1, top + 1, right, bottom))
        for image, boxes in enumerate(found)
        for (left, top, right, bottom), of, score in zip(boxes.corners, boxes.labels, boxes.scores, strict=True)
        if of == label
    ]
    objects = [
        [
            {"box": (left + 1, top + 1, right, bottom), "difficult": difficult, "detected": False}
            for (left, top, right, bottom), of, difficult in zip(
                boxes.corners.astype(float), boxes.labels, boxes.difficult, strict=True
            )
            if of == label
        ]
        for boxes in truth
    ]
    positives = sum(not each["difficult"] for image in objects for each in image)
    true = false = 0
    recall, precision = [], []
    for _, image, box in sorted(detections, key=lambda each: each[0]):
        most, owner = -np.inf, None
        for each in objects[image]:
            other = each["box"]
            width = min(box[2], other[2]) - max(box[0], other[0]) + 1
            height = min(box[3], other[3]) - max(box[1], other[1]) + 1
            if width > 0 and height > 0:
                own, others = ((b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other))
                overlap = width * height / (own + others - width * height)
                if overlap > most:
                    most, owner = overlap, each
        if most < 0.5:
            false += 1
        elif not owner["difficult"]:
            true, false = (true, false + 1) if owner["detected"] else (true + 1, false)
            owner["detected"] = True
        if true + false:
            recall.append(true / positives)
            precision.append(true / (true + false))

    points = [0, 0.1, 0.2, 3 * 0.1, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    eleven = sum(max([p for r, p in zip(recall, precision, strict=True) if r >= t], default=0) / 11 for t in points)
    recall, precision = [0, *recall, 1], [0, *precision, 0]
    for index in reversed(range(len(precision) - 1)):
        precision[index] = max(precision[index], precision[index + 1])
    return eleven, sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


@pytest.mark.parametrize("seed", range(40))
def test_random_detections_against_the_kits_loops(seed):
    found, truth = some_boxes(seed, crowds=seed % 4 != 0, ties=seed % 2 == 0)
    for label, each in enumerate(evaluate_boxes(found, truth, CLASSES).classes):
        assert (each.ap_50_11point, each.ap_50_area) == pytest.approx(kit(found, truth, label), abs=1e-12)


# (annotated boxes, 11-point, area) of classes a, b, c, by object-detection-metrics 0.4.post1. It knows no difficult
# boxes. Its eleven points have 0.6 and 0.7 a little too high, which matters where a recall is just that: no class
# here has a multiple of 5 boxes.
PACKAGE = {
    1: [
        (12, 0.44162748468968566, 0.4442988785094048),
        (14, 0.5344691151142764, 0.5306732011801136),
        (22, 0.6929098248388714, 0.6991436641615615),
    ],
    4: [
        (13, 0.3712658410771618, 0.3633167993109938),
        (24, 0.5188714976173607, 0.5281530005681294),
        (11, 0.5108941257449022, 0.5108941257449023),
    ],
    5: [
        (13, 0.6755844155844156, 0.6735714285714288),
        (9, 0.5491522366522367, 0.5288249559082894),
        (12, 0.42174695356513536, 0.41993470743470745),
    ],
    6: [
        (16, 0.3668762906730821, 0.3783322478175419),
        (9, 0.5736127508854781, 0.5899711399711399),
        (18, 0.4752395752395753, 0.49130761516382426),
    ],
    7: [
        (16, 0.5999639249639249, 0.6023790445665447),
        (7, 0.2696969696969697, 0.2809523809523809),
        (17, 0.5567348678601876, 0.5751805325710848),
    ],
    8: [
        (14, 0.40765550239234455, 0.40993208828522926),
        (17, 0.6512965448830953, 0.6501772968387768),
        (13, 0.48311360085553634, 0.475022445617979),
    ],
    9: [
        (14, 0.6772843287532867, 0.6903500245399199),
        (22, 0.5868516463854919, 0.5771286458981263),
        (21, 0.46767908029063315, 0.4666098583250727),
    ],
    10: [
        (14, 0.5797540846321334, 0.588304949280559),
        (14, 0.5154615301640473, 0.5250834606955888),
        (19, 0.4743642132086068, 0.48722494474000927),
    ],
    11: [
        (9, 0.5446249975848284, 0.5312858497613019),
        (16, 0.4485667842611463, 0.457474515731495),
        (21, 0.5594235033259423, 0.5765760483988982),
    ],
    12: [
        (11, 0.7425090061453697, 0.7425090061453697),
        (21, 0.49854959854959857, 0.5010107176773845),
        (12, 0.5490621186545952, 0.5481787369718404),
    ],
}


@pytest.mark.parametrize("seed", PACKAGE)
def test_random_detections_against_a_package(seed):
    ours = evaluate_boxes(*some_boxes(seed, crowds=False), CLASSES).classes
    for each, (boxes, eleven, area) in zip(ours, PACKAGE[seed], strict=True):
        assert each.boxes == boxes
        assert (each.ap_50_11point, each.ap_50_area) == pytest.approx((eleven, area), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_properties(seed, crowds):
    found, truth = some_boxes(seed, images=4, crowds=crowds, ties=False)
    before = evaluate_boxes(found, truth, CLASSES)
    for each in before.classes:
        if each.boxes:
            assert 0 <= each.ap_50_11point <= 1
            assert 0 <= each.ap_50_area <= each.curve.recall.max(initial=0) + 1e-12
            assert -1e-12 <= each.ap_coco <= 1
            assert np.all(np.diff(each.curve.recall) >= 0)
            assert np.all(np.diff(each.curve.scores) <= 0)

    # Neither the order of the images nor that of boxes of other scores, nor a pixel's size, matters.
    random = np.random.default_rng(seed)
    order = random.permutation(len(found))
    turned = [boxes.take(random.permutation(len(boxes))) for boxes in found]
    again = evaluate_boxes([turned[i] for i in order], [truth[i] for i in order], CLASSES)
    assert again.map_50_area == pytest.approx(before.map_50_area, nan_ok=True)
    assert again.map_coco == pytest.approx(before.map_coco, nan_ok=True)
    twice = [[Boxes(b.corners * 2, b.labels, b.scores, b.difficult) for b in boxes] for boxes in (found, truth)]
    assert evaluate_boxes(*twice, CLASSES).map_coco == pytest.approx(before.map_coco, nan_ok=True)

    # What is drawn, found with certainty, is all that can be found; what lies nowhere lowers nothing but precision.
    perfect = evaluate_boxes([boxes.take(~boxes.difficult) for boxes in truth], truth, CLASSES)
    nothing = all(boxes.difficult.all() for boxes in truth)
    assert nothing or _drawn_twice(truth) or perfect.map_coco == pytest.approx(1)
    worse = [
        Boxes.of(np.concatenate([b.corners, [(900, 900, 950, 950)]]), np.append(b.labels, 0), np.append(b.scores, 2.0))
        for b in found
    ]
    after = evaluate_boxes(worse, truth, CLASSES)
    assert not after.map_50_area > before.map_50_area
    assert after.classes[0].curve.recall.max(initial=0) == before.classes[0].curve.recall.max(initial=0)


def _drawn_twice(truth):
    """Whether two boxes of a class lie so close that either is the other's."""
    from millijoule.detect.evaluation.overlap import overlaps

    return any(
        np.any(np.triu((overlaps(b.corners, b.corners) >= 0.5) & (b.labels[:, None] == b.labels), 1)) for b in truth
    )
