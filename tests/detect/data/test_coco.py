"""COCO's layout: where files lie, what they may lack, and what is said of those that are wrong."""

import json
import re

import pytest

from millijoule.detect.data import load_detection
from millijoule.errors import DataError
from tests.detect.data.layouts import coco, coco_content, image


def one_file(root, content, images="abc"):
    for stem in images:
        image(root / "images" / f"{stem}.jpg")
    path = root / "pets.json"
    path.write_text(json.dumps(content))
    return path


def test_outlines_and_crowds(tmp_path):
    content = coco_content("a", "b", "c")
    content["annotations"][0]["iscrowd"] = 1
    del content["annotations"][2]["area"]
    found = load_detection(f"coco:{one_file(tmp_path, content)}")
    by_name = {image.path.stem: image for image in (*found.train, *found.test)}
    assert (len(found.train), len(found.test)) == (2, 1)
    assert by_name["a"].boxes.difficult.tolist() == [True, False]
    assert by_name["a"].areas.tolist() == [100, 450]
    assert by_name["b"].areas is None


def test_files_beside_their_images_in_folders_of_a_split(tmp_path):
    for part, stems in (("train", "a"), ("valid", "b"), ("test", "c")):
        for stem in stems:
            image(tmp_path / part / f"{stem}.jpg")
        (tmp_path / part / "_annotations.coco.json").write_text(json.dumps(coco_content(*stems)))
    found = load_detection(f"coco:{tmp_path}")
    assert [image.path.stem for image in found.train] == ["a", "b"]
    assert [image.path.stem for image in found.test] == ["c"]


def test_other_tasks_are_passed_over(tmp_path):
    root = coco(tmp_path)
    (root / "annotations" / "captions_val2017.json").write_text("{}")
    assert len(load_detection(f"coco:{root}").test) == 1


def test_categories_without_boxes_are_no_classes(tmp_path):
    content = coco_content("a", "b", "c")
    content["categories"].insert(0, {"id": 0, "name": "animals"})
    assert load_detection(f"coco:{one_file(tmp_path, content)}").classes == ("cat", "dog")


def annotation(**changes):
    content = coco_content("a", "b", "c")
    content["annotations"][2] |= changes
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (annotation(bbox=[1, 2, 3]), "pets.json, annotation 2: 'bbox' is [1, 2, 3]; four numbers"),
        (annotation(bbox=[1, 2, 3, "4"]), "pets.json, annotation 2: 'bbox' is [1, 2, 3, '4']; four numbers"),
        (annotation(category_id=1), "pets.json, annotation 2: there is no category 1"),
        (annotation(bbox=[1, 2, 3, 10**400]), "pets.json, annotation 2: 'bbox' is [1, 2, 3, 1000"),
        (annotation(category_id=[7]), "pets.json, annotation 2: there is no category [7]"),
        (annotation(image_id=["b"]), "pets.json, annotation 2: there is no image ['b']"),
        (annotation(image_id="z"), "pets.json, annotation 2: there is no image z"),
    ],
)
def test_annotations_that_are_wrong(tmp_path, content, message):
    path = one_file(tmp_path, content)
    with pytest.raises(DataError, match=re.escape(message)):
        load_detection(f"coco:{path}")
    assert load_detection(f"coco:{path}", skip_bad=True).notes[0].startswith(f"1 × image left out: {message}")


def test_a_missing_image(tmp_path):
    path = one_file(tmp_path, coco_content("a", "b", "c"), images="ac")
    with pytest.raises(DataError, match=r"1 of 3 images .*: pets\.json, image b: there is no 'b\.jpg'"):
        load_detection(f"coco:{path}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [],\n "annotations": [,]}', "pets.json, line 2: broken JSON: Expecting value"),
        ("[" * 100_000, "pets.json' cannot be read as JSON"),
        ("[" + "1" * 5000 + "]", "pets.json' cannot be read as JSON"),
        ("[]", "pets.json: no list 'images'"),
        ('{"images": [], "annotations": {}}', "pets.json: no list 'annotations'"),
        ('{"images": [3], "annotations": [], "categories": []}', "pets.json: images[0] is no object with names"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "pets.json: a category lacks"),
    ],
)
def test_files_that_are_wrong(tmp_path, text, message):
    (tmp_path / "pets.json").write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        load_detection(f"coco:{tmp_path}")
