"""What all layouts have in common: one result, and checks against the image files."""

import numpy as np
import pytest
from PIL import Image

from millijoule.boxes import Boxes
from millijoule.detect.data import AnnotatedImage, DetectionSet, load_detection
from millijoule.errors import DataError
from millijoule.train.images import ORIENTATION, read_image
from tests.detect.data import layouts
from tests.detect.data.test_voc import annotate, drawn, split


@pytest.mark.parametrize("layout", ["voc", "coco", "yolo"])
def test_each_layout_gives_the_same_boxes(tmp_path, layout):
    root = getattr(layouts, layout)(tmp_path / "pets")
    found = load_detection(f"{layout}:{root}")
    assert (found.name, found.classes, found.notes, found.flaws) == ("pets", ("cat", "dog"), (), ())
    for images, stems in ((found.train, "ab"), (found.test, "c")):
        assert "".join(image.path.stem for image in images) == stems
        for image, stem in zip(images, stems, strict=True):
            assert image.size == (30, 40)
            assert np.allclose(image.boxes.corners, [box[1:] for box in layouts.BOXES[stem]], atol=1e-5)
            assert [found.classes[label] for label in image.boxes.labels] == [box[0] for box in layouts.BOXES[stem]]


@pytest.mark.parametrize("source", ["digits", "voc:", "voc", "pascal:x", "/some/folder"])
def test_sources_of_another_kind(source):
    with pytest.raises(DataError, match=r"no source of images with boxes: give voc:FOLDER, coco:FOLDER"):
        load_detection(source)


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo"])
def test_a_folder_that_is_not_there_or_holds_nothing(tmp_path, kind):
    with pytest.raises(DataError, match=r"nowhere' is not there, or not of this kind: give voc:FOLDER"):
        load_detection(f"{kind}:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match=rf"'{tmp_path}' holds no "):
        load_detection(f"{kind}:{tmp_path}")


@pytest.fixture
def pets(tmp_path):
    root = tmp_path / "pets"
    annotate(root, "a", drawn(1, 1, 10, 20))
    annotate(root, "b", drawn(1, 1, 10, 20))
    split(root, train=["a"], test=["b"])
    return root


def notes(pets, *objects, **options):
    annotate(pets, "a", drawn(1, 1, 10, 20), *objects, **options)
    found = load_detection(f"voc:{pets}")
    return found.train[0].boxes.corners[1:].tolist(), found.notes


def test_boxes_outside(pets):
    assert notes(pets, drawn(41, 3, 50, 9)) == (
        [],
        ("1 × box outside of its image left out: Annotations/a.xml, line 8: cat (41, 3, 50, 9), the image is 40×30",),
    )


def test_boxes_that_reach_outside_are_cut(pets):
    assert notes(pets, drawn(30, 3, 50, 9)) == (
        [[29, 2, 40, 9]],
        (
            "1 × box reaches outside of its image: cut: "
            "Annotations/a.xml, line 8: cat (30, 3, 50, 9), the image is 40×30",
        ),
    )


def test_a_pixel_outside_is_no_flaw(pets):
    assert notes(pets, drawn(0, 0, 41, 30)) == ([[0, 0, 40, 30]], ())


def test_many_flaws_are_counted_and_the_first_ten_listed(pets):
    _, (note,) = notes(pets, *(drawn(5, 5, 5, 9) for _ in range(12)))
    assert note.startswith("12 × box without area left out: Annotations/a.xml, line 8: ")
    assert note.count("Annotations") == 10
    assert note.endswith("; and 2 more")
    assert len(load_detection(f"voc:{pets}").flaws) == 12


def test_another_size_than_the_images(pets):
    assert notes(pets, stated=(80, 60))[1] == (
        "1 × states another size than its image has: the image's counts: Annotations/a.xml: 80×60, not 40×30",
    )
    assert notes(pets, stated=(0, 0))[1] == ()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_turn_with_an_image_that_was_stored_lying(pets, orientation):
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[3:9, 5:25] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    box = drawn(6, 4, 25, 9)
    annotate(pets, "a", box, extension="png")
    image.save(pets / "JPEGImages" / "a.png", exif=exif)
    (pets / "JPEGImages" / "a.jpg").unlink()
    found = load_detection(f"voc:{pets}")
    seen = found.train[0]
    assert seen.size == (40, 30)
    white = np.argwhere(read_image(seen.path, seen.size)[..., 0] == 255)
    (top, left), (bottom, right) = white.min(axis=0), white.max(axis=0) + 1
    assert seen.boxes.corners.tolist() == [[left, top, right, bottom]]
    assert found.notes == (
        "1 × boxes were drawn before the image's orientation mark turned it: turned too: Annotations/a.xml: 40×30",
    )

    # Drawn on the image as it is seen, the boxes stay.
    annotate(pets, "b", drawn(1, 1, 10, 35), extension="png", stated=(30, 40))
    image.save(pets / "JPEGImages" / "b.png", exif=exif)
    (pets / "JPEGImages" / "b.jpg").unlink()
    seen = load_detection(f"voc:{pets}").test[0]
    assert seen.boxes.corners.tolist() == [[0, 0, 10, 35]]


def test_broken_images_stop_or_are_skipped(pets):
    path = pets / "JPEGImages" / "b.jpg"
    whole = path.read_bytes()
    path.write_bytes(b"not an image")
    with pytest.raises(
        DataError, match=r"1 of 2 images of 'pets' cannot be used: Annotations/b\.xml: 'b\.jpg' cannot be"
    ):
        load_detection(f"voc:{pets}")
    with pytest.raises(DataError, match="'pets' has no test image that can be used"):
        load_detection(f"voc:{pets}", skip_bad=True)

    path.write_bytes(whole[:-10])  # its header is whole
    test = load_detection(f"voc:{pets}").test[0]
    with pytest.raises(
        DataError, match=r"b\.jpg' cannot be read as an image .*: mend or remove it, or give --skip-bad"
    ):
        test.pixels()
    annotate(pets, "c", drawn(1, 1, 10, 20))
    split(pets, test=["b", "c"])
    found = load_detection(f"voc:{pets}", skip_bad=True)
    assert [image.path.name for image in found.test] == ["c.jpg"]
    assert found.notes[0].startswith("1 × image left out: Annotations/b.xml: ")


def test_no_box_at_all(pets):
    annotate(pets, "a")
    with pytest.raises(DataError, match="'pets': no training image has a box"):
        load_detection(f"voc:{pets}")


def test_none_of_the_classes_that_are_asked_for(pets):
    with pytest.raises(DataError, match="'pets' has no box of the classes dog, cow; its classes are cat"):
        load_detection(f"voc:{pets}", classes=["dog", "cow"])


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_that_are_no_class(tmp_path, label):
    image = AnnotatedImage(tmp_path / "a.jpg", (30, 40), Boxes.of([(0, 0, 9, 9)], [label]))
    with pytest.raises(
        DataError, match=rf"'a\.jpg' has a box with the label {label}; labels of the 2 classes go from 0"
    ):
        DetectionSet("pets", ("cat", "dog"), (), (image,))


def test_a_grey_image_has_three_channels(pets):
    Image.new("L", (40, 30), 77).save(pets / "JPEGImages" / "a.jpg")
    assert load_detection(f"voc:{pets}").train[0].pixels().tolist() == [[[77, 77, 77]] * 40] * 30
