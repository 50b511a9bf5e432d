"""Images from folders and from data sets by name: one size, one kind of colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import DataError
from millijoule.train.data import SOURCES, Dataset, split_dataset

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow reads more, but some formats start other programs (EPS) or are no photographs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
LONGEST_SIDE = 256
NOT_IMAGES = ("thumbs.db", "desktop.ini")
NAMES_SHOWN = 10


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

    images: list[np.ndarray] = []
    kept: list[tuple[str, int]] = []
    bad: list[str] = []
    for split, label, path in files:
        try:
            images.append(read_image(path, size))
            kept.append((split, label))
        except DataError:
            bad.append(str(path.relative_to(folder)))
    if bad and not skip_bad:
        raise DataError(
            f"{len(bad)} of {len(files)} files in '{folder}' cannot be read as images: {_listing(bad)}; "
            "remove them, or give --skip-bad to use the rest"
        )
    for split, _ in splits:
        for label, name in enumerate(classes):
            if (split, label) not in kept:
                raise DataError(f"no file in class folder '{_root(splits, split) / name}' can be read as an image")
    notes = (f"{len(bad)} unreadable files skipped: {', '.join(bad)}",) if bad else ()

    x, y = uniform(images, size), np.array([label for _, label in kept], np.int64)
    test = np.array([split == "test" for split, _ in kept])
    if not test.any():
        return split_dataset(folder.name, x, y, classes, seed, notes)
    return Dataset(folder.name, x[~test], y[~test], x[test], y[test], classes, notes)


def load_named(name: str, size: tuple[int, int] | None, seed: int) -> Dataset:
    """The data set `name` of the Hugging Face hub: its `train` split and its `test` (or `validation`) split.

    Raises DataError if the package, the network or the data set is missing, or if it has no images with labels.
    """
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"'{name}' is no file or folder here, and the package that finds data sets by name is missing: "
            f"pip install 'millijoule[datasets]', or give {SOURCES}"
        ) from None
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
    images = [read_image(image, size) for part in parts for image in part[image_column]]
    x, y = uniform(images, size), np.concatenate([np.array(part[label_column], np.int64) for part in parts])
    # Test sets of competitions carry -1 where labels are withheld.
    if len(parts) == 1 or y[len(train) :].min() < 0:
        return split_dataset(name, x[: len(train)], y[: len(train)], classes, seed)
    return Dataset(name, x[: len(train)], y[: len(train)], x[len(train) :], y[len(train) :], classes)


def read_image(source: Path | Image, size: tuple[int, int] | None) -> np.ndarray:
    """uint8 (height, width, 1 or 3) of an image file, or of an image already opened. DataError if it is not one."""
    from PIL import Image, ImageOps

    try:
        image = Image.open(source, formats=FORMATS) if isinstance(source, Path) else source
        image = ImageOps.exif_transpose(image)
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


def uniform(images: Sequence[np.ndarray], size: tuple[int, int] | None) -> np.ndarray:
    """(n, height, width, 1 or 3) of images of any size; `size` or the most common size, grey if every image is."""
    from millijoule.train.prepare import resize

    height, width = size or Counter(image.shape[:2] for image in images).most_common(1)[0][0]
    channels = 1 if all(_is_grey(image) for image in images) else 3
    result = np.empty((len(images), height, width, channels), np.uint8)
    for index, image in enumerate(images):
        # A grey image broadcasts to three channels; of a grey image in colours, one channel says all.
        result[index] = resize(image[None, :, :, : None if channels == 3 else 1], (height, width))[0]
    return result


def _is_grey(image: np.ndarray) -> bool:
    return bool(np.all(image == image[..., :1]))


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
        if others != classes:
            odd = sorted(set(others) ^ set(classes))
            raise DataError(f"'{folder}': class '{odd[0]}' is not in both '{splits[0][1].name}' and '{root.name}'")
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
