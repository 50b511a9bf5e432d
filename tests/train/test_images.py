"""Folders of images and data sets by name."""

import logging
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from millijoule.errors import DataError
from millijoule.train import images, load_data
from millijoule.train.images import read_image


def draw(path, size=(8, 6), colour=(10, 10, 10), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes of five grey images, 6 high and 8 wide."""
    root = tmp_path / "pets"
    for number in range(5):
        draw(root / "cat" / f"{number}.png", colour=(number, number, number))
        draw(root / "dog" / f"{number}.png", colour=(200, 200, 200))
    return root


def test_a_folder_is_split_seeded_and_stratified(folder):
    pets = load_data(str(folder))
    assert pets.classes == ("cat", "dog")
    assert pets.x_train.shape == (8, 6, 8, 1)
    assert pets.x_test.shape == (2, 6, 8, 1)
    assert pets.y_test.tolist() == [0, 1]
    assert pets.notes == ()
    assert np.array_equal(load_data(str(folder)).x_test, pets.x_test)
    others = [load_data(str(folder), seed=seed).x_test[0, 0, 0, 0] for seed in range(8)]
    assert len(set(others)) > 1


def test_sizes_and_colours_are_made_uniform(folder):
    draw(folder / "cat" / "large.jpg", size=(40, 40), colour=(90, 90, 90), mode="L")
    assert load_data(str(folder)).x_train.shape[1:] == (6, 8, 1)
    draw(folder / "dog" / "red.jpg", colour=(200, 0, 0))
    assert load_data(str(folder)).x_train.shape[1:] == (6, 8, 3)
    assert load_data(str(folder), size=(12, 10)).x_train.shape[1:] == (12, 10, 3)
    assert load_data(str(folder)).notes == (
        "images of 2 sizes, 6×8 to 40×40: all were brought to the most common, 6×8 (height × width)",
        "11 of 12 images are grey: they got three equal channels",
    )


def test_photographs_are_reduced(tmp_path):
    for name in ("a", "b"):
        for number in range(3):
            draw(tmp_path / name / f"{number}.png", size=(1024, 512))
    assert load_data(str(tmp_path)).x_train.shape[1:] == (128, 256, 1)


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_a_folder_may_bring_its_own_split(folder, test_name):
    root = folder.parent / "split"
    root.mkdir()
    folder.rename(root / "train")
    draw(root / test_name / "cat" / "t.png", colour=(7, 7, 7))
    draw(root / test_name / "dog" / "t.png", colour=(8, 8, 8))
    pets = load_data(str(root))
    assert len(pets.x_train) == 10
    assert pets.x_test[:, 0, 0, 0].tolist() == [7, 8]


def test_unreadable_files_are_named_and_skipped_only_if_asked(folder):
    (folder / "cat" / "notes.txt").write_text("not an image")
    good = (folder / "dog" / "0.png").read_bytes()
    (folder / "dog" / "half.png").write_bytes(good[: len(good) // 2])
    (folder / "cat" / ".hidden").write_text("passed over")
    with pytest.raises(DataError, match=r"2 of 12 files .* cat.notes\.txt, dog.half\.png; .*--skip-bad"):
        load_data(str(folder))
    pets = load_data(str(folder), skip_bad=True)
    assert len(pets.x_train) + len(pets.x_test) == 10
    assert "2 of 12 files cannot be read and were skipped" in pets.notes[0]
    assert "half.png" in pets.notes[0]


def test_a_class_of_unreadable_files_only(folder):
    for path in (folder / "dog").iterdir():
        path.write_text("no")
    with pytest.raises(DataError, match=r"no file in class folder '.*dog' can be read"):
        load_data(str(folder), skip_bad=True)


def test_empty_class_folder(folder):
    (folder / "bird").mkdir()
    with pytest.raises(DataError, match=r"class folder '.*bird' holds no image"):
        load_data(str(folder))


def test_one_class_and_no_class(folder, tmp_path):
    for path in (folder / "dog").iterdir():
        path.unlink()
    (folder / "dog").rmdir()
    with pytest.raises(DataError, match=r"has one sub-folder \('cat'\); one for each of at least two classes"):
        load_data(str(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no sub-folder; one for each"):
        load_data(str(tmp_path / "empty"))


def test_train_and_test_with_other_classes(folder):
    root = folder.parent / "split"
    root.mkdir()
    folder.rename(root / "train")
    draw(root / "test" / "cat" / "t.png")
    with pytest.raises(DataError, match="class 'dog' is in 'train' and not in 'test': add images of it"):
        load_data(str(root))
    draw(root / "test" / "dog" / "t.png")
    draw(root / "test" / "ape" / "t.png")
    with pytest.raises(DataError, match="class 'ape' is in 'test' and not in 'train'"):
        load_data(str(root))


def test_test_images_that_lie_in_no_class(folder):
    root = folder.parent / "split"
    root.mkdir()
    folder.rename(root / "train")
    draw(root / "val" / "t.png")
    with pytest.raises(DataError, match="val' has no sub-folder: it needs one for each class of 'train'"):
        load_data(str(root))


def test_alpha_lies_over_white_and_16_bit_grey_keeps_its_high_byte(tmp_path):
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", None)[0, 0].tolist() == [255, 255, 255]
    Image.fromarray(np.full((2, 2), 0x8040, np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", None).tolist() == [[[0x80], [0x80]]] * 2


def test_orientation_mark_is_obeyed(tmp_path):
    image = Image.new("L", (4, 2))
    exif = image.getexif()
    exif[0x0112] = 6  # rotated by a quarter
    image.save(tmp_path / "photo.jpg", exif=exif)
    assert read_image(tmp_path / "photo.jpg", None).shape == (4, 2, 1)


# Data sets by name, with a stand-in for the package, since tests run without network.


class _Features(dict):
    pass


class Image_:
    pass


class ClassLabel:
    names = ("no", "yes")


Image_.__name__ = "Image"


class Split:
    def __init__(self, labels, features=None):
        self.labels = labels
        self.features = features or {"picture": Image_(), "answer": ClassLabel()}

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, column):
        if column == "answer":
            return self.labels
        return [Image.new("L", (4, 3), 100 + label) for label in self.labels]


def provide(monkeypatch, load_dataset):
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))


def test_a_named_data_set_with_its_own_test_split(monkeypatch):
    provide(monkeypatch, lambda name: {"train": Split([0, 1, 0, 1]), "test": Split([1, 0])})
    found = load_data("someone/answers")
    assert found.classes == ("no", "yes")
    assert found.x_train.shape == (4, 3, 4, 1)
    assert found.y_test.tolist() == [1, 0]
    assert found.x_test[:, 0, 0, 0].tolist() == [101, 100]


def test_a_named_data_set_without_test_labels_is_split(monkeypatch):
    provide(monkeypatch, lambda name: {"train": Split([0, 1] * 5), "test": Split([-1, -1])})
    found = load_data("answers")
    assert (len(found.x_train), len(found.x_test)) == (8, 2)


def test_a_named_data_set_without_images(monkeypatch):
    provide(monkeypatch, lambda name: {"train": Split([0, 1], {"text": ""})})
    with pytest.raises(
        DataError, match=re.escape("no column of kind Image, which images with labels need; it has text")
    ):
        load_data("prose")


def test_a_name_that_cannot_be_resolved(monkeypatch):
    def fail(name):
        raise ConnectionError("no route to host\nmore")

    provide(monkeypatch, fail)
    with pytest.raises(DataError, match=r"does not give it \(ConnectionError: no route to host\); check") as error:
        load_data("cifar10")
    assert "\n" not in str(error.value)


def test_the_package_for_names_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=re.escape("pip install 'millijoule[datasets]', or give digits, an .npz")):
        load_data("cifar10")


def test_the_package_for_names_tells_of_no_attempts(monkeypatch, caplog):
    def fail(name):
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        raise ConnectionError("no route to host")

    provide(monkeypatch, fail)
    with pytest.raises(DataError, match="no route to host"):
        load_data("cifar10")
    assert not caplog.records


def test_images_that_are_too_large_for_memory_lie_in_a_file(folder, monkeypatch):
    draw(folder / "cat" / "large.jpg", size=(40, 40), colour=(90, 90, 90), mode="L")
    (folder / "dog" / "bad.png").write_text("no")
    before = load_data(str(folder), skip_bad=True)
    monkeypatch.setattr(images, "MOST_IN_MEMORY", 0)
    pets = load_data(str(folder), skip_bad=True)
    assert isinstance(pets.x_train, np.memmap)
    assert isinstance(pets.x_test, np.memmap)
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(pets, name), getattr(before, name))


def test_a_disk_without_room_is_told(folder, monkeypatch):
    monkeypatch.setattr(images, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr(images.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(DataError, match=r"decoded, the images take 0\.0 GB, .* has 0\.0 GB free: set TMPDIR"):
        load_data(str(folder))
