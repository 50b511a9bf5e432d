"""COCO's layout: one JSON file of annotations for many images.

Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; cocodataset.org, "Data format", object detection.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from millijoule.detect.data.drawn import Drawn, DrawnBox, Flaws, Listing, part_of
from millijoule.errors import DataError

OTHER_TASKS = ("captions", "person_keypoints", "stuff", "panoptic", "image_info")


def read_coco(path: Path, flaws: Flaws) -> Listing:
    """A JSON file, or a folder with some, there, in annotations/ or in train/, valid/, test/.

    `train`, `val` or `test` in a file's name, or else in its folder's, says what it is for. Images are looked for
    beside the file, in images/, and in folders beside annotations/ that are called like the file's last word
    (instances_train2017.json: train2017).
    """
    files = [path] if path.is_file() else _files(path)
    if not files:
        raise DataError(f"'{path}' holds no .json file with COCO's images, annotations and categories")
    parts: dict[str, list[Drawn]] = {}
    classes: dict[str, None] = {}
    for file in files:
        content = _load(file)
        part = part_of(file.stem) or part_of(file.parent.name) or "train"
        names = _categories(content, file)
        classes |= dict.fromkeys(names.values())
        parts.setdefault(part, []).extend(_read(content, names, file, flaws))
    return Listing.of(parts, tuple(classes))


def _files(folder: Path) -> list[Path]:
    for pattern in ("annotations/*.json", "*/*.json", "*.json"):
        found = sorted(file for file in folder.glob(pattern) if not file.name.startswith(OTHER_TASKS))
        if found:
            return found
    return []


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise DataError(f"{file.name}, line {error.lineno}: broken JSON: {error.msg}") from None
    except (OSError, ValueError, RecursionError) as error:  # not text; numbers too long; lists in lists in lists
        raise DataError(f"'{file}' cannot be read as JSON ({error})") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"{file.name}: no list '{key}', which COCO's format has beside others")
        for index, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                raise DataError(f"{file.name}: {key}[{index}] is no object with names")
    return content


def _categories(content: dict[str, Any], file: Path) -> dict[Any, str]:
    try:
        entries = sorted(content["categories"], key=lambda each: each["id"])
        return {_key(entry["id"]): " ".join(str(entry["name"]).split()) for entry in entries}
    except (KeyError, TypeError):
        raise DataError(f"{file.name}: a category lacks a number 'id' or a 'name'") from None


def _read(content: dict[str, Any], names: dict[Any, str], file: Path, flaws: Flaws) -> Iterator[Drawn]:
    boxes: dict[Any, list[DrawnBox]] = {}
    broken: dict[Any, str] = {}
    for index, entry in enumerate(content["annotations"]):
        place = f"{file.name}, annotation {entry.get('id', f'[{index}]')}"
        box = _box(entry, names, place)
        if isinstance(box, str):
            broken.setdefault(_key(entry.get("image_id")), f"{place}: {box}")
        else:
            boxes.setdefault(_key(entry["image_id"]), []).append(box)
    folders = _folders(file)
    known = set()
    for index, entry in enumerate(content["images"]):
        place = f"{file.name}, image {entry.get('id', f'[{index}]')}"
        name, number = entry.get("file_name"), _key(entry.get("id"))
        known.add(number)
        path = None
        if isinstance(name, str) and name:
            path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if number in broken:
            flaws.unusable.append(broken[number])
        elif path is None:
            flaws.unusable.append(f"{place}: there is no '{name}'")
        else:
            size = entry.get("height"), entry.get("width")
            whole = all(isinstance(side, int) and side > 0 for side in size)
            yield Drawn(path, boxes.get(number, []), place, size if whole else None)
    for number in [number for number in (*boxes, *broken) if number not in known]:
        place = boxes[number][0].place if number in boxes else broken[number]
        flaws.unusable.append(f"{place}: there is no image {number}")


def _box(entry: dict[str, Any], names: dict[Any, str], place: str) -> DrawnBox | str:
    """The box of an annotation; or what is wrong with it."""
    if "image_id" not in entry:
        return "no 'image_id'"
    if _key(entry.get("category_id")) not in names:
        return f"there is no category {entry.get('category_id')}"
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        return f"'bbox' is {str(box)[:60]}; four numbers, left, top, width, height, are needed"
    left, top, width, height = map(float, box)
    area = entry.get("area")
    return DrawnBox(
        names[_key(entry["category_id"])],
        (left, top, left + width, top + height),
        ", ".join(f"{number:g}" for number in box),
        place,
        difficult=bool(entry.get("iscrowd")),
        area=float(area) if area is not None and _is_number(area) else None,
    )


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _key(value: Any) -> Any:
    """What identifies an image or a category: a number or a name; anything else as text."""
    return value if isinstance(value, (int, str)) else str(value)


def _folders(file: Path) -> list[Path]:
    """Where the images of a file may lie."""
    last = file.stem.split("_")[-1]
    around = [file.parent, file.parent.parent]
    return [folder for base in around for folder in (base, base / "images", base / last, base / "images" / last)]
