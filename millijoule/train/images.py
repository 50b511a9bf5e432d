"""Images from folders and from data sets by name: one size, one kind of colour."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import DataError
from millijoule.train.data import SOURCES, TEST_FRACTION, Dataset, stratified_split
from millijoule.train.prepare import resize, times

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow reads more, but some formats start other programs (EPS) or are no photographs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
LONGEST_SIDE = 256
NOT_IMAGES = ("thumbs.db", "desktop.ini")
NAMES_SHOWN = 10
MOST_IN_MEMORY = 2**31
"""Bytes of decoded images; more than that are kept in a temporary file."""
ORIENTATION = 0x0112
"""EXIF's tag; from 5 on, height and width are exchanged."""


def load_folder(folder: Path, skip_bad: bool, size: tuple[int, int] | None, seed: int) -> Dataset:
    """The images of a folder with one sub-folder per class, as `load_data` describes it.

    All images get the asked size (height, width) or the most common one, by bilinear resizing. Images whose longer
    side is over 256 pixels are first reduced to that, so that photographs fit in memory. Grey if every image is grey.
    An image's alpha channel is laid over white; its orientation mark is obeyed. Hidden files are passed over.
    """
    splits = _find_splits(folder)
    classes = _classes(folder, splits)
    files = [
        (split, label, path)
        for split, root in splits
        for label, name in enumerate(classes)
        for path in _files(root / name)
    ]
    for split, _ in splits:
        for label, name in enumerate(classes):
            if not any(file[:2] == (split, label) for file in files):
                raise DataError(f"class folder '{_root(splits, split) / name}' holds no image: add some, or remove it")

    y = np.array([label for _, label, _ in files], np.int64)
    order, test = split_of(y, sum(split == "train" for split, _, _ in files), seed)
    x, kept, notes = gather(lambda: (path for _, _, path in files), order, size)
    bad = [str(files[index][2].relative_to(folder)) for index in range(len(files)) if index not in kept]
    if bad and not skip_bad:
        raise DataError(
            f"{len(bad)} of {len(files)} files in '{folder}' cannot be read as images: {_listing(bad)}; "
            "remove them, or give --skip-bad to use the rest"
        )
    for split, _ in splits:
        for label, name in enumerate(classes):
            if not any(files[index][:2] == (split, label) for index in kept):
                raise DataError(f"no file in class folder '{_root(splits, split) / name}' can be read as an image")
    if bad:
        notes = (f"{len(bad)} of {len(files)} files cannot be read and were skipped: {', '.join(bad)}", *notes)
    y = y[sorted(kept, key=lambda index: order[index])]
    first = int(sum(order[index] < len(files) - test for index in kept))
    return Dataset(folder.name, x[:first], y[:first], x[first:], y[first:], classes, notes)


