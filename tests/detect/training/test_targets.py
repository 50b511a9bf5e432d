"""Which cells answer for which box: small cases by hand, and what training asks for, decoded."""

import numpy as np
import pytest

from millijoule.boxes import BoxCoding, Boxes, Level, detect
from millijoule.detect.training.targets import anchors_of, targets

SSD = BoxCoding(
    (Level("s0", "b0", 4, 4, 8, ((8, 8), (16, 16))), Level("s1", "b1", 2, 2, 16, ((24, 24),))), (32, 32), classes=2
)
POINTS = BoxCoding((Level("s0", "b0", 8, 8, 8, ((16, 16),)),), (64, 64), classes=2, peaks=True)


def test_anchors_stand_in_the_order_of_the_outputs():
    anchors = anchors_of(SSD)
    assert anchors.shape == (4 * 4 * 2 + 2 * 2, 4)
    assert anchors[:3].tolist() == [[4, 4, 8, 8], [4, 4, 16, 16], [12, 4, 8, 8]]
    assert anchors[8].tolist() == [4, 12, 8, 8]
    assert anchors[-1].tolist() == [24, 24, 24, 24]


def asked(boxes: Boxes, coding=SSD):
    return targets(coding, anchors_of(coding), boxes)


def test_an_anchor_that_is_the_box_stands_for_it_and_others_for_nothing():
    found = asked(Boxes.of([[8, 8, 16, 16]], [1]))
    index = 2 * (4 + 1)
    assert found.positive.tolist() == [index]
    assert found.scores[index].tolist() == [0, 1]
    assert found.scores.sum() == 1
    assert found.corners.tolist() == [[8, 8, 16, 16]]
    assert found.counts.all(), "no other anchor overlaps it by 0.4"


def test_between_the_bounds_an_anchor_learns_nothing():
    """The anchor 16 × 16 in (8, 8)…(16, 16) overlaps a box of 12 × 10 in it by 120 / 256 = 0.47."""
    found = asked(Boxes.of([[6, 7, 18, 17]], [0]))
    assert found.positive.tolist() == [2 * 5], "8 · 8 / 120 = 0.53"
    assert np.flatnonzero(~found.counts).tolist() == [2 * 5 + 1]


def test_a_box_that_no_anchor_overlaps_by_half_has_its_best_one():
    found = asked(Boxes.of([[0, 0, 31, 3]], [0]))
    assert len(found.positive) == 1
    assert found.corners.tolist() == [[0, 0, 31, 3]]


def test_of_two_boxes_with_one_best_anchor_the_smaller_has_it():
    found = asked(Boxes.of([[8, 8, 16, 16], [8, 8, 16, 15]], [0, 1]))
    assert found.corners[found.positive.tolist().index(10)].tolist() == [8, 8, 16, 15]


def test_difficult_boxes_ask_nothing_and_forbid_nothing():
    found = asked(Boxes.of([[8, 8, 16, 16]], [1], difficult=[True]))
    assert not len(found.positive)
    assert not found.scores.any()
    assert np.flatnonzero(~found.counts).tolist() == [10]
    points = asked(Boxes.of([[8, 8, 24, 24]], [1], difficult=[True]), POINTS)
    assert not points.scores.any()
    assert np.flatnonzero(~points.counts).tolist() == [2 * 8 + 2]


@pytest.mark.parametrize("coding", [SSD, POINTS], ids=["ssdlite", "centre"])
def test_an_image_without_boxes_is_all_background(coding):
    found = asked(Boxes.of(), coding)
    assert not len(found.positive)
    assert found.corners.shape == (0, 4)
    assert not found.scores.any()
    assert found.counts.all()


def test_a_centre_is_1_and_falls_off_as_far_as_the_box_reaches():
    found = asked(Boxes.of([[8, 8, 40, 24]], [1]), POINTS)
    heat = found.scores.reshape(8, 8, 2)
    assert heat[..., 0].max() == 0
    assert heat[2, 3, 1] == 1, "the centre (24, 16) lies in the cell of row 2, column 3"
    assert heat[2, 4, 1] > heat[3, 3, 1] > 0, "wider than high"
    assert found.positive.tolist() == [2 * 8 + 3]
    # Moved by 0.3 / 1.7 of its width, a box overlaps itself by 0.7; that is three standard deviations.
    assert heat[2, 4, 1] == pytest.approx(np.exp(-0.5 * (3 / (4 * 0.3 / 1.7)) ** 2))


def test_of_two_centres_in_one_cell_the_smaller_box_has_it():
    for order in ([[8, 8, 24, 24], [12, 12, 20, 20]], [[12, 12, 20, 20], [8, 8, 24, 24]]):
        found = asked(Boxes.of(order, [0, 1]), POINTS)
        assert found.corners.tolist() == [[12, 12, 20, 20]]


@pytest.mark.parametrize("coding", [SSD, POINTS], ids=["ssdlite", "centre"])
def test_a_network_that_says_what_is_asked_finds_the_boxes(coding):
    """The targets as outputs, through the decoder that firmware has."""
    side = coding.size[0]
    truth = Boxes.of([[1, 2, 15, 14], [side - 14, side - 15, side, side - 2]], [0, 1])
    anchors, wanted = anchors_of(coding), asked(truth, coding)
    logits = np.where(wanted.scores == 1, 9.0, -9.0)
    offsets = np.zeros((len(anchors), 4))
    own, corners = anchors[wanted.positive], wanted.corners
    of_centres, of_sizes = coding.variances
    offsets[wanted.positive, :2] = ((corners[:, :2] + corners[:, 2:]) / 2 - own[:, :2]) / own[:, 2:] / of_centres
    offsets[wanted.positive, 2:] = np.log((corners[:, 2:] - corners[:, :2]) / own[:, 2:]) / of_sizes
    outputs, first = {}, 0
    for level in coding.levels:
        for name, numbers in ((level.scores, logits), (level.boxes, offsets)):
            outputs[name] = numbers[first : first + level.count].reshape(1, level.rows, level.columns, -1)
        first += level.count
    (found,) = detect(coding, outputs)
    order = np.argsort(found.labels)
    assert found.labels[order].tolist() == [0, 1]
    np.testing.assert_allclose(found.corners[order], truth.corners, atol=1e-3)
