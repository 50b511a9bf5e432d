"""YuNet and UltraFace beside ONNX Runtime and OpenCV, as int8, and as firmware.

    python benchmarks/face_detectors.py --data DIR --photos FOLDER [--number N] [--devices NAME …]

DIR/models holds yunet/yunet_n_320_320.onnx (repository ShiqiYu/libfacedetection.train) and
ultraface/version-slim-320_simplified.onnx (repository Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB). FOLDER holds
photos, some with people: the first half of them measure ranges, some of the others are looked at as int8. Printed are

    the largest difference of any output from ONNX Runtime's, over four photos;
    YuNet's boxes beside those of OpenCV's FaceDetectorYN (4.5.4 or newer; left out where it is not installed), at a
    score of 0.3: how many images have as many boxes, and the largest difference in pixels and in the score. OpenCV
    suppresses with corners cut to whole pixels, so an image may differ;
    suppression beside OpenCV's NMSBoxes, on 1000 random sets of boxes;
    the average precision of the int8 model where the float model's boxes, at the same score, are the truth;
    on each device, layer by layer or row by row where that does not fit, and with the least RAM: flash, arena, static
    RAM, instructions, and the boxes of two inputs that equal the reference's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.boxes import Boxes, suppress
from millijoule.detect.evaluation import evaluate_boxes
from millijoule.detect.find import find
from millijoule.model import Model
from millijoule.train.images import read_image
from millijoule.train.network import activations
from millijoule.train.prepare import prepare

FILES = ("yunet/yunet_n_320_320.onnx", "ultraface/version-slim-320_simplified.onnx")
DEVICES = ("nucleo-h743zi", "alif-ensemble-e7")
OPENCV_SCORE = 0.3
LOOKED_AT = 32
"""Photos in which the int8 reference, which takes seconds for each, looks for faces."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--number", type=int, default=200, help="how many of the photos (default: 200)")
    parser.add_argument("--swap", action="store_true", help="red and blue of the photos are swapped")
    parser.add_argument("--devices", nargs="*", default=DEVICES)
    options = parser.parse_args()
    files = sorted(path for path in options.photos.rglob("*") if path.suffix in (".jpg", ".png"))[: options.number]
    console = Console(width=150)
    console.print(_suppression())
    for name in FILES:
        path = options.data / "models" / name
        model = mj.load(path)
        assert model.boxes is not None
        photos = np.stack(
            [np.broadcast_to(read_image(file, model.boxes.size), (*model.boxes.size, 3)) for file in files]
        )
        photos = photos[..., ::-1] if options.swap else photos
        half = len(photos) // 2
        console.print(
            f"[bold]{path.name}[/]: {mj.cost(model.graph).params:,} parameters, {mj.cost(model.graph).macs:,} MACs"
        )
        console.print(f"largest difference from ONNX Runtime: {_from_onnx_runtime(path, model, photos[:4]):.2g}")
        if "yunet" in name:
            console.print(_beside_opencv(path, model, photos))
        int8 = mj.quantize(model, photos[:half])
        console.print(_agreement(model, int8, photos[half : half + LOOKED_AT]))
        console.print(_firmware(int8, options.devices))


def _from_onnx_runtime(path: Path, model: Model, photos: np.ndarray) -> float:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings)
    inputs = prepare(photos, model.graph.inputs[0].shape, model.preprocess)
    values = {name: [] for name in model.graph.outputs}
    for part in activations(model, inputs):
        for name, found in values.items():
            found.extend(part[name])
    worst = 0.0
    for index, image in enumerate(inputs):
        outputs = session.run(None, {session.get_inputs()[0].name: image.transpose(2, 0, 1)[None]})
        for output, name in zip(outputs, model.graph.outputs, strict=True):
            worst = max(worst, float(np.abs(output[0] - values[name][index]).max()))
    return worst


