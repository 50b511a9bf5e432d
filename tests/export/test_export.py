"""`export` as a user types it: where it writes, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

import millijoule
from millijoule.cli import main
from millijoule.errors import DoesNotFit, ModelError
from millijoule.export import FORMATS
from millijoule.export.tflite.operators import OPERATORS
from millijoule.graph import Builder
from millijoule.ops import Dense
from tests.load.cases import float_case
from tests.networks import random_int8, small_int8_model


@pytest.fixture
def int8_file(tmp_path):
    return millijoule.export(small_int8_model(), "tflite", tmp_path / "small.tflite")


@pytest.fixture
def float_file(tmp_path):
    return millijoule.export(float_case("dense"), "tflite", tmp_path / "dense.tflite")


def run(capsys, *arguments):
    code = main(["export", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_a_file_is_written_and_described(capsys, tmp_path, int8_file):
    out = tmp_path / "again.tflite"
    code, printed, _ = run(capsys, int8_file, "--to", "tflite", "--out", out, "--json")
    assert code == 0
    assert json.loads(printed) == {
        "model": "small", "format": "tflite", "file": str(out), "bytes": out.stat().st_size
    }  # fmt: skip
    x = np.random.default_rng(0).integers(-128, 128, (4, 12, 12, 1), dtype=np.int8)
    expected = small_int8_model().run(x)["softmax"]
    loaded = millijoule.load(out)
    np.testing.assert_array_equal(loaded.run(x)[loaded.graph.outputs[0]], expected)


def test_nothing_is_overwritten_without_force(capsys, tmp_path, int8_file):
    out = tmp_path / "there.tflite"
    out.write_text("mine")
    assert "exists: add --force" in refused(capsys, int8_file, "--to", "tflite", "--out", out)
    assert out.read_text() == "mine"
    assert run(capsys, int8_file, "--to", "tflite", "--out", out, "--force")[0] == 0
    assert millijoule.load(out).is_int8


def test_where_nothing_can_be_written(capsys, tmp_path, int8_file):
    assert "is a folder" in refused(capsys, int8_file, "--to", "tflite", "--out", tmp_path, "--force")
    assert "is no folder" in refused(capsys, int8_file, "--to", "tflite", "--out", tmp_path / "no" / "a.tflite")


def test_the_wrong_kind_of_model(capsys, tmp_path, int8_file, float_file):
    assert "is int8; 'pt' holds float numbers" in refused(capsys, int8_file, "--to", "pt", "--out", tmp_path / "a.pt")
    assert "run `millijoule quantize`" in refused(capsys, float_file, "--to", "c", "--out", tmp_path / "c")
    assert "without numbers" in refused(capsys, "lenet5", "--to", "tflite")
    assert "there is no network 'lenett' in the zoo; did you mean lenet5" in refused(capsys, "lenett", "--to", "tflite")


def test_a_refused_operator_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.delitem(OPERATORS, Dense)
    before = tmp_path / "before.tflite"
    before.write_text("mine")
    with pytest.raises(ModelError, match=r"^node 'fc' \(Dense\) has no operator in TFLite$"):
        millijoule.export(small_int8_model(), "tflite", before, force=True)
    assert before.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [before]


def test_a_c_project_is_what_deploy_builds(tmp_path, capsys, int8_file):
    folder = tmp_path / "project"
    assert run(capsys, int8_file, "--to", "c", "--out", folder, "--device", "nucleo-l4r5zi")[0] == 0
    model = millijoule.load(int8_file)
    millijoule.deploy(model, "nucleo-l4r5zi", folder=tmp_path / "deployed", emulator="none")
    written = {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert {"model.c", "model.h", "weights.h", "Makefile", "main.c"} <= {str(path) for path in written}
    for path, text in written.items():
        assert (tmp_path / "deployed" / path).read_text() == text
    assert "exists: add --force" in refused(capsys, int8_file, "--to", "c", "--out", folder)
    assert run(capsys, int8_file, "--to", "c", "--out", folder, "--force")[0] == 0
    (folder / "weights.h").unlink()
    assert "is not an earlier deployment" in refused(capsys, int8_file, "--to", "c", "--out", folder, "--force")


def test_a_c_project_that_does_not_fit(tmp_path):
    build = Builder("large", (64, 64, 1))
    build("fc", Dense(features=64))
    with pytest.raises(DoesNotFit, match="flash"):
        millijoule.export(random_int8(build.graph()), "c", tmp_path / "c", device="nucleo-f103rb")
    assert not list(tmp_path.iterdir())


def test_every_format_is_offered(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = capsys.readouterr().out
    assert all(f"{name}:" in text for name in FORMATS)
