"""YOLO's layout: the folders and forms of data.yaml that are about, and what is said of lines that are wrong."""

import re

import numpy as np
import pytest

from millijoule.detect.data import load_detection
from millijoule.detect.data.readers.yaml_file import read_yaml
from millijoule.errors import DataError
from tests.detect.data.layouts import image, yolo, yolo_lines


@pytest.fixture
def pets(tmp_path):
    return yolo(tmp_path / "pets")


def test_paths_as_exporters_write_them(pets):
    (pets / "images" / "train").rename(pets / "train")
    (pets / "train").mkdir(exist_ok=True)
    for inner in ("images", "labels"):
        (pets / "train" / inner).mkdir()
    for stem in "ab":
        (pets / "train" / f"{stem}.jpg").rename(pets / "train" / "images" / f"{stem}.jpg")
        (pets / "labels" / "train" / f"{stem}.txt").rename(pets / "train" / "labels" / f"{stem}.txt")
    (pets / "data.yaml").write_text(
        "# by an exporter\ntrain: ../train/images\nval: images/val\ntest: ../test/images\n\nnc: 2\n"
        "names: ['cat', \"dog\"]\n"
    )
    found = load_detection(f"yolo:{pets / 'data.yaml'}")
    assert (found.name, found.classes, len(found.train), len(found.test)) == ("data", ("cat", "dog"), 2, 1)
    assert found.notes == ()


def test_lists_of_images_and_dashes(pets):
    (pets / "train.txt").write_text("images/train/a.jpg\n\n./images/train/b.jpg\n")
    (pets / "data.yaml").write_text("names:\n- cat  # purrs\n- dog\ntrain:\n  - train.txt\nval: [images/val]\n")
    assert len(load_detection(f"yolo:{pets}").train) == 2


def test_without_data_yaml_folders_and_names_say_all(pets):
    (pets / "data.yaml").unlink()
    found = load_detection(f"yolo:{pets}")
    assert (found.classes, len(found.train), len(found.test)) == (("0", "1"), 2, 1)
    (pets / "classes.txt").write_text("cat\ndog\n")
    assert load_detection(f"yolo:{pets}").classes == ("cat", "dog")


def test_text_files_beside_their_images(tmp_path):
    for stem in "abc":
        image(tmp_path / f"{stem}.jpg")
        (tmp_path / f"{stem}.txt").write_text(yolo_lines(stem))
    found = load_detection(f"yolo:{tmp_path}")
    assert (len(found.train), len(found.test)) == (2, 1)
    assert found.notes == ()


def test_a_polygon_counts_by_its_bounding_box(pets):
    (pets / "labels" / "val" / "c.txt").write_text("1 0.5 0.2 0.9 0.4 0.1 0.8\n")
    corners = load_detection(f"yolo:{pets}").test[0].boxes.corners
    assert np.allclose(corners, [[4, 6, 36, 24]], atol=1e-5)


def test_an_image_without_a_text_file_has_no_objects(pets):
    (pets / "labels" / "train" / "b.txt").unlink()
    found = load_detection(f"yolo:{pets}")
    assert len(found.train[1].boxes) == 0
    assert found.notes == ("1 × image without a text file: taken as one without objects: labels/train/b.txt: b.jpg",)


def test_a_box_outside_is_named_with_its_line(pets):
    with (pets / "labels" / "train" / "b.txt").open("a") as file:
        file.write("0 1.5 0.5 0.1 0.1\n0 0.5 0.5 0 0.1\n")
    assert load_detection(f"yolo:{pets}").notes == (
        "1 × box outside of its image left out: labels/train/b.txt, line 2: cat (1.5 0.5 0.1 0.1), the image is 40×30",
        "1 × box without area left out: labels/train/b.txt, line 3: cat (0.5 0.5 0 0.1)",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cat 0.5 0.5 0.1 0.1", "'cat 0.5 0.5 0.1 0.1' is not a class number and fractions"),
        ("2 0.5 0.5 0.1 0.1", "class 2; the names go from 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "class -1; the names go from 0 to 1"),
        ("0 0.5 0.5 0.1", "3 numbers after the class; x, y, width, height or a polygon's"),
        ("0 0.5 0.5 nan 0.1", "4 numbers after the class"),
    ],
)
def test_lines_that_are_wrong(pets, line, message):
    with (pets / "labels" / "train" / "b.txt").open("a") as file:
        file.write(f"\n{line}\n")
    where = f"labels/train/b.txt, line 3: {message}"
    with pytest.raises(DataError, match=re.escape(f"1 of 3 images of 'pets' cannot be used: {where}")):
        load_detection(f"yolo:{pets}")
    assert load_detection(f"yolo:{pets}", skip_bad=True).notes[0].startswith(f"1 × image left out: {where}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/train\nval: images/val\n", "data.yaml: no 'names' of the classes"),
        ("names: [cat, dog]\ntrain: images/trian\n", "data.yaml: train: there is no 'images/trian'"),
        ("names: [cat, dog]\n", "holds no images"),
    ],
)
def test_data_yaml_that_is_wrong(pets, text, message):
    (pets / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        load_detection(f"yolo:{pets}")


def test_a_listed_image_that_is_missing(pets):
    (pets / "images" / "val" / "d.jpg").symlink_to(pets / "gone.jpg")
    (pets / "val.txt").write_text("images/val/c.jpg\nimages/val/e.jpg\n")
    (pets / "data.yaml").write_text("names: [cat, dog]\ntrain: images/train\nval: val.txt\n")
    with pytest.raises(DataError, match=r"labels/val/e\.txt: there is no image 'e\.jpg'"):
        load_detection(f"yolo:{pets}")


def test_the_yaml_that_data_sets_use(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text(
        "path: ../sets/pets # where\nnc: 3\nnames: {0: 'big cat', 1: dog,\n  2: \"bird, small\"}\nempty:\n"
        "colours: [red,\n  green\n]\ndownload: |\n  import os\n  os.remove('x')\n"
    )
    content = read_yaml(path)
    assert content["path"] == "../sets/pets"
    assert content["nc"] == "3"
    assert content["names"] == {"0": "big cat", "1": "dog", "2": "bird, small"}
    assert content["empty"] is None
    assert content["colours"] == ["red", "green"]