def _beside_opencv(path: Path, model: Model, photos: np.ndarray) -> str:
    try:
        import cv2
    except ImportError:
        return "OpenCV is not installed: pip install opencv-python-headless"
    assert model.boxes is not None
    height, width = model.boxes.size
    peer = cv2.FaceDetectorYN.create(str(path), "", (width, height), OPENCV_SCORE, model.boxes.overlap, 5000)
    found = find(replace(model, boxes=replace(model.boxes, candidates=5000, most=5000)), photos, OPENCV_SCORE)
    same = boxes = 0
    pixels = score = 0.0
    for photo, ours in zip(photos, found, strict=True):
        faces = peer.detect(np.ascontiguousarray(photo[..., ::-1]))[1]
        theirs = np.zeros((0, 15)) if faces is None else faces[np.argsort(-faces[:, 14], kind="stable")]
        if len(theirs) != len(ours):
            continue
        same, boxes = same + 1, boxes + len(ours)
        if len(ours):
            corners = np.concatenate([theirs[:, :2], theirs[:, :2] + theirs[:, 2:4]], axis=1)
            corners = corners.clip(0, [width, height] * 2)
            pixels = max(pixels, float(np.abs(corners - ours.corners).max()))
            score = max(score, float(np.abs(theirs[:, 14] - ours.scores).max()))
    return (
        f"OpenCV {cv2.__version__}: as many boxes in {same} of {len(photos)} images, {boxes} in all, which differ by "
        f"{pixels:.2g} pixels and {score:.2g} of score at most"
    )


def _suppression(sets: int = 1000) -> str:
    try:
        import cv2
    except ImportError:
        return "OpenCV is not installed: pip install opencv-python-headless"
    random = np.random.default_rng(0)
    equal = boxes = 0
    for _ in range(sets):
        count = int(random.integers(1, 150))
        start, size = random.integers(0, 60, (count, 2)), random.integers(1, 40, (count, 2))
        scores = (1 + random.permutation(count)).astype(
            np.float32
        ) / count  # OpenCV leaves the order of equal ones open
        overlap = float(random.uniform(0.2, 0.8))
        kept = cv2.dnn.NMSBoxes(np.concatenate([start, size], axis=1).tolist(), scores.tolist(), 0.0, overlap)
        corners = np.concatenate([start, start + size], axis=1)
        ours = suppress(Boxes.of(corners, np.zeros(count), scores), overlap, count)
        equal += np.array_equal(ours.corners, corners[np.asarray(kept).ravel()])
        boxes += len(ours)
    return f"suppression: {equal} of {sets} random sets as OpenCV's NMSBoxes leaves them, {boxes} boxes"


def _agreement(model: Model, int8: Model, photos: np.ndarray) -> str:
    assert model.boxes is not None
    truth = [Boxes.of(boxes.corners, boxes.labels) for boxes in find(model, photos, OPENCV_SCORE)]
    found = evaluate_boxes(find(int8, photos), truth, model.labels)
    return (
        f"int8 beside float, {len(photos)} photos, {sum(map(len, truth))} faces of a score of {OPENCV_SCORE} or more: "
        f"AP@0.5 {100 * found.map_50_area:.1f} %"
    )


def _firmware(int8: Model, devices: Sequence[str]) -> Table:
    columns = "device", "optimize", "flash", "arena", "static RAM", "instructions", "boxes equal", "bit for bit"
    table = Table(*columns)
    for device in devices:
        for optimize in ("speed", "ram"):
            table.add_row(device, optimize, *_figures(int8, device, optimize))
    return table


def _figures(int8: Model, device: str, optimize: str) -> Sequence[str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found: Any = mj.deploy(int8, device, folder=Path(folder) / "out", optimize=optimize, samples=2)
        except mj.errors.MillijouleError as error:
            return (str(error).splitlines()[0], *[""] * 5)
    values = found.to_json()
    numbers = [f"{values[name]:,}" for name in ("flash_bytes", "arena_bytes", "ram_bytes", "instructions")]
    detector = values["detector"]
    return [*numbers, f"{detector['boxes_equal']} of {detector['boxes_compared']}", str(values["bit_exact"])]


if __name__ == "__main__":
    main()
