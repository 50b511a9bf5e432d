"""Labelled images: where they come from, and what is checked before they are used. No torch here."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np

from millijoule.errors import DataError

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
ANNOTATED = ("voc", "coco", "yolo")
"""What a source of images with boxes begins with, before a colon (millijoule.detect.data)."""
TEST_FRACTION = 0.2
SOURCES = (
    "digits, an .npz file with x_train, y_train, x_test, y_test, a folder with x_train.npy, …, Parquet files, or a "
    "folder with one sub-folder of images per class"
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, split into training and test.

    x_train, x_test: (n, height, width, channels) uint8, 1 channel (grey) or 3 (red, green, blue).
    y_train, y_test: (n,) int64, positions in `classes`. notes: what the reader of results must know.

    Raises DataError if lengths, shapes or labels do not agree, if there are fewer than two classes, or if a class has
    no training image or no test image.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for x_name, y_name in (("x_train", "y_train"), ("x_test", "y_test")):
            x, y = getattr(self, x_name), getattr(self, y_name)
            if len(x) != len(y):
                raise DataError(
                    f"'{self.name}': {x_name} has {len(x)} images, {y_name} has {len(y)} labels: each needs one"
                )
            if not len(x):
                raise DataError(f"'{self.name}': {x_name} holds no image")
            if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] not in (1, 3):
                raise DataError(
                    f"'{self.name}': {x_name} is {x.dtype} of shape {x.shape}; "
                    "uint8 of shape (n, height, width, 1 or 3) is needed"
                )
            if y.min() < 0 or y.max() >= len(self.classes):
                wrong = y.min() if y.min() < 0 else y.max()
                raise DataError(
                    f"'{self.name}': {y_name} has the label {wrong}; "
                    f"labels of the {len(self.classes)} classes go from 0 to {len(self.classes) - 1}"
                )
        if len(self.classes) < 2:
            raise DataError(f"'{self.name}' has {len(self.classes)} class; at least two are needed to tell apart")
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise DataError(
                f"'{self.name}': training images have shape {self.x_train.shape[1:]}, test images "
                f"{self.x_test.shape[1:]}; they must be equal"
            )
        present, tested = (set(np.unique(y).tolist()) for y in (self.y_train, self.y_test))
        for label, name in enumerate(self.classes):
            if label not in present:
                raise DataError(f"'{self.name}': class '{name}' (label {label}) has no training image")
            if label not in tested:
                raise DataError(
                    f"'{self.name}': class '{name}' (label {label}) has no test image, so nothing would tell "
                    "whether it is recognised: add some, or leave the class out"
                )

    def to_json(self) -> dict[str, Any]:
        """How many images there are of each class, and how large they are."""
        counts = (np.bincount(y, minlength=len(self.classes)).tolist() for y in (self.y_train, self.y_test))
        height, width, channels = self.x_train.shape[1:]
        return {
            "name": self.name,
            "images": len(self.y_train),
            "test_images": len(self.y_test),
            "height": height,
            "width": width,
            "channels": channels,
            "classes": [
                {"name": name, "images": train, "test_images": test}
                for name, train, test in zip(self.classes, *counts, strict=True)
            ],
            "notes": list(self.notes),
        }


def is_annotated(source: str) -> bool:
    """Whether `source` is written as one of images with boxes, which `load_data` does not read."""
    kind, colon, _ = source.partition(":")
    return bool(colon) and kind in ANNOTATED


def load_data(source: str, skip_bad: bool = False, size: tuple[int, int] | None = None, seed: int = 0) -> Dataset:
    """Labelled images from `source`, split into training and test.

    source:
        `digits`: scikit-learn's 1797 handwritten digits, 8×8, 360 of them in a fixed test set.
        an .npz file: x_train, y_train, x_test, y_test; images (n, h, w) or (n, h, w, c), uint8 or float in 0…1 or
        0…255; labels whole numbers or one-hot; optionally `classes`, their names.
        a folder with x_train.npy, y_train.npy, x_test.npy, y_test.npy: images uint8, read from the files as they are
        needed, so that they may be larger than memory.
        a Parquet file, or a folder with some, as Hugging Face lays data sets out: encoded images and labels.
        a folder: one sub-folder of images per class, perhaps under train/ and test/ (or val/).
        else a data-set name that Hugging Face `datasets` resolves.
    skip_bad: use the rest where some image files cannot be read; the skipped are listed in the notes.
    size: (height, width) that all images of a folder or a named data set are brought to; default: their most common.
    seed: of the split of a folder or named data set that comes without one (20 % of every class are test images).

    Images that take more than 2 GiB once decoded lie in a temporary file and are read as they are needed.

    Raises DataError if the source is missing or unsuitable.
    """
    from millijoule.train.images import load_folder, load_named
    from millijoule.train.parquet import load_parquet, parquet_files

    path = Path(source).expanduser()
    if source == "digits":
        return _digits()
    if is_annotated(source) and not path.exists():
        raise DataError(f"'{source}' has boxes; labelled images are needed here")
    if (path / "x_train.npy").is_file():
        return _mapped(path)
    if parquet_files(path):
        return load_parquet(path, size, seed)
    if path.is_dir():
        return load_folder(path, skip_bad, size, seed)
    if path.is_file():
        return _npz(path)
    # The hub's names are `name` or `owner/name`; asking it for a path that is not there would take a while.
    no_name = source.startswith((".", "~")) or source.endswith("/") or source.count("/") > 1
    if path.suffix == ".npz" or path.is_absolute() or no_name:
        raise DataError(f"'{source}' does not exist: give {SOURCES}")
    return load_named(source, size, seed)


def stratified_split(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (rest, part), ascending: `part` has `fraction` of the labels, of every class alike.

    The part has ceil(fraction · n) members as far as every class can leave one behind.
    """
    # RandomState's stream is frozen by numpy's compatibility policy, so the split never changes.
    random = np.random.RandomState(seed)
    members = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    exact = np.array([len(indices) * fraction for indices in members])
    counts = np.floor(exact).astype(int)
    missing = math.ceil(len(labels) * fraction - 1e-9) - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    counts = np.minimum(counts, [len(indices) - 1 for indices in members])
    part = np.sort(np.concatenate([indices[:count] for indices, count in zip(members, counts, strict=True)]))
    return np.setdiff1d(np.arange(len(labels)), part), part


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "the digits come with scikit-learn, which is missing: pip install 'millijoule[train]'"
        ) from None
    digits = load_digits()
    images = np.round(digits.images[..., None] * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    train, test = stratified_split(labels, TEST_FRACTION, seed=0)
    return Dataset("digits", images[train], labels[train], images[test], labels[test], tuple("0123456789"))


def _npz(path: Path) -> Dataset:
    try:
        # numpy leaves a broken archive open when it opens the file itself.
        with path.open("rb") as stream:
            whole = is_zipfile(stream)
            stream.seek(0)
            file = np.load(stream, allow_pickle=False) if whole else None
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is no zip archive, or only a part of one")
            found = file.files
            arrays = {name: _member(path, file, name) for name in (*ARRAYS, "classes") if name in found}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read as an .npz file ({_first_line(error)}): give {SOURCES}") from None
    return _dataset(path, arrays, found)


def _member(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        return file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"'{path}': {name} is an array of objects, not of numbers, as images of different sizes or channels make "
            "it: bring all to one shape (n, height, width, channels), or give a folder of image files, which are "
            "fitted"
        ) from None


def _mapped(path: Path) -> Dataset:
    arrays: dict[str, np.ndarray] = {}
    for file in sorted(path.glob("*.npy")):
        if file.stem in (*ARRAYS, "classes"):
            try:
                arrays[file.stem] = np.load(file, mmap_mode="r" if file.stem.startswith("x") else None)
            except (OSError, ValueError, EOFError) as error:
                raise DataError(f"'{file}' cannot be read as an .npy file ({_first_line(error)})") from None
            if file.stem.startswith("x") and arrays[file.stem].dtype != np.uint8:
                raise DataError(
                    f"'{file}' is {arrays[file.stem].dtype}; images that are read as they are needed must be uint8"
                )
    return _dataset(path, arrays, list(arrays))


def _dataset(path: Path, arrays: dict[str, np.ndarray], found: list[str]) -> Dataset:
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise DataError(f"'{path}' has no array {', '.join(missing)}; it holds {', '.join(found) or 'nothing'}")
    x_train, x_test = (_pixels(path, name, arrays[name]) for name in ("x_train", "x_test"))
    y_train, y_test = (_labels(path, name, arrays[name]) for name in ("y_train", "y_test"))
    if "classes" in arrays:
        classes = tuple(str(name) for name in arrays["classes"])
    else:
        classes = tuple(str(label) for label in range(int(y_train.max(initial=-1)) + 1))
    return Dataset(path.stem, x_train, y_train, x_test, y_test, classes)


def _pixels(path: Path, name: str, x: np.ndarray) -> np.ndarray:
    """uint8 (n, height, width, channels) of an array of images."""
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[3] not in (1, 3):
        raise DataError(
            f"'{path}': {name} has shape {x.shape}; (n, height, width) or (n, height, width, 1 or 3) is needed"
        )
    if x.dtype == np.uint8:
        return x
    if not x.size:
        return x.astype(np.uint8)
    if x.dtype.kind not in "buif":
        raise DataError(f"'{path}': {name} is {x.dtype}; images are uint8, or float in 0…1 or 0…255")
    odd = np.flatnonzero(~np.isfinite(x).all(axis=(1, 2, 3)))
    if len(odd):
        raise DataError(
            f"'{path}': {len(odd)} of {len(x)} images of {name} hold numbers that are infinite or not a number, the "
            f"first is {name}[{odd[0]}]: mend them, or leave them and their labels out"
        )
    low, high = x.min(), x.max()
    if low < 0 or high > 255:
        raise DataError(f"'{path}': {name} goes from {low} to {high}; images are uint8, or float in 0…1 or 0…255")
    scale = 255 if x.dtype.kind in "bf" and high <= 1 else 1
    return np.round(x.astype(np.float32) * scale).astype(np.uint8)


def _labels(path: Path, name: str, y: np.ndarray) -> np.ndarray:
    """int64 (n,) of an array of labels, whole numbers or one-hot."""
    if y.dtype.kind not in "buif":
        raise DataError(f"'{path}': {name} is {y.dtype} of shape {y.shape}; whole numbers or one-hot rows are needed")
    odd = np.flatnonzero(~(np.isfinite(y) & (y == np.round(y))))
    if len(odd):
        raise DataError(f"'{path}': {name} has the label {y.flat[odd[0]]}; whole numbers or one-hot rows are needed")
    y = y.astype(np.int64)
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0]
    if y.ndim == 2:
        if not (np.all(y.sum(axis=1) == 1) and y.min(initial=0) == 0):
            raise DataError(f"'{path}': {name} has shape {y.shape} but its rows are not one-hot (one 1, else 0)")
        return y.argmax(axis=1)
    if y.ndim != 1:
        raise DataError(f"'{path}': {name} has shape {y.shape}; (n,) or one-hot (n, classes) is needed")
    return y


def spread(count: int, length: int) -> np.ndarray:
    """At most `count` positions of 0…length - 1, evenly spaced."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).astype(int))


def evenly_spaced(count: int, x: np.ndarray) -> np.ndarray:
    """At most `count` of the images, or of their labels."""
    return x[spread(count, len(x))]


def _first_line(error: Any) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
