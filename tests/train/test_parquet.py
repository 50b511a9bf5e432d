"""Parquet files, as Hugging Face lays data sets out."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from millijoule.errors import DataError
from millijoule.train import load_data

pa = pytest.importorskip("pyarrow", reason="needs millijoule[datasets]")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = {"label": {"names": ["dark", "light"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write(path, pixels, labels, features=NAMES, struct=True):
    """Images as structs of bytes and path, or as plain binary; `features` as Hugging Face describes columns."""
    values = [encoded(each) if isinstance(each, np.ndarray) else each for each in pixels]
    columns = {"image": [{"bytes": value, "path": None} for value in values] if struct else values, "label": labels}
    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)


def draw(count: int, seed: int) -> tuple[list[np.ndarray], list[int]]:
    random, labels = np.random.default_rng(seed), [index % 2 for index in range(count)]
    return [random.integers(128 * label, 128 * label + 99, (6, 8), dtype=np.uint8) for label in labels], labels


def test_shards_of_a_folder_are_joined_and_split_by_their_names(tmp_path):
    parts = [draw(6, 0), draw(4, 1), draw(4, 2)]
    names = ["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"]
    for name, (pixels, labels) in zip(names, parts, strict=True):
        write(tmp_path / "pets" / "data" / f"{name}.parquet", pixels, labels)
    pets = load_data(str(tmp_path / "pets"))
    assert (pets.name, pets.classes) == ("pets", ("dark", "light"))
    np.testing.assert_array_equal(pets.x_train[..., 0], np.stack(parts[0][0] + parts[1][0]))
    np.testing.assert_array_equal(pets.x_test[..., 0], np.stack(parts[2][0]))
    assert pets.y_train.tolist() == parts[0][1] + parts[1][1]
    assert pets.y_test.tolist() == parts[2][1]


def test_one_file_of_plain_binary_without_names_is_split(tmp_path):
    pixels, labels = draw(20, 0)
    write(tmp_path / "pets.parquet", pixels, labels, features=None, struct=False)
    pets = load_data(str(tmp_path / "pets.parquet"), size=(3, 4))
    assert pets.classes == ("0", "1")
    assert (pets.x_train.shape, pets.x_test.shape) == ((16, 3, 4, 1), (4, 3, 4, 1))
    for x, y in ((pets.x_train, pets.y_train), (pets.x_test, pets.y_test)):
        assert ((x.mean(axis=(1, 2, 3)) > 120) == y).all()


def test_withheld_labels_make_a_split_of_the_others(tmp_path):
    pixels, labels = draw(10, 0)
    write(tmp_path / "train.parquet", pixels, labels)
    write(tmp_path / "test.parquet", pixels[:2], [-1, -1])
    pets = load_data(str(tmp_path))
    assert (len(pets.x_train), len(pets.x_test)) == (8, 2)


@pytest.mark.parametrize(
    ("pixels", "labels", "features", "words"),
    [
        ([b"no image"], [0], NAMES, "1 of 1 images in column 'image' cannot be read"),
        ([np.zeros((4, 4), np.uint8)], ["cat"], None, r"no column of labels .*; it has image \(.*label \(string\)"),
        ([np.zeros((4, 4), np.uint8)], [None], NAMES, "has rows without a label"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path, pixels, labels, features, words):
    write(tmp_path / "pets.parquet", pixels, labels, features)
    with pytest.raises(DataError, match=words):
        load_data(str(tmp_path / "pets.parquet"))


def test_a_file_that_is_no_parquet(tmp_path):
    (tmp_path / "pets.parquet").write_text("no")
    with pytest.raises(DataError, match=r"pets\.parquet' cannot be read as a Parquet file"):
        load_data(str(tmp_path / "pets.parquet"))
