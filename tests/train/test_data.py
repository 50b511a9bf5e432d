"""Data sets: what is read right, and one line for everything that is wrong."""

import re

import numpy as np
import pytest

from millijoule.errors import DataError
from millijoule.train import Dataset, load_data
from millijoule.train.data import stratified_split


def small(seed=0, count=8, channels=1):
    """Arrays of a valid two-class data set, as an .npz holds them."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (count, 6, 5, channels), dtype=np.uint8)
    y = np.arange(count) % 2
    return {"x_train": x, "y_train": y, "x_test": x[:4], "y_test": y[:4]}


def saved(folder, **arrays):
    path = folder / "set.npz"
    np.savez(path, **arrays)
    return str(path)


def test_digits_have_a_fixed_stratified_test_set_of_360():
    digits = load_data("digits")
    assert digits.x_train.shape == (1437, 8, 8, 1)
    assert digits.x_test.shape == (360, 8, 8, 1)
    assert digits.x_train.dtype == np.uint8
    assert digits.x_train.max() == 255
    assert digits.classes == tuple("0123456789")
    assert set(np.bincount(digits.y_test)) == {35, 36, 37}
    assert digits.y_test[:12].tolist() == load_data("digits").y_test[:12].tolist()


def test_npz_is_read_as_it_is(tmp_path):
    arrays = small(channels=3)
    dataset = load_data(saved(tmp_path, **arrays))
    assert dataset.name == "set"
    assert dataset.classes == ("0", "1")
    for name, array in arrays.items():
        assert np.array_equal(getattr(dataset, name), array)
        assert getattr(dataset, name).dtype == (np.uint8 if name.startswith("x") else np.int64)


def test_npz_may_leave_out_the_channel_and_name_the_classes(tmp_path):
    arrays = small()
    flat = {name: array[..., 0] if name.startswith("x") else array for name, array in arrays.items()}
    dataset = load_data(saved(tmp_path, **flat, classes=np.array(["cat", "dog"])))
    assert np.array_equal(dataset.x_train, arrays["x_train"])
    assert dataset.classes == ("cat", "dog")


@pytest.mark.parametrize("form", ["0…1", "0…255", "int64", "bool"])
def test_npz_pixels_in_other_forms(tmp_path, form):
    arrays = small()
    x = arrays["x_train"]
    if form == "bool":
        arrays["x_train"], expected = x > 127, np.where(x > 127, 255, 0)
    else:
        arrays["x_train"] = {"0…1": x / 255, "0…255": x.astype(np.float32), "int64": x.astype(np.int64)}[form]
        expected = x
    assert np.array_equal(load_data(saved(tmp_path, **arrays)).x_train, expected)


@pytest.mark.parametrize("form", [lambda y: np.eye(2)[y], lambda y: y[:, None], lambda y: y.astype(np.float32)])
def test_npz_labels_in_other_forms(tmp_path, form):
    arrays = small()
    expected = arrays["y_train"]
    arrays["y_train"] = form(expected)
    assert np.array_equal(load_data(saved(tmp_path, **arrays)).y_train, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.zeros(7, int)}, "x_train has 8 images, y_train has 7 labels"),
        ({"y_test": np.array([0, 1, 0, 2])}, "y_test has the label 2; labels of the 2 classes go from 0 to 1"),
        ({"y_train": np.array([0, 1, -1, 1] * 2)}, "y_train has the label -1"),
        ({"y_train": np.array([1, 2] * 4)}, "class '0' (label 0) has no training image"),
        ({"y_test": np.zeros(4, int)}, "class '1' (label 1) has no test image, so nothing would tell"),
        ({"y_train": np.zeros(8, int), "y_test": np.zeros(4, int)}, "has 1 class; at least two"),
        ({"y_train": np.full((8, 2), 1)}, "(8, 2) but its rows are not one-hot"),
        ({"y_train": np.full(8, 0.5)}, "y_train has the label 0.5; whole numbers"),
        ({"y_train": np.array([0, 1, np.nan, 0, 1, 0, 1, 0])}, "y_train has the label nan; whole numbers"),
        ({"y_train": np.array([0, 1, np.inf, 0, 1, 0, 1, 0])}, "y_train has the label inf; whole numbers"),
        ({"y_train": np.zeros((8, 2, 2), int)}, "y_train has shape (8, 2, 2)"),
        ({"y_train": np.array(["a"] * 8)}, "y_train is <U1"),
        ({"x_train": np.zeros((8, 30), np.uint8)}, "x_train has shape (8, 30)"),
        ({"x_train": np.zeros((8, 3, 6, 5), np.uint8)}, "x_train has shape (8, 3, 6, 5)"),
        ({"x_train": np.zeros((0, 6, 5, 1), np.uint8), "y_train": np.zeros(0, int)}, "x_train holds no image"),
        ({"x_test": np.zeros((0, 6, 5, 1), np.uint8), "y_test": np.zeros(0, int)}, "x_test holds no image"),
        ({"x_test": np.zeros((4, 5, 5, 1), np.uint8)}, "have shape (6, 5, 1), test images (5, 5, 1)"),
        (
            {"x_train": np.where(np.arange(8)[:, None, None] < 5, np.ones((8, 6, 5)), np.nan)},
            "3 of 8 images of x_train hold numbers that are infinite or not a number, the first is x_train[5]",
        ),
        ({"x_train": np.full((8, 6, 5), -1.0)}, "x_train goes from -1.0 to -1.0"),
        ({"x_train": np.full((8, 6, 5), 4000, np.uint16)}, "x_train goes from 4000 to 4000"),
        ({"x_train": np.full((8, 6, 5), "a")}, "x_train is <U1"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path, change, message):
    with pytest.raises(DataError, match=re.escape(message)) as error:
        load_data(saved(tmp_path, **small() | change))
    assert "\n" not in str(error.value)


def test_npz_with_missing_arrays_names_them_and_what_is_there(tmp_path):
    arrays = small()
    del arrays["x_test"], arrays["y_test"]
    with pytest.raises(DataError, match="has no array x_test, y_test; it holds x_train, y_train"):
        load_data(saved(tmp_path, **arrays))


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 broken"])
def test_file_that_is_no_npz(tmp_path, content):
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="it is no zip archive, or only a part of one"):
        load_data(str(path))


def test_truncated_npz(tmp_path):
    path = tmp_path / "set.npz"
    saved(tmp_path, **small())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="it is no zip archive, or only a part of one"):
        load_data(str(path))


def test_npy_and_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "set.npy", np.zeros(3))
    with pytest.raises(DataError, match="cannot be read as an"):
        load_data(str(tmp_path / "set.npy"))
    with pytest.raises(DataError, match="classes is an array of objects"):
        load_data(saved(tmp_path, **small() | {"classes": np.array([{}], object)}))


@pytest.mark.parametrize("shape", [(6, 6, 1), (6, 5, 3)], ids=["size", "channels"])
def test_npz_images_of_different_sizes_or_channels(tmp_path, shape):
    arrays = small()
    images = np.empty(8, object)
    images[:] = [*arrays["x_train"][1:], np.zeros(shape, np.uint8)]
    with pytest.raises(DataError, match="x_train is an array of objects, not of numbers, as images of different sizes"):
        load_data(saved(tmp_path, **arrays | {"x_train": images}))


@pytest.mark.parametrize("source", ["missing.npz", "./missing", "/missing/folder", "missing/", "data/my/missing"])
def test_path_that_does_not_exist(source):
    with pytest.raises(DataError, match="does not exist: give digits, an"):
        load_data(source)


def mapped(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


def test_arrays_in_a_folder_stay_on_disk(tmp_path):
    arrays = small(channels=3)
    dataset = load_data(mapped(tmp_path, **arrays, classes=np.array(["cat", "dog"])))
    assert isinstance(dataset.x_train, np.memmap)
    assert dataset.classes == ("cat", "dog")
    for name, array in arrays.items():
        assert np.array_equal(getattr(dataset, name), array)
    flat = tmp_path / "flat"
    flat.mkdir()
    without = {name: array[..., 0] if name.startswith("x") else array for name, array in arrays.items()}
    assert isinstance(load_data(mapped(flat, **without)).x_train, np.memmap)


def test_training_from_disk_is_training_from_memory(tmp_path):
    from millijoule.train import train
    from tests.train.cases import linear, stripes

    data = stripes()
    names = ("x_train", "y_train", "x_test", "y_test")
    from_disk = load_data(mapped(tmp_path, **{name: getattr(data, name) for name in names}))
    first, second = (train(linear(), each, epochs=2, must_learn=False) for each in (data, from_disk))
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.zeros((8, 6, 5))}, "x_train.npy' is float64; images that are read as they are needed must be"),
        ({"y_train": np.zeros(7, int)}, "x_train has 8 images, y_train has 7 labels"),
        ({"x_test": None}, "has no array x_test; it holds x_train, y_test, y_train"),
    ],
)
def test_arrays_in_a_folder_that_cannot_be_used(tmp_path, change, message):
    arrays = {name: array for name, array in (small() | change).items() if array is not None}
    with pytest.raises(DataError, match=re.escape(message)):
        load_data(mapped(tmp_path, **arrays))


def test_a_truncated_array_in_a_folder(tmp_path):
    mapped(tmp_path, **small())
    path = tmp_path / "x_test.npy"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"x_test\.npy' cannot be read as an \.npy file"):
        load_data(str(tmp_path))


def test_dataset_checks_its_arrays():
    x, y = np.zeros((2, 4, 4, 1)), np.array([0, 1])
    with pytest.raises(DataError, match=re.escape("x_train is float64 of shape (2, 4, 4, 1); uint8")):
        Dataset("mine", x, y, x, y, ("a", "b"))


def test_stratified_split_takes_every_class_alike_and_leaves_one():
    labels = np.array([0] * 50 + [1] * 30 + [2])
    rest, part = stratified_split(labels, 0.2, seed=3)
    assert sorted([*rest, *part]) == list(range(81))
    assert np.bincount(labels[part], minlength=3).tolist() == [10, 6, 0]
    assert np.array_equal(stratified_split(labels, 0.2, seed=3)[1], part)
    assert not np.array_equal(stratified_split(labels, 0.2, seed=4)[1], part)
    assert len(stratified_split(labels, 0.0, seed=0)[1]) == 0
