"""What users get wrong, through the command line: one line that names the thing and what to do, and no folder."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import millijoule
from millijoule.cli import main
from millijoule.export.tflite import to_tflite
from millijoule.graph import Builder
from millijoule.ops import Conv2d, Dense, Flatten, Softmax
from tests.load.cases import case, float_case
from tests.load.test_tflite_errors import make_custom, set_signature
from tests.networks import random_int8, small_int8_model
from tests.tflite_writer import build, pack

RNG = np.random.default_rng(0)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in: `small.tflite` (12x12x1, 3 classes) is there."""
    monkeypatch.chdir(tmp_path)
    Path("small.tflite").write_bytes(to_tflite(small_int8_model()))
    return tmp_path


def deploy(capsys, *arguments: object, device: str = "host") -> tuple[int, str, str]:
    code = main(["deploy", *map(str, arguments), "--device", device, "--out", "out"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def assert_refused(result: tuple[int, str, str], pattern: str, code: int = 2) -> None:
    exit_code, out, err = result
    assert (exit_code, out) == (code, "")
    assert len(err.splitlines()) == 1
    assert re.search(pattern, err), err
    assert err.startswith("error: ")
    assert not [path.name for path in Path().iterdir() if "out" in path.name]


def save(name: str, x: np.ndarray, y: np.ndarray, **more: np.ndarray) -> str:
    np.savez(name, x_train=x, y_train=y, x_test=x[:6], y_test=y[:6], **more)
    return name


def images(count: int = 30, size: tuple[int, ...] = (12, 12)) -> np.ndarray:
    return RNG.integers(0, 256, (count, *size), dtype=np.uint8)


def photographs(root: str, classes: list[str], count: int = 4, size: tuple[int, int] = (12, 12)) -> str:
    for index, name in enumerate(classes):
        folder = Path(root) / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(images(1, size)[0] // 2 + 60 * index).save(folder / f"{number}.png")
    return root


# Data


def test_a_class_folder_without_images(here, capsys):
    photographs("pets", ["cat", "dog"])
    Path("pets/bird").mkdir()
    assert_refused(deploy(capsys, "lenet5", "--data", "pets"), "class folder 'pets/bird' holds no image: add some, or")


def test_data_of_one_class(here, capsys):
    photographs("pets", ["cat"])
    assert_refused(deploy(capsys, "lenet5", "--data", "pets"), r"'pets' has one sub-folder \('cat'\)")
    file = save("one.npz", images(), np.zeros(30, int))
    assert_refused(deploy(capsys, "lenet5", "--data", file), "'one' has 1 class; at least two are needed")


def test_a_file_that_is_no_image_is_named_and_skipped_if_asked(here, capsys):
    photographs("pets", ["cat", "dog", "eel"])
    Path("pets/dog/notes.png").write_text("not an image")
    refused = deploy(capsys, "small.tflite", "--data", "pets")
    assert_refused(refused, r"1 of 13 files in 'pets' cannot be read as images: dog/notes\.png; .*--skip-bad")
    code, out, _ = deploy(capsys, "small.tflite", "--data", "pets", "--skip-bad", "--json")
    assert code == 0
    assert "dog/notes.png" in out


def test_data_that_are_not_there(here, capsys):
    assert_refused(deploy(capsys, "lenet5", "--data", "photos.npz"), "'photos.npz' does not exist: give digits, an")


def test_more_classes_than_the_model_has(here, capsys):
    file = save("many.npz", images(), np.arange(30) % 5)
    assert_refused(deploy(capsys, "small.tflite", "--data", file), "'many' has 5 classes; the model tells 3 apart")


def test_images_of_other_sizes_are_fitted(here, capsys):
    for size in ((30, 20), (5, 5), (12, 12, 3)):
        file = save("sizes.npz", images(size=size), np.arange(30) % 3)
        assert deploy(capsys, "small.tflite", "--data", file, "--json")[0] == 0


def test_digits_without_scikit_learn(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert_refused(
        deploy(capsys, "--data", "digits"), r"scikit-learn, which is missing: pip install 'millijoule\[train\]'"
    )


def test_training_without_torch(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    file = save("some.npz", images(), np.arange(30) % 3)
    assert_refused(
        deploy(capsys, "lenet5", "--data", file), r"torch, which is missing: pip install 'millijoule\[train\]'"
    )
    assert deploy(capsys, "small.tflite", "--data", file, "--json")[0] == 0


# Models


def test_a_network_of_the_zoo_that_is_no_classifier(here, capsys):
    file = save("some.npz", images(size=(20, 32)), np.arange(30) % 3)
    assert_refused(
        deploy(capsys, "autoencoder", "--data", file),
        "network 'autoencoder' has 640 outputs, data set 'some' has 3 classes",
    )


def test_a_float_model_without_data(here, capsys):
    Path("float.tflite").write_bytes(to_tflite(float_case("dense")))
    assert_refused(deploy(capsys, "float.tflite"), "is float: give --data, on which it is quantized to int8")


def test_operators_and_shapes_that_cannot_be_used(here, capsys):
    file = build(case("conv2d"))
    make_custom(file)
    Path("custom.tflite").write_bytes(pack(file))
    assert_refused(deploy(capsys, "custom.tflite"), r"^error: network 'custom' .*'op' \(CUSTOM 'MyOp'\)")
    file = build(case("conv2d"))
    set_signature("input0", -1, -1, 6, 4)(file)
    Path("dynamic.tflite").write_bytes(pack(file))
    assert_refused(deploy(capsys, "dynamic.tflite"), r"^error: dynamic\.tflite: .*dynamic shape \(-1, -1, 6, 4\)")


def test_truncated_models(here, capsys):
    whole = Path("small.tflite").read_bytes()
    for length in (0, 3, 40, len(whole) // 2, len(whole) - 1):
        Path("broken.tflite").write_bytes(whole[:length])
        code = deploy(capsys, "broken.tflite", "--json")[0]
        assert code == 2 or length == len(whole) - 1


@pytest.mark.parametrize("device", ["host", "nucleo-f446re"])
@pytest.mark.parametrize("name", ["*/ int x; /*", "9lives", "网络", '"quoted"\\', "@NAME@"])
def test_odd_names_are_names_in_c(here, name, device):
    network = Builder(name, (4,))
    network(f"dense {name}", Dense(features=2))
    network(f"softmax {name}", Softmax())
    model = replace(random_int8(network.graph()), labels=(name, f"{name}/*"))
    assert millijoule.deploy(model, device, folder="out", samples=1).bit_exact


def test_odd_names_of_files_and_classes(here, capsys):
    Path("small.tflite").rename("9 odd*-ñ.tflite")
    classes = np.array(["*/ #error", "two words /*", "naïve 网络 \\"])
    file = save("odd.npz", images(), np.arange(30) % 3, classes=classes)
    code, out, err = deploy(capsys, "9 odd*-ñ.tflite", "--data", file, "--json")
    assert (code, '"bit_exact": true' in out) == (0, True), err


# The place


def test_a_device_that_does_not_exist_names_the_nearest(here, capsys):
    assert_refused(deploy(capsys, "small.tflite", device="nucleo-f446"), "did you mean nucleo-f446re")


def test_a_folder_that_cannot_be_replaced_is_told_before_training(here, capsys, monkeypatch):
    monkeypatch.setattr(import_module("millijoule.train.loop").Trainer, "steps_of", None)
    file = save("large.npz", images(size=(32, 32)), np.arange(30) % 3)
    Path("mine").write_text("mine")
    code = main(["deploy", "lenet5", "--data", file, "--device", "host", "--out", "mine"])
    assert (code, "is not an earlier deployment" in capsys.readouterr().err) == (2, True)


def test_a_model_that_does_not_fit_even_streamed_says_the_least_and_what_it_fits(here, capsys):
    network = Builder("wide", (100, 100, 4))
    network("conv", Conv2d(channels=1, kernel=1))
    network("flatten", Flatten())
    network("classes", Dense(features=3))
    Path("wide.tflite").write_bytes(to_tflite(random_int8(network.graph())))
    code, out, err = deploy(capsys, "wide.tflite", device="nucleo-f103rb")
    assert (code, out) == (1, "")
    first, *hints = err.splitlines()
    assert first.startswith("error: the firmware needs at least 42,061 bytes of RAM with 2,048 bytes of stack; device ")
    assert hints[0].startswith("hint: the arena of 40,013 bytes is the least that is known: ")
    assert hints[1].startswith("hint: it fits nucleo-")
    assert not Path("out").exists()


def test_a_place_that_cannot_be_written(here, capsys):
    Path("file").write_text("mine")
    code = main(["deploy", "small.tflite", "--device", "host", "--out", "file/in"])
    err = capsys.readouterr().err
    assert code == 2
    assert re.fullmatch(r"error: '.*file/in' cannot be written \(.*\): choose another --out\n", err)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_disk_that_is_full_leaves_nothing(here):
    """A limit on the size of files is what a full disk looks like to a process: writes fail half-way."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from millijoule.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-B", "-c", code, "deploy", "small.tflite", "--device", "host", "--out", "out"]
    result = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert result.returncode == 2
    assert re.fullmatch(r"error: File too large.*\n", result.stderr), result.stderr
    assert [path.name for path in here.iterdir()] == ["small.tflite"]
