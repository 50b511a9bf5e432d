"""A set in numbers, counted by hand."""

import json

import pytest

from millijoule.detect.data import load_detection
from millijoule.detect.data.summary import summarise
from tests.detect.data.test_voc import annotate, drawn, split


def test_counts_and_sizes(tmp_path):
    root = tmp_path / "pets"
    annotate(root, "a", drawn(1, 1, 10, 20), drawn(1, 1, 20, 10), drawn(5, 6, 40, 30, name="dog", difficult=1))
    annotate(root, "b", drawn(11, 11, 20, 25, truncated=1), drawn(7, 7, 7, 9))
    annotate(root, "c", drawn(1, 1, 4, 3, name="dog", truncated=1), size=(20, 10))
    annotate(root, "d")
    split(root, train=["a", "b"], test=["c", "d"])
    summary = summarise(load_detection(f"voc:{root}"))
    assert (summary.name, summary.images, summary.test_images, summary.empty, summary.most) == ("pets", 2, 2, 1, 3)
    assert summary.sizes == {(30, 40): 3, (10, 20): 1}
    cat, dog = summary.classes
    assert (cat.images, cat.boxes, cat.test_boxes, cat.difficult, cat.truncated) == (2, 3, 0, 0, 1)
    assert (dog.images, dog.boxes, dog.test_boxes, dog.difficult, dog.truncated) == (1, 1, 1, 1, 1)
    # Cats are 10x20, 20x10 and 10x15 pixels of 40x30.
    assert cat.size == pytest.approx((10 / 40, 15 / 30))
    assert dog.size == pytest.approx((36 / 40, 25 / 30))
    assert len(summary.flaws) == 1
    assert json.loads(json.dumps(summary.to_json()))["sizes"][0] == {"height": 30, "width": 40, "images": 3}
