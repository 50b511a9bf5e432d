"""What a reader of one format gives, before anything is checked; and the list of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LISTED = 10
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class DrawnBox:
    """corners: left, top, right, bottom in pixels, as in `Boxes`. written: as the file has it. place: file and line."""

    label: str
    corners: Corners
    written: str
    place: str
    difficult: bool = False
    truncated: bool = False
    area: float | None = None


@dataclass(frozen=True)
class Drawn:
    """path: the image. place: of its annotation. size: (height, width) that the annotation states, if it does.

    fractions: the boxes' corners are fractions of the image's width and height.
    """

    path: Path
    boxes: Sequence[DrawnBox]
    place: str
    size: tuple[int, int] | None = None
    fractions: bool = False


@dataclass(frozen=True)
class Listing:
    """test: None where the data set has no split of its own. classes: in their order, if the data set gives one."""

    train: Sequence[Drawn]
    test: Sequence[Drawn] | None
    classes: tuple[str, ...] | None = None

    @classmethod
    def of(cls, parts: Mapping[str, Sequence[Drawn]], classes: tuple[str, ...] | None = None) -> Listing:
        """parts: the images of `train`, `val` and `test`, of which some may be missing.

        Test images are those of `test`, then `val` is for training too; else those of `val`.
        """
        train, val, test = (list(parts.get(name, ())) for name in ("train", "val", "test"))
        if test and (train or val):
            return cls(train + val, test, classes)
        if train and val:
            return cls(train, val, classes)
        return cls(train + val + test, None, classes)


@dataclass(frozen=True)
class Flaws:
    """unusable: images that cannot be used, one line each. mended: kind → lines, of boxes left out or changed."""

    unusable: list[str] = field(default_factory=list)
    mended: dict[str, list[str]] = field(default_factory=dict)

    def mend(self, kind: str, place: str, detail: str) -> None:
        self.mended.setdefault(kind, []).append(f"{place}: {detail}")

    def lines(self) -> tuple[str, ...]:
        return (*self.unusable, *(f"{line}: {kind}" for kind, lines in self.mended.items() for line in lines))

    def notes(self) -> tuple[str, ...]:
        skipped = [f"{len(self.unusable)} × image left out: {listing(self.unusable)}"] if self.unusable else []
        return (*skipped, *(f"{len(lines)} × {kind}: {listing(lines)}" for kind, lines in self.mended.items()))


def part_of(name: str) -> str | None:
    """`train`, `val` or `test`, as the name of a file or a folder says; None if it says none of them."""
    return next((part for part in ("train", "val", "test") if part in name.lower()), None)


def listing(lines: Sequence[str]) -> str:
    more = f"; and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return "; ".join(lines[:LISTED]) + more
