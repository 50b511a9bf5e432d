"""load(): which files are models, and what others look like."""

import pytest

import millijoule
from millijoule.errors import ModelError
from millijoule.export.tflite import to_tflite
from tests.networks import small_int8_model


def test_the_graph_is_named_after_the_file(tmp_path):
    data = to_tflite(small_int8_model())
    for file, name in (("small.tflite", "small"), ("1.0 (new).tflite", "model_1_0_new"), ("ü.lite", "model")):
        path = tmp_path / file
        path.write_bytes(data)
        assert millijoule.load(path).graph.name == name
        assert millijoule.load(str(path)).graph.name == name


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("empty.tflite", b"", ["empty"]),
        ("short.tflite", b"\x1c\x00", ["2 bytes", "truncated"]),
        ("text.tflite", b"not a model at all", ["bytes 4 to 7"]),
        ("net.onnx", b"\x08\x07\x12\x07pytorch", ["holds no network", "truncated"]),
        ("net.onnx", b"version https://git-lfs.github.com/spec/v1", ["Git LFS", "git lfs pull"]),
        ("net.onnx", b"", ["empty"]),
        ("net.pt", b"PK\x03\x04rest", ["zip", "PyTorch"]),
        ("net.th", b"\x80\x02}q\x00", ["pickle", "PyTorch"]),
        ("net.h5", b"\x89HDF\r\n\x1a\n", ["HDF5", ".tflite"]),
        ("net.tflite", b"version https://git-lfs.github.com/spec/v1", ["Git LFS", "git lfs pull"]),
        ("net.tflite", b"<!DOCTYPE html>", ["HTML"]),
        ("cat.png", b"\x89PNG\r\n\x1a\n", ["PNG image"]),
    ],
)
def test_what_is_no_model_is_said_to_be(tmp_path, file, content, words):
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        millijoule.load(path)
    for word in (file, *words):
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.tflite: cannot be read: No such file"):
        millijoule.load(tmp_path / "nothing.tflite")
    with pytest.raises(ModelError, match="a folder"):
        millijoule.load(tmp_path)


def test_float_models_have_no_integer_reference(tmp_path):
    from tests.load.cases import float_case

    path = tmp_path / "float.tflite"
    path.write_bytes(to_tflite(float_case("dense")))
    model = millijoule.load(path)
    with pytest.raises(ModelError, match="quantize it first"):
        model.node_quantization(model.graph.nodes[0])
