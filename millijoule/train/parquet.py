"""Images and labels from Parquet files, as Hugging Face lays data sets out."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import DataError
from millijoule.train.data import Dataset
from millijoule.train.images import FORMATS, gather, split_of

if TYPE_CHECKING:
    from PIL.Image import Image

PLACES = ("*.parquet", "data/*.parquet")
ROWS = 256
TEST_WORDS = ("test", "validation", "valid", "val", "dev")


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder, directly or under data/."""
    if path.suffix == ".parquet" and path.is_file():
        return [path]
    return sorted(file for place in PLACES for file in path.glob(place)) if path.is_dir() else []


def load_parquet(path: Path, size: tuple[int, int] | None, seed: int) -> Dataset:
    """The images of Parquet files with a column of encoded images and one of labels, as `load_data` describes it.

    A file's name says its split: train-00000-of-00002.parquet; files that say none are for training. Images: binary,
    or structs with `bytes`. Labels: whole numbers; the names of classes are taken from Hugging Face's metadata. Read
    in groups of 256 rows.

    Raises DataError without pyarrow, or if there are no such columns or an image cannot be read.
    """
    files = parquet_files(path)
    splits = {"train": [file for file in files if not _words(file) & set(TEST_WORDS)]}
    tests = [[file for file in files if word in _words(file)] for word in TEST_WORDS]
    splits["test"] = next(filter(None, tests), [])
    if not splits["train"]:
        raise DataError(f"'{path}' has no Parquet file for training: {', '.join(file.name for file in files)}")
    image_column, label_column, classes = _columns(splits["train"][0])
    labels = {split: _labels(group, label_column) for split, group in splits.items()}
    if len(labels["test"]) and labels["test"].min() < 0:  # competitions withhold them
        splits["test"], labels["test"] = [], labels["test"][:0]

    def pictures() -> Iterator[Image]:
        return _pictures([*splits["train"], *splits["test"]], image_column)

    y = np.concatenate([labels["train"], labels["test"]])
    order, test = split_of(y, len(labels["train"]), seed)
    x, kept, notes = gather(pictures, order, size)
    if len(kept) < len(y):
        raise DataError(f"'{path}': {len(y) - len(kept)} of {len(y)} images in column '{image_column}' cannot be read")
    y = y[np.argsort(order)]
    classes = classes or tuple(str(label) for label in range(int(y.max(initial=-1)) + 1))
    first = len(y) - test
    return Dataset(path.stem, x[:first], y[:first], x[first:], y[first:], classes, notes)


def _words(file: Path) -> set[str]:
    return set(re.split(r"[^a-z]+", file.stem.lower()))


def _open(file: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(f"'{file}' needs pyarrow, which is missing: pip install 'millijoule[datasets]'") from None
    try:
        return ParquetFile(file, memory_map=True)
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"'{file}' cannot be read as a Parquet file ({reason})") from None


def _columns(file: Path) -> tuple[str, str, tuple[str, ...]]:
    """(column of images, column of labels, names of the classes if they are known)."""
    from pyarrow import types

    schema = _open(file).schema_arrow
    described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    kinds = {name: feature.get("_type") for name, feature in described.items() if isinstance(feature, dict)}
    images = [name for name, kind in kinds.items() if kind == "Image"] or [
        field.name
        for field in schema
        if types.is_binary(field.type)
        or types.is_large_binary(field.type)
        or (types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    ]
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"] or [
        field.name for field in schema if types.is_integer(field.type)
    ]
    for found, what in ((images, "encoded images"), (labels, "labels (whole numbers)")):
        if not found:
            columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
            raise DataError(f"'{file}' has no column of {what}; it has {columns}")
    label = "label" if "label" in labels else labels[0]
    return images[0], label, tuple(described.get(label, {}).get("names", ()))


def _labels(files: Sequence[Path], column: str) -> np.ndarray:
    """int64 (n,) of all files together."""
    parts = [_open(file).read([column])[column].to_numpy() for file in files]
    if any(part.dtype.kind not in "iu" for part in parts):
        raise DataError(f"column '{column}' of '{files[0].parent}' has rows without a label")
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)


def _pictures(files: Sequence[Path], column: str) -> Iterator[Image]:
    """Row by row, opened but not yet decoded; what is no image is an empty one."""
    from PIL import Image

    for file in files:
        for batch in _open(file).iter_batches(ROWS, columns=[column]):
            for value in batch.column(0).to_pylist():
                data = value["bytes"] if isinstance(value, dict) else value
                try:
                    yield Image.open(io.BytesIO(data or b""), formats=FORMATS)
                except OSError:
                    yield Image.new("L", (0, 0))
