"""Ctrl-C and SIGTERM in a real process: one line, exit code 2, nothing half written, the checkpoint kept."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest

import millijoule as mj
from millijoule import zoo
from millijoule.export.tflite import to_tflite
from millijoule.train import load_checkpoint
from millijoule.train.checkpoint import FILE
from millijoule.train.loop import Settings
from millijoule.train.run_folder import CONFIG
from tests.networks import small_int8_model
from tests.train.cases import stripes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
PATIENCE_SECONDS = 120


def interrupted(arguments: list[object], when: Callable[[], bool], number: signal.Signals) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the command, to which the signal is sent as soon as `when()` holds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "millijoule", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background may have signals ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    end = time.monotonic() + PATIENCE_SECONDS
    while not when():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err


def assert_one_line(result: tuple[int, str, str], text: str) -> None:
    code, out, err = result
    assert (code, out) == (2, ""), err
    assert err.startswith("error: ")
    assert text in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_training_the_checkpoint_is_kept(tmp_path, number):
    data = stripes(60, side=32)
    np.savez(tmp_path / "data.npz", x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    kept = tmp_path / "kept"
    arguments = [
        "deploy", "lenet5", "--data", tmp_path / "data.npz", "--device", "host", "--epochs", 100_000,
        "--checkpoint", kept, "--out", tmp_path / "out",
    ]  # fmt: skip
    result = interrupted(arguments, (kept / FILE).exists, number)
    assert_one_line(result, f"'{kept / FILE}' keeps the best so far")
    assert "of 100000" in result[2]
    assert load_checkpoint(kept, zoo.lenet5(classes=2)).labels == ("0", "1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "kept"]
    assert [path.name for path in kept.iterdir()] == [FILE]


def test_in_training_as_int8_the_checkpoint_is_kept_and_no_file_written(tmp_path):
    data = stripes(60, side=32)
    np.savez(tmp_path / "data.npz", x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    kept = tmp_path / "run"
    mj.train(zoo.lenet5(classes=2), data, epochs=1, batch_size=8, checkpoint=kept, progress=False)
    config = {
        "network": "lenet5",
        "arguments": {"classes": 2},
        "data": "data",
        "source": str(tmp_path / "data.npz"),
        "skip_bad": False,
        "settings": asdict(Settings(epochs=1, batch_size=8, learning_rate=0.1)),
    }
    (kept / CONFIG).write_text(json.dumps(config))
    arguments = [
        "quantize", kept, "--data", tmp_path / "data.npz", "--qat", "--epochs", 100_000, "--out", tmp_path / "a.tflite",
    ]  # fmt: skip
    state = tmp_path / "a-qat" / FILE
    result = interrupted(arguments, state.exists, signal.SIGINT)
    assert_one_line(result, f"'{state}' keeps the best so far")
    assert not (tmp_path / "a.tflite").exists()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("compiling", signal.SIGINT),
        ("compiling", signal.SIGTERM),
        ("compiling", signal.SIGHUP),
        ("emulating", signal.SIGINT),
        ("emulating", signal.SIGTERM),
    ],
)
def test_in_the_middle_of_a_deployment_nothing_is_left(tmp_path, moment, number):
    model = tmp_path / "small.tflite"
    model.write_bytes(to_tflite(small_int8_model()))
    folder = tmp_path / "results"
    folder.mkdir()
    name = {"compiling": "model.c", "emulating": "firmware.elf"}[moment]

    def there() -> bool:
        return any(folder.glob(f".out-*/out/{name}"))

    arguments = ["deploy", model, "--device", "nucleo-f446re", "--samples", 10_000, "--out", folder / "out"]
    assert_one_line(interrupted(arguments, there, number), "interrupted; nothing was left half written")
    assert list(folder.rglob("*")) == []


def test_an_interrupt_inside_exec_has_the_same_exit_code(tmp_path):
    """Dataclasses and named tuples are made by exec, perhaps while an interrupt arrives."""
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from millijoule.cli import main\n"
        "import millijoule.cli.lists as lists\n"
        "class Package:\n"
        "    def list_devices():\n"
        "        exec('raise KeyboardInterrupt')\n"
        "lists.millijoule = Package\n"
        "sys.exit(main(['devices']))\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (2, "error: interrupted; nothing was left half written\n")
