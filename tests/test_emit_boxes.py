"""Boxes in emitted C: those of numpy, to the last bit, on this computer and in both emulators."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from millijoule.boxes import BoxCoding, Boxes, Level, detect
from millijoule.detect.find import LEAST_SCORE
from millijoule.emit import emit, identifier, layer_symbols
from millijoule.errors import ModelError
from millijoule.graph import Builder
from millijoule.model import Model, Quantization
from millijoule.ops import MaxPool2d, Reshape, Slice
from millijoule.plan import plan
from millijoule.plan.streaming import stream_plan
from millijoule.run.emulator import emulate
from millijoule.run.host import build_host, run_program
from millijoule.run.qemu import emulate_qemu
from millijoule.run.toolchain import build
from millijoule.target import CONTRACTS
from tests.run.project import device
from tests.test_emit_builds import installed

RECORD = np.dtype([("corners", "<f4", 4), ("score", "<f4"), ("label", "<i4")])
"""A `struct mj_box`."""
LEAST = 0.05
"""What the sample firmware reports."""


@cache
def ssd(candidates: int = 200, most: int = 100) -> Model:
    """Two levels, two anchors, three classes: the outputs are parts of the input, so that they can be anything."""
    build = Builder("ssd", (6, 5, 14))
    build("scores_0", Slice(begin=(0, 0, 0), size=(6, 5, 6)))
    build("boxes_0", Slice(begin=(0, 0, 6), size=(6, 5, 8)), build.input)
    build("pool", MaxPool2d(kernel=2), build.input)
    build("scores_1", Slice(begin=(0, 0, 0), size=(3, 2, 6)))
    build("boxes_1", Slice(begin=(0, 0, 6), size=(3, 2, 8)), "pool")
    levels = (
        Level("scores_0", "boxes_0", 6, 5, 16, ((20.0, 11.0), (9.5, 33.0))),
        Level("scores_1", "boxes_1", 3, 2, 100 / 3, ((60.0, 41.0), (44.0, 70.1))),
    )
    coding = BoxCoding(levels, (96, 80), 3, candidates=candidates, most=most)
    return model_of(build, coding, Quantization.of(0.07, -11))


@cache
def centre() -> Model:
    """Peaks of probabilities, one anchor, no threshold that saves work."""
    build = Builder("centre", (7, 6, 6))
    build("scores", Slice(begin=(0, 0, 0), size=(7, 6, 2)))
    build("boxes", Slice(begin=(0, 0, 2), size=(7, 6, 4)), build.input)
    coding = BoxCoding(
        (Level("scores", "boxes", 7, 6, 8, ((8.0, 8.0),)),), (56, 48), 2, logits=False, peaks=True, variances=(1, 1)
    )
    return model_of(build, coding, Quantization.of(1 / 256, -128))


@cache
def faces() -> Model:
    """Flat outputs that two levels share, with an objectness and a background."""
    build = Builder("faces", (5, 4, 7))
    build("scores", Slice(begin=(0, 0, 0), size=(5, 4, 2)))
    build("flat_scores", Reshape(target=(20, 2)))
    build("boxes", Slice(begin=(0, 0, 2), size=(5, 4, 4)), build.input)
    build("flat_boxes", Reshape(target=(20, 4)))
    build("objects", Slice(begin=(0, 0, 6), size=(5, 4, 1)), build.input)
    shared = {"scores": "flat_scores", "boxes": "flat_boxes", "objectness": "objects"}
    levels = (
        Level(**shared, rows=4, columns=4, step=8, anchors=((8.0, 8.0),)),
        Level(**shared, rows=2, columns=2, step=16, anchors=((16.0, 16.0),), first=16),
    )
    coding = BoxCoding(levels, (32, 32), 1, centre=0.0, background=True, most=6)
    return model_of(build, coding, Quantization.of(0.05, 3))


def model_of(build: Builder, coding: BoxCoding, quantization: Quantization) -> Model:
    graph = build.graph(*coding.outputs)
    return Model(graph, {}, dict.fromkeys(graph.shapes, quantization), ("a", "b", "c")[: coding.classes], boxes=coding)


MODELS = {"ssd": ssd(), "ssd_few": ssd(5, 3), "centre": centre(), "faces": faces()}


def inputs_of(model: Model, random_ones: int = 12) -> np.ndarray:
    """Of random numbers; all equal (ties); the extremes; nothing to be found; very much; few distinct numbers."""
    random = np.random.default_rng(3)
    shape = model.graph.inputs[0].shape
    constant = [np.full((1, *shape), value, np.int8) for value in (-128, -12, 0, 60, 127)]
    extremes = np.where(random.random((3, *shape)) < 0.5, -128, 127).astype(np.int8)
    few = random.choice(np.array([-60, -11, 20], np.int8), (3, *shape))
    small = random.integers(-40, 40, (4, *shape)).astype(np.int8)
    return np.concatenate([random.integers(-128, 128, (random_ones, *shape), np.int8), *constant, extremes, few, small])


def expected(model: Model, inputs: np.ndarray) -> list[Boxes]:
    assert model.boxes is not None
    return detect(model.boxes, model.run(*[inputs]), model.quantization, threshold=LEAST)


def output_bytes(model: Model) -> int:
    """What the sample firmware writes: the outputs, the number of boxes, and the boxes."""
    assert model.boxes is not None
    outputs = sum(int(np.prod(model.graph.shapes[name])) for name in model.graph.outputs)
    return outputs + 4 + model.boxes.most * RECORD.itemsize


def assert_written(model: Model, inputs: np.ndarray, written: np.ndarray) -> None:
    """The outputs, then the boxes, of each sample."""
    values = model.run(inputs)
    outputs = np.concatenate([values[name].reshape(len(inputs), -1) for name in model.graph.outputs], axis=1)
    np.testing.assert_array_equal(written[:, : outputs.shape[1]], outputs)
    for sample, boxes in zip(written[:, outputs.shape[1] :], expected(model, inputs), strict=True):
        count = int(sample[:4].view("<i4")[0])
        assert_same(sample[4:].view(RECORD)[:count], boxes)


def assert_same(records: np.ndarray, boxes: Boxes) -> None:
    np.testing.assert_array_equal(records["label"], boxes.labels)
    np.testing.assert_array_equal(records["score"].view(np.int32), boxes.scores.view(np.int32))
    # Not only equal, which a negative zero would be.
    np.testing.assert_array_equal(records["corners"].view(np.int32), boxes.corners.view(np.int32))


def write(model: Model, folder: Path, planned=None, target=None) -> Path:
    folder.mkdir(exist_ok=True)
    emit(model, planned or plan(model), target or device(), folder)
    return folder


def test_the_inputs_are_worth_it():
    """Boxes are found, suppressed, tied, and more than there is room for; or none."""
    found = {name: [len(boxes) for boxes in expected(model, inputs_of(model))] for name, model in MODELS.items()}
    assert all(min(counts) == 0 for name, counts in found.items() if name != "ssd")
    assert max(found["ssd_few"]) == 3
    assert max(found["faces"]) == 6
    assert max(found["ssd"]) > 20
    assert max(found["centre"]) > 4


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("compiler", "optimize"),
    [("zig", "-O2"), installed("gcc", "-O3"), installed("gcc", "-Os"), installed("clang", "-O3")],
)
def test_on_this_computer(tmp_path, name, compiler, optimize):
    model = MODELS[name]
    inputs = inputs_of(model, 100)
    written = run_program(write(model, tmp_path / name), inputs, output_bytes(model), compiler, optimize, sanitize=())
    assert_written(model, inputs, written)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compiler", [installed("gcc"), installed("clang")])
def test_under_sanitizers(tmp_path, name, compiler):
    model = MODELS[name]
    inputs = inputs_of(model)
    assert_written(model, inputs, run_program(write(model, tmp_path / name), inputs, output_bytes(model), compiler))


@pytest.mark.parametrize("compiler", ["zig", installed("gcc", program="arm-none-eabi-gcc")])
@pytest.mark.parametrize(
    ("core", "run"),
    [
        ("cortex-m0plus", emulate),
        ("cortex-m4", emulate),
        ("cortex-m7", emulate),
        installed("cortex-m0plus", emulate_qemu, program="qemu-system-arm"),
        installed("cortex-m7", emulate_qemu, program="qemu-system-arm"),
        installed("cortex-m55", emulate_qemu, program="qemu-system-arm"),
    ],
)
def test_in_both_emulators(tmp_path, core, run, compiler):
    target = device(core)
    for name, model in MODELS.items():
        inputs = inputs_of(model)
        folder = write(model, tmp_path / name, target=target)
        firmware = build(folder, target, compiler)
        symbols = layer_symbols(model)
        measured = run(firmware, target, identifier(model.graph.name), inputs, symbols, output_bytes(model))
        assert_written(model, inputs, measured.outputs)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_plans_that_stream(tmp_path, contract):
    for name, model in MODELS.items():
        inputs = inputs_of(model)
        folder = write(model, tmp_path / name, stream_plan(model, contract))
        assert_written(model, inputs, run_program(folder, inputs, output_bytes(model), "zig", "-O2", sanitize=()))


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
def test_the_sample_program_prints_boxes(tmp_path):
    model = replace(ssd(), labels=('a "b"?', "é", "c\\"))
    inputs = inputs_of(model)[:5]
    folder = write(model, tmp_path / "ssd")
    subprocess.run(["make", "host", "HOST_CC=gcc"], cwd=folder, check=True, capture_output=True)
    inputs.tofile(folder / "input.bin")
    printed = subprocess.run(["./host"], cwd=folder, check=True, capture_output=True).stdout.decode()
    lines = [
        f"{model.labels[label]} {rounded(100 * score)} % {' '.join(map(str, map(rounded, corners)))}\n"
        for boxes in detect(model.boxes, model.run(inputs), model.quantization)
        for label, score, corners in zip(boxes.labels, boxes.scores, boxes.corners, strict=True)
    ]
    assert len(lines) > 10
    assert printed == "".join(lines)


def rounded(number: np.float32) -> int:
    return int(np.float32(number) + np.float32(0.5))


class Box(ctypes.Structure):
    _fields_ = (("corners", ctypes.c_float * 4), ("score", ctypes.c_float), ("label", ctypes.c_int32))


def test_the_interface(tmp_path):
    model = ssd()
    folder = write(model, tmp_path / "ssd")
    library = ctypes.CDLL(str(build_host(folder, "ssd")))
    library.ssd_run.argtypes = ctypes.c_void_p, ctypes.c_void_p
    library.ssd_detect.argtypes = ctypes.POINTER(Box), ctypes.c_int, ctypes.c_float
    found = (Box * 100)()
    (sample,) = inputs_of(model)[:1]
    assert library.ssd_run(None, None) == -1
    assert library.ssd_run(sample.ctypes.data, None) == 0
    boxes = detect(model.boxes, model.run(sample[None]), model.quantization)[0]
    for _ in range(2):  # it leaves the outputs as they are
        assert library.ssd_detect(found, 100, model.boxes.threshold) == len(boxes)
        assert_same(np.frombuffer(found, RECORD)[: len(boxes)], boxes)
    assert library.ssd_detect(found, 1, model.boxes.threshold) == 1
    header = (folder / "model.h").read_text()
    assert LEAST == LEAST_SCORE
    assert f"#define LEAST_SCORE {LEAST}f" in (folder / "main.c").read_text()
    for line in ("SSD_THRESHOLD 0.3", "SSD_MOST_BOXES 100", "SSD_OUTPUT_3_BYTES 48", "SSD_OUTPUT_BYTES 504"):
        assert f"#define {line}" in header


def test_candidates_lie_in_the_arena_where_there_is_room(tmp_path):
    own = (write(ssd(), tmp_path / "own") / "model.c").read_text()
    assert "static struct mj_candidate best[200];" in own
    planned = plan(ssd(5, 3))
    shared = (write(ssd(5, 3), tmp_path / "shared", planned) / "model.c").read_text()
    assert "static struct mj_candidate" not in shared
    assert "(struct mj_candidate *)(void *)(ssd_arena + " in shared


def test_real_numbers_of_several_outputs(tmp_path):
    model = faces()
    library = ctypes.CDLL(str(build_host(write(model, tmp_path / "faces"), "faces")))
    (x,) = np.random.default_rng(0).normal(size=(1, *model.graph.inputs[0].shape)).astype(np.float32)
    quantization = model.quantization["input"]
    outputs = np.empty(140, np.float32)
    library.faces_run_float(x.ctypes.data_as(ctypes.c_void_p), outputs.ctypes.data_as(ctypes.c_void_p))
    values = model.run(quantization.quantize(x)[None])
    answer = np.concatenate([quantization.dequantize(values[name]).ravel() for name in model.graph.outputs])
    np.testing.assert_array_equal(outputs, answer)


def test_a_coding_that_does_not_fit_makes_no_model():
    coding = replace(ssd().boxes, classes=4)
    with pytest.raises(ModelError, match="model 'ssd': output 'scores_0' has shape"):
        replace(ssd(), boxes=coding)
    with pytest.raises(ModelError, match="'ssd' finds 3 classes of boxes; 2 are named"):
        replace(ssd(), labels=("a", "b"))
