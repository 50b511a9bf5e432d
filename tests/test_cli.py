"""The commands as a user types them: exit codes, one-line errors, JSON keys, no half-written folders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import millijoule
from millijoule.cli import main
from millijoule.export.tflite import to_tflite
from millijoule.model import Model
from tests.networks import small_int8_model

DEPLOY_KEYS = {
    "accuracy", "bit_exact", "outputs_compared", "flash_bytes", "ram_bytes", "arena_bytes", "stack_bytes",
    "instructions", "macs", "params", "layers",
}  # fmt: skip


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(to_tflite(small_int8_model()))
    return path


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def assert_one_line_error(result: tuple[int, str, str], *words: str, code: int = 2) -> None:
    exit_code, out, err = result
    assert exit_code == code
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
    for word in words:
        assert word in err


def test_deploys_a_tflite_file_bit_exactly(capsys, tmp_path, model_file):
    code, out, _ = run(
        capsys, "deploy", model_file, "--device", "nucleo-l4r5zi", "--out", tmp_path / "out", "--json", "--samples", 3
    )
    assert code == 0
    result = json.loads(out)
    assert result.keys() >= DEPLOY_KEYS
    assert result["bit_exact"] is True
    assert result["outputs_compared"] == 3 * 3
    assert result["arena_bytes"] == result["arena_planned_bytes"]
    assert result["ram_bytes"] >= result["arena_bytes"]
    assert result["instructions"] > result["macs"] / 4
    assert sum(layer["macs"] for layer in result["layers"]) == result["macs"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"model.c", "model.h", "weights.h", "main.c", "linker.ld", "Makefile", "report.html", "report.json"}
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == result


def test_deploy_replaces_an_earlier_result_and_nothing_else(capsys, tmp_path, model_file):
    arguments = ("deploy", model_file, "--device", "host", "--samples", 1, "--json")
    out = tmp_path / "out"
    assert run(capsys, *arguments, "--out", out)[0] == 0
    assert run(capsys, *arguments, "--out", out)[0] == 0
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("irreplaceable")
    assert_one_line_error(run(capsys, *arguments, "--out", mine), "mine", "--out")
    assert (mine / "thesis.txt").read_text() == "irreplaceable"


def test_a_model_that_does_not_fit_says_by_how_much(capsys, tmp_path, model_file, monkeypatch):
    from millijoule.cost import device as devices

    board = devices.load_device("nucleo-f446re")
    object.__setattr__(board, "ram", devices.Region("SRAM", board.ram.origin, 1024))
    monkeypatch.setattr("millijoule.load_device", None, raising=False)
    from millijoule.deploy import deploy
    from millijoule.errors import DoesNotFit

    with pytest.raises(DoesNotFit, match="RAM") as error:
        deploy(millijoule.load(model_file), board, folder=tmp_path / "out", samples=1)
    assert "1,024" in str(error.value) or "1024" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deploy", "lenet5", "--device", "nucleo-f446"], ["nucleo-f446", "nucleo-f446re"]),
        (["deploy", "lenet5", "--device", "host"], ["lenet5", "--data"]),
        (["deploy", "missing.tflite", "--device", "host"], ["missing.tflite"]),
        (["deploy", "lenet5", "--device", "host", "--data", "missing.npz"], ["missing.npz"]),
        (["cost", "lenet6"], ["lenet6", "lenet5"]),
        (["cost", "missing.tflite"], ["missing.tflite"]),
        (["cost", "model.h5"], ["model.h5", ".tflite"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert_one_line_error(run(capsys, *arguments), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_corrupted_and_truncated_files(capsys, tmp_path, model_file):
    whole = model_file.read_bytes()
    broken = tmp_path / "broken.tflite"
    for content in (b"", whole[:100], whole[: len(whole) // 2], b"not a model at all" * 9):
        broken.write_bytes(content)
        assert_one_line_error(run(capsys, "deploy", broken, "--device", "host"), "broken.tflite")


def test_unknown_option_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as error:
        main(["deploy", "--fast"])
    assert error.value.code == 2


def test_a_full_disk_leaves_nothing_behind(capsys, tmp_path, model_file, monkeypatch):
    def full(self, *arguments, **keywords):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    result = run(capsys, "deploy", model_file, "--device", "host", "--out", tmp_path / "out", "--samples", 1)
    assert_one_line_error(result, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_cost_json_has_the_stable_keys(capsys):
    code, out, _ = run(capsys, "cost", "lenet5", "--json")
    assert code == 0
    result = json.loads(out)
    assert result.keys() >= {"params", "macs", "size_bytes", "peak_ram_bytes", "layers"}
    assert (result["params"], result["macs"]) == (61_706, 416_520)


@pytest.mark.parametrize("command", ["devices", "zoo", "doctor"])
def test_lists_print_tables_and_json(capsys, command):
    code, table, _ = run(capsys, command)
    assert code == 0
    assert len(table.splitlines()) > 5
    code, out, _ = run(capsys, command, "--json")
    assert code == 0
    assert len(json.loads(out)) > 5


def test_plan_draws_the_arena(capsys, model_file):
    code, out, _ = run(capsys, "plan", model_file)
    assert code == 0
    assert "arena" in out
    code, out, _ = run(capsys, "plan", model_file, "--json")
    assert json.loads(out)["arena_bytes"] >= json.loads(out)["lower_bound_bytes"]


def test_plan_streams(capsys, model_file):
    results = {}
    for contract in ("overwrite", "keep", "push"):
        code, out, _ = run(capsys, "plan", model_file, "--optimize", "ram", "--input", contract, "--json")
        assert code == 0
        results[contract] = json.loads(out)
        assert results[contract]["floor_bytes"] <= results[contract]["arena_bytes"]
    # Pushed rows also cost what is remembered between two of them.
    arenas = {contract: result["arena_bytes"] for contract, result in results.items()}
    assert arenas["keep"] > max(arenas["push"], arenas["overwrite"])
    code, out, _ = run(capsys, "plan", model_file, "--optimize", "ram", "--input", "push")
    assert "the input arrives row by row" in out
    code, out, _ = run(capsys, "plan", model_file, "--frontier")
    assert "copied" in out


def test_plan_takes_two_memories(capsys, model_file):
    whole = json.loads(run(capsys, "plan", model_file, "--optimize", "ram", "--json")[1])["arena_bytes"]
    code, out, _ = run(capsys, "plan", model_file, "--ram", f"{whole - 1}+1MB", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["memory_fast_bytes"] < whole
    assert found["memory_slow_bytes"] > 0
    assert found["memory_traffic_bytes"] >= found["memory_slow_bytes"]
    code, out, _ = run(capsys, "plan", model_file, "--ram", "64KB+4MB")
    assert "0 in slow memory, 0 bytes of traffic" in out
    assert_one_line_error(run(capsys, "plan", model_file, "--ram", "8+4MB"), "8 bytes", "4,000,000")
    assert_one_line_error(run(capsys, "plan", model_file, "--ram", "1KB+1MB", "--frontier"), "--frontier", "--ram")


def test_plan_writes_its_frontier_as_a_page(capsys, model_file, tmp_path):
    page = tmp_path / "plan.html"
    code, out, _ = run(capsys, "plan", model_file, "--frontier", "--input", "push", "--html", str(page), "--json")
    assert code == 0
    text = page.read_text(encoding="utf-8")
    for planned in json.loads(out):
        assert f"<h3>{planned['arena_bytes']:,} bytes</h3>" in text
    assert "src=" not in text
    assert_one_line_error(run(capsys, "plan", model_file, "--html", str(page)), "--html", "--frontier")


def test_plan_shows_the_frontiers_of_several_networks(capsys, model_file, tmp_path):
    page = tmp_path / "plan.html"
    code, out, _ = run(capsys, "plan", model_file, "ds_cnn", "--frontier", "--html", str(page), "--json")
    assert code == 0
    found = json.loads(out)
    assert list(found) == [str(model_file), "ds_cnn"]
    text = page.read_text(encoding="utf-8")
    for plans in found.values():
        assert f"<h2>{plans[0]['model']}: RAM against calls of kernels</h2>" in text
        assert all(f"<h3>{each['arena_bytes']:,} bytes</h3>" in text for each in plans)
    assert_one_line_error(run(capsys, "plan", model_file, "ds_cnn"), "2 models", "--frontier")


def test_plan_counts_the_instructions_of_its_frontier(capsys, model_file, tmp_path):
    page = tmp_path / "plan.html"
    options = ("--frontier", "--device", "nucleo-l4r5zi")
    code, out, _ = run(capsys, "plan", model_file, *options, "--html", str(page), "--json")
    assert code == 0
    found = json.loads(out)
    assert all(each["instructions"] > 0 and each["instructions_device"] == "nucleo-l4r5zi" for each in found)
    text = page.read_text(encoding="utf-8")
    assert "RAM against instructions" in text
    assert f"{found[0]['instructions']:,}" in text
    assert_one_line_error(run(capsys, "plan", "ds_cnn", *options), "ds_cnn", "no int8 model")
    assert_one_line_error(run(capsys, "plan", model_file, *options[1:]), "--device", "--frontier")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "push"], ["--input push", "--optimize ram"]),
        (["--optimize", "ram", "--shape", "1x12x12x1"], ["--shape"]),
    ],
    ids=["no streaming", "a shape that the file states"],
)
def test_plan_refuses_inputs_that_make_no_sense(capsys, model_file, arguments, words):
    assert_one_line_error(run(capsys, "plan", model_file, *arguments), *words)


def dead_model() -> Model:
    """small_int8_model, of which channel 2 of the first convolution, and so of `dw`, is constant."""
    model = small_int8_model()
    weights = {name: array.copy() for name, array in model.weights.items()}
    for name in ("c1", "dw", "pw"):
        weights[f"{name}.weight"][2], weights[f"{name}.bias"][2] = 0, -(2**24)
    return Model(model.graph, weights, model.quantization)


def test_reduce_prints_what_was_removed_and_why(capsys, tmp_path):
    path = tmp_path / "dead.tflite"
    path.write_bytes(to_tflite(dead_model()))
    code, out, _ = run(capsys, "reduce", path, "--proof")
    assert code == 0
    assert "channels change no output" in out
    assert "always -128" in out
    code, out, _ = run(capsys, "reduce", path, "--json")
    result = json.loads(out)
    assert result["macs_left"] < result["macs"]
    assert {each["reason"] for each in result["channels"]} == {"constant"}


def test_reduce_needs_an_int8_model(capsys):
    assert_one_line_error(run(capsys, "reduce", "lenet5"), "lenet5", "int8 .tflite")


def test_deploy_leaves_dead_channels_out_unless_told_otherwise(capsys, tmp_path):
    path = tmp_path / "dead.tflite"
    path.write_bytes(to_tflite(dead_model()))
    arguments = ("deploy", path, "--device", "host", "--out", tmp_path / "out", "--samples", 5, "--json")
    less, all_of_it = (json.loads(run(capsys, *arguments, *more)[1]) for more in ((), ("--keep-dead-channels",)))
    assert less["bit_exact"] is all_of_it["bit_exact"] is True
    assert less["macs"] < all_of_it["macs"]
    assert any("change no output" in note for note in less["notes"])


def test_a_closed_pipe_is_not_an_error():
    process = subprocess.run(
        f"{sys.executable} -m millijoule devices | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert process.stderr == ""


def test_accuracy_comes_from_the_data(capsys, tmp_path, model_file):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 12, 12, 1), dtype=np.uint8)
    labels = np.arange(30) % 3
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])
    code, out, _ = run(
        capsys, "deploy", model_file, "--device", "host", "--data", tmp_path / "data.npz", "--out", tmp_path / "out",
        "--json",
    )  # fmt: skip
    assert code == 0
    accuracy = json.loads(out)["accuracy"]
    model = millijoule.load(model_file)
    outputs = model.run((images[:9].astype(np.int16) - 128).astype(np.int8))[model.graph.outputs[0]]
    assert accuracy["float"] is None
    assert accuracy["int8_host"] == accuracy["int8_device"] == np.mean(outputs.argmax(axis=1) == labels[:9])
