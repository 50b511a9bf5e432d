"""YOLO's layout: one text file for each image, one line for each box.

Redmon et al.'s Darknet: `class x y width height`, of the box's centre, in fractions of the image; and the data.yaml of
Ultralytics, "Object detection datasets".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from millijoule.detect.data.drawn import Drawn, DrawnBox, Flaws, Listing, part_of
from millijoule.detect.data.readers.yaml_file import Plain, read_yaml
from millijoule.errors import DataError

NAMES = ("classes.txt", "obj.names", "labels/classes.txt", "labels.txt")
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
NO_LABELS = "image without a text file: taken as one without objects"


def read_yolo(path: Path, flaws: Flaws) -> Listing:
    """A data.yaml, a folder that holds one, or a folder with images/ and labels/ (or both side by side).

    Without a data.yaml, folders called train, valid or test (in images/, or around images/ and labels/) split it, and
    classes.txt or obj.names names the classes, else their numbers do. A line with more numbers than four is a polygon
    around the object; its bounding box counts.
    """
    file = path if path.is_file() else next(iter(sorted(path.glob("*.yaml")) + sorted(path.glob("*.yml"))), None)
    if file is not None:
        content = read_yaml(file)
        names, images = _names(content.get("names"), file), _named_images(content, file)
        base = file.parent
    else:
        names, images, base = _listed_names(path), _found_images(path), path
    if not any(images.values()):
        raise DataError(f"'{path}' holds no images: a data.yaml, or folders images and labels, are needed")
    counted = max(names, default=-1) + 1
    parts = {
        part: [drawn for each in some if (drawn := _read(each, base, names, flaws))] for part, some in images.items()
    }
    if not names:
        found = {box.label for some in parts.values() for each in some for box in each.boxes}
        return Listing.of(parts, tuple(sorted(found, key=int)))
    return Listing.of(parts, tuple(names[number] for number in range(counted) if number in names))


def _names(names: Plain, file: Path) -> dict[int, str]:
    if isinstance(names, list):
        return dict(enumerate(names))
    if isinstance(names, dict) and all(key.isdecimal() for key in names):
        return {int(key): str(name) for key, name in names.items()}
    raise DataError(f"{file.name}: no 'names' of the classes; a list, or numbers with names, is needed")


def _listed_names(folder: Path) -> dict[int, str]:
    for name in NAMES:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8-sig", errors="replace").rstrip().splitlines()
            return {number: line.strip() for number, line in enumerate(lines)}
    return {}


def _named_images(content: dict[str, Plain], file: Path) -> dict[str, list[Path]]:
    """The images that a data.yaml names: folders, or text files with one image a line."""
    images: dict[str, list[Path]] = {}
    root = content.get("path")
    for part in ("train", "val", "test"):
        places = content.get(part) or []
        for place in places if isinstance(places, list) else [places]:
            found = _place(str(place), str(root) if root else "", file.parent)
            if found is None:
                if part == "test":  # often named, seldom there
                    continue
                raise DataError(f"{file.name}: {part}: there is no '{place}' beside it, nor below 'path'")
            images.setdefault(part, []).extend(_images(found))
    return images


def _place(place: str, root: str, folder: Path) -> Path | None:
    """Where a path of a data.yaml is; exporters also write it from the folder of their own scripts."""
    inner = place
    while inner.startswith("../"):
        inner = inner[3:]
    bases = (folder / root, folder, folder.parent)
    candidates = [base / each for each in (place, inner) for base in bases]
    return next((each for each in candidates if each.exists()), None)


def _images(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(each for each in place.rglob("*") if each.suffix.lower() in IMAGES and each.is_file())
    lines = place.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [place.parent / line.strip() for line in lines if line.strip()]


def _found_images(folder: Path) -> dict[str, list[Path]]:
    images: dict[str, list[Path]] = {}
    for each in _images(folder):
        inner = each.relative_to(folder).parts[:-1]
        part = next((part for name in inner if (part := part_of(name))), "train")
        images.setdefault(part, []).append(each)
    return images


def _label_file(image: Path) -> Path:
    """The text file of an image: in labels/ where the path has images/, else beside it."""
    parts = list(image.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index].lower() == "images":
            parts[index] = "labels"
            other = Path(*parts).with_suffix(".txt")
            if other.is_file() or other.parent.is_dir():
                return other
            break
    return image.with_suffix(".txt")


def _read(image: Path, base: Path, names: dict[int, str], flaws: Flaws) -> Drawn | None:
    file = _label_file(image)
    place = str(file.relative_to(base) if file.is_relative_to(base) else file)
    if not image.is_file():
        flaws.unusable.append(f"{place}: there is no image '{image.name}'")
        return None
    if not file.is_file():
        flaws.mend(NO_LABELS, place, image.name)
        return Drawn(image, [], place)
    try:
        return Drawn(image, list(_boxes(file, place, names)), place, fractions=True)
    except ValueError as error:
        flaws.unusable.append(str(error))
        return None


def _boxes(file: Path, place: str, names: dict[int, str]) -> Iterator[DrawnBox]:
    """Raises ValueError, with file and line."""
    for number, line in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        at = f"{place}, line {number}"
        try:
            label, *rest = int(words[0]), *map(float, words[1:])
        except ValueError:
            raise ValueError(f"{at}: '{line.strip()}' is not a class number and fractions") from None
        if names and label not in names:
            raise ValueError(f"{at}: class {label}; the names go from 0 to {max(names)}")
        if not all(map(math.isfinite, rest)) or (len(rest) != 4 and (len(rest) < 6 or len(rest) % 2)):
            raise ValueError(
                f"{at}: {len(rest)} numbers after the class; x, y, width, height or a polygon's x, y, … are needed"
            )
        if len(rest) == 4:
            x, y, width, height = rest
            corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        else:
            corners = min(rest[::2]), min(rest[1::2]), max(rest[::2]), max(rest[1::2])
        yield DrawnBox(names.get(label, str(label)), corners, " ".join(words[1:]), at)
