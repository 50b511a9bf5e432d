"""Pictures of test images in a page, and of the errors in them."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from millijoule.boxes import Boxes
from millijoule.detect.data import load_detection
from millijoule.detect.find import judge
from millijoule.report.detection.findings import Findings
from millijoule.report.detection.sections import sections
from tests.detectors import CLASSES, drawn_squares


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """All right but for one that is missed, a confused one, one that nothing is under, and one that does not count."""
    data = load_detection(f"voc:{drawn_squares(tmp_path_factory.mktemp('data') / 'drawn')}", CLASSES)
    found = [
        Boxes(image.boxes.corners, image.boxes.labels, image.boxes.scores, image.boxes.difficult) for image in data.test
    ]
    found[0] = found[0].take(np.array([0]))
    found[1] = Boxes.of(found[1].corners, [1 - found[1].labels[0], found[1].labels[1]], [0.75, 0.9])
    corners = [*found[2].corners, [0, 0, 3, 2], [60, 60, 64, 64]]
    found[2] = Boxes.of(corners, [*found[2].labels, 0, 0], [0.9, 0.9, 0.625, 0.2])
    return Findings("squares", data.name, data.test, found, judge(found, data.test, CLASSES), 0.5)


def test_sections(findings):
    html = dict(sections(findings))
    names = [image.path.name for image in findings.images]
    images = html["Test images: annotated, and found"]
    for name, counts in zip(
        names, ("2 annotated, 1 found", "2 annotated, 2 found", "2 annotated, 3 found"), strict=True
    ):
        assert f"{name}: {counts}" in images
    errors = html["Errors"]
    assert "score of 0.5 or more" in errors
    assert re.findall(r"<h3>(\w+):", errors) == ["background", "confused", "missed"]
    assert f"{names[2]}: found red 0.62" in errors
    wrong = int(findings.found[1].labels[0])
    assert f"{names[1]}: annotated {CLASSES[1 - wrong]}, found {CLASSES[wrong]} 0.75, overlap 1.00" in errors
    label = findings.images[0].boxes.labels[1]
    assert f"{names[0]}: annotated {CLASSES[label]}" in errors
    assert "0.20" not in errors  # under the threshold


def test_pictures_are_images_of_the_size_that_the_page_gives_them(findings):
    html = "".join(body for _, body in sections(findings))
    found = re.findall(r'<img class="photo" src="data:image/jpeg;base64,([^"]+)" width="(\d+)" height="(\d+)"', html)
    assert len(found) == 2 * 3 + 3
    for data, width, height in found:
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (int(width), int(height)) == (64, 64)
