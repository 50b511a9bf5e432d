"""PASCAL VOC's layout: what is read, and what is said of files that are wrong."""

import re

import numpy as np
import pytest
from PIL import Image

from millijoule.detect.data import load_detection
from millijoule.errors import DataError

OBJECT = """\
  <object><name>{name}</name><difficult>{difficult}</difficult><truncated>{truncated}</truncated>
    <bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>
  </object>
"""


def drawn(*corners, name="cat", difficult=0, truncated=0):
    return OBJECT.format(*corners, name=name, difficult=difficult, truncated=truncated)


def annotate(root, stem, *objects, size=(40, 30), extension="jpg", stated=None, filename=None):
    """An image of `size` (width, height), and its annotation; the first box is on line 5."""
    for name in ("Annotations", "JPEGImages"):
        (root / name).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 20, 30)).save(root / "JPEGImages" / f"{stem}.{extension}")
    width, height = stated or size
    (root / "Annotations" / f"{stem}.xml").write_text(
        f"<annotation>\n  <filename>{filename or f'{stem}.{extension}'}</filename>\n"
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        + "".join(objects)
        + "</annotation>\n"
    )


def split(root, **names):
    (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
    for name, stems in names.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems))


@pytest.fixture
def pets(tmp_path):
    root = tmp_path / "pets"
    annotate(root, "a", drawn(1, 1, 10, 20), drawn(5, 6, 40, 30, name="dog", difficult=1))
    annotate(root, "b", drawn(11, 12, 13, 14, truncated=1))
    annotate(root, "c")
    annotate(root, "d", drawn(2, 2, 3, 3, name="dog"))
    split(root, train=["a"], val=["b"], trainval=["a", "b"], test=["c", "d"])
    return root


def test_boxes_begin_at_0_and_end_behind_their_last_pixel(pets):
    found = load_detection(f"voc:{pets}")
    assert (found.name, found.classes, found.notes) == ("pets", ("cat", "dog"), ())
    assert [image.path.name for image in found.train] == ["a.jpg", "b.jpg"]
    assert [image.path.name for image in found.test] == ["c.jpg", "d.jpg"]
    first = found.train[0]
    assert first.boxes.corners.tolist() == [[0, 0, 10, 20], [4, 5, 40, 30]]
    assert first.boxes.labels.tolist() == [0, 1]
    assert first.boxes.difficult.tolist() == [False, True]
    assert first.boxes.scores.tolist() == [1, 1]
    assert first.size == (30, 40)
    assert first.pixels().shape == (30, 40, 3)
    assert first.pixels((8, 6)).shape == (8, 6, 3)
    assert found.train[1].truncated.tolist() == [True]
    assert len(found.test[0].boxes) == 0


def test_without_image_sets_a_fifth_is_held_out_by_the_seed(tmp_path):
    for number in range(10):
        annotate(tmp_path, f"{number}", drawn(1, 1, 9, 9))
    found = load_detection(f"voc:{tmp_path}")
    assert (len(found.train), len(found.test)) == (8, 2)
    names = [image.path.name for image in (*found.train, *found.test)]
    assert sorted(names) == [f"{number}.jpg" for number in range(10)]
    held = {tuple(image.path.name for image in load_detection(f"voc:{tmp_path}", seed=seed).test) for seed in range(6)}
    assert len(held) > 1


def test_a_box_without_area_is_left_out_and_named(pets):
    annotate(pets, "b", drawn(1, 1, 10, 20), drawn(7, 8, 7, 20))
    found = load_detection(f"voc:{pets}")
    assert len(found.train[1].boxes) == 1
    assert found.notes == ("1 × box without area left out: Annotations/b.xml, line 8: cat (7, 8, 7, 20)",)
    assert found.flaws == ("Annotations/b.xml, line 8: cat (7, 8, 7, 20): box without area left out",)


def test_broken_xml_stops_unless_skipped(pets):
    path = pets / "Annotations" / "b.xml"
    path.write_text(path.read_text().replace("</object>", "</objekt>"))
    with pytest.raises(
        DataError, match=re.escape("1 of 4 images of 'pets' cannot be used: Annotations/b.xml, line 6: ")
    ):
        load_detection(f"voc:{pets}")
    found = load_detection(f"voc:{pets}", skip_bad=True)
    assert len(found.train) == 1
    assert found.notes[0].startswith("1 × image left out: Annotations/b.xml, line 6: broken XML: mismatched tag")


def test_classes_are_those_asked_for_in_their_order(pets):
    found = load_detection(f"voc:{pets}", classes=("dog", "cow"))
    assert found.classes == ("dog", "cow")
    assert np.concatenate([image.boxes.labels for image in found.train]).tolist() == [0]
    assert found.notes[0].startswith("2 × box of another class left out: Annotations/a.xml, line 5: cat; ")