def load_named(name: str, size: tuple[int, int] | None, seed: int) -> Dataset:
    """The data set `name` of the Hugging Face hub: its `train` split and its `test` (or `validation`) split.

    Raises DataError if the package, the network or the data set is missing, or if it has no images with labels.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"'{name}' is no file or folder here, and the package that finds data sets by name cannot be imported "
            f"({error}): pip install 'millijoule[datasets]', or give {SOURCES}"
        ) from None
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every attempt to connect
    try:
        splits: dict[str, Any] = datasets.load_dataset(name)
    except Exception as error:
        # A missing network, an unknown name and a failed download each come as several kinds of error.
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(
            f"'{name}' is no file or folder here, and Hugging Face does not give it "
            f"({type(error).__name__}: {reason}); check the name and the network, or give {SOURCES}"
        ) from None

    train = splits.get("train") or next(iter(splits.values()))
    test = splits.get("test") or splits.get("validation") or splits.get("valid")
    image_column = _column(name, train, "Image")
    label_column = _column(name, train, "ClassLabel")
    classes = tuple(train.features[label_column].names)
    parts = [train] if test is None or test is train else [train, test]
    y = np.concatenate([np.array(part[label_column], np.int64) for part in parts])
    # Test sets of competitions carry -1 where labels are withheld.
    if y[len(train) :].min(initial=0) < 0:
        parts, y = [train], y[: len(train)]
    order, count = split_of(y, len(train), seed)
    x, kept, notes = gather(lambda: (image for part in parts for image in part[image_column]), order, size)
    if len(kept) < len(y):
        raise DataError(f"data set '{name}': {len(y) - len(kept)} of {len(y)} images cannot be read")
    y = y[np.argsort(order)]
    first = len(y) - count
    return Dataset(name, x[:first], y[:first], x[first:], y[first:], classes, notes)


def split_of(labels: np.ndarray, for_training: int, seed: int) -> tuple[np.ndarray, int]:
    """(where each image belongs, training images first; how many are test images).

    for_training: how many at the beginning are training images; if all are, 20 % of every class become test images.
    """
    order = np.arange(len(labels))
    if for_training < len(labels):
        return order, len(labels) - for_training
    train, test = stratified_split(labels, TEST_FRACTION, seed)
    order[np.concatenate([train, test])] = np.arange(len(labels))
    return order, len(test)


def gather(
    pictures: Callable[[], Iterator[Path | Image]], order: np.ndarray, size: tuple[int, int] | None
) -> tuple[np.ndarray, set[int], tuple[str, ...]]:
    """(uint8 (n, height, width, 1 or 3) of images of any size, the positions of those that could be read, notes).

    pictures: begins with the first one each time it is called. order: where each belongs; those that cannot be read
    leave no gap. size: default: the most common. Grey if every image is. More than `MOST_IN_MEMORY` bytes lie in a
    temporary file, which is mapped and goes with the process. The notes tell where sizes or colours are mixed.
    """
    asked, notes = size, []
    if size is None:
        sizes = Counter(filter(None, map(_size, pictures())))
        if not sizes:
            return np.zeros((0, 1, 1, 1), np.uint8), set(), ()
        size = sizes.most_common(1)[0][0]
        if len(sizes) > 1:
            notes.append(
                f"images of {len(sizes)} sizes, {times(min(sizes))} to {times(max(sizes))}: all were brought to the "
                f"most common, {times(size)} (height × width)"
            )
    images = room_for((len(order), *size, 3))
    coloured, kept = 0, set()
    for index, picture in enumerate(pictures()):
        try:
            image = resize(read_image(picture, asked)[None], size)[0]
        except DataError:
            continue
        images[order[index]] = image  # a grey image broadcasts to three channels
        coloured += not np.all(image == image[..., :1])
        kept.add(index)
    if 0 < coloured < len(kept):
        notes.append(f"{len(kept) - coloured} of {len(kept)} images are grey: they got three equal channels")
    if len(kept) < len(order):
        for new, old in enumerate(sorted(order[list(kept)])):
            images[new] = images[old]
    images = images[: len(kept), :, :, : 3 if coloured else 1]
    return images if isinstance(images, np.memmap) else np.ascontiguousarray(images), kept, tuple(notes)


def room_for(shape: tuple[int, ...]) -> np.ndarray:
    """An array of that shape, in memory or, if it is large, in a temporary file."""
    needed, folder = math.prod(shape), tempfile.gettempdir()
    if needed <= MOST_IN_MEMORY:
        return np.empty(shape, np.uint8)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"decoded, the images take {needed / 1e9:,.1f} GB, '{folder}' has {free / 1e9:,.1f} GB free: set TMPDIR to "
            "a folder on a larger disk"
        )
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def image_header(picture: Path | Image) -> tuple[int, int, int] | None:
    """(height, width, EXIF's orientation) of an image as it is seen, from the header alone; None if it is no image."""
    from PIL import Image

    try:
        with Image.open(picture, formats=FORMATS) if isinstance(picture, Path) else nullcontext(picture) as image:
            width, height = image.size
            orientation = int(image.getexif().get(ORIENTATION, 1))
    except Exception:
        # As many kinds of error as in read_image.
        return None
    if not width * height:
        return None
    return (width, height, orientation) if orientation >= 5 else (height, width, orientation)


def _size(picture: Path | Image) -> tuple[int, int] | None:
    """(height, width) that `read_image` would give, from the header alone; None if it is no image."""
    header = image_header(picture)
    if header is None:
        return None
    scale = min(1.0, LONGEST_SIDE / max(header[:2]))
    return max(1, round(header[0] * scale)), max(1, round(header[1] * scale))


def read_image(source: Path | Image, size: tuple[int, int] | None) -> np.ndarray:
    """uint8 (height, width, 1 or 3) of an image file, or of an image already opened. DataError if it is not one."""
    from PIL import Image, ImageOps

    try:
        with Image.open(source, formats=FORMATS) if isinstance(source, Path) else nullcontext(source) as stored:
            image = ImageOps.exif_transpose(stored)
        if image.mode.startswith("I"):  # 16-bit grey
            image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if image.mode in ("L", "1") else "RGB")
        if size:
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        else:
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BILINEAR)
    except Exception as error:
        # Decoders raise many kinds of error on broken files: OSError, SyntaxError, ValueError, struct.error, …
        raise DataError(f"'{source}' cannot be read as an image ({error})") from None
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _find_splits(folder: Path) -> list[tuple[str, Path]]:
    """[("train", folder), ("test", folder)], or only the first where the folder has no split of its own."""
    names = {path.name.lower(): path for path in _folders(folder)}
    if "train" not in names:
        return [("train", folder)]
    for test in ("test", "val", "valid", "validation"):
        if test in names:
            return [("train", names["train"]), ("test", names[test])]
    return [("train", names["train"] if len(names) == 1 else folder)]


def _root(splits: Iterable[tuple[str, Path]], split: str) -> Path:
    return dict(splits)[split]


def _classes(folder: Path, splits: list[tuple[str, Path]]) -> tuple[str, ...]:
    classes = tuple(path.name for path in _folders(splits[0][1]))
    if len(classes) < 2:
        found = f"has one sub-folder ('{classes[0]}')" if classes else "has no sub-folder"
        raise DataError(f"'{splits[0][1]}' {found}; one for each of at least two classes is needed")
    for _, root in splits[1:]:
        others = tuple(path.name for path in _folders(root))
        train = splits[0][1].name
        if not others:
            raise DataError(f"'{root}' has no sub-folder: it needs one for each class of '{train}', with its images")
        if others != classes:
            odd = sorted(set(others) ^ set(classes))
            there, missing = (root.name, train) if odd[0] in others else (train, root.name)
            raise DataError(
                f"'{folder}': class '{odd[0]}' is in '{there}' and not in '{missing}': add images of it, or remove it"
            )
    return classes


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.name.lower() not in NOT_IMAGES
    )


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _column(name: str, split: Any, kind: str) -> str:
    for column, feature in split.features.items():
        if type(feature).__name__ == kind:
            return str(column)
    columns = ", ".join(f"{column} ({type(feature).__name__})" for column, feature in split.features.items())
    raise DataError(f"data set '{name}' has no column of kind {kind}, which images with labels need; it has {columns}")
