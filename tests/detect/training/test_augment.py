"""Augmentation: boxes stay on what was drawn, whatever is done to the image."""

from dataclasses import replace

import numpy as np
import pytest

from millijoule.boxes import Boxes
from millijoule.detect.training.augment import Rectangle, augmented, clipped, mirrored, place
from millijoule.detect.training.settings import choose

PLAIN = choose("auto", 10, {"zoom": 0.0, "mosaic": 0.0, "flip": False, "colour": 0.0, "epochs": 10})
SIZE = (64, 96)
GREY = np.array([127, 127, 127], np.uint8)
BOXES = [[12, 18, 60, 54], [90, 60, 135, 84]]


def marked(index: int = 0):
    """Half as large again as the input: grey, with a red box of class 0 and a blue one of class 1."""
    image = np.full((96, 144, 3), 127, np.uint8)
    for (left, top, right, bottom), colour in zip(BOXES, ((255, 0, 0), (0, 0, 255)), strict=True):
        image[top:bottom, left:right] = colour
    return image, Boxes.of(BOXES, [0, 1])


def make(settings, count=1, epoch=0, seed=0):
    return augmented(marked, np.arange(count), SIZE, GREY, epoch, settings, np.random.default_rng(seed))


def extent(image: np.ndarray, label: int):
    """Left, top, right, bottom of the pixels of a class's colour; None where there are none."""
    colour, other = (0, 2) if label == 0 else (2, 0)
    there = (image[..., colour].astype(int) > 190) & (image[..., other] < 64)
    if not there.any():
        return None
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def test_nothing_asked_for_is_the_image_at_the_inputs_size():
    images, (boxes,) = make(PLAIN)
    np.testing.assert_allclose(boxes.corners, np.array(BOXES) / 1.5, atol=1e-4)
    assert extent(images[0], 0) == pytest.approx(boxes.corners[0], abs=1)


@pytest.mark.parametrize(
    "change",
    [{"zoom": 0.6}, {"flip": True}, {"flip_down": True}, {"zoom": 1.0, "flip": True, "flip_down": True}],
    ids=["zoom", "flip", "flip down", "all"],
)
def test_boxes_stay_around_what_is_marked(change):
    settings, seen = replace(PLAIN, **change), 0
    for epoch in range(3):
        images, boxes = make(settings, count=20, epoch=epoch, seed=epoch)
        for image, found in zip(images, boxes, strict=True):
            for corners, label in zip(found.corners, found.labels, strict=True):
                drawn = extent(image, label)
                if drawn is None:  # a sliver, lost in the blur of its border
                    assert min(corners[2:] - corners[:2]) < 3
                    continue
                assert drawn == pytest.approx(corners, abs=1.01)
                seen += 1
            for label in set(range(2)) - set(found.labels.tolist()):
                drawn = extent(image, label)
                left = 0 if drawn is None else (drawn[2] - drawn[0]) * (drawn[3] - drawn[1])
                assert left < 0.1 * 48 * 36 * 4 / 1.5**2, "less than a tenth of the box was left"
    assert seen > 60


def test_a_mosaic_holds_the_boxes_of_four_images_each_in_its_quarter():
    images, boxes = make(replace(PLAIN, mosaic=1.0, zoom=0.3), count=30)
    counts = [len(found) for found in boxes]
    assert max(counts) > 3
    assert np.mean(counts) > 2
    for image, found in zip(images, boxes, strict=True):
        for left, top, right, bottom in np.rint(found.corners).astype(int):
            inside = image[top + 2 : bottom - 2, left + 2 : right - 2].reshape(-1, 3)
            assert not len(inside) or np.all(np.abs(inside.astype(int) - 127).max(axis=1) > 60), "all of it is marked"


def test_there_are_no_mosaics_in_the_last_fifth():
    settings = replace(PLAIN, mosaic=1.0)
    assert all(len(found) == 2 for found in make(settings, count=8, epoch=8)[1])
    assert any(len(found) != 2 for found in make(settings, count=8, epoch=7)[1])


def test_boxes_are_cut_and_those_that_are_mostly_gone_are_difficult_or_dropped():
    region = Rectangle(0, 0, 100, 100)
    corners = [[90, 0, 110, 10], [80, 0, 105, 10], [94, 0, 114, 10], [99, 0, 119, 10], [10, 10, 20, 20]]
    found = clipped(Boxes.of(corners, range(5)), region)
    assert found.labels.tolist() == [0, 1, 2, 4]
    assert found.corners.tolist() == [[90, 0, 100, 10], [80, 0, 100, 10], [94, 0, 100, 10], [10, 10, 20, 20]]
    assert found.difficult.tolist() == [False, False, True, False], "0.5, 0.8, 0.3 and 1 of them are left"


def test_an_image_that_lies_outside_of_its_region_leaves_nothing():
    canvas = np.zeros((10, 10, 3), np.uint8)
    found = place(canvas, marked(), Rectangle(20, 0, 40, 10), Rectangle(0, 0, 10, 10))
    assert len(found) == 0
    assert not canvas.any()


def test_mirrored_twice_is_as_before():
    image, boxes = marked()
    once, moved = mirrored(image, boxes, across=True, down=True)
    assert moved.corners[0].tolist() == [144 - 60, 96 - 54, 144 - 12, 96 - 18]
    again, back = mirrored(once, moved, across=True, down=True)
    assert np.array_equal(again, image)
    assert np.array_equal(back.corners, boxes.corners)


def test_grey_images_stay_grey():
    image, boxes = marked()
    images, _ = augmented(
        lambda index: (image[..., :1], boxes), np.arange(2), SIZE, GREY[:1], 0, PLAIN, np.random.default_rng(0)
    )
    assert images.shape == (2, *SIZE, 1)
