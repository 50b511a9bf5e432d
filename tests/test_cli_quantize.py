"""`quantize` and `diagnose` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import millijoule
from millijoule.cli import main
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Conv2d, Dense, Flatten, HardSigmoid
from millijoule.shrink import as_shown
from millijoule.train import accuracy, load_run
from millijoule.train.checkpoint import FILE
from millijoule.train.initial import initial_weights
from millijoule.train.run_folder import read_config

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "lenet5-run"
    code = main(["train", "lenet5", "--data", "digits", "--out", str(path), "--epochs", "3", "--json"])
    assert code == 0
    return path


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments: object) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_an_int8_file_that_other_commands_take(capsys, tmp_path, folder):
    file = tmp_path / "small.tflite"
    code, out, err = run(capsys, "quantize", folder, "--data", "digits", "--out", file, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    data = millijoule.load_data("digits")
    model, int8 = load_run(folder), millijoule.load(file)
    assert result["accuracy_float"] == accuracy(model, data.x_test, data.y_test)
    assert result["accuracy_int8"] == accuracy(int8, data.x_test, data.y_test)
    assert result["accuracy_int8"] > 0.8
    assert result["weights_float_bytes"] == 4 * 61_706
    assert result["file_bytes"] == file.stat().st_size
    assert int8.labels == tuple("0123456789")
    deployed = ["deploy", file, "--device", "host", "--data", "digits", "--out", tmp_path / "out", "--json"]
    code, out, _ = run(capsys, *deployed)
    assert code == 0
    assert json.loads(out)["accuracy"]["int8_device"] == result["accuracy_int8"]


def test_settings_reach_the_quantization(capsys, tmp_path, folder):
    data, model = millijoule.load_data("digits"), load_run(folder)
    file = tmp_path / "a.tflite"
    settings = ["--ranges", "mse", "--calibration", "64", "--equalize", "--correct-bias", "--samples", "32"]
    code, out, _ = run(capsys, "quantize", folder, "--data", "digits", "--out", file, *settings)
    assert code == 0
    assert "mse ranges of 64 images, equalized, biases corrected, 32 test images" in " ".join(out.split())
    expected = millijoule.quantize(model, data.x_train, ranges="mse", samples=64, equalize=True, correct_bias=True)
    loaded = millijoule.load(file)
    x = np.random.default_rng(0).integers(-128, 128, (9, 32, 32, 1), dtype=np.int8)
    np.testing.assert_array_equal(loaded.run(x)[loaded.graph.outputs[0]], expected.run(x)[expected.graph.outputs[0]])


def test_trained_as_int8_with_the_images_of_the_training(capsys, tmp_path, folder):
    file = tmp_path / "aware.tflite"
    command = ["quantize", folder, "--data", "digits", "--qat", "--epochs", 1, "--samples", 32, "--out", file]
    command += ["--ranges", "mse"]
    code, out, _ = run(capsys, *command, "--json")
    assert code == 0
    assert json.loads(out)["method"] == "quantization-aware training, mse ranges"
    data, settings = millijoule.load_data("digits"), as_shown(read_config(folder)["settings"])
    expected = millijoule.quantize_aware(load_run(folder), data, ranges="mse", epochs=1, progress=False, **settings)
    loaded = millijoule.load(file)
    x = np.random.default_rng(0).integers(-128, 128, (9, 32, 32, 1), dtype=np.int8)
    np.testing.assert_array_equal(loaded.run(x)[loaded.graph.outputs[0]], expected.run(x)[expected.graph.outputs[0]])


def test_training_as_int8_goes_on_where_it_was_stopped(capsys, tmp_path, folder):
    command = ["quantize", folder, "--data", "digits", "--qat", "--epochs", 2, "--samples", 32]
    assert run(capsys, *command, "--out", tmp_path / "whole.tflite")[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["whole.tflite"], "the state of the training is gone"
    data, settings = millijoule.load_data("digits"), as_shown(read_config(folder)["settings"])
    state = tmp_path / "cut-qat"
    millijoule.quantize_aware(
        load_run(folder), data, epochs=2, checkpoint=state, until=1e-9, progress=False, **settings
    )  # fmt: skip
    stopped = (state / FILE).read_bytes()
    assert "another epochs (2 there, 3 asked for)" in refused(
        capsys, *command[:6], 3, *command[7:], "--out", tmp_path / "cut.tflite"
    )
    assert (state / FILE).read_bytes() == stopped
    assert run(capsys, *command, "--out", tmp_path / "cut.tflite")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"whole.tflite", "cut.tflite"}
    assert (tmp_path / "cut.tflite").read_bytes() == (tmp_path / "whole.tflite").read_bytes()


def test_training_as_int8_learns_the_answers_of_another_network(capsys, tmp_path, folder):
    model, data = load_run(folder), millijoule.load_data("digits")
    other = millijoule.train(millijoule.zoo.get("two_layer", classes=10), data, epochs=2, progress=False)
    millijoule.export(other, "onnx", tmp_path / "other.onnx")
    command = ["quantize", folder, "--data", "digits", "--qat", "--epochs", 1, "--learning-rate", 0.002]
    teacher = ["--teacher", tmp_path / "other.onnx"]
    assert run(capsys, *command, *teacher, "--out", tmp_path / "taught.tflite")[0] == 0
    millijoule.export(other, "safetensors", tmp_path / "other.safetensors")
    pixels = [part for name in ("mean", "std") for part in (f"--{name}", other.preprocess[name][0])]
    of_zoo = ["--teacher", "two_layer", "--teacher-weights", tmp_path / "other.safetensors", *pixels, "--keep", "last"]
    code, _, err = run(capsys, *command, *of_zoo, "--out", tmp_path / "of_zoo.tflite")
    assert code == 0, err
    assert (tmp_path / "of_zoo.tflite").read_bytes() == (tmp_path / "taught.tflite").read_bytes()
    settings = as_shown(read_config(folder)["settings"]) | {"epochs": 1, "learning_rate": 0.002, "progress": False}
    x = np.random.default_rng(0).integers(-128, 128, (9, 32, 32, 1), dtype=np.int8)
    taught = millijoule.load(tmp_path / "taught.tflite")
    found = taught.run(x)[taught.graph.outputs[0]]
    for teacher, same in ((other, True), (None, False)):
        expected = millijoule.quantize_aware(model, data, teacher=teacher, **settings)
        assert np.array_equal(found, expected.run(x)[expected.graph.outputs[0]]) == same


def test_images_that_do_not_match_the_training_are_told(capsys, tmp_path, folder):
    raw = tmp_path / "raw.npy"
    np.save(raw, np.random.default_rng(0).random((40, 32, 32, 1), np.float32) * 255)
    file = tmp_path / "a.tflite"
    code, _, err = run(capsys, "quantize", folder, "--data", "digits", "--calibrate-on", raw, "--out", file)
    assert code == 0
    assert err.startswith("warning: the calibration images are not like those of 'digits': channel 0")
    assert "has mean 127" in err
    assert "look like pixels of 0 to 255, not normalised" in err


def test_one_class_is_warned_of_and_named_as_a_cause(capsys, tmp_path, folder):
    data = millijoule.load_data("digits")
    ones = tmp_path / "ones.npz"
    np.savez(ones, x_train=data.x_train[data.y_train == 1], y_train=data.y_train[data.y_train == 1])
    told = "the calibration images show 1 of 10 classes: 100 % of them are of class '1'"
    given = [folder, "--data", "digits", "--calibrate-on", ones, "--samples", 50]
    code, out, err = run(capsys, "quantize", *given, "--out", tmp_path / "a.tflite")
    assert (code, err) == (0, f"warning: {told}\n")
    code, out, err = run(capsys, "diagnose", *given, "--json")
    assert (code, err) == (0, "")
    assert told in [cause["text"] for cause in json.loads(out)["causes"]]


def test_training_as_int8_on_request(capsys, tmp_path, folder):
    file = tmp_path / "a.tflite"
    code, out, _ = run(capsys, "quantize", folder, "--data", "digits", "--qat", "--out", file, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["method"] == "quantization-aware training, minmax ranges"
    assert result["accuracy_int8"] > 0.8
    assert millijoule.load(file).is_int8


def test_a_run_is_quantized_on_its_own_images_where_the_format_is_made_of_int8(capsys, tmp_path, folder):
    code, _, err = run(capsys, "export", folder, "--to", "qdq", "--out", tmp_path / "a.onnx")
    assert (code, err.splitlines()) == (
        0,
        [
            "note: no --data: taking digits, on which it was trained",
            "quantized by training images of 'digits', as `millijoule quantize` does",
        ],
    )
    expected, loaded = (
        millijoule.quantize(load_run(folder), millijoule.load_data("digits").x_train),
        millijoule.load(tmp_path / "a.onnx"),
    )
    x = np.random.default_rng(0).integers(-128, 128, (9, 32, 32, 1), dtype=np.int8)
    np.testing.assert_array_equal(loaded.run(x)[loaded.graph.outputs[0]], expected.run(x)[expected.graph.outputs[0]])
    file = millijoule.export(load_run(folder), "onnx", tmp_path / "float.onnx")
    assert "give images to quantize it by (--data)" in refused(capsys, "export", file, "--to", "c")
    assert run(capsys, "export", file, "--to", "c", "--data", "digits", "--out", tmp_path / "c")[0] == 0
    assert (tmp_path / "c" / "model.c").exists()


def test_bad_input_of_quantize(capsys, tmp_path, folder):
    command = ["quantize", folder, "--data", "digits"]
    assert "--calibration is 31; at least 32" in refused(capsys, *command, "--calibration", "31")
    few = tmp_path / "few.npz"
    np.savez(few, x_train=np.zeros((7, 8, 8), np.uint8))
    assert "'few' has 7 images; at least 32" in refused(capsys, *command, "--calibrate-on", few)
    assert "cannot be read" in refused(capsys, *command, "--calibrate-on", tmp_path / "no.npy")
    file = millijoule.export(load_run(folder), "onnx", tmp_path / "float.onnx")
    assert "quantize needs --data" in refused(capsys, "quantize", file)
    assert "are kept as .tflite or .onnx files" in refused(capsys, *command, "--out", tmp_path / "a.pt")
    assert "--teacher are of --qat: add it" in refused(capsys, *command, "--epochs", "3")
    assert "name that network of the zoo" in refused(capsys, *command, "--qat", "--teacher-weights", few)
    assert "leave out --equalize" in refused(capsys, *command, "--qat", "--correct-bias")
    there = tmp_path / "there.tflite"
    there.write_text("mine")
    assert "exists: add --force" in refused(capsys, *command, "--out", there)
    assert there.read_text() == "mine"
    assert run(capsys, *command, "--out", there, "--force", "--samples", "20")[0] == 0
    assert "is int8 already: give the float model" in refused(capsys, "quantize", there, "--data", "digits")


def test_a_diagnosis_as_tables_json_and_page(capsys, tmp_path, folder):
    zero = tmp_path / "zero.npy"
    np.save(zero, np.zeros((40, 8, 8, 1), np.uint8))
    command = ["diagnose", folder, "--data", "digits", "--samples", "100", "--calibrate-on", zero]
    code, out, err = run(capsys, *command, "--html", tmp_path / "page.html")
    text = " ".join(out.split())
    assert (code, err) == (0, "")
    assert "the 40 calibration images are all the same: every number of them is 0" in text
    assert "without --calibrate-on" in text
    assert "all the same" in (tmp_path / "page.html").read_text()
    code, out, _ = run(capsys, *command, "--json")
    result = json.loads(out)
    assert any(cause["calibration"] for cause in result["causes"])
    assert result["images"] == 100
    file = millijoule.export(load_run(folder), "onnx", tmp_path / "float.onnx")
    assert "diagnose needs --data" in refused(capsys, "diagnose", file)


def test_a_page_that_is_there_stays_without_force(capsys, tmp_path, folder):
    page = tmp_path / "page.html"
    page.write_text("mine")
    command = ["diagnose", folder, "--data", "digits", "--samples", "32", "--calibration", "32", "--html", page]
    assert f"'{page}' exists: add --force to replace it, or choose another --html" in refused(capsys, *command)
    assert page.read_text() == "mine"
    assert run(capsys, *command, "--force")[0] == 0
    assert "What was tried" in page.read_text()


@pytest.mark.parametrize("command", ["cost", "compare"])
def test_no_page_is_overwritten_without_force(capsys, tmp_path, command):
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert "choose another --html" in refused(capsys, command, "lenet5", "--html", page)
    assert page.read_text() == "mine"


def test_a_run_is_quantized_and_diagnosed_on_its_own_images(capsys, tmp_path, folder):
    note = "note: no --data: taking digits, on which it was trained\n"
    file = tmp_path / "a.tflite"
    code, out, err = run(capsys, "quantize", folder, "--out", file, "--samples", "32", "--json")
    assert (code, err, json.loads(out)["data"]) == (0, note, "digits")
    code, out, err = run(capsys, "diagnose", folder, "--samples", "32", "--calibration", "32", "--json")
    assert (code, err, json.loads(out)["data"]) == (0, note, "digits")


def test_what_is_there_is_told_before_a_run_is_quantized_for_export(capsys, tmp_path, folder):
    there = tmp_path / "there.onnx"
    there.write_text("mine")
    for to, out in (("qdq", there), ("c", tmp_path)):
        error = refused(capsys, "export", folder, "--to", to, "--out", out)
        assert "exists: add --force" in error, "and no note of data that are loaded before it"


def test_what_tflite_lacks_is_told_at_once_and_kept_as_onnx(capsys, tmp_path, monkeypatch):
    data = millijoule.load_data("digits")
    build = Builder("hard", (8, 8, 1))
    build("conv", Conv2d(channels=4, kernel=3, stride=2))
    build("gate", HardSigmoid())
    build("flat", Flatten())
    build("fc", Dense(features=10))
    graph = build.graph()
    model = Model(graph, initial_weights(graph, 0), labels=data.classes, preprocess={"mean": [0.3], "std": [0.4]})
    float_file = millijoule.export(model, "onnx", tmp_path / "hard.onnx")
    command = ["quantize", float_file, "--data", "digits", "--samples", 20, "--out"]
    monkeypatch.setattr(millijoule, "quantize", None)
    error = refused(capsys, *command, tmp_path / "int8.tflite")
    assert error.endswith(
        f"(HardSigmoid) has no operator in TFLite: keep the model as ONNX, --out {tmp_path / 'int8.onnx'}\n"
    )
    monkeypatch.undo()
    assert run(capsys, *command, tmp_path / "int8.onnx")[0] == 0
    int8, loaded = millijoule.quantize(model, data.x_train), millijoule.load(tmp_path / "int8.onnx")
    x = np.random.default_rng(0).integers(-128, 128, (9, 8, 8, 1), dtype=np.int8)
    np.testing.assert_array_equal(loaded.run(x)[loaded.graph.outputs[0]], int8.run(x)[int8.graph.outputs[0]])
    assert loaded.preprocess == model.preprocess
