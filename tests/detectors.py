"""A detector made by hand, and images whose boxes it finds: red and blue squares on black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from millijoule.boxes import BoxCoding, Level
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Conv2d

CELL, SIDE, CLASSES = 8, 32, ("red", "blue")


def squares() -> Model:
    """Cells of 8×8 pixels; a cell whose mean is bright is a box as large as the cell."""
    build = Builder("squares", (SIDE, SIDE, 3))
    build("means", Conv2d(channels=3, kernel=CELL, stride=CELL))
    build("scores_0", Conv2d(channels=2, kernel=1))
    build("boxes_0", Conv2d(channels=4, kernel=1), "means")
    graph = build.graph("scores_0", "boxes_0")
    params = graph.params()
    weights = {name: np.zeros(param.shape, np.float32) for name, param in params.items()}
    for channel in range(3):
        weights["means.weight"][channel, ..., channel] = 1 / CELL**2
    weights["scores_0.weight"][0, ..., 0] = weights["scores_0.weight"][1, ..., 2] = 8
    weights["scores_0.bias"][:] = -4
    weights["boxes_0.weight"][0, ..., 0] = 0.05  # a red one lies a little to the right
    cells = SIDE // CELL
    level = Level("scores_0", "boxes_0", cells, cells, CELL, ((float(CELL), float(CELL)),))
    return Model(graph, weights, labels=CLASSES, boxes=BoxCoding((level,), (SIDE, SIDE), len(CLASSES)))


def drawn_squares(folder: Path, train: int = 32, test: int = 3, scale: int = 2) -> Path:
    """A data set in PASCAL VOC's layout: images of twice the input's size, two squares in each."""
    random = np.random.default_rng(0)
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    side = SIDE * scale
    for index in range(train + test):
        pixels, objects = np.zeros((side, side, 3), np.uint8), ""
        for cell in random.choice((SIDE // CELL) ** 2, 2, replace=False):
            row, column = divmod(int(cell), SIDE // CELL)
            label = int(random.integers(2))
            top, left, length = row * CELL * scale, column * CELL * scale, CELL * scale
            pixels[top : top + length, left : left + length, 2 * label] = 255
            objects += (
                f"<object><name>{CLASSES[label]}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
                f"<xmax>{left + length}</xmax><ymax>{top + length}</ymax></bndbox></object>"
            )
        Image.fromarray(pixels).save(folder / "JPEGImages" / f"{index}.png")
        (folder / "Annotations" / f"{index}.xml").write_text(
            f"<annotation><filename>{index}.png</filename><size><width>{side}</width><height>{side}</height>"
            f"<depth>3</depth></size>{objects}</annotation>"
        )
    names = [str(index) for index in range(train + test)]
    for part, chosen in (("trainval", names[:train]), ("test", names[train:])):
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(chosen) + "\n")
    return folder
