"""PASCAL VOC's layout: one XML file of annotations for each image.

Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge"; its development kit, section "annotations".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from millijoule.detect.data.drawn import Drawn, DrawnBox, Flaws, Listing, part_of
from millijoule.errors import DataError

ANNOTATIONS = ("Annotations", "annotations")
IMAGES = ("JPEGImages", "images", "Images")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(folder: Path, flaws: Flaws) -> Listing:
    """A VOCdevkit, one of its VOC20xx folders, or any folder with Annotations/ and JPEGImages/ (or images/).

    ImageSets/Main/{trainval,train,val,test}.txt split it: test images are those of `test`, training images those of
    `trainval` (or `train` and `val`). Without `test`, `val` is the test set. Of several years, those without `test` are
    training images whole, if another year has it. Also read: folders train/, valid/, test/ that hold images and
    annotations side by side.
    """
    roots = [folder] if _is_voc(folder) else []
    for parent in (folder, folder / "VOCdevkit"):
        if not roots and parent.is_dir():
            roots = sorted(path for path in parent.iterdir() if path.is_dir() and _is_voc(path))
    parts: dict[str, list[Drawn]] = {"train": [], "val": [], "test": []}
    for root in roots:
        places = _one_of(root, ANNOTATIONS), _one_of(root, IMAGES)
        sets = _image_sets(root)
        if not sets and len(roots) == 1:
            sets = {"train": _stems(places[0])}
        if not sets:
            raise DataError(f"'{root}' has no ImageSets/Main, which data sets of several folders need")
        for part, names in sets.items():
            parts[part] += _read(folder, *places, names, flaws)
    if not roots:
        for path in sorted(path for path in folder.iterdir() if path.is_dir() and part_of(path.name)):
            parts[part_of(path.name) or ""] += _read(folder, path, path, _stems(path), flaws)
    if not roots and not any(parts.values()) and not flaws.unusable:
        raise DataError(
            f"'{folder}' holds no PASCAL VOC data set: a folder {ANNOTATIONS[0]} and a folder {IMAGES[0]} (or images) "
            "side by side are needed, in it or in its sub-folders"
        )
    return Listing.of(parts)


def _is_voc(folder: Path) -> bool:
    return all(any((folder / name).is_dir() for name in names) for names in (ANNOTATIONS, IMAGES))


def _one_of(root: Path, names: Sequence[str]) -> Path:
    return next(root / name for name in names if (root / name).is_dir())


def _stems(annotations: Path) -> list[tuple[str, str]]:
    return [(path.stem, path.name) for path in sorted(annotations.glob("*.xml"))]


def _image_sets(root: Path) -> dict[str, list[tuple[str, str]]]:
    """`train`, `val`, `test` → (identifier, file and line that name it) of their images, as far as there are any."""
    sets = {}
    for name in ("train", "val", "trainval", "test"):
        path = root / "ImageSets" / "Main" / f"{name}.txt"
        if path.is_file():
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            place = path.relative_to(root)
            sets[name] = [
                (line.split()[0], f"{place}, line {number}") for number, line in enumerate(lines, 1) if line.strip()
            ]
    both = sets.pop("trainval", [])
    if "train" not in sets and both:
        held = {name for name, _ in sets.get("val", [])}
        sets["train"] = [each for each in both if each[0] not in held]
    return sets


def _read(folder: Path, annotations: Path, images: Path, named: Iterable[tuple[str, str]], flaws: Flaws) -> list[Drawn]:
    """What is drawn on the images `named` (identifier, who names it)."""
    files: dict[str, list[Path]] = {}
    for path in sorted(images.iterdir()):
        if not path.name.startswith(".") and path.suffix != ".xml":
            files.setdefault(path.stem, []).append(path)
    drawn = []
    for name, by in named:
        path = annotations / f"{name}.xml"
        place = f"{annotations.relative_to(folder)}/{name}.xml"
        if not path.is_file():
            flaws.unusable.append(f"{by}: there is no {place}")
            continue
        try:
            drawn.append(_annotation(path, place, files, images))
        except _Wrong as wrong:
            flaws.unusable.append(f"{place}, line {wrong.line}: {wrong}")
    return drawn


class _Wrong(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class _Element:
    tag: str
    line: int
    text: str = ""
    children: list[_Element] = field(default_factory=list)

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def all(self, tag: str) -> list[_Element]:
        return [child for child in self.children if child.tag == tag]

    def get(self, tag: str) -> str:
        """The text of the first child of that name, on one line; empty if there is none."""
        return next((child.words for child in self.all(tag)), "")

    def need(self, tag: str) -> _Element:
        for child in self.all(tag):
            return child
        raise _Wrong(self.line, f"<{self.tag}> has no <{tag}>")

    def number(self, tag: str) -> float:
        child = self.need(tag)
        try:
            value = float(child.text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise _Wrong(child.line, f"<{tag}> is '{child.words}', not a number")
        return value


def _annotation(path: Path, place: str, files: dict[str, list[Path]], images: Path) -> Drawn:
    root = _parse(path)
    if root.tag != "annotation":
        raise _Wrong(root.line, f"the root is <{root.tag}>; <annotation> is needed")
    boxes = []
    for thing in root.all("object"):
        label = thing.get("name")
        if not label:
            raise _Wrong(thing.line, "<object> has no <name>")
        box = thing.need("bndbox")
        xmin, ymin, xmax, ymax = (box.number(corner) for corner in CORNERS)
        # From 1, both ends included: xmin = xmax would be a column of pixels, but is a click without a drag.
        right, bottom = xmax if xmax > xmin else xmin - 1, ymax if ymax > ymin else ymin - 1
        boxes.append(
            DrawnBox(
                label,
                (xmin - 1, ymin - 1, right, bottom),
                f"{xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}",
                f"{place}, line {box.line}",
                difficult=thing.get("difficult") in ("1", "true", "True"),
                truncated=thing.get("truncated") in ("1", "true", "True"),
            )
        )
    size = None
    for element in root.all("size"):
        height, width = element.number("height"), element.number("width")
        size = (int(height), int(width)) if height > 0 and width > 0 else None
    return Drawn(_image(path, root, place, files, images), boxes, place, size)


def _image(path: Path, root: _Element, place: str, files: dict[str, list[Path]], images: Path) -> Path:
    """The image of an annotation: the one called like it; else the one that it names, whatever its extension."""
    named = root.get("filename")
    for stem in (path.stem, Path(named).stem):
        found = files.get(stem, [])
        if found:
            return next((file for file in found if file.name == named), found[0])
    line = next((child.line for child in root.all("filename")), root.line)
    other = f" and no '{named}'" if named and Path(named).stem != path.stem else ""
    raise _Wrong(line, f"{images.name} has no image called '{path.stem}'{other}")


def _parse(path: Path) -> _Element:
    """The XML file as elements that know their line."""
    top = _Element("", 0)
    stack = [top]
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, _: object) -> None:
        element = _Element(tag, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def text(data: str) -> None:
        stack[-1].text += data

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = text
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise _Wrong(error.lineno, f"broken XML: {expat.errors.messages[error.code]}") from None
    except OSError as error:
        raise _Wrong(1, f"cannot be read: {error.strerror or error}") from None
    return top.children[0]
