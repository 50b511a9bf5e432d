"""Boxes: coding, decoding and suppression, against hand-worked cases and other ways to compute them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from millijoule.boxes import BoxCoding, Boxes, Level, Tables, decode, detect, suppress
from millijoule.model import Quantization

ONE = BoxCoding(
    levels=(Level("scores", "boxes", rows=2, columns=3, step=10, anchors=((8.0, 4.0), (4.0, 8.0))),),
    size=(20, 30),
    classes=2,
    threshold=0.5,
)


def outputs_of(coding, fill=-9.0, batch=1):
    """Outputs in which nothing is found."""
    found = {}
    for level in coding.levels:
        grid = (batch, level.rows, level.columns)
        found[level.scores] = np.full((*grid, len(level.anchors) * coding.columns), fill, np.float32)
        found[level.boxes] = np.zeros((*grid, len(level.anchors) * 4), np.float32)
        if level.objectness:
            found[level.objectness] = np.full((*grid, len(level.anchors)), fill, np.float32)
    return found


def test_a_box_is_decoded_as_by_hand():
    outputs = outputs_of(ONE)
    outputs["scores"][0, 1, 2, 3] = 2.0  # second anchor, 4 x 8, second class
    outputs["boxes"][0, 1, 2, 4:] = 1.0, -2.0, np.log(2) / 0.2, 0.0
    (boxes,) = decode(ONE, outputs)
    assert boxes.labels.tolist() == [1]
    assert boxes.scores[0] == pytest.approx(1 / (1 + np.exp(-2)))
    # The centre of the cell is (25, 15); 0.1 of an anchor per unit; twice the width.
    x, y, width, height = 25 + 1.0 * 0.1 * 4, 15 - 2.0 * 0.1 * 8, 4 * 2, 8
    expected = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    np.testing.assert_allclose(boxes.corners[0], expected, rtol=1e-6)


def test_boxes_are_cut_at_the_border_and_dropped_outside():
    outputs = outputs_of(ONE)
    outputs["scores"][0, 0, 0, :2] = 3.0, 2.0
    outputs["boxes"][0, 0, 0, :4] = -5.0, 0.0, 100.0, 100.0  # exponents are bounded
    (boxes,) = decode(ONE, outputs)
    np.testing.assert_array_equal(boxes.corners, [[0, 0, 30, 20]] * 2)
    outputs["boxes"][0, 0, 0, :4] = -50.0, 0.0, 0.0, 0.0
    assert len(decode(ONE, outputs)[0]) == 0


def test_equal_scores_stand_in_the_order_of_positions_and_the_best_are_kept():
    outputs = outputs_of(ONE, fill=1.0)
    (boxes,) = decode(replace(ONE, candidates=5), outputs)
    assert boxes.labels.tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_array_equal(boxes.corners[[0, 2, 4]], [[1, 3, 9, 7], [3, 1, 7, 9], [11, 3, 19, 7]])
    outputs["scores"][0, 1, 2, 3] = 2.0
    (boxes,) = decode(replace(ONE, candidates=3), outputs)
    assert boxes.labels.tolist() == [1, 0, 1]
    assert boxes.corners[0].tolist() == [23, 11, 27, 19]


def test_objectness_background_and_shared_flat_outputs():
    level = Level("scores", "boxes", 1, 2, 8, ((8.0, 8.0),), objectness="objects")
    coding = BoxCoding((level, replace(level, columns=1, step=16, first=2)), (8, 16), 1, logits=False, background=True)
    coding.check({"scores": (3, 2), "boxes": (3, 4), "objects": (3, 1)})
    outputs = {
        "scores": np.array([[[0.9, 0.0], [0.9, 0.81], [0.9, 0.49]]], np.float32),
        "boxes": np.zeros((1, 3, 4), np.float32),
        "objects": np.array([[[1.0], [0.36], [0.81]]], np.float32),
    }
    (boxes,) = decode(coding, outputs)
    np.testing.assert_allclose(boxes.scores, [0.7 * 0.9, 0.9 * 0.6], rtol=1e-6)
    np.testing.assert_array_equal(boxes.corners, [[4, 4, 12, 8], [8, 0, 16, 8]])


def test_only_the_first_of_equal_neighbours_is_a_peak():
    level = Level("scores", "boxes", 3, 5, 4, ((4.0, 4.0),))
    coding = BoxCoding((level,), (12, 20), 1, peaks=True)
    outputs = outputs_of(coding)
    outputs["scores"][0, :, :, 0] = [[5, 5, 1, 0, 2], [5, 4, 1, 2, 3], [0, 0, 0, 0, 0]]
    (boxes,) = decode(coding, outputs)
    assert boxes.corners[:, :2].tolist() == [[0, 0], [16, 4]]


def test_int8_outputs_are_read_from_tables():
    quantization = {"scores": Quantization.of(0.1, 5), "boxes": Quantization.of(0.05, -3)}
    random = np.random.default_rng(1)
    real = outputs_of(ONE, batch=4)
    integers = {name: random.integers(-128, 128, array.shape, dtype=np.int8) for name, array in real.items()}
    found = detect(ONE, integers, quantization)
    expected = detect(ONE, {name: quantization[name].dequantize(integers[name]) for name in integers})
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.corners, theirs.corners)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    tables = Tables.of(ONE, ONE.levels[0], quantization)
    assert tables.scores.dtype == np.float32
    assert tables.scores[5 + 128] == 0.5
    assert tables.growths[128 - 3] == 1


def suppressed_by_hand(boxes, overlap, most):
    """One box after the other, in double precision."""
    kept = []
    for index in sorted(range(len(boxes)), key=lambda index: (-boxes.scores[index], index)):
        left, top, right, bottom = map(float, boxes.corners[index])
        for other in kept:
            other_left, other_top, other_right, other_bottom = map(float, boxes.corners[other])
            width = max(0.0, min(right, other_right) - max(left, other_left))
            height = max(0.0, min(bottom, other_bottom) - max(top, other_top))
            both = (right - left) * (bottom - top) + (other_right - other_left) * (other_bottom - other_top)
            if boxes.labels[index] == boxes.labels[other] and width * height / (both - width * height) > overlap:
                break
        else:
            kept.append(index)
    return kept[:most]


@pytest.mark.parametrize("seed", range(10))
def test_suppression_keeps_what_a_loop_over_all_pairs_keeps(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 120))
    # Whole pixels: areas are exact in float32 and in double.
    start = random.integers(0, 40, (count, 2))
    corners = np.concatenate([start, start + random.integers(1, 30, (count, 2))], axis=1)
    boxes = Boxes.of(corners, random.integers(0, 3, count), random.integers(0, 20, count) / 20)
    for overlap, most in ((0.5, 100), (0.3, 7), (0.0, 100), (1.0, 100)):
        expected = suppressed_by_hand(boxes, overlap, most)
        found = suppress(boxes, overlap, most)
        np.testing.assert_array_equal(found.corners, boxes.corners[expected])
        np.testing.assert_array_equal(found.scores, boxes.scores[expected])
        np.testing.assert_array_equal(found.labels, boxes.labels[expected])


def test_suppression_of_nothing():
    assert len(suppress(Boxes.of(), 0.5, 10)) == 0


def test_boxes_scale_with_their_image():
    boxes = Boxes.of([[10, 20, 30, 40]], [0]).scaled((100, 50), (200, 25))
    assert boxes.corners.tolist() == [[5, 40, 15, 80]]


def test_boxes_of_unlike_lengths_cannot_be_made():
    with pytest.raises(ValueError, match=r"scores of 2 boxes have shape \(1,\); \(2,\) is needed"):
        Boxes.of([[0, 0, 1, 1]] * 2, [0, 1], [0.5])


def test_a_coding_survives_json():
    coding = replace(ONE, peaks=True, levels=(replace(ONE.levels[0], objectness="objects", first=3),))
    assert BoxCoding.from_json(json.loads(json.dumps(coding.to_json()))) == coding


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"scores": (2, 3, 4)}, "reads output 'boxes', which the graph does not have"),
        ({"scores": (2, 3, 4), "boxes": (2, 3, 4)}, r"'boxes' has shape \(2, 3, 4\); its 12 anchors with 4 numbers"),
    ],
)
def test_a_coding_that_does_not_suit_the_graph(shapes, message):
    ONE.check({"scores": (2, 3, 4), "boxes": (2, 3, 8)})
    with pytest.raises(ValueError, match=message):
        ONE.check(shapes)
