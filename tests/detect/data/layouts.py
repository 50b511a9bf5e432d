"""The same small data set in each layout: two images for training, one for testing."""

import json

from PIL import Image

from tests.detect.data.test_voc import annotate, drawn, split

SIZE = 40, 30  # width, height
BOXES = {  # class, left, top, right, bottom
    "a": [("cat", 0, 0, 10, 20), ("dog", 4, 5, 40, 30)],
    "b": [("cat", 10, 11, 13, 14)],
    "c": [("dog", 1, 1, 30, 20)],
}
CLASSES = ("cat", "dog")


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, (10, 20, 30)).save(path)


def voc(root):
    for stem, boxes in BOXES.items():
        annotate(root, stem, *(drawn(x + 1, y + 1, r, b, name=name) for name, x, y, r, b in boxes), size=SIZE)
    split(root, train=["a", "b"], test=["c"])
    return root


def coco_content(*stems):
    annotations = [
        {
            "image_id": stem,
            "category_id": 7 + CLASSES.index(name),
            "bbox": [x, y, r - x, b - y],
            "area": (r - x) * (b - y) / 2,
        }
        for stem in stems
        for name, x, y, r, b in BOXES[stem]
    ]
    return {
        "images": [{"id": stem, "file_name": f"{stem}.jpg", "width": SIZE[0], "height": SIZE[1]} for stem in stems],
        "annotations": [each | {"id": number} for number, each in enumerate(annotations)],
        "categories": [{"id": 7 + number, "name": name} for number, name in enumerate(CLASSES)],
    }


def coco(root):
    for part, stems in (("train2017", "ab"), ("val2017", "c")):
        for stem in stems:
            image(root / part / f"{stem}.jpg")
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(coco_content(*stems)))
    return root


def yolo_lines(stem):
    return "".join(
        f"{CLASSES.index(name)} {(x + r) / 2 / SIZE[0]} {(y + b) / 2 / SIZE[1]} "
        f"{(r - x) / SIZE[0]} {(b - y) / SIZE[1]}\n"
        for name, x, y, r, b in BOXES[stem]
    )


def yolo(root):
    for part, stems in (("train", "ab"), ("val", "c")):
        for stem in stems:
            image(root / "images" / part / f"{stem}.jpg")
            file = root / "labels" / part / f"{stem}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(yolo_lines(stem))
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n")
    return root
