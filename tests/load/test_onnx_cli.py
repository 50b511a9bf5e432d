"""cost, plan and deploy of .onnx files from the command line."""

import json

import numpy as np
import pytest

from millijoule.cli import main
from tests.load.onnx_models import node, onnx_model, save
from tests.load.test_onnx_quantized import network

W = np.random.default_rng(0).standard_normal((4, 3, 3, 3), np.float32)


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr()


@pytest.fixture
def dynamic(tmp_path):
    nodes = [node("Conv", "x w", "c"), node("Softplus", "c", "s"), node("GlobalAveragePool", "s", "y")]
    return save(onnx_model(nodes, ["n", 3, "h", "w"], constants={"w": W}), tmp_path / "net.onnx")


def test_cost_asks_for_the_input_and_lists_what_is_not_counted(capsys, dynamic):
    code, text = run(capsys, "cost", dynamic)
    assert code == 2
    assert text.err.startswith("error: ")
    assert text.err.count("\n") == 1
    assert "--shape" in text.err
    code, text = run(capsys, "cost", dynamic, "--shape", "1x3x10x12")
    assert code == 0
    assert "softplus_s (Softplus)" in " ".join(text.out.split())
    assert "at least" in text.out
    code, text = run(capsys, "cost", dynamic, "--shape", "1x3x10x12", "--json")
    figures = json.loads(text.out)
    assert figures["macs"] == 8 * 10 * 4 * 27
    assert figures["not_counted"] == {"softplus_s": "Softplus"}


def test_plan_takes_the_input_too(capsys, dynamic):
    code, text = run(capsys, "plan", dynamic, "--shape", "1x3x10x12", "--json")
    assert code == 0
    assert json.loads(text.out)["arena_bytes"] >= 10 * 12 * 3


@pytest.mark.parametrize("shape", ["1x3", "1x3x0x5", "1x3x-2x5", "big", ""])
def test_shapes_that_make_no_sense(capsys, dynamic, shape):
    try:
        code = main(["cost", str(dynamic), f"--shape={shape}"])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_zoo_and_tflite_files_know_their_input(capsys):
    code, text = run(capsys, "cost", "lenet5", "--shape", "1x1x28x28")
    assert code == 2
    assert "leave --shape out" in text.err


def test_deploys_a_quantized_model_bit_exactly(capsys, tmp_path):
    path = save(network().model(outputs=("g_q",)), tmp_path / "net.onnx")
    code, text = run(capsys, "deploy", path, "--device", "host", "--out", tmp_path / "firmware", "--json")
    assert code == 0
    assert json.loads(text.out)["bit_exact"] is True


def test_deploying_what_is_not_known_names_it(capsys, dynamic, tmp_path):
    data = tmp_path / "data.npz"
    images = np.random.default_rng(0).integers(0, 256, (40, 10, 12, 3), dtype=np.uint8)
    labels = np.arange(40) % 4
    np.savez(data, x_train=images, y_train=labels, x_test=images, y_test=labels)
    code, text = run(
        capsys, "deploy", dynamic, "--shape", "1x3x10x12", "--device", "host", "--data", data, "--out", tmp_path / "out"
    )
    assert code == 2
    assert "'softplus_s' (Softplus)" in text.err
    assert not (tmp_path / "out").exists()


def test_deploys_a_float_model_with_data(capsys, tmp_path):
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((4 * 8 * 10, 4)).astype(np.float32)
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Flatten", "r", "f"), node("Gemm", "f d", "y")]
    path = save(onnx_model(nodes, [1, 3, 10, 12], constants={"w": W, "d": dense}), tmp_path / "net.onnx")
    data = tmp_path / "data.npz"
    images = rng.integers(0, 256, (40, 10, 12, 3), dtype=np.uint8)
    labels = np.arange(40) % 4
    np.savez(data, x_train=images, y_train=labels, x_test=images, y_test=labels)
    code, text = run(
        capsys, "deploy", path, "--device", "host", "--data", data, "--out", tmp_path / "firmware", "--json"
    )
    assert code == 0, text.err
    assert json.loads(text.out)["bit_exact"] is True
