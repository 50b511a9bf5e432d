"""Squares and discs on noise, as annotated image files."""

from pathlib import Path

import numpy as np
from PIL import Image

from millijoule.boxes import Boxes
from millijoule.detect.data import AnnotatedImage, DetectionSet

CLASSES = ("square", "disc")
COLOURS = ((220, 60, 60), (60, 90, 220))


def drawn(side: int, random: np.random.Generator) -> tuple[np.ndarray, Boxes]:
    """(uint8 (side, side, 3), boxes) of two or three objects of a fifth to a third of the image that do not touch."""
    image = random.integers(90, 150, (side, side, 3)).astype(np.uint8)
    corners: list[list[int]] = []
    labels = []
    rows, columns = np.mgrid[:side, :side]
    for _ in range(random.integers(2, 4)):
        size = int(random.integers(side // 5, side // 3))
        left, top = random.integers(0, side - size, 2).tolist()
        if any(left < c[2] and c[0] < left + size and top < c[3] and c[1] < top + size for c in corners):
            continue
        label = int(random.integers(2))
        inside = (rows >= top) & (rows < top + size) & (columns >= left) & (columns < left + size)
        if label:
            middle = np.array([top, left]) + (size - 1) / 2
            inside &= (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= (size / 2) ** 2
        image[inside] = COLOURS[label]
        corners.append([left, top, left + size, top + size])
        labels.append(label)
    return image, Boxes.of(corners, labels)


def shapes(folder: Path, train: int = 40, test: int = 12, side: int = 64, seed: int = 0) -> DetectionSet:
    """The set, its images written to `folder` as PNG."""
    random = np.random.default_rng(seed)
    images = []
    for index in range(train + test):
        pixels, boxes = drawn(side, random)
        path = folder / f"{index}.png"
        Image.fromarray(pixels).save(path)
        images.append(AnnotatedImage(path, (side, side), boxes))
    return DetectionSet("shapes", CLASSES, tuple(images[:train]), tuple(images[train:]))


def write_voc(folder: Path, data: DetectionSet) -> None:
    """The set in PASCAL VOC's layout, its images beside the annotations."""
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for part, images in (("trainval", data.train), ("test", data.test)):
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("".join(f"{each.path.stem}\n" for each in images))
        for image in images:
            Image.open(image.path).save(folder / "JPEGImages" / f"{image.path.stem}.jpg", quality=95)
            objects = ""
            for (left, top, right, bottom), label in zip(image.boxes.corners, image.boxes.labels, strict=True):
                sides = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
                box = "".join(f"<{side}>{value:.0f}</{side}>" for side, value in sides.items())
                objects += f"<object><name>{data.classes[label]}</name><bndbox>{box}</bndbox></object>"
            xml = f"<annotation><filename>{image.path.stem}.jpg</filename>{objects}</annotation>"
            (folder / "Annotations" / f"{image.path.stem}.xml").write_text(xml)
