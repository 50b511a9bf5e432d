"""Detectors of others: known by their outputs, decoded by the formulas of their repositories; and what files keep."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import millijoule as mj
from millijoule.boxes import decode
from tests.detectors import squares

SIDE = (64, 96)
STEPS = (8, 16, 32)
SQUARES = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}
"""UltraFace's, by step."""


def save(path, outputs, decoded=False):
    """A network with these outputs (name → shape without the batch): the mean of the image times a number each."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0)]
    tensors = []
    for name, shape in outputs.items():
        weight = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32)[None]
        tensors += [
            numpy_helper.from_array(weight, f"{name}_weight"),
            numpy_helper.from_array(np.array([1, *shape], np.int64), f"{name}_shape"),
        ]
        nodes += [
            helper.make_node("Flatten", ["mean"], [f"{name}_mean"], axis=0),
            helper.make_node("MatMul", [f"{name}_mean", f"{name}_weight"], [f"{name}_flat"]),
            helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [f"{name}_raw" if decoded else name]),
        ]
        if decoded:
            nodes.append(helper.make_node("Exp", [f"{name}_raw"], [name]))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *shape]) for name, shape in outputs.items()]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *SIDE])
    graph = helper.make_graph(nodes, "net", [image], values, tensors)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    )
    return path


def yunet_outputs():
    cells = {step: SIDE[0] // step * (SIDE[1] // step) for step in STEPS}
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {f"{kind}_{step}": (cells[step], width) for kind, width in widths.items() for step in STEPS}


def ultraface_outputs():
    count = sum(ceil(SIDE[0] / step) * ceil(SIDE[1] / step) * len(sides) for step, sides in SQUARES.items())
    return {"scores": (count, 2), "boxes": (count, 4)}


def random_outputs(shapes, seed=0):
    random = np.random.default_rng(seed)
    return {
        name: random.random((1, *shape), np.float32)
        if name.startswith(("cls", "obj", "scores"))
        else random.normal(size=(1, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def known(model, values):
    """The boxes of all anchors, uncut ones sorted by score, of values by the file's names in order."""
    coding = replace(model.boxes, candidates=100_000)
    outputs = dict(zip(model.graph.outputs, values, strict=True))
    (boxes,) = decode(coding, outputs, threshold=0.0)
    return boxes


def by_score(corners, scores):
    """Corners cut to the input, the empty ones dropped, best first."""
    corners = np.clip(corners, 0, [SIDE[1], SIDE[0]] * 2)
    kept = (corners[:, 0] < corners[:, 2]) & (corners[:, 1] < corners[:, 3])
    order = np.argsort(-scores[kept], kind="stable")
    return corners[kept][order], scores[kept][order]


def test_yunet_is_decoded_as_opencv_does(tmp_path):
    """face_detect.cpp: cx = (column + dx) * step, w = exp(dw) * step, score = sqrt(cls * obj)."""
    model = mj.load(save(tmp_path / "faces.onnx", yunet_outputs()))
    assert (model.labels, model.boxes.classes, model.boxes.size) == (("face",), 1, SIDE)
    assert model.preprocess["order"] == [2, 1, 0]
    assert "known as YuNet by its outputs" in model.notes[0]
    values = random_outputs(yunet_outputs())
    corners, scores = [], []
    for step in STEPS:
        rows, columns = SIDE[0] // step, SIDE[1] // step
        for cell in range(rows * columns):
            dx, dy, dw, dh = map(float, values[f"bbox_{step}"][0, cell])
            x, y = (cell % columns + dx) * step, (cell // columns + dy) * step
            width, height = np.exp(dw) * step, np.exp(dh) * step
            corners.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
            scores.append(np.sqrt(float(values[f"cls_{step}"][0, cell, 0]) * float(values[f"obj_{step}"][0, cell, 0])))
    expected, of_scores = by_score(np.array(corners), np.array(scores))
    boxes = known(model, [values[name] for name in yunet_outputs()])
    np.testing.assert_allclose(boxes.scores, of_scores, rtol=1e-6)
    np.testing.assert_allclose(boxes.corners, expected, rtol=1e-5, atol=1e-4)


def test_ultraface_is_decoded_as_its_repository_does(tmp_path):
    """box_utils.py: priors and boxes in parts of the image, variances 0.1 and 0.2, priors cut to 0…1."""
    model = mj.load(save(tmp_path / "faces.onnx", ultraface_outputs()))
    assert (model.labels, model.preprocess) == (("face",), {"mean": [127 / 255] * 3, "std": [128 / 255] * 3})
    height, width = SIDE
    priors = [
        [(column + 0.5) * step / width, (row + 0.5) * step / height, side / width, side / height]
        for step, sides in SQUARES.items()
        for row in range(ceil(height / step))
        for column in range(ceil(width / step))
        for side in sides
    ]
    # Centres that lie outside, of cells that reach out of the image, are cut there too; those boxes are not compared.
    inside = np.array([prior[0] <= 1 and prior[1] <= 1 for prior in priors])
    priors = np.clip(priors, 0, 1)
    values = random_outputs(ultraface_outputs())
    values["scores"][0, ~inside, 1] = -1
    offsets = values["boxes"][0].astype(np.float64)
    middles = offsets[:, :2] * 0.1 * priors[:, 2:] + priors[:, :2]
    sizes = np.exp(offsets[:, 2:] * 0.2) * priors[:, 2:]
    corners = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1) * np.array([width, height] * 2)
    expected, of_scores = by_score(corners[inside], values["scores"][0, inside, 1])
    boxes = known(model, [values["scores"], values["boxes"]])
    boxes = boxes.take(boxes.scores > 0)
    np.testing.assert_allclose(boxes.scores, of_scores[of_scores > 0], rtol=1e-6)
    np.testing.assert_allclose(boxes.corners, expected[of_scores > 0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("outputs", "decoded"),
    [
        ({name: shape for name, shape in yunet_outputs().items() if name != "obj_16"}, False),
        (yunet_outputs() | {"bbox_8": (96, 5)}, False),
        (ultraface_outputs() | {"scores": (100, 2)}, False),
        (ultraface_outputs(), True),  # boxes are computed in the graph
    ],
)
def test_what_only_looks_like_one_is_left_alone(tmp_path, outputs, decoded):
    model = mj.load(save(tmp_path / "net.onnx", outputs, decoded))
    assert (model.boxes, model.labels, model.preprocess, model.notes) == (None, (), {}, ())


@pytest.mark.parametrize("to", ["onnx", "qdq", "tflite"])
def test_files_keep_how_outputs_become_boxes(tmp_path, to):
    model = squares()
    if to != "onnx":
        model = mj.quantize(model, np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3)).astype(np.uint8))
    path = tmp_path / f"squares{'.tflite' if to == 'tflite' else '.onnx'}"
    mj.export(model, to, path)
    found = mj.load(path)
    assert found.labels == model.labels
    names = dict(zip(model.graph.outputs, found.graph.outputs, strict=True))
    assert found.boxes == model.boxes.renamed(names)
    assert set(found.boxes.outputs) == set(found.graph.outputs)


def test_pixels_are_taken_in_the_order_of_the_network():
    from millijoule.train.prepare import prepare

    image = np.array([[[[255, 128, 0]]]], np.uint8)
    plain, turned = (
        prepare(image, (1, 1, 3), {"mean": [0.0] * 3, "std": [1 / 255] * 3, **order})
        for order in ({}, {"order": [2, 1, 0]})
    )
    np.testing.assert_array_equal(turned, plain[..., ::-1])
