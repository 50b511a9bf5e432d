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


def names(images):
    return [image.path.name for image in images]


def test_without_test_images_those_for_validation_are_tested(pets):
    (pets / "ImageSets" / "Main" / "test.txt").unlink()
    found = load_detection(f"voc:{pets}")
    assert (names(found.train), names(found.test)) == (["a.jpg"], ["b.jpg"])
    (pets / "ImageSets" / "Main" / "train.txt").unlink()  # then those of trainval that are not in val
    found = load_detection(f"voc:{pets}")
    assert (names(found.train), names(found.test)) == (["a.jpg"], ["b.jpg"])


def test_a_devkit_of_two_years_is_07_plus_12(tmp_path):
    devkit = tmp_path / "VOCdevkit"
    for year, stems in (("VOC2007", "abc"), ("VOC2012", "de")):
        for stem in stems:
            annotate(devkit / year, stem, drawn(1, 1, 9, 9))
    split(devkit / "VOC2007", train=["a"], val=["b"], trainval=["a", "b"], test=["c"])
    split(devkit / "VOC2012", train=["d"], val=["e"], trainval=["d", "e"])
    for source in (tmp_path, devkit):
        found = load_detection(f"voc:{source}")
        assert sorted(names(found.train)) == ["a.jpg", "b.jpg", "d.jpg", "e.jpg"]
        assert names(found.test) == ["c.jpg"]
    found = load_detection(f"voc:{devkit / 'VOC2012'}")
    assert (found.name, names(found.train), names(found.test)) == ("VOC2012", ["d.jpg"], ["e.jpg"])
    annotate(devkit / "VOC2010", "f", drawn(1, 1, 9, 9))
    with pytest.raises(DataError, match="VOC2010' has no ImageSets/Main, which data sets of several folders need"):
        load_detection(f"voc:{devkit}")


def test_images_and_annotations_side_by_side(tmp_path):
    for part, stems in (("train", "ab"), ("valid", "c"), ("test", "d")):
        for stem in stems:
            annotate(tmp_path / "made", stem, drawn(1, 1, 9, 9))
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
            for folder, suffix in (("Annotations", "xml"), ("JPEGImages", "jpg")):
                (tmp_path / "made" / folder / f"{stem}.{suffix}").rename(tmp_path / "set" / part / f"{stem}.{suffix}")
    found = load_detection(f"voc:{tmp_path / 'set'}")
    assert (names(found.train), names(found.test)) == (["a.jpg", "b.jpg", "c.jpg"], ["d.jpg"])
    assert found.notes == ()


def test_folders_in_lower_case(pets):
    (pets / "Annotations").rename(pets / "annotations")
    (pets / "JPEGImages").rename(pets / "images")
    assert names(load_detection(f"voc:{pets}").train) == ["a.jpg", "b.jpg"]


def test_an_image_is_the_one_called_like_its_annotation_or_else_the_one_it_names(pets):
    (pets / "JPEGImages" / "a.jpg").unlink()
    annotate(pets, "a", drawn(1, 1, 9, 9), extension="PNG", filename="a.jpg")  # another extension than it says
    annotate(pets, "b", drawn(1, 1, 9, 9), filename="old.jpg")  # renamed since, both files
    annotate(pets, "d", drawn(1, 1, 9, 9, name="dog"), filename="0001.jpg")  # only the annotation is called d
    (pets / "JPEGImages" / "d.jpg").rename(pets / "JPEGImages" / "0001.jpg")
    found = load_detection(f"voc:{pets}")
    assert names(found.train) == ["a.PNG", "b.jpg"]
    assert names(found.test) == ["c.jpg", "0001.jpg"]


def test_parts_of_an_object_are_no_objects(pets):
    head = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></part>"
    annotate(pets, "a", drawn(1.5, 1, 10.25, 20).replace("</object>", f"{head}</object>"))
    found = load_detection(f"voc:{pets}")
    assert found.train[0].boxes.corners.tolist() == [[0.5, 0, 10.25, 20]]
    assert found.classes == ("cat",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<xmin>11</xmin>", "<xmin>eleven</xmin>", "line 5: <xmin> is 'eleven', not a number"),
        ("<xmin>11</xmin>", "<xmin>inf</xmin>", "line 5: <xmin> is 'inf', not a number"),
        ("<xmin>11</xmin>", "", "line 5: <bndbox> has no <xmin>"),
        ("bndbox>", "box>", "line 4: <object> has no <bndbox>"),
        ("<name>cat</name>", "", "line 4: <object> has no <name>"),
        ("<width>40</width>", "<width>wide</width>", "line 3: <width> is 'wide', not a number"),
        ("annotation>", "labels>", "line 1: the root is <labels>; <annotation> is needed"),
        ("<object>", "&lol;<object>", "line 4: broken XML: undefined entity"),
        ("</annotation>", "", "line 8: broken XML: no element found"),
    ],
)
def test_annotations_that_are_wrong(pets, old, new, message):
    path = pets / "Annotations" / "b.xml"
    path.write_text(path.read_text().replace(old, new))
    where = f"Annotations/b.xml, {message}"
    with pytest.raises(DataError, match=re.escape(f"1 of 4 images of 'pets' cannot be used: {where}")):
        load_detection(f"voc:{pets}")
    assert load_detection(f"voc:{pets}", skip_bad=True).notes[0].startswith(f"1 × image left out: {where}")


def test_missing_images_and_annotations_are_named(pets):
    (pets / "JPEGImages" / "a.jpg").unlink()
    (pets / "Annotations" / "d.xml").unlink()
    annotate(pets, "b", drawn(1, 1, 9, 9), filename="old.jpg")
    (pets / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(DataError) as raised:
        load_detection(f"voc:{pets}")
    for part in (
        "3 of 4 images of 'pets' cannot be used: ",
        "Annotations/a.xml, line 2: JPEGImages has no image called 'a'; ",
        "Annotations/b.xml, line 2: JPEGImages has no image called 'b' and no 'old.jpg'; ",
        "ImageSets/Main/test.txt, line 2: there is no Annotations/d.xml; ",
        "mend or remove them, or give --skip-bad to use the rest",
    ):
        assert part in str(raised.value)
